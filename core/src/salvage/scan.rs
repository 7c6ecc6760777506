//! Leaves that no tree leads to.

use super::walk::Walk;
use crate::base::error::Result;
use crate::base::ids::TableId;
use crate::block::{Address, BlockKind, Damaged};

/// A leaf that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundLeaf {
    table: TableId,
    pub(super) address: Address,
    /// The checkpoint that was due when it was written.
    generation: u64,
    /// It lies in free space: it is what was there before.
    pub(super) is_free: bool,
}

/// All of them.
pub(super) struct FoundLeaves(Vec<FoundLeaf>);

impl FoundLeaves {
    /// Those of a table, the most telling first.
    pub(super) fn of(&self, table: TableId) -> impl Iterator<Item = &FoundLeaf> {
        let from = self.0.partition_point(|leaf| leaf.table < table);
        self.0.iter().skip(from).take_while(move |leaf| leaf.table == table)
    }

    /// The tables that any of them belongs to.
    pub(super) fn tables(&self) -> Vec<TableId> {
        let mut tables: Vec<_> = self.0.iter().map(|leaf| leaf.table).collect();
        tables.dedup();
        tables
    }
}

/// Searches the whole file for leaves that `walk` has not come by.
pub(super) fn leaves(damaged: &Damaged, walk: &mut Walk<'_, '_>) -> Result<FoundLeaves> {
    let blocks = &damaged.blocks;
    let superblock = damaged.superblock;
    let free = superblock.and_then(|superblock| blocks.space_of(&superblock).ok());
    let end = superblock.map_or(u64::MAX, |superblock| superblock.end);
    let mut found = Vec::new();
    blocks.find_blocks(&mut |address, header| {
        if header.kind == BlockKind::Leaf && walk.is_new(&address) {
            // Behind the end is what was written after the last checkpoint, or freed before it.
            let is_free =
                address.offset() >= end || free.as_ref().is_some_and(|free| free.is_free(&address));
            let (table, generation) = (header.table, header.generation);
            found.push(FoundLeaf { table, address, generation, is_free });
        }
        Ok(())
    })?;
    found.sort_by_key(|leaf| {
        let newest_first = u64::MAX - leaf.generation;
        (leaf.table, leaf.is_free, newest_first, u64::MAX - leaf.address.offset())
    });
    Ok(FoundLeaves(found))
}
