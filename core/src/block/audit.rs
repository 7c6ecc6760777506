//! Comparing what is reached with what is allocated: for `verify`, and to find again what a crash
//! left in use and unreachable.

use std::sync::Arc;

use super::available::AvailableExtents;
use super::blocks::Blocks;
use super::extent::{Extent, ExtentList};
use super::{Address, FIRST_EXTENT, Superblock, superblock};
use crate::base::error::{Error, Result};

/// The data file's space from the first extent to `end`, while somebody goes through everything that
/// is reached: no two blocks may overlap, and none may lie in free space.
#[derive(Debug)]
pub struct SpaceMap {
    file: Arc<str>,
    end: u64,
    free: ExtentList,
    list_blocks: ExtentList,
    /// Freed by the process that has the file open and not yet released: may be reached or not.
    pending: Vec<ExtentList>,
    reached: ExtentList,
    /// In use for a reason of its own, whether reached or not.
    kept: Vec<Extent>,
}

impl SpaceMap {
    /// Notes that the block at `address` is reached.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a part of it is free, reached already, or outside of the allocated part;
    /// nothing is noted then. Whoever follows addresses only after this never goes in a circle.
    pub fn reach(&mut self, address: &Address) -> Result<()> {
        let extent = address.extent();
        let other = |what: &str, other: Extent| {
            let expected = format!("{}..{} its own", extent.offset, extent.end());
            let found = format!("{}..{} {what}", other.offset, other.end());
            Error::corrupt(&self.file, extent.offset, "place of a block", expected, found)
        };
        if extent.end() > self.end {
            let expected = format!("an end at most at {}", self.end);
            let what = "place of a block";
            return Err(Error::corrupt(&self.file, extent.offset, what, expected, extent.end()));
        }
        if let Some(free) = self.free.overlap(extent) {
            return Err(other("free", free));
        }
        if let Some(list) = self.list_blocks.overlap(extent) {
            return Err(other("the free list's own", list));
        }
        self.reached.insert(extent).map(drop).map_err(|twice| other("another block's", twice))
    }

    /// Whether any of the block at `address` is free.
    pub fn is_free(&self, address: &Address) -> bool {
        self.free.overlap(address.extent()).is_some()
    }

    /// Notes that the block at `address` is in use, whether anything else reaches it or not.
    pub fn keep(&mut self, address: &Address) {
        self.kept.push(address.extent());
    }

    /// Bytes of the blocks that were reached, rounding included.
    pub fn reached_bytes(&self) -> u64 {
        self.reached.bytes()
    }

    /// Bytes that are free, and those of the free list's own blocks.
    pub fn free_bytes(&self) -> u64 {
        self.free.bytes() + self.list_blocks.bytes()
    }

    /// The extents in use that were not reached, in the order of the file.
    pub fn unreached(&self) -> Vec<Extent> {
        let all = Extent { offset: FIRST_EXTENT, len: self.end - FIRST_EXTENT };
        let mut unknown = AvailableExtents::default();
        if all.len > 0 && unknown.insert(all).is_err() {
            return Vec::new();
        }
        let known = [&self.reached, &self.free, &self.list_blocks];
        let known = known.into_iter().chain(&self.pending).flat_map(ExtentList::iter);
        for extent in known.chain(self.kept.iter().copied()) {
            unknown.take_range(extent);
        }
        unknown.list().iter().collect()
    }
}

impl Blocks {
    /// The space as the checkpoint of `superblock` has it, nothing reached yet. Its free list is read
    /// from the file, so the checkpoint must be pinned, or the newest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the free list is damaged; [`Error::Io`].
    pub fn space_of(&self, superblock: &Superblock) -> Result<SpaceMap> {
        let list = self.read_free_list(superblock)?;
        let (free, mut list_blocks) = (list.extents, list.blocks);
        if let Some(names) = superblock.names
            && let Err(other) = list_blocks.insert(names.extent())
        {
            let found = format!("{}..{} another's", other.offset, other.end());
            let what = "place of the list of named checkpoints";
            return Err(self.corrupt(names.offset(), what, "its own", found));
        }
        Ok(SpaceMap { free, list_blocks, ..self.unknown_space(superblock.end) })
    }

    /// The same where the free list cannot be read: no space is known to be free.
    pub fn unknown_space(&self, end: u64) -> SpaceMap {
        SpaceMap {
            file: Arc::clone(self.label()),
            end,
            free: ExtentList::default(),
            list_blocks: ExtentList::default(),
            pending: Vec::new(),
            reached: ExtentList::default(),
            kept: Vec::new(),
        }
    }

    /// The space as it is now in memory, for a writer: what recovery claimed is in use.
    pub fn space_now(&self) -> SpaceMap {
        let state = self.state.lock();
        let allocator = &state.allocator;
        let mut list_blocks = allocator.list_blocks().clone();
        if let Some(names) = state.superblock.names {
            let joined = list_blocks.insert(names.extent());
            debug_assert!(joined.is_ok(), "lists lie in places of their own");
        }
        SpaceMap {
            file: Arc::clone(self.label()),
            end: allocator.end(),
            free: allocator.available().clone(),
            list_blocks,
            pending: allocator.pending().cloned().collect(),
            reached: ExtentList::default(),
            kept: Vec::new(),
        }
    }

    /// What is odd about the two superblock slots: one that is damaged, or two that differ. The newer
    /// one that verifies serves, so that neither is damage to what the file holds; a crash in the
    /// middle of a checkpoint leaves both. `superblock` is the one in use.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn slot_complaints(&self, superblock: &Superblock) -> Result<Vec<String>> {
        // Held while slots are written.
        let _none_is_written = self.newest.lock();
        let mut head = self.buffer(FIRST_EXTENT as usize)?;
        let read = self.file.read_exact_at(&mut head, 0);
        read.map_err(|error| Error::io("read", self.label(), error))?;
        Ok(superblock::slot_complaints(&head, superblock.id, self.label()))
    }

    /// Frees `extents`, which nothing reaches though they are in use, as [`Blocks::free`] does.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are not in use any more.
    pub fn free_unreached(&self, extents: &[Extent]) -> Result<()> {
        self.check_writable("free space")?;
        let mut state = self.state.lock();
        for &extent in extents {
            if state.allocator.free(extent, false).is_err() {
                let found = format!("{}..{} free", extent.offset, extent.end());
                return Err(self.corrupt(extent.offset, "place of a block", "in use", found));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Blocks {
    /// The extents in use now that are not in `reached`, which must be blocks of their own.
    pub(super) fn audit(&self, reached: impl IntoIterator<Item = Address>) -> Result<Vec<Extent>> {
        let mut space = self.space_now();
        reached.into_iter().try_for_each(|address| space.reach(&address))?;
        Ok(space.unreached())
    }
}
