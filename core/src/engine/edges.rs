//! Where a transaction's first and last rows are, so that popping from an end does not pass all that it
//! popped before.
//!
//! A transaction sees one snapshot and its own writes. Once it has looked for the first key, nothing is
//! in front of the key that it found, until it puts something there itself; the same at the other
//! end. One table is remembered, the one that was asked last. A cursor that leaves an end leaves its place
//! behind, page and all, so that who looks there next goes on from it.

use crate::base::ids::TableId;
use crate::btree::Position;

/// The ends of one table, as one transaction knows them.
#[derive(Default)]
pub(super) struct Edges {
    table: TableId,
    /// The transaction sees no key below this one.
    front: Edge,
    /// The transaction sees no key above this one.
    back: Edge,
}

/// One end of a table.
#[derive(Default)]
struct Edge {
    is_known: bool,
    key: Vec<u8>,
    /// A position at the key, if one was left behind.
    place: Option<Position>,
}

/// Which end of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Where the smallest keys are.
    Front,
    /// Where the greatest keys are.
    Back,
}

impl Edges {
    /// A key that no visible one is beyond.
    pub(super) fn key(&self, table: TableId, side: Side) -> Option<&[u8]> {
        let edge = if side == Side::Front { &self.front } else { &self.back };
        (self.table == table && edge.is_known).then_some(&edge.key)
    }

    /// The first or last key was looked for, and this is it.
    pub(super) fn found(&mut self, table: TableId, side: Side, key: &[u8]) {
        if self.table != table {
            self.forget();
            self.table = table;
        }
        self.edge(side).set(key);
    }

    /// Sets `at` on the place that was left at this end, if one was.
    pub(super) fn take_place(&mut self, table: TableId, side: Side, at: &mut Position) -> bool {
        let is_here = self.table == table;
        match &mut self.edge(side).place {
            Some(place) if is_here && place.is_set() && !at.reads_once() => {
                std::mem::swap(place, at);
                place.reset();
                true
            }
            _ => false,
        }
    }

    /// Takes the place that `at` is about to leave, if it is at an end; `spare` makes a position for it.
    pub(super) fn leave_place(&mut self, at: &mut Position, spare: impl FnOnce() -> Position) {
        if at.table() != Some(self.table) || at.reads_once() {
            return;
        }
        for edge in [&mut self.front, &mut self.back] {
            if edge.is_known && at.key() == Some(&edge.key) {
                std::mem::swap(edge.place.get_or_insert_with(spare), at);
                return;
            }
        }
    }

    /// The transaction gave `key` a value.
    pub(super) fn put(&mut self, table: TableId, key: &[u8]) {
        if self.table != table {
            return;
        }
        if self.front.is_known && key < self.front.key.as_slice() {
            self.front.set(key);
        }
        if self.back.is_known && key > self.back.key.as_slice() {
            self.back.set(key);
        }
    }

    /// The transaction ended.
    pub(super) fn forget(&mut self) {
        for edge in [&mut self.front, &mut self.back] {
            edge.is_known = false;
            if let Some(place) = &mut edge.place {
                place.reset();
            }
        }
    }

    fn edge(&mut self, side: Side) -> &mut Edge {
        if side == Side::Front { &mut self.front } else { &mut self.back }
    }
}

impl Edge {
    fn set(&mut self, key: &[u8]) {
        self.is_known = true;
        self.key.clear();
        self.key.extend_from_slice(key);
        if let Some(place) = &mut self.place {
            place.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_give_way_to_what_is_put_beyond_them() {
        let (one, other) = (TableId(1), TableId(2));
        let (front, back) = (Side::Front, Side::Back);
        let mut edges = Edges::default();
        edges.found(one, front, b"f");
        edges.found(one, back, b"t");
        edges.put(one, b"k");
        edges.put(other, b"a");
        assert_eq!(edges.key(one, front), Some(&b"f"[..]));
        assert_eq!(edges.key(one, back), Some(&b"t"[..]));
        edges.put(one, b"b");
        edges.put(one, b"x");
        assert_eq!(edges.key(one, front), Some(&b"b"[..]));
        assert_eq!(edges.key(one, back), Some(&b"x"[..]));
        assert_eq!(edges.key(other, front), None);
        edges.found(other, front, b"m");
        assert_eq!((edges.key(one, front), edges.key(other, back)), (None, None));
        edges.forget();
        assert_eq!(edges.key(other, front), None);
    }
}
