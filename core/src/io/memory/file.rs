//! An open file of the in-memory folder, and windows into it.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::sync::Arc;

use super::content::Content;
use super::disk::{FileNumber, Step};
use super::fault::{CallKind, Fault};
use super::{Shared, State, not_writable};
use crate::base::ids::Generation;
use crate::io::{File, FileIdentity, LockKind, MappedRange, SyncPoint};

/// No file is longer than this many bytes; far writes fail as on a real file system.
const FILE_BYTES_MAX: u64 = 1 << 36;

/// What an open file holds of the lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    writer: bool,
    /// A reader's pin: the oldest generation that it may read.
    pin: Option<Generation>,
}

/// Keeps a file open: its bytes stay while a handle lives, and its lock goes with it.
pub(super) struct Handle {
    shared: Arc<Shared>,
    file: FileNumber,
    number: u64,
}

impl Handle {
    /// Opens `file`, whose storage's state the caller has locked.
    pub(super) fn new(shared: &Arc<Shared>, state: &mut State, file: FileNumber) -> Self {
        state.last_handle += 1;
        let number = state.last_handle;
        state.open.entry(file).or_default().insert(number, Hold::default());
        Self { shared: Arc::clone(shared), file, number }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(handles) = state.open.get_mut(&self.file) {
            handles.remove(&self.number);
            if handles.is_empty() {
                state.open.remove(&self.file);
                state.drop_if_unused(self.file);
            }
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {} handle {}", self.file.0, self.number)
    }
}

impl State {
    fn content(&self, file: FileNumber) -> Result<&Content> {
        self.disk.files.get(&file).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn hold(&mut self, handle: &Handle) -> Result<&mut Hold> {
        let holds = self.open.get_mut(&handle.file);
        holds
            .and_then(|holds| holds.get_mut(&handle.number))
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn others(&self, handle: &Handle) -> impl Iterator<Item = &Hold> {
        let number = handle.number;
        let holds = self.open.get(&handle.file).into_iter().flatten();
        holds.filter(move |(other, _)| **other != number).map(|(_, hold)| hold)
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct MemoryFile {
    handle: Handle,
    writable: bool,
}

impl MemoryFile {
    pub(super) fn new(handle: Handle, writable: bool) -> Self {
        Self { handle, writable }
    }

    fn check_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(not_writable()) }
    }
}

/// The end of `offset..offset + len_bytes`, if a file can be so long.
fn end_of(offset: u64, len_bytes: u64) -> Result<u64> {
    match offset.checked_add(len_bytes) {
        Some(end) if end <= FILE_BYTES_MAX => Ok(end),
        _ => Err(Error::from_raw_os_error(libc::EFBIG)),
    }
}

impl File for MemoryFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut state = self.handle.shared.state();
        let fault = state.faults.strike(CallKind::Read);
        let content = state.content(self.handle.file)?;
        match fault {
            Some(fault) => {
                if fault == Fault::ShortRead {
                    let half = buffer.len() / 2;
                    content.read(&mut buffer[..half], offset);
                }
                Err(fault.error(CallKind::Read))
            }
            None if content.read(buffer, offset) < buffer.len() => {
                Err(ErrorKind::UnexpectedEof.into())
            }
            None => Ok(()),
        }
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let mut state = self.handle.shared.state();
        let fault = state.faults.strike(CallKind::Write);
        let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
        let mut bytes = parts.concat();
        if !bytes.is_empty() {
            self.check_writable()?;
        }
        end_of(offset, bytes.len() as u64)?;
        match fault {
            Some(Fault::ShortWrite) => bytes.truncate(bytes.len() / 2),
            Some(_) => bytes.clear(),
            None => {}
        }
        if !bytes.is_empty() {
            let file = self.handle.file;
            state.step(Step::Write { file, offset, bytes: bytes.into(), mapped: false });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error(CallKind::Write)))
    }

    fn len(&self) -> Result<u64> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Metadata)?;
        Ok(state.content(self.handle.file)?.len_bytes())
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::SetLen)?;
        if !self.writable {
            return Err(Error::from_raw_os_error(libc::EINVAL));
        }
        end_of(0, len_bytes)?;
        state.step(Step::SetLen { file: self.handle.file, len_bytes });
        Ok(())
    }

    fn allocate(&self, offset: u64, len_bytes: u64) -> Result<()> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Allocate)?;
        if len_bytes == 0 {
            return Ok(());
        }
        self.check_writable()?;
        end_of(offset, len_bytes)?;
        state.step(Step::Allocate { file: self.handle.file, offset, len_bytes });
        Ok(())
    }

    fn sync_data(&self, point: SyncPoint) -> Result<()> {
        let mut state = self.handle.shared.state();
        let (outcome, result) = state.sync(CallKind::SyncData, point);
        state.step(Step::SyncData { file: self.handle.file, point, outcome });
        result
    }

    fn map(&self, offset: u64, len_bytes: usize) -> Result<Box<dyn MappedRange>> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Map)?;
        let end = end_of(offset, len_bytes as u64)?;
        if len_bytes == 0 || end > state.content(self.handle.file)?.len_bytes() {
            return Err(ErrorKind::InvalidInput.into());
        }
        if state.refuse_maps || !self.writable {
            return Err(ErrorKind::Unsupported.into());
        }
        let handle = Handle::new(&self.handle.shared, &mut state, self.handle.file);
        Ok(Box::new(MemoryMap { handle, offset, len_bytes }))
    }

    fn identity(&self) -> Result<FileIdentity> {
        self.handle.shared.state().call(CallKind::Metadata)?;
        Ok(FileIdentity { device: self.handle.shared.device, inode: self.handle.file.0 })
    }

    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Lock)?;
        match kind {
            LockKind::Exclusive => {
                self.check_writable()?;
                if state.others(&self.handle).any(|hold| hold.writer) {
                    return Ok(false);
                }
                state.hold(&self.handle)?.writer = true;
            }
            LockKind::Shared => state.hold(&self.handle)?.pin = Some(Generation(0)),
        }
        Ok(true)
    }

    fn unlock(&self) -> Result<()> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Lock)?;
        *state.hold(&self.handle)? = Hold::default();
        Ok(())
    }

    fn pin_generation(&self, generation: Generation) -> Result<()> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Lock)?;
        let pin = &mut state.hold(&self.handle)?.pin;
        if pin.is_none() {
            return Err(ErrorKind::InvalidInput.into());
        }
        *pin = Some(generation);
        Ok(())
    }

    fn is_pinned(&self, through: Generation) -> Result<bool> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Lock)?;
        Ok(state.others(&self.handle).filter_map(|hold| hold.pin).any(|pin| pin <= through))
    }

    fn is_written(&self) -> Result<bool> {
        let mut state = self.handle.shared.state();
        state.call(CallKind::Lock)?;
        Ok(state.others(&self.handle).any(|hold| hold.writer))
    }
}

/// A window into a file. A copy into it is a write that no later call reports on.
#[derive(Debug)]
struct MemoryMap {
    handle: Handle,
    offset: u64,
    len_bytes: usize,
}

impl MappedRange for MemoryMap {
    fn copy_at(&self, offset: usize, bytes: &[u8]) {
        let end = offset.checked_add(bytes.len());
        assert!(end.is_some_and(|end| end <= self.len_bytes), "a copy beyond the mapped range");
        if bytes.is_empty() {
            return;
        }
        let mut state = self.handle.shared.state();
        let at = self.offset + offset as u64;
        let len_bytes = state.disk.files.get(&self.handle.file).map_or(0, Content::len_bytes);
        // A real map would end the process with a signal here.
        assert!(at + bytes.len() as u64 <= len_bytes, "a copy into a map beyond the file's end");
        let file = self.handle.file;
        state.step(Step::Write { file, offset: at, bytes: bytes.into(), mapped: true });
    }
}
