//! A storage in memory that asks a hook before calls: for suites that hold up, break off or note what the
//! engine does to its files.
//!
//! It knows the data file from the log, and nothing of what a hook is for.

use std::fmt::Debug;
use std::io::{IoSlice, Result};
use std::sync::Arc;

use rshelve_core::base::ids::Generation;
use rshelve_core::base::options::DatabaseOptions;
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};

/// What happens before a call reaches the storage, on the thread that makes the call. Nothing, unless a
/// hook says otherwise.
pub trait Hook: Debug + Send + Sync + 'static {
    /// Before a read of the data file.
    fn before_read(&self, _offset: u64) {}

    /// Before a file is told what will be read of it.
    fn before_will_read(&self, _offset: u64, _len_bytes: u64) {}

    /// Before a write to the data file.
    fn before_write(&self) {}

    /// Before a file is synced; the folder's syncs are not asked about.
    fn before_sync(&self, _point: SyncPoint) {}

    /// Before a copy into a map; only the log is mapped.
    fn before_copy(&self) {}
}

/// A storage in memory whose calls meet `hook` first.
#[derive(Debug)]
pub struct Hooked<H> {
    inside: MemoryStorage,
    pub hook: Arc<H>,
}

impl<H: Hook> Hooked<H> {
    /// An empty one.
    pub fn new(hook: H) -> Self {
        Self { inside: MemoryStorage::new(), hook: Arc::new(hook) }
    }

    /// Opens its database, or creates it.
    pub fn open_engine(&self, options: &DatabaseOptions) -> Engine {
        let same = Self { inside: self.inside.clone(), hook: Arc::clone(&self.hook) };
        Engine::open_on(Arc::new(same), "spam", options.clone()).expect("a database")
    }
}

impl<H: Hook> Storage for Hooked<H> {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let inside = self.inside.open(name, how)?;
        let hook = Arc::clone(&self.hook);
        // The data file is created under another name than it gets.
        Ok(Arc::new(HookedFile { inside, hook, is_data: !name.contains("-wal") }))
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inside.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inside.remove(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.inside.list(prefix)
    }
    fn sync_folder(&self, point: SyncPoint) -> Result<()> {
        self.inside.sync_folder(point)
    }
    fn display(&self, name: &str) -> String {
        self.inside.display(name)
    }
}

#[derive(Debug)]
struct HookedFile<H> {
    inside: Arc<dyn File>,
    hook: Arc<H>,
    is_data: bool,
}

impl<H: Hook> File for HookedFile<H> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.is_data {
            self.hook.before_read(offset);
        }
        self.inside.read_exact_at(buffer, offset)
    }
    fn will_read(&self, offset: u64, len_bytes: u64) {
        self.hook.before_will_read(offset, len_bytes);
        self.inside.will_read(offset, len_bytes);
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        if self.is_data {
            self.hook.before_write();
        }
        self.inside.write_all_at(parts, offset)
    }
    fn len(&self) -> Result<u64> {
        self.inside.len()
    }
    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.inside.set_len(len_bytes)
    }
    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        self.inside.allocate(offset, len_bytes)
    }
    fn sync_data(&self, point: SyncPoint) -> Result<()> {
        self.hook.before_sync(point);
        self.inside.sync_data(point)
    }
    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        let inside = self.inside.map(offset, len_bytes)?;
        Ok(Box::new(HookedRange { inside, hook: Arc::clone(&self.hook) }))
    }
    fn identity(&self) -> Result<FileIdentity> {
        self.inside.identity()
    }
    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        self.inside.try_lock(kind)
    }
    fn unlock(&self) -> Result<()> {
        self.inside.unlock()
    }
    fn pin_generation(&self, generation: Generation) -> Result<()> {
        self.inside.pin_generation(generation)
    }
    fn is_pinned(&self, through: Generation) -> Result<bool> {
        self.inside.is_pinned(through)
    }
    fn is_written(&self) -> Result<bool> {
        self.inside.is_written()
    }
}

#[derive(Debug)]
struct HookedRange<H> {
    inside: Box<dyn MappedRange>,
    hook: Arc<H>,
}

impl<H: Hook> MappedRange for HookedRange<H> {
    fn copy_at(&self, offset: usize, bytes: &[u8]) {
        self.hook.before_copy();
        self.inside.copy_at(offset, bytes);
    }
    fn populate(&self) {
        self.inside.populate();
    }
}
