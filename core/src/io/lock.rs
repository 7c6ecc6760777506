//! Who has a database open: the lock, in this process and among processes.
//!
//! The lock is an open-file-description lock on the database file itself. Beside it stand
//!
//! - a registry of this process's open databases, by device and inode, because a second writer in
//!   the same process deserves a plain answer at once;
//! - `<name>-lock`, which only names the holder for whoever has to wait. It is made anew by each
//!   writer, never followed through a symbolic link, and believed for nothing but a message and a
//!   look at what a killed writer may have left.
//!
//! Taking the lock, in order: open the file, enter it in the registry, lock it, look again
//! whether the name still leads to this file (another process may have put a new one in its place
//! between the first step and the third, and then the lock is on a corpse), write the name file.
//! Replacing the file under the lock is [`DatabaseLock::hand_over`].
//!
//! Give the lock the bare storage, not the one whose failures stick: it must let go even then.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fork::{self, ForkGuard};
use super::{File, FileIdentity, LockKind, OpenHow, Storage};
use crate::base::error::{Error, Result};

/// The longest pause between two tries. Another process's release tells nobody, so there is
/// nothing to wait for but time.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The permission bits of the file that names the holder: anyone may read it.
const NAME_FILE_MODE: u32 = 0o644;

/// What to lock, and how.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    /// The database's name in its folder.
    pub name: &'a str,
    /// As a writer, or as a reader. A reader creates nothing.
    pub kind: LockKind,
    /// The permission bits of an empty file to create if there is none; `None`: it must exist.
    pub create_mode: Option<u32>,
    /// How long to wait for another process. A second writer in this process is refused at once.
    pub timeout: Duration,
}

/// A database's lock, and the open file that holds it.
///
/// Dropping it releases the lock but leaves `<name>-lock` behind, as a crash would;
/// [`DatabaseLock::release`] is the clean way. In a forked child both do nothing: the lock is the
/// parent's.
#[derive(Debug)]
pub struct DatabaseLock {
    storage: Arc<dyn Storage>,
    name: String,
    kind: LockKind,
    file: Arc<dyn File>,
    /// Left after the lock was released, so that nobody here finds the registry free and the
    /// file locked.
    seat: Seat,
    guard: ForkGuard,
    was_left: bool,
}

/// How one try ended that was no error.
enum Attempt {
    Taken(Box<DatabaseLock>),
    /// Another process holds it, or the file was replaced meanwhile: try again.
    Elsewhere,
}

impl DatabaseLock {
    /// Takes the lock of the database that `request` names in `storage`.
    ///
    /// # Errors
    /// [`Error::Busy`] when another writer has it, in this process or, after the time-out, in
    /// another one, whose id it names if it can; [`Error::Io`] when the file cannot be opened.
    pub fn take(storage: &Arc<dyn Storage>, request: &LockRequest<'_>) -> Result<Self> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Attempt::Taken(lock) = Self::attempt(storage, request)? {
                return Ok(*lock);
            }
            let left = request.timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(busy(&**storage, request.name, holder(&**storage, request.name)));
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The open file that holds the lock: for a writer open for writing, for a reader not.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Whether a writer before this one left `<name>-lock` behind, as a killed one does. Good for a look
    /// at what it may have left besides; anybody can put a file there.
    pub fn was_left(&self) -> bool {
        self.was_left
    }

    /// Tells whether this is still the process that took the lock.
    pub fn guard(&self) -> ForkGuard {
        self.guard
    }

    /// How many readers in this process have the file open.
    pub fn readers_here(&self) -> usize {
        let entries = entries(fork::generation());
        let same = |entry: &&Entry| {
            entry.identity == self.seat.entry.identity && entry.kind == LockKind::Shared
        };
        entries.iter().filter(same).count()
    }

    /// Replaces the database's file by `file`, an open one of another name that nobody else
    /// knows: locks it, has `rename` put it in place, and lets go of the old one. At every moment
    /// whoever opens the name finds a locked file, or after locking a replaced one.
    ///
    /// This is also how a database is made: lock an empty file of its name
    /// ([`LockRequest::create_mode`]), write the new content under another name, hand over.
    ///
    /// # Errors
    /// What `rename` or the locking returned; the old file is still locked then.
    pub fn hand_over(
        &mut self,
        file: Arc<dyn File>,
        rename: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let cannot = |error| Error::io("lock", &self.storage.display(&self.name).into(), error);
        let identity = file.identity().map_err(cannot)?;
        let someone = || busy(&*self.storage, &self.name, "someone".into());
        let seat = Seat::take(identity, self.kind).ok_or_else(someone)?;
        if !file.try_lock(self.kind).map_err(cannot)? {
            return Err(someone());
        }
        if let Err(error) = rename() {
            let _ = file.unlock();
            return Err(error);
        }
        let old = std::mem::replace(&mut self.file, file);
        // Nobody can find the old file by name any more; its lock goes with its last handle at
        // the latest.
        let _ = old.unlock();
        self.seat = seat;
        Ok(())
    }

    /// Removes the file that names this process, and releases the lock.
    ///
    /// # Errors
    /// [`Error::Io`] when the name file cannot be removed; the lock is released even then.
    pub fn release(self) -> Result<()> {
        if self.kind == LockKind::Shared || !self.guard.is_ours() {
            return Ok(());
        }
        let name = name_file(&self.name);
        match self.storage.remove(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &self.storage.display(&name).into(), error))
            }
            _ => Ok(()),
        }
    }

    fn attempt(storage: &Arc<dyn Storage>, request: &LockRequest<'_>) -> Result<Attempt> {
        let cannot = |error| Error::io("open", &storage.display(request.name).into(), error);
        let guard = ForkGuard::new().map_err(cannot)?;
        let Some(file) = open(&**storage, request).map_err(cannot)? else {
            return Ok(Attempt::Elsewhere);
        };
        let identity = file.identity().map_err(cannot)?;
        let Some(seat) = Seat::take(identity, request.kind) else {
            return Err(busy(&**storage, request.name, "this process".into()));
        };
        let cannot = |error| Error::io("lock", &storage.display(request.name).into(), error);
        if !file.try_lock(request.kind).map_err(cannot)? {
            return Ok(Attempt::Elsewhere);
        }
        let name = request.name.to_owned();
        let kind = request.kind;
        let storage = Arc::clone(storage);
        let mut lock = Self { storage, name, kind, file, seat, guard, was_left: false };
        // Dropping the lock on any other outcome releases it.
        if !leads_to(&*lock.storage, request.name, identity)? {
            return Ok(Attempt::Elsewhere);
        }
        if lock.kind == LockKind::Exclusive {
            match write_name(&*lock.storage, &lock.name) {
                Ok(was_left) => lock.was_left = was_left,
                Err(error) => {
                    tracing::debug!(%error, "cannot write the file that names the lock's holder");
                }
            }
        }
        Ok(Attempt::Taken(Box::new(lock)))
    }
}

impl Drop for DatabaseLock {
    fn drop(&mut self) {
        if self.guard.is_ours() {
            let _ = self.file.unlock();
        }
    }
}

/// Opens the file as the request wants; `None` when it came to be between two looks.
fn open(storage: &dyn Storage, request: &LockRequest<'_>) -> io::Result<Option<Arc<dyn File>>> {
    let how = match request.kind {
        LockKind::Shared => OpenHow::ReadOnly,
        LockKind::Exclusive => OpenHow::Existing,
    };
    match (storage.open(request.name, how), request.create_mode) {
        (Err(error), Some(mode)) if error.kind() == ErrorKind::NotFound => {
            match storage.open(request.name, OpenHow::CreateNew { mode }) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
                result => result.map(Some),
            }
        }
        (result, _) => result.map(Some),
    }
}

/// Whether the name still leads to the file that we locked.
fn leads_to(storage: &dyn Storage, name: &str, identity: FileIdentity) -> Result<bool> {
    match storage.open(name, OpenHow::ReadOnly).and_then(|file| file.identity()) {
        Ok(now) => Ok(now == identity),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("open", &storage.display(name).into(), error)),
    }
}

fn busy(storage: &dyn Storage, name: &str, holder: String) -> Error {
    Error::Busy { path: PathBuf::from(storage.display(name)), holder }
}

/// The name of the file that names the holder.
fn name_file(name: &str) -> String {
    format!("{name}-lock")
}

/// Names this process. Whoever calls holds the lock, so what is there is stale, or planted:
/// removed, never opened. Returns whether there was one.
fn write_name(storage: &dyn Storage, name: &str) -> io::Result<bool> {
    let name = name_file(name);
    let was_left = match storage.remove(&name) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let file = storage.open(&name, OpenHow::CreateNew { mode: NAME_FILE_MODE })?;
    let pid = format!("{}\n", std::process::id());
    file.write_all_at(&[IoSlice::new(pid.as_bytes())], 0)?;
    Ok(was_left)
}

/// Who holds the lock, as well as the name file can tell.
fn holder(storage: &dyn Storage, name: &str) -> String {
    let read = || {
        let file = storage.open(&name_file(name), OpenHow::ReadOnly).ok()?;
        let mut bytes = vec![0; file.len().ok()?.min(16) as usize];
        file.read_exact_at(&mut bytes, 0).ok()?;
        str::from_utf8(&bytes).ok()?.trim_end().parse::<u32>().ok()
    };
    read().map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// This process's open databases, one table per generation of forks (they take turns after so
/// many): another thread may have held the table's mutex when the process forked, and the child
/// must not wait for it. Plain `std` under loom too: it belongs to the process, not to a model.
static TABLES: [Mutex<Vec<Entry>>; 16] = [const { Mutex::new(Vec::new()) }; 16];

/// A database that this process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    identity: FileIdentity,
    kind: LockKind,
    generation: u32,
}

/// The entries of this generation.
fn entries(generation: u32) -> MutexGuard<'static, Vec<Entry>> {
    let table = &TABLES[generation as usize % TABLES.len()];
    let mut entries = table.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|entry| entry.generation == generation);
    entries
}

/// An entry in the registry, taken out when dropped.
#[derive(Debug)]
struct Seat {
    entry: Entry,
}

impl Seat {
    /// Enters the file; `None` when a writer has it and another wants it.
    fn take(identity: FileIdentity, kind: LockKind) -> Option<Self> {
        let entry = Entry { identity, kind, generation: fork::generation() };
        let mut entries = entries(entry.generation);
        if kind == LockKind::Exclusive && entries.contains(&entry) {
            return None;
        }
        entries.push(entry);
        Some(Self { entry })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.entry.generation != fork::generation() {
            return;
        }
        let mut entries = entries(self.entry.generation);
        if let Some(index) = entries.iter().position(|entry| *entry == self.entry) {
            entries.swap_remove(index);
        }
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
