//! Walking over the rows of one leaf, its image and its entries, in one go.

use std::ops::ControlFlow;

use super::position::{Place, entry_key, value_at};
use crate::page::{Leaf, ValueRef, Verdict, View};

/// A walk within one leaf.
pub(super) struct LeafWalk<'w, V> {
    pub(super) leaf: &'w Leaf,
    pub(super) order: &'w [u16],
    pub(super) view: &'w V,
    /// That of the last row.
    pub(super) key: &'w mut Vec<u8>,
    /// The last row that was visited.
    pub(super) last: Option<Place>,
}

impl<V: View> LeafWalk<'_, V> {
    /// From the row `at` on: slots up to the next entry, the entry, and so on.
    pub(super) fn up<B>(
        mut self,
        at: Place,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> (Option<Place>, Option<B>) {
        let image = self.leaf.image();
        let mut has_prefix = at.on_slot;
        let mut slot = at.slot + usize::from(at.on_slot);
        let mut entry = at.entry + usize::from(at.on_entry);
        loop {
            let number = self.order.get(entry);
            let (end, on_slot) = match number {
                None => (image.len(), false),
                Some(number) => match image.search(entry_key(self.leaf, *number)) {
                    Ok(end) => (end, true),
                    Err(end) => (end, false),
                },
            };
            while slot < end {
                match self.look_at_slot(slot, entry, &mut has_prefix, visit) {
                    Look::Seen(ControlFlow::Continue(())) | Look::Unseen => slot += 1,
                    Look::Seen(ControlFlow::Break(why)) => return (self.last, Some(why)),
                    Look::Elsewhere => return (self.last, None),
                }
            }
            let Some(number) = number else { return (self.last, None) };
            let place = Place { slot, entry, on_slot, on_entry: true };
            match value_at(self.leaf, self.order, place, self.view) {
                None => {}
                Some(ValueRef::Overflow(_)) => return (self.last, None),
                Some(ValueRef::Inline(value)) => {
                    self.key.clear();
                    self.key.extend_from_slice(entry_key(self.leaf, *number));
                    (has_prefix, self.last) = (on_slot, Some(place));
                    if let ControlFlow::Break(why) = visit(self.key, value) {
                        return (self.last, Some(why));
                    }
                }
            }
            (slot, entry) = (slot + usize::from(on_slot), entry + 1);
        }
    }

    /// The same downward, as far as there are no entries.
    pub(super) fn down<B>(
        mut self,
        at: Place,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> (Option<Place>, Option<B>) {
        let mut has_prefix = at.on_slot;
        let slots = if at.entry == 0 { 0..at.slot } else { 0..0 };
        for slot in slots.rev() {
            match self.look_at_slot(slot, 0, &mut has_prefix, visit) {
                Look::Seen(ControlFlow::Continue(())) | Look::Unseen => {}
                Look::Seen(ControlFlow::Break(why)) => return (self.last, Some(why)),
                Look::Elsewhere => break,
            }
        }
        (self.last, None)
    }

    #[inline(always)]
    fn look_at_slot<B>(
        &mut self,
        slot: usize,
        entry: usize,
        has_prefix: &mut bool,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Look<B> {
        match self.view.verdict(self.leaf.cell_txn(slot)) {
            Verdict::Seen => {}
            Verdict::Unseen => return Look::Unseen,
            Verdict::Unknown => return Look::Elsewhere,
        }
        let Some(value) = self.leaf.image().inline_row_into(slot, *has_prefix, self.key) else {
            return Look::Elsewhere;
        };
        *has_prefix = true;
        self.last = Some(Place { slot, entry, on_slot: true, on_entry: false });
        Look::Seen(visit(self.key, value))
    }
}

/// What a walk made of a slot.
enum Look<B> {
    /// It was visited.
    Seen(ControlFlow<B>),
    /// The view does not see it.
    Unseen,
    /// The walk cannot tell, or the value is not on the leaf.
    Elsewhere,
}
