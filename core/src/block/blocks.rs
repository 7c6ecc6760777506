//! The open data file: reading blocks, freeing them, and who owns which space.
//!
//! Writing is in `write.rs`, checkpoints in `checkpoint.rs`, creation in `create.rs`.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use super::allocator::{Allocator, Misplaced};
use super::block_header::{self, BLOCK_HEADER_BYTES, BlockHeader, BlockKind};
use super::extent::ExtentList;
use super::file_header::FileHeader;
use super::names::NamedCheckpoint;
use super::superblock::{self, Chosen, Slot, Superblock};
use super::{Address, FIRST_EXTENT};
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Generation};
use crate::base::options::Compression;
use crate::base::stats::Stats;
use crate::io::{File, LockKind, SyncPoint};
use crate::memory::{PageBuffer, PageBytes, PageMemory};
use crate::sync::{self, Mutex};

/// The blocks of one open data file. Threads share it; see the module page for its locks.
#[derive(Debug)]
pub struct Blocks {
    pub(super) file: Arc<dyn File>,
    /// The file's name in messages.
    pub(super) label: Arc<str>,
    id: DatabaseId,
    writable: bool,
    pub(super) stats: Arc<Stats>,
    /// Held through a whole checkpoint; first in the lock order.
    pub(super) newest: Mutex<Newest>,
    /// Held while the file grows or is cut; second in the lock order.
    pub(super) growth: Mutex<()>,
    /// Never held across I/O; last in the lock order.
    pub(super) state: Mutex<State>,
}

/// What the checkpoints so far left in the slots.
#[derive(Debug)]
pub(super) struct Newest {
    /// The slot that holds the newest durable superblock; the next one goes to the other.
    pub(super) slot: Slot,
    /// The highest generation that was ever tried.
    pub(super) generation: Generation,
    /// The named checkpoints that the next one is to have, where they change.
    pub(super) wanted_names: Option<Vec<NamedCheckpoint>>,
}

/// What the short mutex guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) allocator: Allocator,
    /// The newest superblock that is durable in both slots.
    pub(super) superblock: Superblock,
    /// Its named checkpoints.
    pub(super) names: Vec<NamedCheckpoint>,
}

/// How the data file's bytes are used. `used + available + pending + kept` is everything between the
/// superblocks and `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceUse {
    /// Bytes that somebody refers to, rounding included.
    pub used_bytes: u64,
    /// Bytes that may be written now.
    pub available_bytes: u64,
    /// Bytes freed that wait for a checkpoint, or for the end of a pin.
    pub pending_bytes: u64,
    /// Bytes freed that named checkpoints still reach.
    pub kept_bytes: u64,
    /// The end of the allocated part of the file.
    pub end: u64,
    /// The file's length as far as it is backed by storage; never below `end`.
    pub file_bytes: u64,
}

impl Blocks {
    /// Opens the data file `file`, named `label` in messages, whose lock the caller holds (shared
    /// or, with `writable`, exclusive). With `writable` the older or damaged superblock slot is
    /// repaired and the free list read; without, the lock is narrowed to what the newest
    /// checkpoint reaches.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it is something else (also when it is empty: [`super::create()`]
    /// replaces that), [`Error::Corrupt`] when it is damaged, [`Error::Io`].
    pub fn open(
        file: Arc<dyn File>,
        label: Arc<str>,
        writable: bool,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let (blocks, chosen) = Self::of_newest(file, label, writable, stats)?;
        let superblock = chosen.superblock;
        let names = blocks.read_names(&superblock)?;
        if writable {
            let list = blocks.read_free_list(&superblock)?;
            let file_bytes = blocks.state.lock().allocator.file_bytes();
            let mut allocator =
                Allocator::new(list.extents, list.blocks, superblock.end, file_bytes);
            for named in &names {
                allocator.add_reaches(&[blocks.reach_of(named)?]);
            }
            allocator.keep_available();
            if blocks.is_read_before(superblock.generation) {
                allocator.hold_everything(superblock.generation);
            }
            blocks.state.lock().allocator = allocator;
            if !chosen.twins {
                blocks.repair_slot(chosen.slot.other(), &superblock)?;
            }
        } else {
            blocks.narrow_lock(superblock.generation)?;
        }
        blocks.state.lock().names = names;
        Ok(blocks)
    }

    /// Opens the data file to have it looked at, as [`Blocks::open`] does for reading: also when the list
    /// of its named checkpoints is damaged, which is not read here.
    ///
    /// # Errors
    /// As [`Blocks::open`].
    pub fn open_to_verify(file: Arc<dyn File>, label: Arc<str>, stats: Arc<Stats>) -> Result<Self> {
        let (blocks, chosen) = Self::of_newest(file, label, false, stats)?;
        blocks.narrow_lock(chosen.superblock.generation)?;
        Ok(blocks)
    }

    /// The file as its newest superblock has it, without the lists that this one leads to.
    fn of_newest(
        file: Arc<dyn File>,
        label: Arc<str>,
        writable: bool,
        stats: Arc<Stats>,
    ) -> Result<(Self, Chosen)> {
        let (id, chosen, file_bytes) = read_superblock(&*file, &label)?;
        let superblock = chosen.superblock;
        let nothing = ExtentList::default;
        let allocator = Allocator::new(nothing(), nothing(), superblock.end, file_bytes);
        let newest =
            Newest { slot: chosen.slot, generation: superblock.generation, wanted_names: None };
        let state = State { allocator, superblock, names: Vec::new() };
        let blocks = Self { writable, ..Self::from_parts(file, label, id, stats, newest, state) };
        Ok((blocks, chosen))
    }

    /// An open file, for reading only.
    pub(super) fn from_parts(
        file: Arc<dyn File>,
        label: Arc<str>,
        id: DatabaseId,
        stats: Arc<Stats>,
        newest: Newest,
        state: State,
    ) -> Self {
        Self {
            file,
            label,
            id,
            writable: false,
            stats,
            newest: Mutex::new(newest),
            growth: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// A reader's lock keeps everything at first; from here on it keeps what `generation` reaches.
    fn narrow_lock(&self, generation: Generation) -> Result<()> {
        let narrowed = self.file.pin_generation(generation);
        narrowed.map_err(|error| Error::io("lock", &self.label, error))
    }

    /// Makes `slot` the twin of the newest one. That one's own durability comes first, because
    /// the process that wrote it may have died before its sync: never are both at stake.
    fn repair_slot(&self, slot: Slot, superblock: &Superblock) -> Result<()> {
        self.sync(SyncPoint::SuperblockRepair)?;
        self.write_slot(slot, superblock)?;
        self.sync(SyncPoint::SuperblockRepair)
    }

    /// Reads the block that `address` names: all its bytes, header included, so that the payload
    /// starts at [`BLOCK_HEADER_BYTES`]. The payload of a compressed block comes uncompressed,
    /// behind the header as it was stored.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the bytes there are not the block that the address names, or not
    /// of this kind; [`Error::Io`].
    pub fn read(&self, address: &Address, kind: BlockKind) -> Result<Box<[u8]>> {
        let (block, header) = self.read_stored(address, kind)?;
        match header.compression {
            Compression::None => Ok(block.into_boxed_slice()),
            Compression::Snappy => self.decompress(&block, &header, address),
        }
    }

    /// The same for a page, which goes at once where it will be searched: into `memory`, if there is one and it
    /// has room.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_page(
        &self,
        address: &Address,
        kind: BlockKind,
        memory: Option<&sync::Arc<PageMemory>>,
    ) -> Result<PageBytes> {
        let stored_bytes = address.len_bytes() as usize;
        let place = memory.and_then(|memory| PageBuffer::zeroed_in(memory, stored_bytes));
        let Some(mut block) = place else { return self.read(address, kind).map(PageBytes::from) };
        let header = self.read_into(&mut block, address, kind)?;
        match header.compression {
            Compression::None => Ok(block.finish()),
            Compression::Snappy => self.decompress(&block, &header, address).map(PageBytes::from),
        }
    }

    /// Tells the disk that these blocks will be read soon, in this order. Neighbours in the file are told of
    /// together.
    pub fn will_read(&self, addresses: &[Address]) {
        let tell = |run: Option<Range<u64>>| {
            if let Some(run) = run {
                self.file.will_read(run.start, run.end - run.start);
            }
        };
        let mut run: Option<Range<u64>> = None;
        for address in addresses {
            let extent = address.extent();
            match &mut run {
                Some(run) if run.end == extent.offset => run.end = extent.end(),
                _ => tell(run.replace(extent.offset..extent.end())),
            }
        }
        tell(run);
    }

    /// The same as it is stored, with its header.
    pub(super) fn read_stored(
        &self,
        address: &Address,
        kind: BlockKind,
    ) -> Result<(Vec<u8>, BlockHeader)> {
        let mut block = self.buffer(address.len_bytes() as usize)?;
        let header = self.read_into(&mut block, address, kind)?;
        Ok((block, header))
    }

    /// Fills `block` with what is stored at `address`, and verifies it.
    fn read_into(
        &self,
        block: &mut [u8],
        address: &Address,
        kind: BlockKind,
    ) -> Result<BlockHeader> {
        let stored_bytes = block.len();
        if let Err(error) = self.file.read_exact_at(block, address.offset()) {
            // A file that is long enough ends nowhere: then it is the disk that fails, not the file
            // that is damaged, and nobody may go on without the block.
            let end = address.offset() + stored_bytes as u64;
            let ends_before = error.kind() == ErrorKind::UnexpectedEof
                && self.file.len().is_ok_and(|len_bytes| len_bytes < end);
            if !ends_before {
                return Err(Error::io("read", &self.label, error));
            }
            let (expected, found) = (format!("{stored_bytes} bytes"), "the end of the file");
            return Err(self.corrupt(address.offset(), "place of a block", expected, found));
        }
        self.stats.blocks_read.bump();
        self.stats.block_bytes_read.add(stored_bytes as u64);
        block_header::verify(block, address, kind, &self.label)
    }

    fn decompress(
        &self,
        block: &[u8],
        header: &BlockHeader,
        address: &Address,
    ) -> Result<Box<[u8]>> {
        let wrong = |found: String| {
            let expected = format!("{} bytes of Snappy", header.raw_len);
            self.corrupt(address.offset(), "compressed payload of a block", expected, found)
        };
        let mut raw = self.buffer(BLOCK_HEADER_BYTES + header.raw_len as usize)?;
        let (Some((head, stored)), Some((raw_head, payload))) = (
            block.split_at_checked(BLOCK_HEADER_BYTES),
            raw.split_at_mut_checked(BLOCK_HEADER_BYTES),
        ) else {
            return Err(wrong("a block without a header".to_owned()));
        };
        raw_head.copy_from_slice(head);
        let written = snap::raw::Decoder::new()
            .decompress(stored, payload)
            .map_err(|error| wrong(error.to_string()))?;
        if written != payload.len() {
            return Err(wrong(format!("{written} bytes")));
        }
        Ok(raw.into_boxed_slice())
    }

    /// Zeros, or an error instead of an abort when memory is short.
    pub(super) fn buffer(&self, len_bytes: usize) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        self.reserve(&mut buffer, len_bytes)?;
        buffer.resize(len_bytes, 0);
        Ok(buffer)
    }

    /// Room for exactly `len_bytes` more in `buffer`.
    pub(super) fn reserve(&self, buffer: &mut Vec<u8>, len_bytes: usize) -> Result<()> {
        buffer.try_reserve_exact(len_bytes).map_err(|_| {
            Error::io("allocate memory for", &self.label, io::Error::from(ErrorKind::OutOfMemory))
        })
    }

    /// Gives the block's space up: the next checkpoint to begin does not reach it. The space is
    /// not reused before that checkpoint is durable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the space is not in use: the address came from a damaged tree.
    pub fn free(&self, address: &Address) -> Result<()> {
        self.free_for(address, false)
    }

    /// Gives a page's space up, as [`Blocks::free`] does; at once, if the page was written since the
    /// last checkpoint was durable and before the next one began: then no checkpoint reaches it.
    ///
    /// The caller knows that nobody reads the block, or can come to read it, by this address: the page
    /// is in memory, or dead, so that nobody has the right to read it in
    /// (`LoadClaim` in the page layer), and its reference has another address, or leads nowhere.
    ///
    /// # Errors
    /// As [`Blocks::free`].
    pub fn free_page(&self, address: &Address) -> Result<()> {
        self.check_writable("free space")?;
        let freed = self.state.lock().allocator.free_page(address.extent());
        freed.map_err(|misplaced| self.misplaced(address, misplaced))
    }

    /// Whether [`Blocks::free_page`] would make the page's space available at once: then nobody may
    /// read it but with the right to read it in.
    pub fn is_fresh(&self, address: &Address) -> bool {
        self.state.lock().allocator.is_fresh(address.extent())
    }

    /// Gives the block's space up for the checkpoint that is being made, between its
    /// [`Blocks::begin_checkpoint`] and its [`Blocks::finish_checkpoint`]: the caller knows that
    /// it does not reach the block, because it is its own reconciliation that replaced it. Saves
    /// such blocks from being in use in the file for one checkpoint longer, which at close would
    /// be for ever.
    ///
    /// # Errors
    /// As [`Blocks::free`].
    pub fn free_in_checkpoint(&self, address: &Address) -> Result<()> {
        self.free_for(address, true)
    }

    fn free_for(&self, address: &Address, in_checkpoint: bool) -> Result<()> {
        self.check_writable("free space")?;
        let freed = self.state.lock().allocator.free(address.extent(), in_checkpoint);
        freed.map_err(|misplaced| self.misplaced(address, misplaced))
    }

    /// At recovery, before anything is written: the log names the block, so its space is in use
    /// even if the free list has it. A no-op for what is in use already. Returns how many bytes
    /// were not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file ends before the block does.
    pub fn claim(&self, address: &Address) -> Result<u64> {
        self.check_writable("recover it")?;
        let claimed = self.state.lock().allocator.claim(address.extent());
        claimed.map_err(|misplaced| self.misplaced(address, misplaced))
    }

    fn misplaced(&self, address: &Address, misplaced: Misplaced) -> Error {
        let extent = address.extent();
        let expected = format!("{}..{} in use", extent.offset, extent.end());
        let found = match misplaced {
            Misplaced::Outside(end) => format!("an end at {end}"),
            Misplaced::Free(free) => format!("{}..{} free", free.offset, free.end()),
        };
        self.corrupt(address.offset(), "place of a block", expected, found)
    }

    /// Syncs the data file, for example before the log names an overflow value.
    ///
    /// # Errors
    /// [`Error::Io`], which sticks.
    pub fn sync(&self, point: SyncPoint) -> Result<()> {
        self.file.sync_data(point).map_err(|error| Error::io("sync", &self.label, error))
    }

    /// Read-only: looks for a newer checkpoint of the process that writes, moves this file's lock
    /// to it, and returns it. Blocks of the old one may be gone from then on. For a writer, its
    /// own newest checkpoint.
    ///
    /// # Errors
    /// As [`Blocks::open`].
    pub fn refresh(&self) -> Result<Superblock> {
        if self.writable {
            return Ok(self.superblock());
        }
        // Everything is kept while the superblock is read, so that none of it goes in between.
        let locked = self.file.try_lock(LockKind::Shared);
        locked.map_err(|error| Error::io("lock", &self.label, error))?;
        let (id, chosen, _) = read_superblock(&*self.file, &self.label)?;
        if id != self.id {
            return Err(self.corrupt(0, "database id", "the one that was opened", "another"));
        }
        self.state.lock().superblock = chosen.superblock;
        self.narrow_lock(chosen.superblock.generation)?;
        Ok(chosen.superblock)
    }

    /// Keeps what the newest durable checkpoint reaches from being reused until
    /// [`Blocks::unpin`]: for a backup in this process. Readers in
    /// other processes pin by their locks, which a checkpoint looks at before it releases.
    pub fn pin(&self) -> Superblock {
        let mut state = self.state.lock();
        let superblock = state.superblock;
        state.allocator.pin(superblock.generation);
        superblock
    }

    /// Ends one [`Blocks::pin`] that returned `generation`.
    pub fn unpin(&self, generation: Generation) {
        self.state.lock().allocator.unpin(generation);
    }

    /// The newest durable superblock.
    pub fn superblock(&self) -> Superblock {
        self.state.lock().superblock
    }

    /// The database's identity.
    pub fn id(&self) -> DatabaseId {
        self.id
    }

    /// The file, for its lock and its identity.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The file's name in messages.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// How the file's bytes are used now.
    pub fn space_use(&self) -> SpaceUse {
        let state = self.state.lock();
        let allocator = &state.allocator;
        SpaceUse {
            used_bytes: allocator.used_bytes(),
            available_bytes: allocator.available().bytes(),
            pending_bytes: allocator.pending_bytes(),
            kept_bytes: allocator.kept_bytes(),
            end: allocator.end(),
            file_bytes: allocator.file_bytes(),
        }
    }

    /// Bytes freed that wait for a checkpoint, or for the end of a pin.
    pub fn pending_free_bytes(&self) -> u64 {
        self.state.lock().allocator.pending_bytes()
    }

    /// Bytes written since the last finished checkpoint began.
    pub fn allocated_since_checkpoint_bytes(&self) -> u64 {
        self.state.lock().allocator.allocated_bytes()
    }

    /// The data file's length in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.state.lock().allocator.file_bytes()
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(super) fn check_writable(&self, action: &'static str) -> Result<()> {
        if self.writable { Ok(()) } else { Err(Error::ReadOnly { action }) }
    }

    pub(super) fn corrupt(
        &self,
        offset: u64,
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Error {
        Error::corrupt(&self.label, offset, what, expected, found)
    }
}

/// Reads the header and the newest superblock of `file`, and the file's length, which the
/// superblock's end does not exceed. Another process may write a new superblock, grow the file or
/// cut it in between; then the two are read again.
fn read_superblock(file: &dyn File, label: &Arc<str>) -> Result<(DatabaseId, Chosen, u64)> {
    let mut before = None;
    loop {
        let measure = || file.len().map_err(|error| Error::io("measure", label, error));
        let head_bytes = measure()?.min(FIRST_EXTENT) as usize;
        let mut head = vec![0; head_bytes];
        file.read_exact_at(&mut head, 0).map_err(|error| Error::io("read", label, error))?;
        let id = FileHeader::decode(&head, label)?.id;
        let chosen = superblock::choose(&head, id, label)?;
        let (end, file_bytes) = (chosen.superblock.end, measure()?);
        if end <= file_bytes {
            return Ok((id, chosen, file_bytes));
        }
        if before == Some(chosen.superblock) {
            return Err(Error::corrupt(label, file_bytes, "length of the file", end, file_bytes));
        }
        before = Some(chosen.superblock);
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
