//! A file system in memory that records, fails and crashes on demand.
//!
//! [`MemoryStorage`] behaves as a folder of real files does. On top of that it
//!
//! - counts every call and fails the n-th ([`MemoryStorage::fail_nth`]);
//! - records every change and every sync ([`MemoryStorage::record`], [`History`]), and from that
//!   makes the files as a killed process or a power loss could leave them after any step
//!   ([`Walk`]);
//! - can pretend one kind of sync ([`MemoryStorage::ignore_sync`]), to show that the crash tests
//!   notice when it is missing.
//!
//! It is always compiled: the suites outside this crate build on it. Its state is behind one
//! `std` mutex even under loom: a storage call is one step there, whatever is being modelled.
#![forbid(unsafe_code)]

mod choice;
mod content;
mod crash;
mod disk;
mod fault;
mod file;
mod history;

#[cfg(test)]
mod crash_tests;

use std::collections::{BTreeMap, HashSet};
use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use choice::{Choice, Fate, Pending, Sectors};
pub use crash::Walk;
pub use disk::{FileNumber, Step, SyncOutcome};
pub use fault::{CallKind, Fault};
pub use history::History;

use crate::io::{File, OpenHow, Storage, SyncPoint, check_name};
use content::Content;
use disk::Disk;
use fault::Faults;
use file::{Handle, Hold, MemoryFile};

/// A folder in memory. Clones are the same folder; [`MemoryStorage::duplicate`] makes another.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Tells this folder's files from every other folder's.
    device: u64,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that changes.
#[derive(Debug, Default)]
struct State {
    disk: Disk,
    /// The number of the last file made.
    last_file: u64,
    /// The number of the last handle opened.
    last_handle: u64,
    /// Handles that are open, by file; what each holds of the file's lock.
    open: BTreeMap<FileNumber, BTreeMap<u64, Hold>>,
    history: Option<History>,
    recording: bool,
    faults: Faults,
    ignored: HashSet<SyncPoint>,
    refuse_maps: bool,
}

impl State {
    /// Counts a call of `kind`; an error if it is to fail without doing anything.
    fn call(&mut self, kind: CallKind) -> Result<()> {
        self.faults.strike(kind).map_or(Ok(()), |fault| Err(fault.error(kind)))
    }

    /// Does one step and records it.
    fn step(&mut self, step: Step) {
        self.disk.apply(&step);
        if self.recording
            && let Some(history) = &mut self.history
        {
            history.steps.push(step);
        }
    }

    /// Forgets a file's bytes when neither a name nor a handle is left.
    fn drop_if_unused(&mut self, file: FileNumber) {
        if !self.open.contains_key(&file) && self.disk.name_of(file).is_none() {
            self.disk.files.remove(&file);
        }
    }

    /// A sync's outcome: struck by a fault, switched off, or done.
    fn sync(&mut self, kind: CallKind, point: SyncPoint) -> (SyncOutcome, Result<()>) {
        match self.call(kind) {
            Err(error) => (SyncOutcome::Failed, Err(error)),
            Ok(()) if self.ignored.contains(&point) => (SyncOutcome::Ignored, Ok(())),
            Ok(()) => (SyncOutcome::Done, Ok(())),
        }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// An empty folder that does not record.
    pub fn new() -> Self {
        Self::with_disk(Disk::default())
    }

    /// A folder with this content, all of it durable, no file open, no lock held.
    fn with_disk(disk: Disk) -> Self {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        // A high bit that no real device number has, so that a registry of open files can hold
        // both sorts.
        let device = (1 << 63) | DEVICES.fetch_add(1, Relaxed);
        let last_file = disk.files.keys().next_back().map_or(0, |file| file.0);
        let state = State { disk, last_file, ..State::default() };
        Self { shared: Arc::new(Shared { device, state: Mutex::new(state) }) }
    }

    /// Another folder with the same files, as they are now. Cheap: pages are shared until one
    /// side writes them.
    pub fn duplicate(&self) -> Self {
        let mut disk = self.shared.state().disk.clone();
        disk.drop_nameless();
        Self::with_disk(disk)
    }

    /// Starts a new recording, or ends one (what was recorded stays until the next starts). What
    /// is there when it starts counts as durable.
    pub fn record(&self, on: bool) {
        let mut state = self.shared.state();
        if on {
            state.history = Some(History { base: state.disk.clone(), steps: Vec::new() });
        }
        state.recording = on;
    }

    /// What was recorded; empty if nothing was.
    pub fn history(&self) -> History {
        self.shared.state().history.clone().unwrap_or_default()
    }

    /// How many calls there were, of every kind, failed ones included. Copies into maps are not
    /// calls: they cannot fail.
    pub fn calls(&self) -> u64 {
        self.shared.state().faults.calls(None)
    }

    /// How many calls of `kind` there were.
    pub fn calls_of(&self, kind: CallKind) -> u64 {
        self.shared.state().faults.calls(Some(kind))
    }

    /// Fails the `nth` call from now, whatever it is (1 is the next one), and, if `forever`,
    /// every later one.
    pub fn fail_nth(&self, nth: u64, fault: Fault, forever: bool) {
        self.fail_nth_of(&[], nth, fault, forever);
    }

    /// Fails the `nth` call from now that is of one of `kinds` (none means all), and, if
    /// `forever`, every later one of them.
    pub fn fail_nth_of(&self, kinds: &[CallKind], nth: u64, fault: Fault, forever: bool) {
        self.shared.state().faults.plan(kinds, nth, fault, forever);
    }

    /// Takes back every planned fault.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// How many calls were failed on purpose.
    pub fn faults_hit(&self) -> u64 {
        self.shared.state().faults.hits()
    }

    /// Makes every sync at `point` a pretence from now on: it returns `Ok` and nothing gets
    /// durable by it. See also [`History::without_sync`].
    pub fn ignore_sync(&self, point: SyncPoint) {
        self.shared.state().ignored.insert(point);
    }

    /// Whether [`File::map`] says `Unsupported` from now on.
    pub fn refuse_maps(&self, refuse: bool) {
        self.shared.state().refuse_maps = refuse;
    }

    /// The bytes of the file `name`, without counting as a call.
    pub fn peek(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.state();
        let file = state.disk.names.get(name)?;
        state.disk.files.get(file).map(Content::to_vec)
    }

    /// Puts a file there, in place of what had the name, without counting or recording.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut state = self.shared.state();
        let file = state.new_file();
        let mut content = Content::default();
        content.write(bytes, 0);
        state.disk.files.insert(file, content);
        if let Some(old) = state.disk.names.insert(name.into(), file) {
            state.drop_if_unused(old);
        }
    }

    /// Every name, sorted, without counting as a call.
    pub fn names(&self) -> Vec<String> {
        self.shared.state().disk.names.keys().map(|name| name.to_string()).collect()
    }
}

impl State {
    fn new_file(&mut self) -> FileNumber {
        self.last_file += 1;
        FileNumber(self.last_file)
    }
}

impl Storage for MemoryStorage {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut state = self.shared.state();
        state.call(CallKind::Open)?;
        let found = state.disk.names.get(name).copied();
        let file = match (how, found) {
            (OpenHow::CreateNew { .. }, Some(_)) => return Err(ErrorKind::AlreadyExists.into()),
            (OpenHow::CreateNew { .. }, None) => {
                let file = state.new_file();
                state.step(Step::Create { name: name.into(), file });
                file
            }
            (_, Some(file)) => file,
            (_, None) => return Err(ErrorKind::NotFound.into()),
        };
        let handle = Handle::new(&self.shared, &mut state, file);
        Ok(Arc::new(MemoryFile::new(handle, how != OpenHow::ReadOnly)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut state = self.shared.state();
        state.call(CallKind::Rename)?;
        if !state.disk.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        if from == to {
            return Ok(());
        }
        let replaced = state.disk.names.get(to).copied();
        state.step(Step::Rename { from: from.into(), to: to.into() });
        replaced.into_iter().for_each(|file| state.drop_if_unused(file));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut state = self.shared.state();
        state.call(CallKind::Remove)?;
        let Some(file) = state.disk.names.get(name).copied() else {
            return Err(ErrorKind::NotFound.into());
        };
        state.step(Step::Remove { name: name.into() });
        state.drop_if_unused(file);
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut state = self.shared.state();
        state.call(CallKind::List)?;
        let names = state.disk.names.keys().filter(|name| name.starts_with(prefix));
        Ok(names.map(|name| name.to_string()).collect())
    }

    fn sync_folder(&self, point: SyncPoint) -> Result<()> {
        let mut state = self.shared.state();
        let (outcome, result) = state.sync(CallKind::SyncFolder, point);
        state.step(Step::SyncFolder { point, outcome });
        result
    }

    fn display(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

/// The error of a call that the way a file was opened does not allow.
fn not_writable() -> Error {
    Error::from_raw_os_error(libc::EBADF)
}
