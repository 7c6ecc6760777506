//! Extents, and lists of them that merge neighbours and refuse overlaps.
//!
//! Pure bookkeeping: no I/O, and no notion of what the space is used for.

use std::collections::BTreeMap;

/// A run of bytes of the data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// Its first byte, a multiple of [`super::UNIT_BYTES`].
    pub offset: u64,
    /// Its length in bytes, a multiple of [`super::UNIT_BYTES`] and not zero.
    pub len: u64,
}

impl Extent {
    /// The byte behind its last.
    pub const fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// Extents in the order of the file that do not touch each other: neighbours are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtentList {
    /// Offset to length.
    by_offset: BTreeMap<u64, u64>,
    bytes: u64,
}

/// What [`ExtentList::insert`] made of the new extent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    /// The left neighbour that it was merged with.
    pub(super) before: Option<Extent>,
    /// The right neighbour that it was merged with.
    pub(super) after: Option<Extent>,
    /// The extent that is in the list now.
    pub(super) whole: Extent,
}

impl ExtentList {
    /// How many extents.
    pub(super) fn count(&self) -> usize {
        self.by_offset.len()
    }

    /// Their bytes together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The extents, in the order of the file.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Extent> + '_ {
        self.by_offset.iter().map(|(&offset, &len)| Extent { offset, len })
    }

    /// The last extent.
    pub(super) fn last(&self) -> Option<Extent> {
        self.iter().next_back()
    }

    /// The extents that share a byte with `extent`, in order, whole.
    pub(super) fn iter_within(&self, extent: Extent) -> impl Iterator<Item = Extent> + '_ {
        let first = self.overlap(extent).map_or(extent.end(), |first| first.offset);
        let range = self.by_offset.range(first..extent.end().max(first));
        range.map(|(&offset, &len)| Extent { offset, len })
    }

    /// The first extent that shares a byte with `extent`.
    pub(super) fn overlap(&self, extent: Extent) -> Option<Extent> {
        if let Some((&offset, &len)) = self.by_offset.range(..=extent.offset).next_back()
            && offset + len > extent.offset
        {
            return Some(Extent { offset, len });
        }
        let (&offset, &len) = self.by_offset.range(extent.offset..extent.end()).next()?;
        Some(Extent { offset, len })
    }

    /// Adds `extent` and merges it with its neighbours.
    ///
    /// # Errors
    /// The extent in the list that it overlaps; the list is unchanged then.
    pub(super) fn insert(&mut self, extent: Extent) -> Result<Joined, Extent> {
        let before = self.by_offset.range(..=extent.offset).next_back();
        let before = before.map(|(&offset, &len)| Extent { offset, len });
        let after = self.by_offset.range(extent.offset..).next();
        let after = after.map(|(&offset, &len)| Extent { offset, len });
        if let Some(other) = before.filter(|before| before.end() > extent.offset) {
            return Err(other);
        }
        if let Some(other) = after.filter(|after| after.offset < extent.end()) {
            return Err(other);
        }
        let before = before.filter(|before| before.end() == extent.offset);
        let after = after.filter(|after| after.offset == extent.end());
        let offset = before.map_or(extent.offset, |before| before.offset);
        let end = after.map_or(extent.end(), |after| after.end());
        let whole = Extent { offset, len: end - offset };
        if let Some(after) = after {
            self.by_offset.remove(&after.offset);
        }
        self.by_offset.insert(whole.offset, whole.len);
        self.bytes += extent.len;
        Ok(Joined { before, after, whole })
    }

    /// Takes out the extent that starts at `offset`, whole.
    pub(super) fn remove(&mut self, offset: u64) -> Option<Extent> {
        let len = self.by_offset.remove(&offset)?;
        self.bytes -= len;
        Some(Extent { offset, len })
    }

    /// Moves all of `other` here. The two are disjoint by the caller's invariant.
    ///
    /// # Panics
    /// When they are not: space would be handed out twice.
    pub(super) fn append(&mut self, other: Self) {
        if self.by_offset.is_empty() {
            *self = other;
            return;
        }
        for extent in other.iter() {
            let joined = self.insert(extent);
            assert!(joined.is_ok(), "extent lists overlap at {extent:?}");
        }
    }
}

impl FromIterator<Extent> for ExtentList {
    /// Collects extents that do not overlap.
    ///
    /// # Panics
    /// When they do.
    fn from_iter<I: IntoIterator<Item = Extent>>(extents: I) -> Self {
        let mut list = Self::default();
        for extent in extents {
            let joined = list.insert(extent);
            assert!(joined.is_ok(), "extents overlap at {extent:?}");
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, len: u64) -> Extent {
        Extent { offset, len }
    }

    #[test]
    fn insert_merges_both_neighbours() {
        let mut list = ExtentList::default();
        list.insert(extent(0, 10)).unwrap();
        list.insert(extent(20, 10)).unwrap();
        list.insert(extent(10, 10)).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [extent(0, 30)]);
        assert_eq!(list.bytes(), 30);
    }

    #[test]
    fn insert_refuses_every_overlap_and_changes_nothing() {
        let mut list: ExtentList = [extent(10, 10), extent(30, 10)].into_iter().collect();
        let was = list.clone();
        for (offset, len) in [(10, 10), (9, 2), (19, 1), (12, 3), (5, 50), (25, 6), (39, 5)] {
            assert!(list.insert(extent(offset, len)).is_err(), "{offset} {len}");
            assert!(list.overlap(extent(offset, len)).is_some(), "{offset} {len}");
        }
        assert_eq!(list, was);
        assert_eq!(list.overlap(extent(20, 10)), None);
        assert_eq!(list.overlap(extent(0, 10)), None);
    }
}
