//! Changing a leaf: find it, latch it, mark the way to it dirty, change it, rebuild it when its
//! delta has outgrown its budget.

use super::{Structure, Target, Tree};
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::TxnId;
use crate::block::overflow::{OverflowRef, free_value};
use crate::memory::Owned;
use crate::page::{Latched, Leaf, PageRef, PinnedLeaf, State};
use crate::reconcile::{FoldRules, Folded, FoldedLeaf, fold};
use crate::sync::{epoch, is_left_out};

impl Tree {
    /// Calls `change` with the leaf of `key`, latched, alive and marked dirty; then rebuilds the
    /// leaf if it is over budget. `change` runs once. Where `pin` holds the leaf already, as it does for who
    /// writes where it stands or in ascending order, the way from the root is spared.
    ///
    /// # Errors
    /// What reading pages gives, and what `change` gives.
    pub fn write<R>(
        &self,
        key: &[u8],
        pin: &mut PinnedLeaf,
        change: impl FnOnce(&mut Latched<'_>) -> Result<R>,
    ) -> Result<R> {
        loop {
            if !pin.holds_place_of(self.id, key) {
                self.find_leaf(Target::At(key), pin)?;
            }
            let Some(leaf) = pin.leaf() else { continue };
            let mut latched = leaf.latch();
            let Some(home) = latched.home() else {
                drop(latched);
                pin.release();
                continue;
            };
            if !home.is_dirty() && !is_left_out!(WriteWithoutMark) {
                self.mark_dirty(key, &self.structure.lock());
            }
            leaf.touch();
            let result = change(&mut latched)?;
            if latched.is_over_budget() {
                self.rebuild(latched)?;
            }
            return Ok(result);
        }
    }

    /// Marks every reference from the root to the leaf of `key` dirty. The caller keeps that leaf
    /// in memory.
    pub(super) fn mark_dirty(&self, key: &[u8], _structure: &Structure<'_>) {
        let guard = epoch::pin();
        let mut reference: &PageRef = &self.root;
        loop {
            reference.set_dirty(true);
            match reference.state(&guard) {
                State::Index(index) => reference = index.child(index.find(key)),
                _ => return,
            }
        }
    }

    /// Builds what takes the leaf's place, and puts it there.
    ///
    /// # Errors
    /// When space of dropped values cannot be freed: the file is damaged.
    pub fn rebuild(&self, latched: Latched<'_>) -> Result<()> {
        let leaf = latched.leaf();
        let folded = self.fold(leaf, self.options.leaf_bytes_max as usize);
        self.shared.stats.pages_rebuilt.bump();
        let dropped = folded.dropped;
        let mut leaves = folded.leaves;
        match (leaves.len(), leaves.pop()) {
            (1, Some(only)) if only.is_empty() && !leaf.range().is_everything() => {
                self.remove_empty(latched, only);
            }
            (1, Some(only)) => self.replace_leaf(latched, only),
            (_, Some(last)) => {
                leaves.push(last);
                self.shared.stats.pages_split.bump();
                self.split(latched, leaves)?;
            }
            (_, None) => {}
        }
        self.free_overflow(&dropped)
    }

    /// Builds the leaf that `pin` holds again, because changes are in its readers' way; not if somebody
    /// writes to it just now.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild).
    pub fn fold_for_readers(&self, pin: &PinnedLeaf) -> Result<()> {
        match pin.leaf().and_then(Leaf::try_latch) {
            Some(latched) if !latched.leaf().is_dead() => self.rebuild(latched),
            _ => Ok(()),
        }
    }

    /// Folds the leaf under the rules of this moment.
    pub(super) fn fold<'p>(&self, leaf: &'p Leaf, leaf_bytes_max: usize) -> Folded<'p> {
        let transactions = &self.shared.transactions;
        // Asked for once, and only by leaves with chains that are not settled.
        let readable = std::cell::OnceCell::new();
        let is_superseded = |newer: TxnId, older: TxnId| {
            let snapshots = readable.get_or_init(|| transactions.readable());
            is_left_out!(FoldForgetsSnapshots)
                || !snapshots.iter().any(|snapshot| snapshot.sees(older) && !snapshot.sees(newer))
        };
        let rules = FoldRules {
            oldest: transactions.oldest(),
            is_superseded: &is_superseded,
            leaf_bytes_max,
        };
        fold(leaf, &rules)
    }

    /// Puts one folded leaf in the old one's place.
    pub(super) fn replace_leaf(&self, latched: Latched<'_>, folded: FoldedLeaf<'_>) {
        let Some(home) = latched.home() else { return };
        let new = self.leaf_from(folded, home);
        latched.replace_with(new, &self.shared.hazards);
    }

    /// The leaf that `folded` describes, for `home`.
    pub(super) fn leaf_from(&self, folded: FoldedLeaf<'_>, home: &PageRef) -> Owned<Leaf> {
        let FoldedLeaf { image, cell_txns, range, leftovers } = folded;
        let new = self.new_leaf(image, cell_txns, range, home);
        let mut latched = new.latch();
        for (key, versions) in &leftovers {
            latched.adopt(key, versions);
        }
        if !leftovers.is_empty() {
            latched.bear_detours();
        }
        if latched.is_over_budget() {
            latched.raise_budget();
        }
        drop(latched);
        new
    }

    /// Frees the extents of values that nobody can see any more.
    pub(super) fn free_overflow(&self, dropped: &[Vec<u8>]) -> Result<()> {
        if dropped.is_empty() || self.shared.replaced.take_over(dropped) {
            return Ok(());
        }
        for bytes in dropped {
            let value = OverflowRef::decode(&mut Reader::new(bytes)).ok_or_else(|| {
                let label = self.shared.blocks.label();
                Error::corrupt(label, 0, "reference of a long value", "an address", "none")
            })?;
            free_value(&self.shared.blocks, &value)?;
        }
        Ok(())
    }
}
