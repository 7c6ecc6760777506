//! Where a transaction's first and last rows are, so that popping from an end does not pass all that it
//! popped before.
//!
//! A transaction sees one snapshot and its own writes. Once it has looked for the first key, nothing is
//! in front of the key that it found, until it puts something there itself; the same at the other
//! end. One table is remembered, the one that was asked last.

use crate::base::ids::TableId;

/// The ends of one table, as one transaction knows them.
#[derive(Debug, Default)]
pub(super) struct Edges {
    table: TableId,
    /// The transaction sees no key below this one.
    front: Option<Vec<u8>>,
    /// The transaction sees no key above this one.
    back: Option<Vec<u8>>,
}

impl Edges {
    /// A key that no visible one is below.
    pub(super) fn front(&self, table: TableId) -> Option<&[u8]> {
        self.front.as_deref().filter(|_| self.table == table)
    }

    /// A key that no visible one is above.
    pub(super) fn back(&self, table: TableId) -> Option<&[u8]> {
        self.back.as_deref().filter(|_| self.table == table)
    }

    /// The first key was looked for, and this is it.
    pub(super) fn found_front(&mut self, table: TableId, key: &[u8]) {
        self.of(table);
        set(&mut self.front, key);
    }

    /// The last key was looked for, and this is it.
    pub(super) fn found_back(&mut self, table: TableId, key: &[u8]) {
        self.of(table);
        set(&mut self.back, key);
    }

    /// The transaction gave `key` a value.
    pub(super) fn put(&mut self, table: TableId, key: &[u8]) {
        if self.table != table {
            return;
        }
        if self.front.as_deref().is_some_and(|front| key < front) {
            set(&mut self.front, key);
        }
        if self.back.as_deref().is_some_and(|back| key > back) {
            set(&mut self.back, key);
        }
    }

    /// The transaction ended.
    pub(super) fn forget(&mut self) {
        (self.front, self.back) = (None, None);
    }

    fn of(&mut self, table: TableId) {
        if self.table != table {
            self.table = table;
            self.forget();
        }
    }
}

fn set(edge: &mut Option<Vec<u8>>, key: &[u8]) {
    let edge = edge.get_or_insert_default();
    edge.clear();
    edge.extend_from_slice(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_give_way_to_what_is_put_beyond_them() {
        let (one, other) = (TableId(1), TableId(2));
        let mut edges = Edges::default();
        edges.found_front(one, b"f");
        edges.found_back(one, b"t");
        edges.put(one, b"k");
        edges.put(other, b"a");
        assert_eq!((edges.front(one), edges.back(one)), (Some(&b"f"[..]), Some(&b"t"[..])));
        edges.put(one, b"b");
        edges.put(one, b"x");
        assert_eq!((edges.front(one), edges.back(one)), (Some(&b"b"[..]), Some(&b"x"[..])));
        assert_eq!(edges.front(other), None);
        edges.found_front(other, b"m");
        assert_eq!((edges.front(one), edges.back(other)), (None, None));
        edges.forget();
        assert_eq!(edges.front(other), None);
    }
}
