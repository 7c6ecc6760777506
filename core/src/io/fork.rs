//! What a forked child may not do with its parent's database.
//!
//! A child inherits every handle, and with the descriptors the parent's open-file-description
//! locks, which would outlive the parent as long as the child runs. So a handler runs in the
//! child before `fork` returns there: it raises the process's *generation*, by which handles
//! notice that they are the parent's ([`ForkGuard`]), and points the descriptors that hold locks
//! elsewhere. It may do only what a signal handler may (another thread may have held any lock
//! when the process forked), hence the fixed table of atomics.
//!
//! The statics are plain `std` atomics under loom too: they belong to the process, not to a model.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::base::error;

/// The most descriptors that can hold a lock at once: that many databases open in one process.
const WATCHED_MAX: usize = 1024;

/// Marks a free place in [`WATCHED`].
const FREE: RawFd = -1;

/// How many forks lie between the first process that loaded this code and this one. Written by
/// the handler in a child that has one thread; read by anyone.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The descriptors that hold a lock. Written by [`Watch`]; read by the handler.
static WATCHED: [AtomicI32; WATCHED_MAX] = [const { AtomicI32::new(FREE) }; WATCHED_MAX];

/// A descriptor that nothing can be read from or written to. Written once, before the first
/// watch; read by the handler.
static NOWHERE: AtomicI32 = AtomicI32::new(FREE);

/// The generation of this process: it differs from the parent's in each forked child. Cheap.
#[inline]
pub fn generation() -> u32 {
    // Relaxed: it changes only while a child has a single thread, the one that reads it.
    GENERATION.load(Relaxed)
}

/// Remembers which process a handle belongs to. A handle keeps one and checks it in every
/// operation: one load and a compare.
#[derive(Clone, Copy, Debug)]
pub struct ForkGuard {
    born: u32,
}

impl ForkGuard {
    /// A guard of this process. From here on the process notices its forks.
    ///
    /// ```
    /// use rshelve_core::io::fork::ForkGuard;
    /// let guard = ForkGuard::new()?;
    /// assert!(guard.is_ours());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the system refuses to call us at a fork (no memory, no descriptors).
    pub fn new() -> Result<Self> {
        install()?;
        Ok(Self { born: generation() })
    }

    /// Whether this is still the process that made the guard.
    ///
    /// ```
    /// use rshelve_core::io::fork::ForkGuard;
    /// let guard = ForkGuard::new()?;
    /// assert!(guard.is_ours(), "false in a child of this process");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_ours(self) -> bool {
        self.born == generation()
    }

    /// Refuses the parent's handles in a forked child.
    ///
    /// ```
    /// use rshelve_core::io::fork::ForkGuard;
    /// let guard = ForkGuard::new()?;
    /// guard.check("a database that was opened by the parent process")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`error::Error::Closed`] with `what` in a child of the process that made the guard.
    #[inline]
    pub fn check(self, what: &'static str) -> error::Result<()> {
        if self.is_ours() { Ok(()) } else { Err(error::Error::Closed { what }) }
    }
}

/// Keeps a descriptor in the table: a child gets it pointed elsewhere. Dropped before the
/// descriptor is closed.
#[derive(Debug)]
pub(super) struct Watch {
    place: usize,
    guard: ForkGuard,
}

impl Watch {
    /// Watches `file`, which is about to take a lock.
    pub(super) fn new(file: &File) -> Result<Self> {
        let guard = ForkGuard::new()?;
        let fd = file.as_raw_fd();
        // Release on success: pairs with the handler's Acquire load, so that the handler, which
        // sees this descriptor, sees `NOWHERE` too.
        let free = |place: &AtomicI32| place.compare_exchange(FREE, fd, Release, Relaxed).is_ok();
        match WATCHED.iter().position(free) {
            Some(place) => Ok(Self { place, guard }),
            None => Err(Error::other(format!(
                "{WATCHED_MAX} databases are open in this process; close some"
            ))),
        }
    }
}

impl Watch {
    /// Whether this is still the process that watches.
    pub(super) fn is_ours(&self) -> bool {
        self.guard.is_ours()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The handler has emptied the table for the child, and may have given the place anew.
        if self.guard.is_ours() {
            // Release: pairs with the Acquire load in `in_child`.
            WATCHED[self.place].store(FREE, Release);
        }
    }
}

/// Installs the handler, unless it is. Takes no lock, for a fork could leave it held in the
/// child; two threads that race may install it twice, and the second run changes nothing but the
/// generation.
fn install() -> Result<()> {
    // Miri knows no forks.
    if cfg!(miri) {
        return Ok(());
    }
    // Acquire: pairs with the Release below, which comes after the handler was installed.
    if NOWHERE.load(Acquire) != FREE {
        return Ok(());
    }
    // A path descriptor: every read and write through it fails, and it needs no permission.
    let nowhere = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/")?;
    super::sys::call_in_forked_children(in_child)?;
    // Release: publishes the installed handler to the Acquire above.
    if NOWHERE.compare_exchange(FREE, nowhere.as_raw_fd(), Release, Relaxed).is_ok() {
        // It stays open for good.
        let _ = nowhere.into_raw_fd();
    }
    Ok(())
}

/// Runs in a forked child, before anything else does.
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    let nowhere = NOWHERE.load(Acquire);
    for place in &WATCHED {
        let fd = place.load(Acquire);
        if fd != FREE {
            place.store(FREE, Relaxed);
            super::sys::replace_descriptor(fd, nowhere);
        }
    }
}
