//! Removing an empty leaf, and the indexes that this leaves without children.
//!
//! The keys of what is removed go to a neighbour: the last leaf below the left one, or the first leaf
//! below the right one. That leaf is replaced by one with a wider range if it is in memory, and
//! claimed while the parent changes if it is on disk, so that nobody reads it in with the old range.
//! When the neighbour is busy, or would have to be split, the empty leaf stays: it is tried again when it is next
//! rebuilt.

use super::{Structure, Tree};
use crate::page::{
    Index, Latched, LeafRange, PageRef, PinnedLeaf, State, bury_index, replace_index,
};
use crate::reconcile::{FoldedLeaf, slots_of};
use crate::sync::epoch::{self, Guard};
use crate::sync::is_left_out;

impl Tree {
    /// Takes the latched leaf, of which nothing is left but `folded`, out of the tree.
    pub(super) fn remove_empty(&self, latched: Latched<'_>, folded: FoldedLeaf<'_>) {
        let range = latched.leaf().range().clone();
        let structure = self.structure.lock();
        let guard = epoch::pin();
        let Some(home) = latched.home() else { return };
        // Before any index leads past it; see `kill`.
        latched.kill();
        let mut path = self.path_to(home, &range.low, &guard);
        // An index whose only child goes, goes too.
        let mut emptied = Vec::new();
        while let Some(parent) = path.last()
            && let State::Index(index) = parent.state(&guard)
            && index.child_count() == 1
        {
            emptied.extend(path.pop());
        }
        let victim = emptied.last().copied().unwrap_or(home);
        let removed = path
            .last()
            .is_some_and(|parent| self.remove_child(parent, victim, &range, &guard, &structure));
        if !removed {
            drop(structure);
            return self.replace_leaf(latched, folded);
        }
        path.iter().for_each(|reference| reference.set_dirty(true));
        self.forget_block(home.home().address);
        for index in emptied {
            self.forget_block(index.home().address);
            bury_index(index, false, &guard);
        }
        self.shrink_root(&guard, &structure);
        drop(structure);
        latched.bury(&self.shared.hazards, &guard);
    }

    /// Takes `victim`, whose keys are `range`, out of the index of `parent`; false when the neighbour
    /// that gets the keys is busy.
    fn remove_child(
        &self,
        parent: &PageRef,
        victim: &PageRef,
        range: &LeafRange,
        guard: &Guard,
        structure: &Structure<'_>,
    ) -> bool {
        let State::Index(index) = parent.state(guard) else { return false };
        let Some(at) = index.position(victim) else { return false };
        let image = slots_of(index.image(), &[0..at, at + 1..index.child_count()]);
        let mut children = index.children().to_vec();
        children.remove(at);
        let install =
            || replace_index(parent, self.new_index(image, children.into_boxed_slice()), guard);
        let is_first = at == 0;
        let neighbour = index.child(if is_first { 1 } else { at - 1 });
        self.widen(neighbour, is_first, range, guard, structure, install)
    }

    /// Gives the keys of `range` to the nearest leaf below `neighbour` (the first, or the last), and
    /// calls `install` while nobody can read that leaf in or write to it.
    fn widen(
        &self,
        neighbour: &PageRef,
        first: bool,
        range: &LeafRange,
        guard: &Guard,
        structure: &Structure<'_>,
        install: impl FnOnce(),
    ) -> bool {
        let mut reference = neighbour;
        while let State::Index(index) = reference.state(guard) {
            reference = index.child(if first { 0 } else { index.child_count() - 1 });
        }
        let mut pin = self.shared.new_pin();
        if !pin.pin(reference) {
            let Some(claim) = reference.claim() else { return false };
            install();
            drop(claim);
            self.shared.loads.ended();
            return true;
        }
        self.widen_leaf(&pin, first, range, structure, install)
    }

    fn widen_leaf(
        &self,
        pin: &PinnedLeaf,
        first: bool,
        range: &LeafRange,
        structure: &Structure<'_>,
        install: impl FnOnce(),
    ) -> bool {
        // Only tried: another thread may hold this latch and wait for the structure lock, which
        // we hold.
        let Some(latched) = pin.leaf().and_then(|leaf| leaf.try_latch()) else { return false };
        let Some(home) = latched.home() else { return false };
        let mut folded = self.fold(latched.leaf(), usize::MAX);
        // Rows with a huge prefix, each of which would be written out, make several leaves all the same. It is split when
        // it is built again itself.
        let (Some(mut only), true) = (folded.leaves.pop(), folded.leaves.is_empty()) else {
            return false;
        };
        if first {
            only.range.low = range.low.clone();
        } else {
            only.range.high = range.high.clone();
        }
        let wider = self.leaf_from(only, home);
        // A clean leaf could leave before `install`, and be read in again with the old range. A dirty one is written
        // first, which ends under the structure lock.
        if !is_left_out!(WidenWithoutMark) {
            self.mark_dirty(&latched.leaf().range().low, structure);
        }
        // First the leaf, so that whoever is led here finds the wider range.
        latched.replace_with(wider, &self.shared.hazards);
        install();
        if let Err(error) = self.free_overflow(&folded.dropped) {
            tracing::warn!(%error, "a dropped value's space could not be freed");
        }
        true
    }

    /// A root with one child that is an index in memory takes that index over.
    fn shrink_root(&self, guard: &Guard, _structure: &Structure<'_>) {
        while let State::Index(root) = self.root.state(guard)
            && root.child_count() == 1
            && let State::Index(only) = root.child(0).state(guard)
        {
            let child = root.child(0);
            let taken = self.copy_index(only);
            let mut home = self.root.home();
            self.forget_block(home.address);
            self.forget_block(child.home().address);
            home.address = None;
            home.written = 0;
            home.serial = self.next_serial();
            self.root.set_home(home);
            self.root.set_level(child.level());
            self.root.set_dirty(true);
            replace_index(&self.root, taken, guard);
            bury_index(child, false, guard);
        }
    }

    fn copy_index(&self, index: &Index) -> Box<Index> {
        let image = slots_of(index.image(), std::slice::from_ref(&(0..index.child_count())));
        self.new_index(image, index.children().into())
    }
}
