//! A leaf, or what is left of one, held under a hazard pointer: the reader's half of the hazard protocol.

use std::ptr::NonNull;

use super::leaf::{Leaf, ValueRef};
use super::misses::Misses;
use super::reference::PageRef;
use super::remnant::Remnant;
use crate::base::ids::TableId;
use crate::reclaim::HazardSlot;
use crate::sync::is_left_out;
use crate::sync::life::Mortal;

/// A hazard slot, and the leaf that it protects now.
pub struct PinnedLeaf {
    slot: HazardSlot,
    leaf: Option<NonNull<Leaf>>,
    /// What it protects in place of a leaf.
    remnant: Option<NonNull<Remnant>>,
    /// The tree that the leaf is of, if whoever pinned it said.
    tree: Option<TableId>,
    /// How many leaves it held before this one.
    turns: u64,
    misses: Misses,
    /// A value on what is held: whether it is a reference, and where its bytes are.
    value: Option<(bool, NonNull<[u8]>)>,
}

// SAFETY: leaf and remnant are `Sync`, and the hazard that keeps them alive moves along.
unsafe impl Send for PinnedLeaf {}

impl PinnedLeaf {
    /// Holds nothing yet.
    pub fn new(slot: HazardSlot) -> Self {
        Self {
            slot,
            leaf: None,
            remnant: None,
            tree: None,
            turns: 0,
            misses: Misses::default(),
            value: None,
        }
    }

    /// As [`pin`](Self::pin), of a leaf of `tree`.
    #[inline]
    pub fn pin_of(&mut self, tree: TableId, reference: &PageRef) -> bool {
        let is_pinned = self.pin(reference);
        self.tree = Some(tree);
        is_pinned
    }

    /// Holds the leaf that `reference` names; false, and nothing is held, when it names none or is
    /// being changed. The caller keeps `reference` alive by an epoch guard.
    #[inline]
    pub fn pin(&mut self, reference: &PageRef) -> bool {
        self.leaf = self.protect(|| reference.leaf());
        self.leaf.is_some()
    }

    /// Holds what is left in memory of the leaf of `tree` that `reference` names, if that has the row of `key`, whose
    /// value is then remembered; else false, and nothing is held. No leaf is. It counts as a read of the row, unless
    /// it `came_for` this one.
    #[inline]
    pub fn pin_row_of(
        &mut self,
        tree: TableId,
        reference: &PageRef,
        key: &[u8],
        came_for: bool,
    ) -> bool {
        if !self.pin_remnant(reference) {
            return false;
        }
        self.value = self.remnant().and_then(|remnant| remnant.read(key, came_for)).map(place_of);
        if self.value.is_none() {
            self.release();
            return false;
        }
        self.tree = Some(tree);
        true
    }

    /// The same whatever it has.
    #[inline]
    pub fn pin_remnant(&mut self, reference: &PageRef) -> bool {
        self.remnant = self.protect(|| reference.remnant());
        self.remnant.is_some()
    }

    /// Each holds what the other held; what they wanted lately stays where it was.
    pub fn swap_page(&mut self, other: &mut Self) {
        std::mem::swap(self, other);
        std::mem::swap(&mut self.misses, &mut other.misses);
    }

    /// What whoever holds this wanted lately that was not in memory.
    pub fn misses(&mut self) -> &mut Misses {
        &mut self.misses
    }

    /// Protects what `named` names, from the first call to the second; none, and nothing is held, where it names
    /// nothing or something else the second time.
    #[inline]
    fn protect<T>(&mut self, named: impl Fn() -> Option<NonNull<T>>) -> Option<NonNull<T>> {
        (self.value, self.tree) = (None, None);
        self.turns += 1;
        let Some(page) = named() else {
            self.release();
            return None;
        };
        (self.leaf, self.remnant) = (None, None);
        // The protocol: publish the pointer that was read, then read the word again. The fence in
        // `publish` pairs with the scanner's: either we see the changed word, or it sees us.
        self.slot.publish(page.cast());
        let unchanged = is_left_out!(PinWithoutSecondLook) || named() == Some(page);
        if !unchanged {
            self.slot.clear();
        }
        unchanged.then_some(page)
    }

    /// The leaf that is held.
    #[inline]
    pub fn leaf(&self) -> Option<&Leaf> {
        // SAFETY: whoever replaces or evicts the leaf changes the word before it scans the hazards;
        // `pin` saw the word unchanged after it had published, so every later scan finds the
        // slot, which is not cleared while `self` is borrowed.
        let leaf = self.leaf.map(|leaf| unsafe { leaf.as_ref() })?;
        leaf.life().touch();
        Some(leaf)
    }

    /// What is held in place of a leaf.
    #[inline]
    pub fn remnant(&self) -> Option<&Remnant> {
        // SAFETY: as in `leaf`: whoever takes a remnant out of a word retires it after that.
        let remnant = self.remnant.map(|remnant| unsafe { remnant.as_ref() })?;
        remnant.life().touch();
        Some(remnant)
    }

    /// Whether a leaf of `tree` is held that `key` belongs to, or did while the leaf was alive.
    pub fn holds_place_of(&self, tree: TableId, key: &[u8]) -> bool {
        self.tree == Some(tree) && self.leaf().is_some_and(|leaf| leaf.covers(key))
    }

    /// The tree whose leaf is held, or what is left of one, if whoever pinned it said.
    pub fn tree(&self) -> Option<TableId> {
        self.tree.filter(|_| self.leaf.is_some() || self.remnant.is_some())
    }

    /// A number that changes when another leaf is pinned.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Remembers a value that `choose` finds on the leaf, until the leaf is let go; true when it
    /// found one.
    #[inline]
    pub fn remember(
        &mut self,
        choose: impl for<'p> FnOnce(&'p Leaf) -> Option<ValueRef<'p>>,
    ) -> bool {
        self.value = self.leaf().and_then(choose).map(place_of);
        self.value.is_some()
    }

    /// Remembers a value that `choose` finds on the leaf in place of what is remembered; where it finds
    /// none, that stays.
    #[inline]
    pub fn move_to(
        &mut self,
        choose: impl for<'p> FnOnce(&'p Leaf) -> Option<ValueRef<'p>>,
    ) -> bool {
        let value = self.leaf().and_then(choose).map(place_of);
        if value.is_some() {
            self.value = value;
        }
        value.is_some()
    }

    /// The value that was remembered.
    #[inline]
    pub fn value(&self) -> Option<ValueRef<'_>> {
        let (is_reference, bytes) = self.value?;
        // SAFETY: `remember` or `move_to` took the bytes from the leaf (their closures can name no
        // shorter lifetime), and image and arena never change or move while the hazard holds the leaf;
        // or `pin_row_of` from the remnant, of which the same is true.
        let bytes = unsafe { bytes.as_ref() };
        Some(if is_reference { ValueRef::Overflow(bytes) } else { ValueRef::Inline(bytes) })
    }

    /// Remembers no value any more.
    pub fn forget_value(&mut self) {
        self.value = None;
    }

    /// Lets go of what is held.
    #[inline]
    pub fn release(&mut self) {
        self.value = None;
        let (leaf, remnant) = (self.leaf.take(), self.remnant.take());
        if leaf.is_some() || remnant.is_some() {
            self.slot.clear();
        }
    }
}

/// Whether a value is a reference, and where its bytes are.
#[inline]
fn place_of(value: ValueRef<'_>) -> (bool, NonNull<[u8]>) {
    match value {
        ValueRef::Inline(bytes) => (false, NonNull::from(bytes)),
        ValueRef::Overflow(bytes) => (true, NonNull::from(bytes)),
    }
}

impl Drop for PinnedLeaf {
    fn drop(&mut self) {
        self.release();
    }
}
