//! The first failure of the disk, kept.
//!
//! After a failed write the file's content is not known, and after a failed sync the system may
//! have thrown away what it still shows as written. Nothing after that may be called durable. So
//! the first such failure is latched in a [`Failure`] that all files of a database share, and
//! every later change or sync is refused with it, without touching the disk. Reads go on.
//!
//! | call | its failure latches | refused afterwards |
//! |---|---|---|
//! | write, `sync_data`, `sync_folder` | yes | yes |
//! | `set_len`, `allocate` | unless space ran out: nothing was promised yet | yes |
//! | `map` | unless it is unsupported: the caller writes instead | yes |
//! | create, rename, remove | no: they either happened or did not | yes |
//! | read, `len`, `list`, open an existing file, locks | no | no |
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use super::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};
use crate::base::error::{Error, Result};
use crate::base::ids::Generation;
use crate::sync::Mutex;
use crate::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};

/// The place where a database's first failure is kept, by the disk or by whoever else finds that
/// it cannot go on.
#[derive(Debug, Default)]
pub struct Failure {
    /// Set once, after `first` was. Written by [`Failure::latch`], read by everyone, often.
    failed: AtomicBool,
    /// Lock order: a leaf, nothing is locked under it.
    first: Mutex<Option<Arc<Error>>>,
}

impl Failure {
    /// No failure so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `error`, unless an earlier one is kept already. Returns the one that is kept.
    pub fn latch(&self, error: Error) -> Error {
        let error = match error {
            Error::Failed { first } => first,
            error => Arc::new(error),
        };
        let first = Arc::clone(self.first.lock().get_or_insert(error));
        // Release: publishes `first`. Pairs with the Acquire load in `first`.
        self.failed.store(true, Release);
        (*first).clone()
    }

    /// The first failure, if there was one.
    pub fn first(&self) -> Option<Error> {
        self.kept().map(|first| (*first).clone())
    }

    /// Refuses to go on after a failure. One load when there was none.
    ///
    /// # Errors
    /// [`Error::Failed`] with the first failure in it.
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.kept().map_or(Ok(()), |first| Err(Error::Failed { first }))
    }

    #[inline]
    fn kept(&self) -> Option<Arc<Error>> {
        // Acquire: pairs with the Release store in `latch`.
        if self.failed.load(Acquire) { self.first.lock().clone() } else { None }
    }

    fn check_io(&self) -> io::Result<()> {
        self.check().map_err(io::Error::other)
    }

    /// Latches what a call returned, and returns it again with its kind, so that
    /// [`Error::io`] finds the engine's error in it.
    fn latch_io(&self, action: &'static str, name: &Arc<str>, error: io::Error) -> io::Error {
        let kind = error.kind();
        let error = Error::Io { action, file: Arc::clone(name), source: Arc::new(error) };
        self.latch(error.clone());
        io::Error::new(kind, error)
    }
}

/// A storage whose first failure sticks.
#[derive(Debug)]
pub struct StickyStorage {
    inner: Arc<dyn Storage>,
    failure: Arc<Failure>,
}

impl StickyStorage {
    /// Wraps `inner`; what fails is kept in `failure`.
    pub fn new(inner: Arc<dyn Storage>, failure: Arc<Failure>) -> Self {
        Self { inner, failure }
    }

    /// The latch.
    pub fn failure(&self) -> &Arc<Failure> {
        &self.failure
    }

    /// Wraps a file that was opened past this storage (by the database's lock).
    pub fn wrap(&self, name: &str, inner: Arc<dyn File>) -> StickyFile {
        let failure = Arc::clone(&self.failure);
        let name = self.inner.display(name).into();
        StickyFile { inner, failure, name, syncing: Mutex::new(()) }
    }
}

impl Storage for StickyStorage {
    fn open(&self, name: &str, how: OpenHow) -> io::Result<Arc<dyn File>> {
        if let OpenHow::CreateNew { .. } = how {
            self.failure.check_io()?;
        }
        Ok(Arc::new(self.wrap(name, self.inner.open(name, how)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.failure.check_io()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.failure.check_io()?;
        self.inner.remove(name)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.inner.list(prefix)
    }

    fn sync_folder(&self, point: SyncPoint) -> io::Result<()> {
        self.failure.check_io()?;
        let folder = || self.inner.display("").into();
        self.inner
            .sync_folder(point)
            .map_err(|error| self.failure.latch_io("sync", &folder(), error))?;
        self.failure.check_io()
    }

    fn display(&self, name: &str) -> String {
        self.inner.display(name)
    }
}

/// A file whose first failure sticks, and makes every file of the same [`Failure`] fail.
#[derive(Debug)]
pub struct StickyFile {
    inner: Arc<dyn File>,
    failure: Arc<Failure>,
    name: Arc<str>,
    /// Held through a sync: the system reports a lost page to one sync only, so one that runs
    /// beside it would take its own `Ok` for the truth. Lock order: before `Failure::first`.
    syncing: Mutex<()>,
}

impl StickyFile {
    fn latch(&self, action: &'static str, error: io::Error) -> io::Error {
        self.failure.latch_io(action, &self.name, error)
    }

    /// Latches unless space ran out.
    fn latch_unless_full(&self, action: &'static str, error: io::Error) -> io::Error {
        if error.kind() == ErrorKind::StorageFull { error } else { self.latch(action, error) }
    }
}

impl File for StickyFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)
    }

    fn will_read(&self, offset: u64, len_bytes: u64) {
        self.inner.will_read(offset, len_bytes);
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.failure.check_io()?;
        self.inner.write_all_at(parts, offset).map_err(|error| self.latch("write", error))
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.failure.check_io()?;
        self.inner
            .set_len(len_bytes)
            .map_err(|error| self.latch_unless_full("change the length of", error))
    }

    fn allocate(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.failure.check_io()?;
        self.inner
            .allocate(offset, len_bytes)
            .map_err(|error| self.latch_unless_full("extend", error))
    }

    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        let _one = self.syncing.lock();
        self.failure.check_io()?;
        self.inner.sync_data(point).map_err(|error| self.latch("sync", error))?;
        // Another file's failure meanwhile: what this sync covers may refer to what that lost.
        self.failure.check_io()
    }

    fn map(&self, offset: u64, len_bytes: usize) -> io::Result<Box<dyn MappedRange>> {
        self.failure.check_io()?;
        self.inner.map(offset, len_bytes).map_err(|error| {
            if error.kind() == ErrorKind::Unsupported { error } else { self.latch("map", error) }
        })
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.inner.try_lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }

    fn pin_generation(&self, generation: Generation) -> io::Result<()> {
        self.inner.pin_generation(generation)
    }

    fn is_pinned(&self, through: Generation) -> io::Result<bool> {
        self.inner.is_pinned(through)
    }

    fn is_written(&self) -> io::Result<bool> {
        self.inner.is_written()
    }
}

#[cfg(test)]
#[path = "sticky_tests.rs"]
mod tests;
