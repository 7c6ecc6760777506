//! A file system as a value, and the steps that change it.
//!
//! The living storage, what is durable, and each crash image are all a [`Disk`]; every change of
//! one is a [`Step`], so that what was recorded and what happened cannot differ.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use crate::io::SyncPoint;

/// A file, whatever its name is now. Numbers are never reused within a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileNumber(pub u64);

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// What was pending is durable.
    Done,
    /// It was switched off ([`super::MemoryStorage::ignore_sync`]): it claims to have worked and
    /// made nothing durable.
    Ignored,
    /// It failed. What was pending may have been thrown away, and no later sync makes it durable.
    Failed,
}

/// One recorded change.
#[derive(Clone, Debug)]
pub enum Step {
    /// A file came to be, empty.
    Create {
        /// Its name.
        name: Arc<str>,
        /// Its number.
        file: FileNumber,
    },
    /// Bytes were written, or copied into a map.
    Write {
        /// Into which file.
        file: FileNumber,
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
        /// Whether through a map.
        mapped: bool,
    },
    /// A file was cut or extended.
    SetLen {
        /// Which.
        file: FileNumber,
        /// To how many bytes.
        len_bytes: u64,
    },
    /// Space was allocated; extends the file where it ended before.
    Allocate {
        /// In which file.
        file: FileNumber,
        /// From here.
        offset: u64,
        /// For so many bytes.
        len_bytes: u64,
    },
    /// A file got another name, in place of whatever had it.
    Rename {
        /// The old name.
        from: Arc<str>,
        /// The new name.
        to: Arc<str>,
    },
    /// A name went.
    Remove {
        /// The name.
        name: Arc<str>,
    },
    /// A file was synced.
    SyncData {
        /// Which.
        file: FileNumber,
        /// Why.
        point: SyncPoint,
        /// What came of it.
        outcome: SyncOutcome,
    },
    /// The folder was synced.
    SyncFolder {
        /// Why.
        point: SyncPoint,
        /// What came of it.
        outcome: SyncOutcome,
    },
}

impl Step {
    /// The file whose content or length it changes, or that it syncs.
    pub fn file(&self) -> Option<FileNumber> {
        match self {
            Self::Write { file, .. }
            | Self::SetLen { file, .. }
            | Self::Allocate { file, .. }
            | Self::SyncData { file, .. } => Some(*file),
            _ => None,
        }
    }

    /// The names that it changes: none, one, or for a rename two.
    pub(super) fn names(&self) -> [Option<&Arc<str>>; 2] {
        match self {
            Self::Create { name, .. } | Self::Remove { name } => [Some(name), None],
            Self::Rename { from, to } => [Some(from), Some(to)],
            _ => [None, None],
        }
    }
}

/// Names and files.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) names: BTreeMap<Arc<str>, FileNumber>,
    pub(super) files: BTreeMap<FileNumber, Content>,
}

impl Disk {
    /// Does what `step` says. Syncs change nothing here.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { name, file } => {
                self.names.insert(Arc::clone(name), *file);
                self.files.entry(*file).or_default();
            }
            Step::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(Arc::clone(to), file);
                }
            }
            Step::Remove { name } => {
                self.names.remove(name);
            }
            Step::Write { .. } | Step::SetLen { .. } | Step::Allocate { .. } => {
                if let Some(file) = step.file() {
                    change(self.files.entry(file).or_default(), step);
                }
            }
            Step::SyncData { .. } | Step::SyncFolder { .. } => {}
        }
    }

    /// The name of `file`, if it has one.
    pub(super) fn name_of(&self, file: FileNumber) -> Option<&Arc<str>> {
        self.names.iter().find_map(|(name, &number)| (number == file).then_some(name))
    }

    /// Forgets files without a name: nobody has a file open after a crash.
    pub(super) fn drop_nameless(&mut self) {
        let named: Vec<FileNumber> = self.names.values().copied().collect();
        self.files.retain(|number, _| named.contains(number));
    }
}

/// Does to one file's content what `step` says.
pub(super) fn change(content: &mut Content, step: &Step) {
    match step {
        Step::Write { offset, bytes, .. } => content.write(bytes, *offset),
        Step::SetLen { len_bytes, .. } => content.set_len(*len_bytes),
        Step::Allocate { offset, len_bytes, .. } => {
            content.set_len(content.len_bytes().max(offset + len_bytes));
        }
        _ => {}
    }
}
