//! Writing blocks: compress, place, write, with as few system calls as the free space allows.

use std::borrow::Cow;
use std::io::{ErrorKind, IoSlice};

use super::allocator::{Allocator, NeedsGrowth};
use super::block_header::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, PAYLOAD_BYTES_MAX};
use super::blocks::Blocks;
use super::extent::Extent;
use super::{Address, FRAME_BYTES, Grain, UNIT_BYTES};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::Compression;

/// The most blocks in one vectored write: three parts each stay under what systems accept.
pub(super) const WRITE_BLOCKS_MAX: usize = 300;

/// The file grows by an eighth of itself, within these bounds.
const GROWTH_BYTES_LEAST: u64 = 64 << 10;
const GROWTH_BYTES_MOST: u64 = 64 << 20;

/// Padding comes from here.
pub(super) const ZEROS: [u8; FRAME_BYTES as usize] = [0; FRAME_BYTES as usize];

/// A block to be written. The payload stays the caller's and is not copied (unless compressed).
#[derive(Clone, Copy, Debug)]
pub struct NewBlock<'a> {
    kind: BlockKind,
    table: TableId,
    compression: Compression,
    flags: u16,
    payload: &'a [u8],
}

impl<'a> NewBlock<'a> {
    /// A block with this payload.
    ///
    /// # Panics
    /// When the payload is longer than [`PAYLOAD_BYTES_MAX`]: who builds it bounds it.
    pub fn new(
        kind: BlockKind,
        table: TableId,
        compression: Compression,
        payload: &'a [u8],
    ) -> Self {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a payload of {} bytes", payload.len());
        Self { kind, table, compression, flags: 0, payload }
    }

    /// A block from an image that has room for the header at its front, as [`Blocks::read`]
    /// returns it. What is in that room does not matter, and is not changed.
    ///
    /// # Panics
    /// When the image is shorter than [`BLOCK_HEADER_BYTES`] or its payload too long.
    pub fn from_image(
        kind: BlockKind,
        table: TableId,
        compression: Compression,
        image: &'a [u8],
    ) -> Self {
        let split = image.split_at_checked(BLOCK_HEADER_BYTES);
        let Some((_, payload)) = split else { panic!("an image of {} bytes", image.len()) };
        Self::new(kind, table, compression, payload)
    }

    /// The same with these bits for the layer that owns the kind.
    pub fn with_flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    fn grain(&self) -> Grain {
        Grain::of(self.kind, self.compression)
    }
}

/// The space that a block wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// Whole grains.
    pub(super) len: u64,
    pub(super) grain: Grain,
}

/// How the allocator is asked for extents of these lengths.
type Place = dyn Fn(&mut Allocator, &[u64], Grain) -> Result<Vec<u64>, NeedsGrowth>;

/// A block as it goes to the disk.
pub(super) struct Outgoing<'a> {
    header: [u8; BLOCK_HEADER_BYTES],
    payload: Cow<'a, [u8]>,
    pub(super) address: Address,
}

impl Blocks {
    /// Writes a batch of blocks into space that nothing reaches, in one vectored write when the
    /// free space has a run for it, and returns their addresses in order. They are not durable
    /// before a sync, and not reachable before a checkpoint or the log names them.
    ///
    /// # Errors
    /// [`Error::Full`], after which later writes may succeed; [`Error::Io`]. Nothing is taken
    /// then.
    pub fn write(&self, batch: &[NewBlock<'_>]) -> Result<Vec<Address>> {
        self.check_writable("write blocks")?;
        let payloads = self.compress(batch)?;
        let spaces = spaces(batch, &payloads);
        // The log names long values, so these outlive their leaf in the eyes of a recovery.
        let offsets = match batch.iter().all(|block| block.kind.is_page()) {
            true => self.place_growing(&spaces, &Allocator::place_pages)?,
            false => self.place(&spaces)?,
        };
        self.store(batch, payloads, &offsets)
    }

    /// Like [`Blocks::write`], but only into available space that ends at or before `ceiling`,
    /// as low in the file as it can be; `None` when there is not enough. Compaction moves the
    /// file's tail with it.
    ///
    /// # Errors
    /// As [`Blocks::write`].
    pub fn write_below(
        &self,
        batch: &[NewBlock<'_>],
        ceiling: u64,
    ) -> Result<Option<Vec<Address>>> {
        self.check_writable("write blocks")?;
        let payloads = self.compress(batch)?;
        let spaces = spaces(batch, &payloads);
        let placed = self.place_runs(&spaces, |run, grain| {
            Ok(self.state.lock().allocator.place_below(run, grain, ceiling))
        });
        let Some(offsets) = placed? else { return Ok(None) };
        self.store(batch, payloads, &offsets).map(Some)
    }

    /// The payloads as they will be stored: compressed where the table asks for it and where it
    /// saves at least one allocation unit, which is the grain of such a table's blocks.
    fn compress<'a>(&self, batch: &[NewBlock<'a>]) -> Result<Vec<Cow<'a, [u8]>>> {
        let mut encoder = None;
        let mut payloads = Vec::with_capacity(batch.len());
        for block in batch {
            let stored_bytes = |payload_bytes| stored_bytes(payload_bytes, block.grain());
            let plain_bytes = stored_bytes(block.payload.len());
            if block.compression == Compression::None || plain_bytes <= UNIT_BYTES {
                payloads.push(Cow::Borrowed(block.payload));
                continue;
            }
            let encoder = encoder.get_or_insert_with(snap::raw::Encoder::new);
            let mut packed = self.buffer(snap::raw::max_compress_len(block.payload.len()))?;
            match encoder.compress(block.payload, &mut packed) {
                Ok(packed_len) if stored_bytes(packed_len) < plain_bytes => {
                    packed.truncate(packed_len);
                    payloads.push(Cow::Owned(packed));
                }
                _ => payloads.push(Cow::Borrowed(block.payload)),
            }
        }
        Ok(payloads)
    }

    /// Places extents for `spaces`, growing the file as often as it takes.
    pub(super) fn place(&self, spaces: &[Space]) -> Result<Vec<u64>> {
        self.place_growing(spaces, &Allocator::place)
    }

    /// Places extents for `spaces` behind all that is allocated.
    pub(super) fn place_behind(&self, spaces: &[Space]) -> Result<Vec<u64>> {
        self.place_growing(spaces, &Allocator::place_behind)
    }

    fn place_growing(&self, spaces: &[Space], place: &Place) -> Result<Vec<u64>> {
        let placed = self.place_runs(spaces, |run, grain| {
            loop {
                let placed = place(&mut self.state.lock().allocator, run, grain);
                match placed {
                    Ok(offsets) => return Ok(Some(offsets)),
                    Err(needs) => self.grow(needs)?,
                }
            }
        })?;
        Ok(placed.unwrap_or_default())
    }

    /// Calls `place` with the lengths of each run of `spaces` that have their grain in common: with all of
    /// them at once, but where addresses of a damaged file differ. Nothing is taken when it finds no place or fails.
    fn place_runs(
        &self,
        spaces: &[Space],
        place: impl Fn(&[u64], Grain) -> Result<Option<Vec<u64>>>,
    ) -> Result<Option<Vec<u64>>> {
        let mut offsets = Vec::with_capacity(spaces.len());
        for run in spaces.chunk_by(|a, b| a.grain == b.grain) {
            let Some(first) = run.first() else { continue };
            let lens: Vec<u64> = run.iter().map(|space| space.len).collect();
            match place(&lens, first.grain) {
                Ok(Some(placed)) => offsets.extend(placed),
                nowhere => {
                    let taken = offsets.iter().zip(spaces);
                    let taken = taken.map(|(&offset, space)| Extent { offset, len: space.len });
                    self.give_back(&Vec::from_iter(taken));
                    return nowhere;
                }
            }
        }
        Ok(Some(offsets))
    }

    /// Lets the file grow so that `needs.bytes` fit behind the allocated part. Others may take
    /// them first; the caller tries again.
    fn grow(&self, needs: NeedsGrowth) -> Result<()> {
        let _growing = self.growth.lock();
        let (end, file_bytes) = {
            let state = self.state.lock();
            (state.allocator.end(), state.allocator.file_bytes())
        };
        let least_bytes = (end + needs.bytes).saturating_sub(file_bytes);
        if least_bytes == 0 {
            return Ok(());
        }
        let step_bytes = least_bytes.max(growth_step_bytes(file_bytes));
        let mut grown_bytes = step_bytes;
        let mut outcome = self.file.allocate(file_bytes, step_bytes);
        if outcome.as_ref().is_err_and(is_full) && step_bytes > least_bytes {
            grown_bytes = least_bytes;
            outcome = self.file.allocate(file_bytes, least_bytes);
        }
        match outcome {
            Ok(()) => {
                self.state.lock().allocator.set_file_bytes(file_bytes + grown_bytes);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                Err(Error::Full { file: self.label.clone(), needed_bytes: least_bytes })
            }
            Err(error) => Err(Error::io("extend", &self.label, error)),
        }
    }

    /// Writes `payloads` with their headers to `offsets`, which were placed for them; gives the
    /// space back when that fails.
    fn store(
        &self,
        batch: &[NewBlock<'_>],
        payloads: Vec<Cow<'_, [u8]>>,
        offsets: &[u64],
    ) -> Result<Vec<Address>> {
        let due = self.superblock().generation.0 + 1;
        let mut outgoing = Vec::with_capacity(batch.len());
        for ((block, payload), &offset) in batch.iter().zip(payloads).zip(offsets) {
            outgoing.push(Outgoing::new(block, payload, offset, due));
        }
        assert_eq!(outgoing.len(), batch.len(), "every block was placed");
        if let Err(error) = self.write_runs(&outgoing) {
            let extents: Vec<_> = outgoing.iter().map(|block| block.address.extent()).collect();
            self.state.lock().allocator.give_back(&extents);
            return Err(error);
        }
        Ok(outgoing.into_iter().map(|block| block.address).collect())
    }

    /// One vectored write for each run of neighbours, padding included.
    pub(super) fn write_runs(&self, outgoing: &[Outgoing<'_>]) -> Result<()> {
        let neighbours =
            |a: &Outgoing<'_>, b: &Outgoing<'_>| a.address.extent().end() == b.address.offset();
        let runs = outgoing.chunk_by(neighbours).flat_map(|run| run.chunks(WRITE_BLOCKS_MAX));
        for run in runs {
            let mut parts = Vec::with_capacity(run.len() * 3);
            let mut written_bytes = 0;
            for block in run {
                let extent = block.address.extent();
                let padding = (extent.len - u64::from(block.address.len_bytes())) as usize;
                parts.push(IoSlice::new(&block.header));
                parts.push(IoSlice::new(&block.payload));
                parts.push(IoSlice::new(ZEROS.get(..padding).unwrap_or_default()));
                written_bytes += extent.len;
            }
            parts.retain(|part| !part.is_empty());
            let Some(first) = run.first() else { continue };
            self.write_parts(&parts, first.address.offset(), run.len(), written_bytes)?;
        }
        Ok(())
    }

    /// Writes `count` blocks that lie side by side from `offset` on.
    pub(super) fn write_parts(
        &self,
        parts: &[IoSlice<'_>],
        offset: u64,
        count: usize,
        written_bytes: u64,
    ) -> Result<()> {
        self.file
            .write_all_at(parts, offset)
            .map_err(|error| self.write_error(error, written_bytes))?;
        self.stats.blocks_written.add(count as u64);
        self.stats.block_bytes_written.add(written_bytes);
        Ok(())
    }

    fn write_error(&self, error: std::io::Error, needed_bytes: u64) -> Error {
        if is_full(&error) {
            return Error::Full { file: self.label.clone(), needed_bytes };
        }
        Error::io("write", &self.label, error)
    }

    /// Gives space back that was placed and never written, or written and never named.
    pub(super) fn give_back(&self, extents: &[Extent]) {
        self.state.lock().allocator.give_back(extents);
    }
}

impl<'a> Outgoing<'a> {
    /// Fills in the header: from here on the block's bytes are fixed.
    pub(super) fn new(block: &NewBlock<'_>, payload: Cow<'a, [u8]>, offset: u64, due: u64) -> Self {
        let compression = match payload {
            Cow::Borrowed(_) => Compression::None,
            Cow::Owned(_) => block.compression,
        };
        let len = (BLOCK_HEADER_BYTES + payload.len()) as u32;
        let (header, checksum) = BlockHeader {
            checksum: 0,
            len,
            raw_len: block.payload.len() as u32,
            kind: block.kind,
            compression,
            flags: block.flags,
            table: block.table,
            generation: due,
        }
        .seal(&payload);
        let address = Address::new(block.grain(), offset, len, checksum);
        let Some(address) = address else { panic!("a block of {len} bytes at {offset}") };
        Self { header, payload, address }
    }
}

/// By how much a file of `file_bytes` grows at least: a whole number of frames.
pub(super) fn growth_step_bytes(file_bytes: u64) -> u64 {
    Grain::Frame.round_up((file_bytes / 8).clamp(GROWTH_BYTES_LEAST, GROWTH_BYTES_MOST))
}

/// The space that a block with a stored payload of this length takes.
fn stored_bytes(payload_bytes: usize, grain: Grain) -> u64 {
    grain.round_up((BLOCK_HEADER_BYTES + payload_bytes) as u64)
}

fn spaces(batch: &[NewBlock<'_>], payloads: &[Cow<'_, [u8]>]) -> Vec<Space> {
    let blocks = batch.iter().zip(payloads);
    let space = |(block, payload): (&NewBlock<'_>, &Cow<'_, [u8]>)| {
        let grain = block.grain();
        Space { len: stored_bytes(payload.len(), grain), grain }
    };
    blocks.map(space).collect()
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
