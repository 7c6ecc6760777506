//! A place in a tree: what a cursor is made of.
//!
//! A position owns a hazard, so it may be held for as long as one likes; it costs one leaf of
//! memory. It remembers its key, and searches it again when the leaf it stands on was replaced and
//! could miss what its view sees.

mod ahead;
mod step;

use std::ops::ControlFlow;

use self::ahead::Ahead;
use super::leaf_walk::LeafWalk;
use super::{Target, Tree};
use crate::base::error::Result;
use crate::base::ids::TableId;
use crate::page::{Leaf, Lookup, PinnedLeaf, ValueRef, View};

/// A place in a tree, or nowhere. See the module.
pub struct Position {
    pin: PinnedLeaf,
    key: Vec<u8>,
    is_set: bool,
    place: Option<Place>,
    /// The numbers of the leaf's entries in key order, as of when they were last sorted. Emptied when
    /// another leaf is pinned.
    order: Vec<u16>,
    /// Which view it was last moved under: whoever moves it says.
    stamp: u64,
    /// What it reads in need not stay in memory.
    reads_once: bool,
    /// How much longer the last move took for the changes of the leaf that it ended on: see
    /// [`take_looks`](Self::take_looks).
    looks: u8,
    ahead: Ahead,
}

/// Where a key is among a leaf's image slots and sorted entries.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// How many slots are below the key.
    pub(super) slot: usize,
    /// How many entries are below the key.
    pub(super) entry: usize,
    /// Whether the key is in that slot.
    pub(super) on_slot: bool,
    /// Whether the key is in that entry.
    pub(super) on_entry: bool,
}

/// Where [`Position::seek`] landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// On the key itself.
    Exact,
    /// On the smallest key above.
    Above,
    /// There is no key here or above.
    End,
}

/// How many entries a seek sorts in the time of one look.
const SORTED_PER_LOOK: usize = 2;

/// How far [`Position::walk_leaf`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked<B> {
    /// The position is on another row than before.
    pub moved: bool,
    /// Why the visit wanted no more, if it did.
    pub broke: Option<B>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
}

impl Position {
    /// A position nowhere.
    pub fn new(pin: PinnedLeaf) -> Self {
        Self {
            pin,
            key: Vec::new(),
            is_set: false,
            place: None,
            order: Vec::new(),
            stamp: 0,
            reads_once: false,
            looks: 0,
            ahead: Ahead::default(),
        }
    }

    /// The same, for pages that need not stay in memory for its sake.
    pub fn reading_once(pin: PinnedLeaf) -> Self {
        Self { reads_once: true, ..Self::new(pin) }
    }

    /// The view that it was last moved under, as who moved it called it.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// See [`stamp`](Self::stamp).
    pub fn set_stamp(&mut self, stamp: u64) {
        self.stamp = stamp;
    }

    /// Whether what it reads in need not stay in memory.
    pub fn reads_once(&self) -> bool {
        self.reads_once
    }

    /// The table whose page it holds.
    pub fn table(&self) -> Option<TableId> {
        self.pin.tree()
    }

    /// Whether it is somewhere.
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// The key it is on.
    pub fn key(&self) -> Option<&[u8]> {
        self.is_set.then_some(&self.key)
    }

    /// The value it is on.
    pub fn value(&self) -> Option<ValueRef<'_>> {
        if self.is_set { self.pin.value() } else { None }
    }

    /// Goes nowhere, and lets go of the page.
    pub fn reset(&mut self) {
        self.is_set = false;
        self.place = None;
        self.order.clear();
        self.pin.release();
    }

    /// Goes to `key` without looking at it: it was just written. There is no [`value`](Self::value)
    /// until the position moves, and no page is held.
    pub fn place_at(&mut self, key: &[u8]) {
        self.pin.release();
        self.set_key(key);
    }

    /// What `view` finds for `key`; the position is on it then, and nowhere else.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn find(&mut self, tree: &Tree, key: &[u8], view: &impl View) -> Result<bool> {
        self.order.clear();
        tree.find_row(key, &mut self.pin)?;
        self.set_key(key);
        self.looks = 1;
        let reads_once = self.reads_once;
        // What is left of a leaf everybody sees.
        let is_found = self.pin.value().is_some()
            || self.pin.remember(|leaf| {
                found(if reads_once { leaf.lookup(key, view) } else { leaf.read(key, view) })
            });
        if !is_found {
            self.reset();
        }
        Ok(is_found)
    }

    /// Goes to `key`, or to the smallest key above that `view` sees.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn seek(&mut self, tree: &Tree, key: &[u8], view: &impl View) -> Result<Landing> {
        if self.seek_exactly(tree, key, view)? {
            return Ok(Landing::Exact);
        }
        Ok(if self.step(tree, view, Way::Forward)? { Landing::Above } else { Landing::End })
    }

    /// Goes to `key`, or to the largest key below that `view` sees; false, and nowhere, if there is none.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn seek_back(&mut self, tree: &Tree, key: &[u8], view: &impl View) -> Result<bool> {
        Ok(self.seek_exactly(tree, key, view)? || self.step(tree, view, Way::Backward)?)
    }

    /// Stays at its key if `view` sees it now; else goes on to the next one, or to the one before. False, and
    /// nowhere, if there is none.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn settle(&mut self, tree: &Tree, forward: bool, view: &impl View) -> Result<bool> {
        if self.pin.leaf().is_none_or(Leaf::is_dead) {
            let key = std::mem::take(&mut self.key);
            self.go_to(tree, &key)?;
        }
        let place = self.place_now();
        let order = &self.order;
        if self.pin.remember(|leaf| value_at(leaf, order, place, view)) {
            return Ok(true);
        }
        self.step(tree, view, if forward { Way::Forward } else { Way::Backward })
    }

    /// Goes to the place of `key`; true if `view` sees it there.
    fn seek_exactly(&mut self, tree: &Tree, key: &[u8], view: &impl View) -> Result<bool> {
        self.go_to(tree, key)?;
        let place = self.locate();
        let order = &self.order;
        self.looks = looks(1 + order.len() / SORTED_PER_LOOK);
        Ok(self.pin.remember(|leaf| value_at(leaf, order, place, view)))
    }

    /// How much longer the last moves took because the leaf may have changes: in looks at one key. From now on
    /// it is counted anew.
    #[inline]
    pub fn take_looks(&mut self) -> u8 {
        std::mem::take(&mut self.looks)
    }

    /// The page that it holds.
    pub fn pin(&self) -> &PinnedLeaf {
        &self.pin
    }

    /// Lends the page that it holds to `write`, which writes there and may end on another page: the position
    /// stays at its key. The value that it was on it has no more.
    pub fn lend_page<R>(&mut self, write: impl FnOnce(&mut PinnedLeaf) -> R) -> R {
        let turns = self.pin.turns();
        let result = write(&mut self.pin);
        self.pin.forget_value();
        if self.pin.turns() != turns {
            self.order.clear();
            self.place = None;
        }
        result
    }

    /// Goes to the next key, if all that takes is a look at the next row of the image that the position
    /// stands on; else stays where it is and returns false.
    #[inline]
    pub fn next_in_image(&mut self, view: &impl View) -> bool {
        self.step_in_image(view, Way::Forward)
    }

    /// Goes to the previous key, as [`next_in_image`](Self::next_in_image).
    #[inline]
    pub fn prev_in_image(&mut self, view: &impl View) -> bool {
        self.step_in_image(view, Way::Backward)
    }

    #[inline]
    fn step_in_image(&mut self, view: &impl View, way: Way) -> bool {
        let at = self.place.filter(|place| place.on_slot && self.is_set);
        let Some(at) = at else { return false };
        let entries = self.order.len();
        let (slot, entry, end) = match way {
            Way::Forward => (at.slot + 1, at.entry + usize::from(at.on_entry), entries),
            Way::Backward => (at.slot.wrapping_sub(1), at.entry, 0),
        };
        let key = &mut self.key;
        let moved = self.pin.move_to(|leaf| {
            let is_next = entry == end
                && leaf.entry_count() == entries
                && slot < leaf.image().len()
                && !leaf.is_dead();
            if is_next { leaf.other_slot_row(slot, view, key) } else { None }
        });
        if moved {
            self.place = Some(Place { slot, entry, on_slot: true, on_entry: false });
        }
        moved
    }

    /// Goes from row to row of the leaf that the position stands on, calling `visit` with each one's key and
    /// value, until it wants no more. The position stays on the last row that was visited. Ends in front of
    /// a value that is not on the leaf; backward also in front of what changed since the image.
    pub fn walk_leaf<B>(
        &mut self,
        view: &impl View,
        forward: bool,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<B>,
    ) -> Walked<B> {
        let stays = Walked { moved: false, broke: None };
        let (Some(at), Some(leaf)) = (self.place.filter(|_| self.is_set), self.pin.leaf()) else {
            return stays;
        };
        // The view is older than this look: what comes to the leaf later it does not see.
        if leaf.entry_count() != self.order.len() || leaf.is_dead() {
            return stays;
        }
        let walk = LeafWalk { leaf, order: &self.order, view, key: &mut self.key, last: None };
        let (last, broke) = if forward { walk.up(at, visit) } else { walk.down(at, visit) };
        if let Some(place) = last {
            self.place = last;
            let order = &self.order;
            self.pin.move_to(|leaf| value_at(leaf, order, place, view));
        }
        Walked { moved: last.is_some(), broke }
    }

    /// Goes to the next key that `view` sees; from nowhere, to the first. False, and nowhere, at the
    /// end.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn next(&mut self, tree: &Tree, view: &impl View) -> Result<bool> {
        if !self.is_set {
            self.go_to(tree, &[])?;
            if self.pin.remember(|leaf| found(leaf.lookup(&[], view))) {
                return Ok(true);
            }
        }
        self.step(tree, view, Way::Forward)
    }

    /// Goes to the previous key that `view` sees; from nowhere, to the last.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn prev(&mut self, tree: &Tree, view: &impl View) -> Result<bool> {
        if !self.is_set {
            self.order.clear();
            tree.find_leaf(Target::Last, &mut self.pin)?;
            self.ahead = Ahead::default();
            self.enter(Way::Backward);
        }
        self.step(tree, view, Way::Backward)
    }

    /// Goes in front of `key`, without looking whether it is there: the next `prev` goes to the
    /// largest key below.
    ///
    /// # Errors
    /// What reading pages gives.
    pub fn go_before(&mut self, tree: &Tree, key: &[u8]) -> Result<()> {
        self.order.clear();
        tree.find_leaf(Target::Before(key), &mut self.pin)?;
        self.set_key(key);
        self.locate();
        Ok(())
    }

    /// The leaf of `key` is pinned, and the position is at `key`, whatever is there.
    fn go_to(&mut self, tree: &Tree, key: &[u8]) -> Result<()> {
        self.order.clear();
        tree.find_leaf(Target::At(key), &mut self.pin)?;
        if let Some(leaf) = self.pin.leaf().filter(|_| !self.reads_once) {
            leaf.touch();
        }
        self.set_key(key);
        Ok(())
    }

    /// Wherever it walks from there, that is another walk.
    fn set_key(&mut self, key: &[u8]) {
        self.ahead = Ahead::default();
        if self.key != key {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        self.is_set = true;
        self.place = None;
    }
}

/// So many looks, or the most that are counted at once.
fn looks(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

pub(super) fn entry_key(leaf: &Leaf, number: u16) -> &[u8] {
    leaf.entry(usize::from(number)).map_or(&[], |entry| entry.key())
}

pub(super) fn value_at<'p>(
    leaf: &'p Leaf,
    order: &[u16],
    place: Place,
    view: &impl View,
) -> Option<ValueRef<'p>> {
    let in_chain = match order.get(place.entry) {
        Some(number) if place.on_entry => {
            leaf.entry(usize::from(*number)).and_then(|entry| leaf.entry_value(entry, view))
        }
        _ => None,
    };
    match in_chain {
        Some(lookup) => found(lookup),
        None if place.on_slot => found(leaf.slot_value(place.slot, view)),
        None => None,
    }
}

fn found(lookup: Lookup<'_>) -> Option<ValueRef<'_>> {
    match lookup {
        Lookup::Found(value) => Some(value),
        Lookup::Missing | Lookup::Unsettled => None,
    }
}
