//! Where a position is among a leaf's slots and entries, and how it steps from one to the next.

use std::cmp::Ordering as KeyOrder;

use super::{Place, Position, Way, entry_key, looks, value_at};
use crate::base::error::Result;
use crate::btree::{Target, Tree};
use crate::page::{Leaf, ValueRef, View};
use crate::sync::is_left_out;

/// How many entries a walk passes in the time of one look.
const PASSED_PER_LOOK: usize = 4;

impl Position {
    /// Finds the key's place among the leaf's slots and entries.
    pub(super) fn locate(&mut self) -> Place {
        let Some(leaf) = self.pin.leaf() else { return Place::default() };
        let (slot, on_slot) = match leaf.image().search(&self.key) {
            Ok(slot) => (slot, true),
            Err(slot) => (slot, false),
        };
        self.locate_among_entries(Place { slot, on_slot, ..Place::default() })
    }

    /// Where the position is among what the leaf has by now.
    pub(super) fn place_now(&mut self) -> Place {
        let sorted = self.order.len();
        let is_sorted = self.pin.leaf().is_some_and(|leaf| leaf.entry_count() == sorted);
        match self.place {
            // From nowhere there is no key to look for again; what came meanwhile no view sees.
            Some(place) if is_sorted || !self.is_set => place,
            Some(place) => self.locate_among_entries(place),
            None => self.locate(),
        }
    }

    /// The same where the key's place among the slots is known, which stays as long as the leaf.
    fn locate_among_entries(&mut self, mut place: Place) -> Place {
        let Some(leaf) = self.pin.leaf() else { return Place::default() };
        leaf.sort_entries_into(&mut self.order);
        let (key, order) = (self.key.as_slice(), &self.order);
        place.entry = leaf.entries_below(order, key);
        place.on_entry =
            order.get(place.entry).is_some_and(|number| entry_key(leaf, *number) == key);
        self.place = Some(place);
        place
    }

    /// On a leaf that was just pinned: in front of, or behind, all that it has.
    pub(super) fn enter(&mut self, way: Way) {
        let Some(leaf) = self.pin.leaf() else { return };
        leaf.sort_entries_into(&mut self.order);
        // Whoever enters a leaf at an end is likely to walk past all that it has, at a few per look.
        self.looks = looks(self.order.len() / PASSED_PER_LOOK);
        let mut place = Place::default();
        if way == Way::Backward {
            (place.slot, place.entry) = (leaf.image().len(), self.order.len());
        }
        self.place = Some(place);
    }

    pub(super) fn step(&mut self, tree: &Tree, view: &impl View, way: Way) -> Result<bool> {
        // Whoever holds a dead leaf looks where its keys went: the view may be younger.
        if self.is_set && self.pin.leaf().is_none_or(Leaf::is_dead) {
            let key = std::mem::take(&mut self.key);
            match way {
                Way::Forward => self.go_to(tree, &key)?,
                Way::Backward => self.go_before(tree, &key)?,
            }
        }
        let mut place = self.place_now();
        loop {
            while self.advance(&mut place, way) {
                let (order, key) = (&self.order, &mut self.key);
                if self.pin.remember(|leaf| row_at(leaf, order, place, view, key)) {
                    self.is_set = true;
                    self.place = Some(place);
                    return Ok(true);
                }
            }
            if !self.enter_next_leaf(tree, way)? {
                self.reset();
                return Ok(false);
            }
            place = self.place.unwrap_or_default();
        }
    }

    /// Moves `place` by one key within the leaf; false at its end.
    #[inline]
    fn advance(&self, place: &mut Place, way: Way) -> bool {
        let Some(leaf) = self.pin.leaf() else { return false };
        let (slots, entries) = (leaf.image().len(), self.order.len());
        if entries == 0 {
            place.slot = match way {
                Way::Forward => place.slot + usize::from(place.on_slot),
                Way::Backward => place.slot.wrapping_sub(1),
            };
            place.on_slot = place.slot < slots;
            return place.on_slot;
        }
        let (slot, entry) = match way {
            Way::Forward => {
                place.slot += usize::from(place.on_slot);
                place.entry += usize::from(place.on_entry);
                let some = |at: usize, len: usize| (at < len).then_some(at);
                (some(place.slot, slots), some(place.entry, entries))
            }
            Way::Backward => (place.slot.checked_sub(1), place.entry.checked_sub(1)),
        };
        let nearer = match (slot, entry) {
            (None, None) => return false,
            (Some(_), None) => KeyOrder::Less,
            (None, Some(_)) => KeyOrder::Greater,
            (Some(slot), Some(entry)) => {
                let order = leaf.image().compare(slot, entry_key(leaf, self.order[entry]));
                if way == Way::Forward { order } else { order.reverse() }
            }
        };
        place.on_slot = nearer.is_le();
        place.on_entry = nearer.is_ge();
        if way == Way::Backward {
            place.slot -= usize::from(place.on_slot);
            place.entry -= usize::from(place.on_entry);
        }
        true
    }

    /// Pins the neighbouring leaf; false when there is none.
    fn enter_next_leaf(&mut self, tree: &Tree, way: Way) -> Result<bool> {
        self.order.clear();
        let Some(leaf) = self.pin.leaf() else { return Ok(false) };
        if self.reads_once {
            leaf.chill();
        }
        let border = match way {
            Way::Forward => {
                let Some(high) = leaf.range().high.clone() else { return Ok(false) };
                self.ahead.find_leaf(tree, Target::At(&high), way, &mut self.pin)?;
                high
            }
            Way::Backward => {
                let low = leaf.range().low.clone();
                if low.is_empty() {
                    return Ok(false);
                }
                self.ahead.find_leaf(tree, Target::Before(&low), way, &mut self.pin)?;
                low
            }
        };
        let begins_there = self.pin.leaf().is_some_and(|leaf| match way {
            Way::Forward => leaf.range().low == border,
            Way::Backward => leaf.range().high.as_ref() == Some(&border),
        });
        if begins_there || is_left_out!(EnterWithoutBorder) {
            self.enter(way);
        } else {
            self.enter_at(&border);
        }
        Ok(true)
    }

    /// On a leaf that was just pinned and covers more than what lies beyond `border`, because it got
    /// the keys of a neighbour that was removed: it may even be the one that we come from.
    fn enter_at(&mut self, border: &[u8]) {
        let Some(leaf) = self.pin.leaf() else { return };
        leaf.sort_entries_into(&mut self.order);
        let (Ok(slot) | Err(slot)) = leaf.image().search(border);
        let entry = leaf.entries_below(&self.order, border);
        self.place = Some(Place { slot, entry, on_slot: false, on_entry: false });
    }
}

/// As [`value_at`], with the key in place of what is in `key` where there is a value.
#[inline]
fn row_at<'p>(
    leaf: &'p Leaf,
    order: &[u16],
    place: Place,
    view: &impl View,
    key: &mut Vec<u8>,
) -> Option<ValueRef<'p>> {
    let number = order.get(place.entry).filter(|_| place.on_entry);
    let Some(entry) = number.and_then(|number| leaf.entry(usize::from(*number))) else {
        return if place.on_slot { leaf.slot_row(place.slot, view, key) } else { None };
    };
    let value = value_at(leaf, order, place, view)?;
    key.clear();
    key.extend_from_slice(entry.key());
    Some(value)
}
