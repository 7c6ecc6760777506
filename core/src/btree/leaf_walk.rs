//! Walking over the rows of one leaf, its image and its entries, in one go.

use std::ops::ControlFlow;

use super::position::{Place, entry_key, value_at};
use crate::page::{Leaf, ValueRef, Verdict, View};

/// Among how many slots the next entry is looked for first.
const REACH_FIRST: usize = 12;

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
        let mut has_prefix = at.on_slot;
        let mut slot = at.slot + usize::from(at.on_slot);
        let mut entry = at.entry + usize::from(at.on_entry);
        let mut reach = REACH_FIRST;
        loop {
            let stop = self.stop(slot, entry, &mut reach);
            while slot < stop.slot() {
                match self.look_at_slot(slot, entry, &mut has_prefix, visit) {
                    Look::Seen(ControlFlow::Continue(())) | Look::Unseen => slot += 1,
                    Look::Seen(ControlFlow::Break(why)) => return (self.last, Some(why)),
                    Look::Elsewhere => return (self.last, None),
                }
            }
            let (number, on_slot) = match stop {
                Stop::Further(_) => continue,
                Stop::End(_) => return (self.last, None),
                Stop::Entry { number, on_slot, .. } => (number, on_slot),
            };
            let place = Place { slot, entry, on_slot, on_entry: true };
            match value_at(self.leaf, self.order, place, self.view) {
                None => {}
                Some(ValueRef::Overflow(_)) => return (self.last, None),
                Some(ValueRef::Inline(value)) => {
                    self.key.clear();
                    self.key.extend_from_slice(entry_key(self.leaf, number));
                    (has_prefix, self.last) = (on_slot, Some(place));
                    if let ControlFlow::Break(why) = visit(self.key, value) {
                        return (self.last, Some(why));
                    }
                }
            }
            (slot, entry) = (slot + usize::from(on_slot), entry + 1);
        }
    }

    /// Where the slots from `slot` on end that stand in front of the next entry, which is `entry`. Most walks
    /// are short and most entries far, or both are close: it is looked for among the slots that come next, then
    /// among twice as many.
    fn stop(&self, slot: usize, entry: usize, reach: &mut usize) -> Stop {
        let image = self.leaf.image();
        let Some(number) = self.order.get(entry).copied() else { return Stop::End(image.len()) };
        match image.search_within(slot, *reach, entry_key(self.leaf, number)) {
            None => {
                let stop = slot + *reach;
                *reach *= 2;
                Stop::Further(stop)
            }
            Some(found) => {
                *reach = REACH_FIRST;
                let (Ok(slot) | Err(slot)) = found;
                Stop::Entry { slot, number, on_slot: found.is_ok() }
            }
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

/// Where a run of slots ends.
enum Stop {
    /// In front of more slots, perhaps.
    Further(usize),
    /// At the entry of this number, whose key the slot has too or not.
    Entry { slot: usize, number: u16, on_slot: bool },
    /// Behind the last slot of the leaf.
    End(usize),
}

impl Stop {
    fn slot(&self) -> usize {
        match *self {
            Self::Further(slot) | Self::End(slot) | Self::Entry { slot, .. } => slot,
        }
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
