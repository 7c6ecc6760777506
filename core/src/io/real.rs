//! A folder of real files.
//!
//! Linux only: positioned and vectored writes, `fallocate`, open-file-description locks. Every
//! call that a signal interrupts, or that does part of the work, is taken up again.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use smallvec::SmallVec;

use super::fork::Watch;
use super::map::Map;
use super::{
    File, FileIdentity, LockKind, MappedRange, OpenHow, Storage, SyncPoint, check_name, sys,
};
use crate::base::ids::Generation;

/// Where in a file the locks are: far beyond any content, for they exclude no reads or writes.
/// The first byte is the writer's.
const WRITER_PLACE: u64 = (1 << 62) - 1;

/// The byte of generation 0. A reader of checkpoint `g` holds a shared lock on byte `g` from
/// here; one that has not said yet holds byte 0, which keeps everything.
const READERS_PLACE: u64 = 1 << 62;

/// The longest chain of symbolic links that [`RealStorage::locate`] follows.
const LINKS_MAX: usize = 40;

/// A folder.
#[derive(Clone, Debug)]
pub struct RealStorage {
    folder: PathBuf,
    /// The file that is read through a map.
    mapped: Option<String>,
}

impl RealStorage {
    /// The folder at this path. A relative path is taken from where the process is now, and
    /// stays there if the process moves on.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: std::path::absolute(&folder).unwrap_or(folder), mapped: None }
    }

    /// The same, with the file `name` read through a map. What is mapped is the system's memory, and
    /// an error of the disk ends the process by a signal.
    #[must_use]
    pub fn reading_by_map(self, name: &str) -> Self {
        Self { mapped: Some(name.to_owned()), ..self }
    }

    /// The folder and the name of the database that a user calls `path`, symbolic links followed
    /// to the end: so every path to one file leads to the same sidecars. The file itself need not
    /// exist, its folder must.
    ///
    /// # Errors
    /// What the system says about the folder; `InvalidInput` for a name that is not UTF-8, or no
    /// name at all.
    pub fn locate(path: &Path) -> Result<(Self, String)> {
        let mut path = std::path::absolute(path)?;
        for _ in 0..LINKS_MAX {
            let no_name = || Error::new(ErrorKind::InvalidInput, "the path names no file");
            let name = path.file_name().ok_or_else(no_name)?.to_owned();
            let folder = fs::canonicalize(path.parent().ok_or_else(no_name)?)?;
            let whole = folder.join(&name);
            if fs::symlink_metadata(&whole).is_ok_and(|metadata| metadata.is_symlink()) {
                path = folder.join(fs::read_link(&whole)?);
                continue;
            }
            let name = name.into_string().map_err(|name| {
                Error::new(ErrorKind::InvalidInput, format!("the name {name:?} is not UTF-8"))
            })?;
            return Ok((Self { folder, mapped: None }, name));
        }
        Err(Error::from_raw_os_error(libc::ELOOP))
    }

    /// The folder's path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Storage for RealStorage {
    fn open(&self, name: &str, how: OpenHow) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut options = fs::OpenOptions::new();
        // Not blocking: a pipe under a database's name must not hang us; files do not care.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        options.read(true).write(how != OpenHow::ReadOnly).custom_flags(flags);
        if let OpenHow::CreateNew { mode } = how {
            options.create_new(true).mode(mode).custom_flags(flags | libc::O_NOFOLLOW);
        }
        let file = options.open(self.folder.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let identity = FileIdentity { device: metadata.dev(), inode: metadata.ino() };
        // A new file has a longer name until it is whole.
        let rest = self.mapped.as_deref().and_then(|mapped| name.strip_prefix(mapped));
        let is_mapped = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-new-"));
        let view = is_mapped.then(RwLock::default);
        Ok(Arc::new(RealFile { file, identity, view, lock: Mutex::new(Held::default()) }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        fs::remove_file(self.folder.join(name))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string()
                && name.starts_with(prefix)
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_folder(&self, _point: SyncPoint) -> Result<()> {
        match fs::File::open(&self.folder)?.sync_all() {
            // The file system has no such thing as syncing a folder.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            result => result,
        }
    }

    fn display(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// An open file. The locks that it holds are its own: they go with this open file description.
struct RealFile {
    /// Changed only with the system's lock; dropped before the descriptor is closed.
    lock: Mutex<Held>,
    file: fs::File,
    identity: FileIdentity,
    /// The file's first bytes in memory, if it is read that way; none until the first read, and
    /// after it was cut. Held for reading through each copy, so that no map goes away under one.
    view: Option<RwLock<Option<Map>>>,
}

/// What this open file holds of the lock.
#[derive(Debug, Default)]
struct Held {
    /// There while anything is held: a forked child must let go of it.
    watch: Option<Watch>,
    writer: bool,
    pin: Option<Generation>,
}

impl RealFile {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads through the map; false when there is none for these bytes.
    fn read_mapped(&self, buffer: &mut [u8], offset: u64) -> Result<bool> {
        let end =
            usize::try_from(offset).ok().and_then(|at| Some((at, at.checked_add(buffer.len())?)));
        let (Some(view), Some((at, end))) = (&self.view, end) else { return Ok(false) };
        let covers = |map: &&Map| end <= map.len_bytes();
        if let Some(map) =
            view.read().unwrap_or_else(PoisonError::into_inner).as_ref().filter(covers)
        {
            map.read_at(at, buffer);
            return Ok(true);
        }
        let mut view = view.write().unwrap_or_else(PoisonError::into_inner);
        let len_bytes = usize::try_from(self.len()?).unwrap_or(0);
        if end > len_bytes {
            return Ok(false);
        }
        // Where it cannot be mapped it can be read.
        *view = Map::readable(&self.file, len_bytes).ok();
        let Some(map) = view.as_ref().filter(covers) else { return Ok(false) };
        map.read_at(at, buffer);
        Ok(true)
    }

    fn range(&self, kind: Option<LockKind>, place: u64) -> Result<bool> {
        sys::lock_range(self.file.as_fd(), kind, place, 1)
    }

    /// Takes or moves the reader's pin.
    fn pin(&self, held: &mut Held, generation: Generation) -> Result<bool> {
        let place = reader_place(generation)?;
        // The new pin before the old one goes, so that there is no moment without.
        if held.pin != Some(generation) && !self.range(Some(LockKind::Shared), place)? {
            return Ok(false);
        }
        if let Some(old) = held.pin.replace(generation)
            && old != generation
        {
            self.range(None, reader_place(old)?)?;
        }
        Ok(true)
    }

    fn release(&self, held: &mut Held) -> Result<()> {
        let ours = held.watch.as_ref().is_some_and(Watch::is_ours);
        // In a forked child the descriptor no longer names the file.
        let result =
            if ours { sys::lock_range(self.file.as_fd(), None, WRITER_PLACE, 0) } else { Ok(true) };
        *held = Held::default();
        result.map(drop)
    }
}

/// The byte that a reader of `generation` locks.
fn reader_place(generation: Generation) -> Result<u64> {
    let last = (1 << 62) - 2;
    if generation.0 > last {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(READERS_PLACE + generation.0)
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if self.read_mapped(buffer, offset)? {
            return Ok(());
        }
        self.file.read_exact_at(buffer, offset)
    }

    fn will_read(&self, offset: u64, len_bytes: u64) {
        sys::will_read(self.file.as_fd(), offset, len_bytes);
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let result = match parts {
            [part] => self.file.write_all_at(part, offset),
            _ => write_parts(parts, offset, |parts, offset| {
                sys::write_vectored_at(self.file.as_fd(), parts, offset)
            }),
        };
        result.map_err(full)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        // Nobody may touch a page of a map that the file does not have any more.
        let mut view =
            self.view.as_ref().map(|view| view.write().unwrap_or_else(PoisonError::into_inner));
        if let Some(view) = &mut view {
            **view = None;
        }
        self.file.set_len(len_bytes).map_err(full)
    }

    /// Where the file system has no `fallocate`, writes zeros from the file's end on instead;
    /// callers extend a file from one thread at a time.
    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        match sys::allocate(self.file.as_fd(), offset, len_bytes) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => {
                fill_to(&self.file, offset.saturating_add(len_bytes)).map_err(full)
            }
            result => result.map_err(full),
        }
    }

    fn sync_data(&self, _point: SyncPoint) -> Result<()> {
        self.file.sync_data().map_err(full)
    }

    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        Ok(Box::new(Map::new(&self.file, offset, len_bytes)?))
    }

    fn identity(&self) -> Result<FileIdentity> {
        Ok(self.identity)
    }

    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        let mut held = self.held();
        // Watched before it is locked: a fork between the two must find it.
        if held.watch.is_none() {
            held.watch = Some(Watch::new(&self.file)?);
        }
        let result = match kind {
            LockKind::Exclusive => self.range(Some(kind), WRITER_PLACE),
            LockKind::Shared => self.pin(&mut held, Generation(0)),
        };
        held.writer |= kind == LockKind::Exclusive && matches!(result, Ok(true));
        if !held.writer && held.pin.is_none() {
            held.watch = None;
        }
        result
    }

    fn unlock(&self) -> Result<()> {
        self.release(&mut self.held())
    }

    fn pin_generation(&self, generation: Generation) -> Result<()> {
        let mut held = self.held();
        if held.pin.is_none() {
            return Err(Error::new(ErrorKind::InvalidInput, "there is no shared lock to narrow"));
        }
        self.pin(&mut held, generation).map(drop)
    }

    fn is_pinned(&self, through: Generation) -> Result<bool> {
        let last = reader_place(through)?;
        sys::is_range_locked(self.file.as_fd(), READERS_PLACE, last - READERS_PLACE + 1)
    }

    fn is_written(&self) -> Result<bool> {
        sys::is_range_locked(self.file.as_fd(), WRITER_PLACE, 1)
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        // Unlocked before it is closed: a child forked meanwhile may share what we close.
        let held = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner);
        if held.watch.is_some() {
            let mut held = std::mem::take(held);
            let _ = self.release(&mut held);
        }
    }
}

impl fmt::Debug for RealFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Writes all of `parts` with as many calls of `write` as it takes; `write` may be interrupted
/// and may take less than it is given.
fn write_parts(
    parts: &[IoSlice<'_>],
    mut offset: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> Result<usize>,
) -> Result<()> {
    let mut parts: SmallVec<[IoSlice<'_>; 8]> = SmallVec::from_slice(parts);
    let mut left = &mut parts[..];
    // Drops empty parts at the front.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match write(left, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut left, count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from the file's end to `end`.
fn fill_to(file: &fs::File, end: u64) -> Result<()> {
    let zeros = [0; 1 << 16];
    let mut at = file.metadata()?.len();
    while at < end {
        let step = (end - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    Ok(())
}

/// Says of a user's or project's quota what a full disk says: the same happened, and the same
/// helps.
fn full(error: Error) -> Error {
    if error.kind() == ErrorKind::QuotaExceeded {
        return Error::new(ErrorKind::StorageFull, error);
    }
    error
}

#[cfg(test)]
#[path = "real_tests.rs"]
mod tests;
