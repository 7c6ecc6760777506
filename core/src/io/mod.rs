//! The one door to the disk.
//!
//! Everything that the engine does to files goes through [`Storage`] and [`File`]: the real ones,
//! a wrapper whose first failure sticks, and an in-memory pair that records each step and can
//! produce the files as a crash would leave them. The engine above never names `std::fs`.
//!
//! A storage is one folder; names are plain file names in it.

use std::fmt::Debug;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::sync::Arc;

use crate::base::ids::Generation;

pub mod fork;
pub mod lock;
mod map;
pub mod memory;
pub mod real;
pub mod sticky;
mod sys;

#[cfg(test)]
mod fork_tests;

/// How [`Storage::open`] treats a file that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHow {
    /// It must exist; opened for reading only.
    ReadOnly,
    /// It must exist; opened for reading and writing.
    Existing,
    /// It must not exist, and is created with these permission bits (before the umask). Never
    /// follows a symbolic link.
    CreateNew {
        /// The permission bits.
        mode: u32,
    },
}

/// Which of the engine's syncs this is. Real files do not care; the recording storage can switch
/// one off, to show that the crash tests notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncPoint {
    /// A new database's content, before it gets its name.
    Create,
    /// The folder, after a database got its name or a sidecar came or went.
    Folder,
    /// The data file, before a superblock refers to what was written.
    CheckpointData,
    /// The log through a checkpoint's snapshot, before its superblock.
    CheckpointLog,
    /// The first superblock slot.
    SuperblockFirst,
    /// Its twin.
    SuperblockSecond,
    /// A superblock slot repaired at open.
    SuperblockRepair,
    /// A new log segment's zeros, before commits go into it.
    SegmentFill,
    /// Overflow values in the data file, before the log record that names them.
    OverflowBeforeLog,
    /// The log, for commits that wait for it.
    Commit,
    /// The log, now and then.
    Background,
}

impl SyncPoint {
    /// Every point, for tests that switch each one off.
    pub const ALL: [SyncPoint; 11] = [
        Self::Create,
        Self::Folder,
        Self::CheckpointData,
        Self::CheckpointLog,
        Self::SuperblockFirst,
        Self::SuperblockSecond,
        Self::SuperblockRepair,
        Self::SegmentFill,
        Self::OverflowBeforeLog,
        Self::Commit,
        Self::Background,
    ];
}

/// The folder that holds a database and its sidecars.
pub trait Storage: Send + Sync + Debug {
    /// Opens the file `name`.
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>>;

    /// Renames `from` over `to`, atomically. Durable only after [`Storage::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes `name`. Durable only after [`Storage::sync_folder`].
    fn remove(&self, name: &str) -> Result<()>;

    /// The names in the folder that start with `prefix`, in no order.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Makes creations, renames and removals durable.
    fn sync_folder(&self, point: SyncPoint) -> Result<()>;

    /// The folder's path joined with `name`, for messages.
    fn display(&self, name: &str) -> String;
}

/// An open file. Offsets are absolute: there is no position, so that threads share it.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: Send + Sync + Debug {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; the caller knows what that means.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// Says that `offset..offset + len_bytes` will be read soon. A hint: the disk may do nothing.
    fn will_read(&self, _offset: u64, _len_bytes: u64) {}

    /// Writes all of `parts`, one after the other, from `offset` on.
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len_bytes: u64) -> Result<()>;

    /// Makes sure that writing to `offset..offset + len_bytes` cannot run out of space later;
    /// extends the file with zeros where it ends before.
    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()>;

    /// Makes what was written durable, and of the metadata what reading it back needs.
    fn sync_data(&self, point: SyncPoint) -> Result<()>;

    /// Maps `offset..offset + len_bytes` for writing, shared with the file. The range must have
    /// been written before (never sparse), so that storing into it cannot run out of space, and
    /// must stay within the file while the map lives.
    ///
    /// # Errors
    /// `Unsupported` where files cannot be mapped; the caller falls back to writing.
    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>>;

    /// The identity of the file itself (device and inode), to notice that it was replaced.
    fn identity(&self) -> Result<FileIdentity>;

    /// Tries to take the file's lock, which other processes see and which never outlives this
    /// one. `Ok(false)` when another holds what excludes it.
    ///
    /// The lock belongs to this open file: another [`Storage::open`] of the same name, in this
    /// process or elsewhere, has a lock of its own, and closing one never drops the other's.
    fn try_lock(&self, kind: LockKind) -> Result<bool>;

    /// Releases the lock, and a reader's pin with it.
    fn unlock(&self) -> Result<()>;

    /// Narrows a [`LockKind::Shared`] lock, which at first keeps everything, to what the
    /// checkpoint `generation` reaches. `refresh` takes the shared lock again, reads the newest
    /// superblock, and narrows again.
    fn pin_generation(&self, generation: Generation) -> Result<()> {
        let _ = generation;
        Ok(())
    }

    /// Whether some other open file holds a shared lock that keeps a checkpoint up to and
    /// including `through`. A writer asks before it releases what only those reach.
    ///
    /// # Errors
    /// `Unsupported` where it cannot be told.
    fn is_pinned(&self, through: Generation) -> Result<bool> {
        let _ = through;
        Err(ErrorKind::Unsupported.into())
    }

    /// Whether some other open file holds the [`LockKind::Exclusive`] lock.
    ///
    /// # Errors
    /// `Unsupported` where it cannot be told.
    fn is_written(&self) -> Result<bool> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A lock's kind. One writer excludes every other writer; readers exclude nobody, because a
/// writer changes nothing that a checkpoint on disk reaches, but it can see them
/// ([`File::is_pinned`]) and must keep what they may still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// A reader's: any number at the same time, beside at most one writer.
    Shared,
    /// The writer's.
    Exclusive,
}

/// Device and inode, or whatever tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// A window of a file in memory, shared with it: what is copied in belongs to the file at once,
/// even if the process dies, and is durable after the file's next sync.
pub trait MappedRange: Send + Sync + Debug {
    /// Copies `bytes` to `offset` within the range. Threads may copy at once into places that do
    /// not overlap.
    ///
    /// # Panics
    /// When the bytes do not fit the range: the caller reserved them.
    fn copy_at(&self, offset: usize, bytes: &[u8]);

    /// Makes the whole range ready to be written to, so that no copy waits for the system. It is advice:
    /// where it does not work nothing is different.
    fn populate(&self) {}
}

/// Checks that `name` is a plain file name: one step below the folder, never out of it.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{name:?} is no file name")));
    }
    Ok(())
}
