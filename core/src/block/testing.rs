//! A folder in memory that notes every step, fails one on demand, and can show the file as a
//! crash would leave it. As small as this layer's tests need.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::sync::{Arc, Mutex};

use crate::base::ids::Generation;
use crate::io::{File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint};

/// One change of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
    Allocate { offset: u64, len_bytes: u64 },
    Sync(SyncPoint),
    Rename,
    SyncFolder(SyncPoint),
}

impl Step {
    /// The step without its numbers.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Create => "create".to_owned(),
            Self::Write { .. } => "write".to_owned(),
            Self::SetLen(_) => "set length".to_owned(),
            Self::Allocate { .. } => "allocate".to_owned(),
            Self::Sync(point) | Self::SyncFolder(point) => format!("sync {point:?}"),
            Self::Rename => "rename".to_owned(),
        }
    }

    /// Does to `content` what the step does to its file.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = *offset as usize + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset as usize..end].copy_from_slice(bytes);
            }
            Self::SetLen(len_bytes) => content.resize(*len_bytes as usize, 0),
            Self::Allocate { offset, len_bytes } => {
                content.resize(content.len().max((offset + len_bytes) as usize), 0);
            }
            _ => {}
        }
    }
}

type Hook = Arc<dyn Fn(&Step) + Send + Sync>;

/// What all files of a storage share.
#[derive(Default)]
struct Journal {
    steps: Mutex<Vec<Step>>,
    fails: Mutex<Option<(usize, ErrorKind)>>,
    hook: Mutex<Option<Hook>>,
    /// The checkpoint that another process reads.
    reader: Mutex<Option<Generation>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl Journal {
    fn note(&self, step: Step) -> Result<()> {
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(&step);
        }
        let mut steps = self.steps.lock().unwrap();
        let fails = *self.fails.lock().unwrap();
        if let Some((at, kind)) = fails
            && at == steps.len()
        {
            *self.fails.lock().unwrap() = None;
            return Err(kind.into());
        }
        steps.push(step);
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct TestStorage {
    files: Mutex<BTreeMap<String, Arc<TestFile>>>,
    journal: Arc<Journal>,
}

#[derive(Debug)]
pub(super) struct TestFile {
    content: Mutex<Vec<u8>>,
    journal: Arc<Journal>,
}

impl TestStorage {
    /// The steps so far.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.journal.steps.lock().unwrap().clone()
    }

    /// Lets the step after `steps` more fail, once.
    pub(super) fn fail_at(&self, steps: usize, kind: ErrorKind) {
        let at = self.journal.steps.lock().unwrap().len() + steps;
        *self.journal.fails.lock().unwrap() = Some((at, kind));
    }

    /// Whether a planned failure is still to come; it does not any more.
    pub(super) fn forget_failure(&self) -> bool {
        self.journal.fails.lock().unwrap().take().is_some()
    }

    /// Pretends that another process reads this checkpoint.
    pub(super) fn set_reader(&self, generation: Option<Generation>) {
        *self.journal.reader.lock().unwrap() = generation;
    }

    /// Calls `hook` before every step.
    pub(super) fn set_hook(&self, hook: Option<Hook>) {
        *self.journal.hook.lock().unwrap() = hook;
    }

    /// Puts a file there without noting it.
    pub(super) fn put(&self, name: &str, content: &[u8]) -> Arc<TestFile> {
        let file = Arc::new(TestFile {
            content: Mutex::new(content.to_vec()),
            journal: Arc::clone(&self.journal),
        });
        self.files.lock().unwrap().insert(name.to_owned(), Arc::clone(&file));
        file
    }

    /// A file's content.
    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].content.lock().unwrap().clone()
    }

    /// Flips bits of one byte of a file.
    pub(super) fn flip(&self, name: &str, at: usize, bits: u8) {
        self.files.lock().unwrap()[name].content.lock().unwrap()[at] ^= bits;
    }
}

impl Storage for TestStorage {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        let existing = self.files.lock().unwrap().get(name).cloned();
        match (how, existing) {
            (OpenHow::CreateNew { .. }, Some(_)) => Err(ErrorKind::AlreadyExists.into()),
            (OpenHow::CreateNew { .. }, None) => {
                self.journal.note(Step::Create)?;
                Ok(self.put(name, b""))
            }
            (_, Some(file)) => Ok(file),
            (_, None) => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.journal.note(Step::Rename)?;
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(Error::from(ErrorKind::NotFound))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let removed = self.files.lock().unwrap().remove(name);
        removed.map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        Ok(files.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn sync_folder(&self, point: SyncPoint) -> Result<()> {
        self.journal.note(Step::SyncFolder(point))
    }

    fn display(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl File for TestFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let content = self.content.lock().unwrap();
        let range = offset as usize..offset as usize + buffer.len();
        buffer.copy_from_slice(content.get(range).ok_or(Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let bytes = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let step = Step::Write { offset, bytes };
        self.journal.note(step.clone())?;
        step.apply(&mut self.content.lock().unwrap());
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.content.lock().unwrap().len() as u64)
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.journal.note(Step::SetLen(len_bytes))?;
        Step::SetLen(len_bytes).apply(&mut self.content.lock().unwrap());
        Ok(())
    }

    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        let step = Step::Allocate { offset, len_bytes };
        self.journal.note(step.clone())?;
        step.apply(&mut self.content.lock().unwrap());
        Ok(())
    }

    fn sync_data(&self, point: SyncPoint) -> Result<()> {
        self.journal.note(Step::Sync(point))
    }

    fn map(&self, _offset: u64, _len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn identity(&self) -> Result<FileIdentity> {
        Ok(FileIdentity { device: 0, inode: 0 })
    }

    fn try_lock(&self, _kind: LockKind) -> Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> Result<()> {
        Ok(())
    }

    fn is_pinned(&self, through: Generation) -> Result<bool> {
        let reader = *self.journal.reader.lock().unwrap();
        Ok(reader.is_some_and(|reader| reader <= through))
    }
}

/// A new database in memory and its storage, whose steps are noted from here on.
pub(super) fn new_database() -> (Arc<TestStorage>, super::Blocks) {
    use crate::base::options::OpenMode;
    let storage = Arc::new(TestStorage::default());
    super::create(&*storage, "spam", 0o666, OpenMode::Create).unwrap();
    storage.journal.steps.lock().unwrap().clear();
    let blocks = reopen(&storage).unwrap();
    (storage, blocks)
}

/// Opens the database `spam` of `storage` for writing.
pub(super) fn reopen(storage: &TestStorage) -> crate::Result<super::Blocks> {
    let file = storage.open("spam", OpenHow::Existing).unwrap();
    super::Blocks::open(file, "spam".into(), true, Arc::default())
}
