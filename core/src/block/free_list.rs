//! The free list of a checkpoint: the extents that will be available once it is durable.
//!
//! A chain of blocks from the superblock on. The list is written copy-on-write like everything
//! else: its own blocks are in use, not in the list, and freed by the next checkpoint.

use std::borrow::Cow;

use super::allocator::FreeSnapshot;
use super::block_header::{BLOCK_HEADER_BYTES, BlockKind};
use super::blocks::Blocks;
use super::extent::{Extent, ExtentList};
use super::superblock::Superblock;
use super::write::{NewBlock, Outgoing, Space};
use super::{Address, FIRST_EXTENT, Grain, UNIT_BYTES};
use crate::base::codec::{Reader, put_varint, varint_len};
use crate::base::error::Result;
use crate::base::ids::TableId;
use crate::base::options::Compression;

/// The space of each block of a list that needs more than one.
const LIST_BLOCK_BYTES: u64 = 64 << 10;

/// What precedes the entries in a block: the next block's address, and their count.
const LIST_HEAD_BYTES: usize = 16 + 4;

/// A free list as read from the disk.
#[derive(Debug)]
pub(super) struct FreeList {
    /// The free extents.
    pub(super) extents: ExtentList,
    /// The list's own blocks.
    pub(super) blocks: ExtentList,
}

/// A free list that was written, and is not durable yet.
#[derive(Debug)]
pub(super) struct WrittenList {
    /// Its first block, if it has any.
    pub(super) address: Option<Address>,
    /// All its blocks.
    pub(super) blocks: Vec<Extent>,
    /// The end of the allocated part of the file, as the superblock will say.
    pub(super) end: u64,
}

impl Blocks {
    /// Writes the free list of the checkpoint that is being made, and fixes what it releases.
    /// On failure that is undone.
    pub(super) fn write_free_list(&self, catalog_root: Option<Address>) -> Result<WrittenList> {
        loop {
            let (extents_max, end) = {
                let state = self.state.lock();
                (state.allocator.free_count_max(), state.allocator.end())
            };
            let sizes = list_block_sizes(extents_max, end);
            let space = |&len| Space { len, grain: Grain::Unit };
            let offsets = self.place(&Vec::from_iter(sizes.iter().map(space)))?;
            let blocks: Vec<_> =
                offsets.iter().zip(&sizes).map(|(&offset, &len)| Extent { offset, len }).collect();
            // From here on `available` may shrink, which is harmless: what is taken after this
            // moment is not reached by this checkpoint, so its free list may call it free.
            let snapshot = self.state.lock().allocator.start_finishing();
            let (extents, end) = merge(&snapshot);
            let written = self.check_root(catalog_root, &extents, end).and_then(|()| {
                let Some(payloads) = encode(&extents, &sizes) else { return Ok(None) };
                self.write_chain(payloads, &offsets).map(Some)
            });
            match written {
                Ok(Some(address)) => return Ok(WrittenList { address, blocks, end }),
                // Others gave space back meanwhile, or took some out of the middle, and the list outgrew
                // its blocks.
                Ok(None) => self.undo_free_list(&blocks),
                Err(error) => {
                    self.undo_free_list(&blocks);
                    return Err(error);
                }
            }
        }
    }

    /// The checkpoint failed before any slot was written: its list was never named.
    pub(super) fn undo_free_list(&self, blocks: &[Extent]) {
        let mut state = self.state.lock();
        state.allocator.stop_finishing();
        state.allocator.give_back(blocks);
    }

    /// A superblock that frees its own root must not be written.
    fn check_root(&self, root: Option<Address>, free: &[Extent], end: u64) -> Result<()> {
        let Some(root) = root else { return Ok(()) };
        let extent = root.extent();
        let next = free.partition_point(|free| free.end() <= extent.offset);
        let overlap = free.get(next).filter(|free| free.offset < extent.end());
        if overlap.is_none() && extent.end() <= end {
            return Ok(());
        }
        let found = overlap.map_or("beyond the end".to_owned(), |free| format!("{free:?} free"));
        Err(self.corrupt(root.offset(), "place of the catalog's root", "in use", found))
    }

    /// Writes the blocks of a list, each with the address of the next one.
    fn write_chain(&self, mut payloads: Vec<Vec<u8>>, offsets: &[u64]) -> Result<Option<Address>> {
        let due = self.superblock().generation.0 + 1;
        let mut next: Option<Address> = None;
        let mut outgoing = Vec::with_capacity(payloads.len());
        for (payload, &offset) in payloads.iter_mut().zip(offsets).rev() {
            let mut link = Vec::with_capacity(16);
            Address::encode_fixed(next.as_ref(), &mut link);
            if let Some(head) = payload.get_mut(..link.len()) {
                head.copy_from_slice(&link);
            }
            let payload: &[u8] = payload;
            let (kind, table) = (BlockKind::FreeList, TableId::CATALOG);
            let block = NewBlock::new(kind, table, Compression::None, payload);
            let block = Outgoing::new(&block, Cow::Borrowed(payload), offset, due);
            next = Some(block.address);
            outgoing.push(block);
        }
        outgoing.reverse();
        self.write_runs(&outgoing)?;
        Ok(next)
    }

    /// Reads the free list of `superblock`.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] when the list contradicts itself or the superblock; a chain that
    /// bites its tail is noticed.
    pub(super) fn read_free_list(&self, superblock: &Superblock) -> Result<FreeList> {
        let mut list = FreeList { extents: ExtentList::default(), blocks: ExtentList::default() };
        let mut next = superblock.free_list;
        let mut behind = FIRST_EXTENT;
        while let Some(address) = next {
            let inside = address.extent().end() <= superblock.end;
            if !inside || list.blocks.insert(address.extent()).is_err() {
                let what = "place of a free list block";
                return Err(self.corrupt(
                    address.offset(),
                    what,
                    "a place of its own",
                    "another's",
                ));
            }
            let block = self.read(&address, BlockKind::FreeList)?;
            let payload = block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
            let decoded = decode(payload, &mut behind, superblock.end, &mut list.extents);
            let Some(link) = decoded else {
                let what = "entries of a free list block";
                return Err(self.corrupt(address.offset(), what, "extents in order", "nonsense"));
            };
            next = link;
        }
        let root = superblock.root.catalog_root.map(|root| root.extent());
        for used in list.blocks.iter().chain(root) {
            if let Some(free) = list.extents.overlap(used) {
                let found = format!("{}..{} free", free.offset, free.end());
                return Err(self.corrupt(used.offset, "free list", "what is in use", found));
            }
        }
        Ok(list)
    }
}

/// How large the blocks of a list of at most `extents_max` extents must be, in a file whose
/// allocated part ends at `end`. Taking room for the blocks may split one extent each.
fn list_block_sizes(extents_max: usize, end: u64) -> Vec<u64> {
    if extents_max == 0 {
        return Vec::new();
    }
    let entry_bytes_max = 2 * varint_len(2 * end / UNIT_BYTES);
    let head_bytes = BLOCK_HEADER_BYTES + LIST_HEAD_BYTES;
    let one_block = Grain::Unit.round_up((head_bytes + (extents_max + 1) * entry_bytes_max) as u64);
    if one_block <= LIST_BLOCK_BYTES {
        return vec![one_block];
    }
    let entries_per_block = (LIST_BLOCK_BYTES as usize - head_bytes) / entry_bytes_max;
    vec![LIST_BLOCK_BYTES; extents_max.div_ceil(entries_per_block - 1)]
}

/// What will be free, merged, and the end of the allocated part without a free tail.
fn merge(snapshot: &FreeSnapshot) -> (Vec<Extent>, u64) {
    let mut merged: Vec<Extent> = Vec::with_capacity(snapshot.available.len());
    let mut all = [snapshot.available.as_slice(), snapshot.freed.as_slice()].concat();
    all.sort_unstable();
    for extent in all {
        match merged.last_mut() {
            Some(last) if last.end() == extent.offset => last.len += extent.len,
            _ => merged.push(extent),
        }
    }
    let Some(tail) = merged.pop_if(|last| last.end() == snapshot.end) else {
        return (merged, snapshot.end);
    };
    // What a named checkpoint reaches lies before the end.
    let end = tail.offset.max(snapshot.kept_end);
    if end > tail.offset {
        merged.push(Extent { offset: tail.offset, len: end - tail.offset });
    }
    (merged, end)
}

/// The payloads of the blocks of a list, each filling its block, the links still zero; `None`
/// when `extents` do not fit.
fn encode(extents: &[Extent], sizes: &[u64]) -> Option<Vec<Vec<u8>>> {
    let mut rest = extents;
    let mut behind = FIRST_EXTENT;
    let mut payloads = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let payload_bytes = size as usize - BLOCK_HEADER_BYTES;
        let mut entries = Vec::with_capacity(payload_bytes);
        let mut count = 0_u32;
        while let Some((extent, others)) = rest.split_first() {
            let (gap, len) = ((extent.offset - behind) / UNIT_BYTES, extent.len / UNIT_BYTES);
            let entry_bytes = varint_len(gap) + varint_len(len);
            if LIST_HEAD_BYTES + entries.len() + entry_bytes > payload_bytes {
                break;
            }
            put_varint(&mut entries, gap);
            put_varint(&mut entries, len);
            count += 1;
            behind = extent.end();
            rest = others;
        }
        let mut payload = vec![0; LIST_HEAD_BYTES - 4];
        payload.extend_from_slice(&count.to_le_bytes());
        payload.append(&mut entries);
        payload.resize(payload_bytes, 0);
        payloads.push(payload);
    }
    rest.is_empty().then_some(payloads)
}

/// Reads one block's entries into `extents` and returns its link. `behind` is the end of the last
/// extent so far, `end` that of the allocated part.
fn decode(
    payload: &[u8],
    behind: &mut u64,
    end: u64,
    extents: &mut ExtentList,
) -> Option<Option<Address>> {
    let mut reader = Reader::new(payload);
    let link = Address::decode_fixed(&mut reader)?;
    for _ in 0..reader.u32()? {
        let offset = behind.checked_add(reader.varint()?.checked_mul(UNIT_BYTES)?)?;
        let len = reader.varint()?.checked_mul(UNIT_BYTES)?;
        let extent_end = offset.checked_add(len)?;
        if len == 0 || extent_end > end {
            return None;
        }
        extents.insert(Extent { offset, len }).ok()?;
        *behind = extent_end;
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(extents: &[Extent], sizes: &[u64], end: u64) -> Option<ExtentList> {
        let payloads = encode(extents, sizes)?;
        let mut list = ExtentList::default();
        let mut behind = FIRST_EXTENT;
        for (payload, &size) in payloads.iter().zip(sizes) {
            assert_eq!((payload.len() + BLOCK_HEADER_BYTES) as u64, size);
            assert_eq!(decode(payload, &mut behind, end, &mut list), Some(None));
        }
        Some(list)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn free_list_of_the_sizes_asked_for_round_trips(
            gaps in prop::collection::vec((1_u64..5000, 1_u64..5000), 0..40_000),
        ) {
            let mut end = FIRST_EXTENT;
            let mut extents = Vec::new();
            for (gap, len) in gaps {
                extents.push(Extent { offset: end + gap * 512, len: len * 512 });
                end += (gap + len) * 512;
            }
            let sizes = list_block_sizes(extents.len(), end);
            let list = round_trip(&extents, &sizes, end);
            prop_assert_eq!(list, Some(extents.iter().copied().collect()));
        }

        #[test]
        fn decode_of_anything_stays_within_the_file(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut list = ExtentList::default();
            let _ = decode(&payload, &mut FIRST_EXTENT.clone(), 1 << 20, &mut list);
            prop_assert!(list.last().is_none_or(|last| last.end() <= 1 << 20));
        }
    }

    #[test]
    fn merge_joins_both_lists_and_drops_the_tail() {
        let extent = |offset, len| Extent { offset, len };
        let snapshot = FreeSnapshot {
            available: vec![extent(0, 10), extent(20, 10), extent(50, 10)],
            freed: vec![extent(10, 10), extent(45, 5), extent(60, 4)],
            end: 64,
            kept_end: 0,
        };
        assert_eq!(merge(&snapshot), (vec![extent(0, 30)], 45));
        let kept = FreeSnapshot { kept_end: 55, ..snapshot };
        assert_eq!(merge(&kept), (vec![extent(0, 30), extent(45, 10)], 55));
    }
}
