//! Comparing what is reached with what is allocated: for `verify`, and to find again what a crash
//! in the middle of a checkpoint left unreachable.

use super::allocator::Allocator;
use super::available::AvailableExtents;
use super::blocks::Blocks;
use super::extent::{Extent, ExtentList};
use super::{Address, FIRST_EXTENT};
use crate::base::error::Result;

/// What [`Blocks::audit`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Bytes of the blocks that are reached.
    pub reached_bytes: u64,
    /// In use and not reached, in the order of the file.
    pub unreached: Vec<Extent>,
}

impl Audit {
    /// Bytes in use and not reached.
    pub fn unreached_bytes(&self) -> u64 {
        self.unreached.iter().map(|extent| extent.len).sum()
    }
}

impl Blocks {
    /// Checks that `reached`, every block that any tree, value or log record names, are disjoint
    /// and none of them free, and finds what is in use and not reached. The free list's own
    /// blocks need not be in it. Nothing may be written or freed meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] when two blocks overlap or one is free.
    pub fn audit(&self, reached: impl IntoIterator<Item = Address>) -> Result<Audit> {
        let allocator = self.allocator_for_audit()?;
        let mut reached_list = ExtentList::default();
        for address in reached {
            let extent = address.extent();
            let free = allocator.available().overlap(extent);
            let twice = allocator.list_blocks().overlap(extent);
            let outside = extent.end() > allocator.end();
            let other = free.or(twice).or_else(|| outside.then_some(extent));
            if let Some(other) = other.or_else(|| reached_list.insert(extent).err()) {
                let expected = format!("{}..{} its own", extent.offset, extent.end());
                let found = format!("{}..{} free or another's", other.offset, other.end());
                return Err(self.corrupt(extent.offset, "place of a block", expected, found));
            }
        }
        let reached_bytes = reached_list.bytes();
        let unreached = complement(&reached_list, &allocator);
        Ok(Audit { reached_bytes, unreached })
    }

    /// Frees `extents`, which an audit found unreached, as [`Blocks::free`] does.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] when they are not in use any more.
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

    /// The allocation state; a reader takes it from the file.
    fn allocator_for_audit(&self) -> Result<Allocator> {
        if self.is_writable() {
            return Ok(self.state.lock().allocator.clone());
        }
        let superblock = self.superblock();
        let list = self.read_free_list(&superblock)?;
        Ok(Allocator::new(list.extents, list.blocks, superblock.end, superblock.end))
    }
}

/// What of the allocated part is in none of the lists. They may overlap: a block that the last
/// checkpoint reaches may be freed for the next one already.
fn complement(reached: &ExtentList, allocator: &Allocator) -> Vec<Extent> {
    let all = Extent { offset: FIRST_EXTENT, len: allocator.end() - FIRST_EXTENT };
    let mut unknown = AvailableExtents::default();
    if all.len > 0 && unknown.insert(all).is_err() {
        return Vec::new();
    }
    let known = [reached, allocator.available(), allocator.list_blocks()];
    for extent in known.into_iter().chain(allocator.pending()).flat_map(ExtentList::iter) {
        unknown.take_range(extent);
    }
    unknown.list().iter().collect()
}
