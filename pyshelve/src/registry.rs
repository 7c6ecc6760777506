//! One engine per file and process: the table of what this process has open.
//!
//! A file is known by device and inode, so links and relative names meet in one engine. The first
//! handle opens it, the last one closes it. Nothing here may run attached to the interpreter: an
//! open waits for other processes, a close takes a checkpoint.
//!
//! A child of `fork` begins with an empty table of its own: the parent's may have been locked, in
//! the middle of a change, when the fork came.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rshelve::{Connection, DatabaseOptions, Durability, Error, ForkGuard, OpenMode};

use crate::errors::Refusal;

/// An open database, shared by the handles of this process.
pub struct Engine {
    /// The way in.
    pub connection: Connection,
    settings: Settings,
}

/// What two handles on one engine must agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    read_only: bool,
    cache_bytes_max: u64,
    durability: Durability,
    timeout: Duration,
}

/// What a file is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

enum State {
    Opening,
    Open { engine: Arc<Engine>, handles: usize },
    Closing,
}

struct Slot {
    path: PathBuf,
    identity: Option<Identity>,
    state: State,
}

#[derive(Default)]
struct Registry {
    slots: Mutex<Vec<Slot>>,
    /// A slot has come to rest, or gone.
    settled: Condvar,
    /// The registry of a child of `fork`, which never looks into this one.
    child: OnceLock<Box<Registry>>,
}

static FIRST: OnceLock<Registry> = OnceLock::new();

/// The registry of this side of the forks, which the process has to watch by now.
fn registry() -> &'static Registry {
    let mut registry = FIRST.get_or_init(Registry::default);
    for _ in 0..rshelve::fork_generation() {
        registry = registry.child.get_or_init(Box::default);
    }
    registry
}

/// From here on the process notices its forks. To be called before the registry is used: a fork may
/// leave its lock held for good, so that a child has to know that it is one.
///
/// # Errors
/// When the system refuses to tell us of forks.
pub fn watch_forks(path: &Path) -> Result<ForkGuard, Refusal> {
    ForkGuard::new().map_err(|error| {
        let file = path.display().to_string().into();
        Refusal::Engine(Error::io("watch for forks before opening", &file, error))
    })
}

/// Opens the database at `path`, or joins the handles that this process has on it.
///
/// # Errors
/// [`Refusal::Conflict`] names the option in which an open handle differs; [`Refusal::Missing`]
/// when there is no file and `options.mode` makes none; else what the engine says.
pub fn acquire(path: &Path, options: DatabaseOptions) -> Result<Arc<Engine>, Refusal> {
    let registry = registry();
    let path = resolve(path);
    if let Some(engine) = registry.join(&path, &options)? {
        return Ok(engine);
    }
    // Our slot keeps others waiting from here on; every way out settles it.
    let opening = Opening { registry, path: &path };
    let settings = Settings::of(&options);
    let mode = options.mode;
    let connection = Connection::open(&path, options)
        .map_err(|error| if is_missing(&error, mode) { Refusal::Missing } else { error.into() })?;
    let engine = Arc::new(Engine { connection, settings });
    opening.succeed(Arc::clone(&engine));
    Ok(engine)
}

/// Gives a handle's share of `engine` back; the last one closes it.
///
/// # Errors
/// What the engine says to the last checkpoint. The engine is gone all the same.
pub fn release(engine: &Arc<Engine>) -> Result<(), Refusal> {
    let registry = registry();
    let mut slots = registry.slots.lock();
    let Some(slot) = slots.iter_mut().find(|slot| slot.holds(engine)) else { return Ok(()) };
    if let State::Open { handles, .. } = &mut slot.state {
        *handles -= 1;
        if *handles > 0 {
            return Ok(());
        }
    }
    // Others find the slot by its path or identity, and wait until it is gone.
    slot.state = State::Closing;
    let path = slot.path.clone();
    drop(slots);
    let closed = engine.connection.close();
    registry
        .slots
        .lock()
        .retain(|slot| !(matches!(slot.state, State::Closing) && slot.path == path));
    registry.settled.notify_all();
    Ok(closed?)
}

/// A slot whose engine is being opened; dropped, it makes way for the next try.
struct Opening<'r> {
    registry: &'r Registry,
    path: &'r Path,
}

impl Opening<'_> {
    fn succeed(self, engine: Arc<Engine>) {
        let mut slots = self.registry.slots.lock();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.is_opening(self.path)) {
            slot.identity = identity(self.path);
            slot.state = State::Open { engine, handles: 1 };
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.registry.slots.lock().retain(|slot| !slot.is_opening(self.path));
        self.registry.settled.notify_all();
    }
}

impl Registry {
    /// The engine of this file if there is one, after a place for it was taken if there is none.
    fn join(&self, path: &Path, options: &DatabaseOptions) -> Result<Option<Arc<Engine>>, Refusal> {
        let deadline = Instant::now() + options.timeout;
        let mut slots = self.slots.lock();
        loop {
            let identity = identity(path);
            let Some(slot) = slots.iter_mut().find(|slot| slot.is_of(path, identity)) else {
                let (path, state) = (path.to_path_buf(), State::Opening);
                slots.push(Slot { path, identity, state });
                return Ok(None);
            };
            if let State::Open { engine, handles } = &mut slot.state {
                engine.settings.admit(path, options)?;
                *handles += 1;
                return Ok(Some(Arc::clone(engine)));
            }
            if self.settled.wait_until(&mut slots, deadline).timed_out() {
                let holder = "another thread of this process".to_owned();
                return Err(Error::Busy { path: path.to_path_buf(), holder }.into());
            }
        }
    }
}

impl Slot {
    /// Whether this is about the file at `path`. A file that was removed and made anew is another.
    fn is_of(&self, path: &Path, identity: Option<Identity>) -> bool {
        match self.state {
            State::Open { .. } => self.identity.is_some() && self.identity == identity,
            State::Opening | State::Closing => {
                self.path == path || (self.identity.is_some() && self.identity == identity)
            }
        }
    }

    fn is_opening(&self, path: &Path) -> bool {
        matches!(self.state, State::Opening) && self.path == path
    }

    fn holds(&self, wanted: &Arc<Engine>) -> bool {
        matches!(&self.state, State::Open { engine, .. } if Arc::ptr_eq(engine, wanted))
    }
}

impl Settings {
    fn of(options: &DatabaseOptions) -> Self {
        Self {
            read_only: options.mode == OpenMode::ReadOnly,
            cache_bytes_max: options.cache_bytes_max,
            durability: options.durability,
            timeout: options.timeout,
        }
    }

    /// Whether a handle with `options` may join: it may read where others write, and otherwise
    /// must want what they want.
    fn admit(&self, path: &Path, options: &DatabaseOptions) -> Result<(), Refusal> {
        let path = path.display();
        let wanted = Self::of(options);
        let differ = |option: &str, have: String, want: String| {
            Err(Refusal::Conflict(format!(
                "{path} is open in this process with {option}={have}, which conflicts with {option}={want}; give the same, or close the other handle first"
            )))
        };
        if options.mode == OpenMode::Replace {
            return Err(Refusal::Conflict(format!(
                "{path} is open in this process, so flag='n' cannot replace it; close the other handle first, or use clear()"
            )));
        }
        if self.read_only && !wanted.read_only {
            return differ("flag", "'r'".into(), "'w'".into());
        }
        if self.cache_bytes_max != wanted.cache_bytes_max {
            let (have, want) = (self.cache_bytes_max, wanted.cache_bytes_max);
            return differ("cache_size", have.to_string(), want.to_string());
        }
        if self.durability != wanted.durability {
            let name = |durability| format!("{durability:?}").to_lowercase();
            let (have, want) = (name(self.durability), name(wanted.durability));
            return differ("durability", format!("'{have}'"), format!("'{want}'"));
        }
        if self.timeout != wanted.timeout {
            let (have, want) = (self.timeout.as_secs_f64(), wanted.timeout.as_secs_f64());
            return differ("timeout", have.to_string(), want.to_string());
        }
        Ok(())
    }
}

/// Whether `error` means that there was no file to open, or an empty one.
fn is_missing(error: &Error, mode: OpenMode) -> bool {
    let is_no_file = match error {
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        Error::Missing { .. } => true,
        _ => false,
    };
    is_no_file && matches!(mode, OpenMode::ReadOnly | OpenMode::Existing)
}

/// `path` with its folder's links resolved; whole, it need not exist yet.
fn resolve(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = whole.parent().and_then(|folder| fs::canonicalize(folder).ok());
    match (folder, whole.file_name().map(OsStr::to_os_string)) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => whole,
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some(Identity { device: metadata.dev(), inode: metadata.ino() })
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let path = fs::canonicalize(path).ok()?;
    let inode = BuildHasherDefault::<DefaultHasher>::default().hash_one(path);
    Some(Identity { device: 0, inode })
}
