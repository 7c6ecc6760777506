//! A folder in memory for the log's own tests: counts syncs, fails on request, can be copied at
//! one moment, and can lose what was not synced.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};

use crate::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};
use crate::wal::log::Hook;

/// The folder.
#[derive(Debug, Default)]
pub struct MemoryFolder {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    pub knobs: Arc<Knobs>,
}

/// What the tests turn and read.
#[derive(Debug, Default)]
pub struct Knobs {
    /// Whoever changes bytes reads; whoever copies the folder writes.
    still: RwLock<()>,
    /// Files cannot be mapped.
    pub no_map: AtomicBool,
    /// New bytes are refused for want of space.
    pub full: AtomicBool,
    /// Data syncs fail.
    pub fail_sync: AtomicBool,
    /// The write that brings this to zero fails, and so do all after it. Zero is never.
    pub writes_left: AtomicU64,
    /// Data syncs of each point.
    syncs: Mutex<BTreeMap<String, u64>>,
    /// Called by the next sync of a new segment.
    pub on_segment_fill: Mutex<Option<Hook>>,
    /// Called, once, before exactly these bytes are stored.
    pub on_store: Mutex<Option<(Vec<u8>, Hook)>>,
}

impl Knobs {
    /// How many data syncs of `point` there were.
    pub fn syncs(&self, point: SyncPoint) -> u64 {
        self.syncs.lock().unwrap().get(&format!("{point:?}")).copied().unwrap_or(0)
    }

    fn write(&self) -> Result<()> {
        match self.writes_left.load(SeqCst) {
            0 => Ok(()),
            1 => Err(Error::other("planted")),
            left => {
                self.writes_left.store(left - 1, SeqCst);
                Ok(())
            }
        }
    }
}

impl MemoryFolder {
    /// The folder as a process that dies now leaves it.
    pub fn killed(&self) -> Arc<Self> {
        self.copy(|now, _| now.to_vec())
    }

    /// The folder as a power loss may leave it: of each block that differs from what was synced
    /// last, `keep` says whether the newer one is there. Files and names are always there.
    pub fn lost(&self, block_bytes: usize, mut keep: impl FnMut() -> bool) -> Arc<Self> {
        self.copy(|now, synced| {
            let mut bytes = now.to_vec();
            for (index, block) in bytes.chunks_mut(block_bytes).enumerate() {
                if !keep() {
                    let from = index * block_bytes;
                    let old = synced.get(from..).unwrap_or_default();
                    let count = old.len().min(block.len());
                    block[..count].copy_from_slice(&old[..count]);
                    block[count..].fill(0);
                }
            }
            bytes
        })
    }

    fn copy(&self, mut image: impl FnMut(&[u8], &[u8]) -> Vec<u8>) -> Arc<Self> {
        let copy = Self::default();
        let still = self.knobs.still.write().unwrap();
        for (name, file) in self.files.lock().unwrap().iter() {
            let bytes = image(&file.bytes.lock().unwrap(), &file.synced.lock().unwrap());
            copy.put(name, bytes);
        }
        drop(still);
        Arc::new(copy)
    }

    /// The file's bytes.
    pub fn get(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].bytes.lock().unwrap().clone()
    }

    /// A file of these bytes, synced.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let file = MemoryFile {
            synced: Mutex::new(bytes.clone()),
            bytes: Mutex::new(bytes),
            knobs: Arc::clone(&self.knobs),
        };
        self.files.lock().unwrap().insert(name.into(), Arc::new(file));
    }

    /// Every name, sorted.
    pub fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }
}

#[derive(Debug)]
struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
    knobs: Arc<Knobs>,
}

impl Storage for MemoryFolder {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let present = self.files.lock().unwrap().contains_key(name);
        match how {
            OpenHow::CreateNew { .. } if present => return Err(ErrorKind::AlreadyExists.into()),
            OpenHow::CreateNew { .. } => self.put(name, Vec::new()),
            _ if !present => return Err(ErrorKind::NotFound.into()),
            _ => {}
        }
        Ok(Arc::new(Handle(Arc::clone(&self.files.lock().unwrap()[name]))))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files.lock().unwrap().remove(name).ok_or(ErrorKind::NotFound)?;
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.names().into_iter().filter(|name| name.starts_with(prefix)).collect())
    }

    fn sync_folder(&self, _: SyncPoint) -> Result<()> {
        Ok(())
    }

    fn display(&self, name: &str) -> String {
        name.into()
    }
}

impl MemoryFile {
    fn store(&self, offset: usize, bytes: &[u8]) {
        let hook = self.knobs.on_store.lock().unwrap().take_if(|(wanted, _)| wanted == bytes);
        hook.inspect(|(_, hook)| (hook.0)());
        let _still = self.knobs.still.read().unwrap();
        let mut content = self.bytes.lock().unwrap();
        if content.len() < offset + bytes.len() {
            content.resize(offset + bytes.len(), 0);
        }
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

/// An open file.
#[derive(Debug)]
struct Handle(Arc<MemoryFile>);

impl std::ops::Deref for Handle {
    type Target = MemoryFile;
    fn deref(&self) -> &MemoryFile {
        &self.0
    }
}

impl File for Handle {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let content = self.bytes.lock().unwrap();
        let from = content.get(offset as usize..).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from.get(..buffer.len()).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        self.knobs.write()?;
        let mut offset = offset as usize;
        for part in parts {
            self.store(offset, part);
            offset += part.len();
        }
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.bytes.lock().unwrap().resize(len_bytes as usize, 0);
        Ok(())
    }

    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        if self.knobs.full.load(SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.set_len(self.len()?.max(offset + len_bytes))
    }

    fn sync_data(&self, point: SyncPoint) -> Result<()> {
        if self.knobs.fail_sync.load(SeqCst) {
            return Err(Error::other("planted"));
        }
        if point == SyncPoint::SegmentFill {
            let hook = self.knobs.on_segment_fill.lock().unwrap().take();
            hook.inspect(|hook| (hook.0)());
        }
        // Later than the copy is allowed, earlier is not.
        *self.synced.lock().unwrap() = self.bytes.lock().unwrap().clone();
        *self.knobs.syncs.lock().unwrap().entry(format!("{point:?}")).or_default() += 1;
        Ok(())
    }

    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        if self.knobs.no_map.load(SeqCst) {
            return Err(ErrorKind::Unsupported.into());
        }
        assert!(offset + len_bytes as u64 <= self.len()?, "only what was written is mapped");
        Ok(Box::new(Map { file: Arc::clone(&self.0), offset: offset as usize, len_bytes }))
    }

    fn identity(&self) -> Result<FileIdentity> {
        Ok(FileIdentity { device: 0, inode: 0 })
    }

    fn try_lock(&self, _: LockKind) -> Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Map {
    file: Arc<MemoryFile>,
    offset: usize,
    len_bytes: usize,
}

impl MappedRange for Map {
    fn copy_at(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len_bytes, "outside the window");
        self.file.store(self.offset + offset, bytes);
    }
}
