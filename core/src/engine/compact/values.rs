//! The second stage: long values.
//!
//! Where a long value lies is written in its leaf and in the log, so it moves by a transaction that
//! gives its key the same value at another place. Replay then ends with the new place, in the order of
//! the log, and readers of the old one keep it for as long as their snapshots live. The version says
//! that nothing but the place changed (`UpdateKind::Moved`), so that nobody's transaction, begun
//! before, conflicts with it.

use super::{CompactStage, Compaction, SPARE_PART, Stop};
use crate::base::codec::Reader;
use crate::base::error::Result;
use crate::base::ids::TableId;
use crate::block::overflow::{OverflowRef, addresses, copy_value};
use crate::block::{Address, Destination, Extent, FIRST_EXTENT, SpaceUse};
use crate::btree::{LongValue, Target, Tree};
use crate::engine::Inner;
use crate::mvcc::Transactions;
use crate::page::{Lookup, ValueRef};
use crate::sync::Arc;
use crate::txn::{Transaction, Wrote};

/// The round in which values that find no room are set aside.
pub(super) const ASIDE: usize = 1;

impl Compaction<'_> {
    /// Moves long values forward, as far as there is room for them in front: in the first round those
    /// behind where the file could end, later all that have gaps in front of them. In one round a step's
    /// worth of those for which there is no room, though there are gaps, is set aside to the file's
    /// end, so that the gaps that they leave join others.
    pub(super) fn move_values(&mut self, round: usize) -> Result<(), Stop> {
        if !self.has_long_values()? {
            return Ok(());
        }
        let blocks = &self.inner.shared.blocks;
        let SpaceUse { used_bytes, .. } = blocks.space_use();
        let first_gap = blocks.first_gap(used_bytes / SPARE_PART).filter(|_| round > 0);
        let from_offset = first_gap.unwrap_or(FIRST_EXTENT + used_bytes);
        let mut aside_bytes = if round == ASIDE { 0 } else { u64::MAX };
        let mut step_bytes = 0;
        for id in self.tables() {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                let mut values = Vec::new();
                let next = self.with_tree(id, |tree| tree.long_values(&key, &mut values))?;
                from = next.flatten();
                for value in values {
                    let mut moved = self.move_value(id, &value, from_offset, false)?;
                    if moved == Moved::NoRoom && aside_bytes < self.step_bytes() {
                        moved = self.move_value(id, &value, from_offset, true)?;
                        aside_bytes += moved.bytes();
                    }
                    step_bytes += moved.bytes();
                    if step_bytes >= self.step_bytes() {
                        self.report.moved_bytes += std::mem::take(&mut step_bytes);
                        self.end_step(CompactStage::Values)?;
                    }
                }
            }
        }
        self.report.moved_bytes += step_bytes;
        // The first checkpoint takes the old places out of the leaves, the second releases them.
        self.end_step(CompactStage::Values)?;
        self.end_step(CompactStage::Values)
    }

    /// Whether much of what is in use is not pages: then it is long values.
    fn has_long_values(&self) -> Result<bool, Stop> {
        let SpaceUse { used_bytes, end, .. } = self.inner.shared.blocks.space_use();
        let everywhere = Extent { offset: FIRST_EXTENT, len: end - FIRST_EXTENT };
        let mut pages_bytes = 0;
        for id in self.tables().into_iter().chain([TableId::CATALOG]) {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                let next = self.with_tree(id, |tree| {
                    tree.pages_within(&key, everywhere, &mut |page| {
                        pages_bytes += page.address.extent().len;
                    })
                })?;
                from = next.flatten();
            }
        }
        Ok(used_bytes.saturating_sub(pages_bytes) > used_bytes / SPARE_PART)
    }

    /// Moves one value if a part of it lies behind `from_offset`.
    fn move_value(
        &self,
        id: TableId,
        value: &LongValue,
        from_offset: u64,
        aside: bool,
    ) -> Result<Moved, Stop> {
        let inner = self.inner;
        let moved = self.alone(|| {
            let Some(table) = inner.catalog.get_by_id(id) else { return Ok(Moved::Not) };
            move_value(inner, table.tree(), value, from_offset, aside)
        })?;
        self.inner.make_room(self.inner.options.timeout)?;
        self.inner.relieve();
        Ok(moved)
    }
}

/// What moving a value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    /// It lies well, or is another by now.
    Not,
    NoRoom,
    Bytes(u64),
}

impl Moved {
    fn bytes(self) -> u64 {
        if let Self::Bytes(bytes) = self { bytes } else { 0 }
    }
}

fn move_value(
    inner: &Inner,
    tree: &Arc<Tree>,
    value: &LongValue,
    from_offset: u64,
    aside: bool,
) -> Result<Moved> {
    let blocks = &inner.shared.blocks;
    let snapshot = Transactions::snapshot(&inner.shared.transactions);
    let mut transaction = Transaction::new(Some(snapshot), &inner.shared.cache);
    let mut pin = inner.shared.new_pin();
    // Still the value of its key, and therefore there for as long as the snapshot lives?
    tree.find_leaf(Target::At(&value.key), &mut pin)?;
    let view = transaction.view();
    let found = pin.leaf().map(|leaf| leaf.lookup(&value.key, &view));
    let same = matches!(found, Some(Lookup::Found(ValueRef::Overflow(found))) if *found == value.reference);
    pin.release();
    let reference = OverflowRef::decode(&mut Reader::new(&value.reference));
    let Some(reference) = reference.filter(|_| same) else { return Ok(Moved::Not) };
    let parts = addresses(blocks, &reference)?;
    let is_kept = |part: &Address| blocks.is_kept(part);
    if parts.iter().all(|part| part.extent().end() <= from_offset) || parts.iter().any(is_kept) {
        return Ok(Moved::Not);
    }
    let last_offset = parts.iter().map(Address::offset).max().unwrap_or_default();
    let destination = if aside { Destination::End } else { Destination::Before(last_offset) };
    let copy = copy_value(blocks, tree.id(), &reference, destination)?;
    let Some(copy) = copy else { return Ok(Moved::NoRoom) };
    let wrote = transaction.move_long_value(tree, &value.key, copy, &inner.committer, &mut pin);
    match wrote {
        Ok(Wrote::Done(_)) => {
            transaction.commit(&inner.committer, &mut pin, false)?;
            Ok(Moved::Bytes(parts.iter().map(|part| part.extent().len).sum()))
        }
        // Somebody else is writing to the key; the value that he replaces need not move.
        Ok(Wrote::Unwanted | Wrote::Conflict(_)) => {
            transaction.rollback(&mut pin)?;
            Ok(Moved::Not)
        }
        Err(error) => {
            transaction.rollback(&mut pin)?;
            Err(error)
        }
    }
}
