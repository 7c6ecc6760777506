//! What compaction needs of the data file: everything placed low, and blocks copied to another place.
//!
//! A copy has the bytes of its original, checksum included, so that it is the same page under another
//! address. The original stays what it is until the caller frees it, so whoever read the old address
//! a moment ago still finds the block there.

use std::io::IoSlice;

use super::Address;
use super::block_header::BlockKind;
use super::blocks::Blocks;
use super::extent::Extent;
use super::write::{Space, WRITE_BLOCKS_MAX, ZEROS};
use crate::base::error::Result;

/// While it lives, everything is placed as low in the file as it can be.
#[derive(Debug)]
pub struct Compaction<'b> {
    blocks: &'b Blocks,
}

impl Drop for Compaction<'_> {
    fn drop(&mut self) {
        self.blocks.state.lock().allocator.end_compaction();
    }
}

/// Where copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// In front of the original, as low as there is room; nowhere if there is none.
    Below,
    /// As low as there is room, ending at or before this offset; nowhere if there is none.
    Before(u64),
    /// Behind all that is allocated; the file grows if it must.
    End,
}

/// A block as it is stored, and where it goes.
struct Copied {
    bytes: Vec<u8>,
    extent: Extent,
}

impl Blocks {
    /// From now on everything is placed as low as it can be, until the guard goes.
    pub fn begin_compaction(&self) -> Compaction<'_> {
        self.state.lock().allocator.begin_compaction();
        Compaction { blocks: self }
    }

    /// Where the gap begins with which the available space from the front on exceeds `spare_bytes`;
    /// none when there is less than that in the whole file.
    pub fn first_gap(&self, spare_bytes: u64) -> Option<u64> {
        self.state.lock().allocator.first_gap(spare_bytes)
    }

    /// How many bytes below `ceiling` are available in extents of at least `least_bytes`.
    pub fn available_below(&self, ceiling: u64, least_bytes: u64) -> u64 {
        self.state.lock().allocator.available_below(ceiling, least_bytes)
    }

    /// Copies blocks of one kind, and says where each copy is; nothing for those that found no place.
    /// Copies are not durable before a sync, and not reached before a checkpoint names them.
    ///
    /// # Errors
    /// As [`Blocks::read`] and [`Blocks::write`]; nothing is taken then.
    pub fn copy(
        &self,
        originals: &[Address],
        kind: BlockKind,
        destination: Destination,
    ) -> Result<Vec<Option<Address>>> {
        self.check_writable("move blocks")?;
        let mut stored = Vec::with_capacity(originals.len());
        for original in originals {
            stored.push(self.read_stored(original, kind)?.0);
        }
        let offsets = self.place_copies(originals, destination)?;
        let mut copies = Vec::new();
        let mut addresses = Vec::with_capacity(originals.len());
        for ((original, bytes), offset) in originals.iter().zip(stored).zip(offsets) {
            let address = offset.and_then(|offset| {
                copies.push(Copied { bytes, extent: Extent { offset, ..original.extent() } });
                original.moved_to(offset)
            });
            addresses.push(address);
        }
        copies.sort_unstable_by_key(|copy| copy.extent.offset);
        if let Err(error) = self.write_copies(&copies) {
            let extents: Vec<Extent> = copies.iter().map(|copy| copy.extent).collect();
            self.give_back(&extents);
            return Err(error);
        }
        Ok(addresses)
    }

    fn place_copies(
        &self,
        originals: &[Address],
        destination: Destination,
    ) -> Result<Vec<Option<u64>>> {
        let space = |address: &Address| Space { len: address.extent().len, grain: address.grain() };
        if destination == Destination::End {
            let offsets = self.place_behind(&Vec::from_iter(originals.iter().map(space)))?;
            return Ok(offsets.into_iter().map(Some).collect());
        }
        let mut state = self.state.lock();
        let below = originals.iter().map(|original| {
            let ceiling = match destination {
                Destination::Before(ceiling) => ceiling,
                _ => original.offset(),
            };
            let Space { len, grain } = space(original);
            let placed = state.allocator.place_below(&[len], grain, ceiling)?;
            placed.first().copied()
        });
        Ok(below.collect())
    }

    /// One write for each run of neighbours.
    fn write_copies(&self, copies: &[Copied]) -> Result<()> {
        let neighbours = |a: &Copied, b: &Copied| a.extent.end() == b.extent.offset;
        let runs = copies.chunk_by(neighbours).flat_map(|run| run.chunks(WRITE_BLOCKS_MAX));
        for run in runs {
            let mut parts = Vec::with_capacity(run.len() * 2);
            for copy in run {
                let padding = (copy.extent.len as usize).saturating_sub(copy.bytes.len());
                parts.push(IoSlice::new(&copy.bytes));
                parts.push(IoSlice::new(ZEROS.get(..padding).unwrap_or_default()));
            }
            parts.retain(|part| !part.is_empty());
            let Some(first) = run.first() else { continue };
            let written_bytes = run.iter().map(|copy| copy.extent.len).sum();
            self.write_parts(&parts, first.extent.offset, run.len(), written_bytes)?;
        }
        Ok(())
    }
}
