//! The space that may be written now: an extent list with an index by size for each grain.
//!
//! Finding room is best fit that leans towards the front of the file, so that its tail empties.

use std::collections::BTreeSet;

use super::Grain;
use super::extent::{Extent, ExtentList};

/// How many distinct sizes above the wanted one are looked at for a lower offset.
const SIZES_LOOKED_AT: usize = 8;

/// (length, offset) of extents.
type BySize = BTreeSet<(u64, u64)>;

/// Extents that hold nothing, by offset and by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AvailableExtents {
    list: ExtentList,
    /// Every extent in `list`.
    by_size: BySize,
    /// The whole frames in each of them, where there are any.
    frames_by_size: BySize,
}

impl AvailableExtents {
    /// The extents in the order of the file.
    pub(super) fn list(&self) -> &ExtentList {
        &self.list
    }

    /// Adds an extent.
    ///
    /// # Errors
    /// The extent that it overlaps.
    pub(super) fn insert(&mut self, extent: Extent) -> Result<(), Extent> {
        let joined = self.list.insert(extent)?;
        for merged in [joined.before, joined.after].into_iter().flatten() {
            self.forget_size(merged);
        }
        let whole = joined.whole;
        self.by_size.insert((whole.len, whole.offset));
        if let Some(frames) = Grain::Frame.within(whole) {
            self.frames_by_size.insert((frames.len, frames.offset));
        }
        Ok(())
    }

    /// Takes `len` bytes, whole grains: an extent of that size if there is one, else the front of one
    /// of the next larger ones, whichever lies lowest.
    pub(super) fn take(&mut self, len: u64, grain: Grain) -> Option<Extent> {
        let found = self.find(len, grain, u64::MAX, SIZES_LOOKED_AT)?;
        Some(self.take_front(found, len))
    }

    /// Takes `len` bytes that end at or before `ceiling`: the lowest that there are.
    pub(super) fn take_below(&mut self, len: u64, grain: Grain, ceiling: u64) -> Option<Extent> {
        let found = self.find(len, grain, ceiling, usize::MAX)?;
        Some(self.take_front(found, len))
    }

    /// The largest extent of whole grains; of several, the last in the file.
    pub(super) fn largest(&self, grain: Grain) -> Option<Extent> {
        self.by_size(grain).last().map(|&(len, offset)| Extent { offset, len })
    }

    /// Takes the first `len` bytes of `found`, which is available and at least that long.
    pub(super) fn take_front(&mut self, found: Extent, len: u64) -> Extent {
        let front = Extent { offset: found.offset, len };
        let taken_bytes = self.take_range(front);
        assert!(found.len >= len && taken_bytes == len, "found just now");
        front
    }

    /// Takes every available byte of `range` out; says how many there were.
    pub(super) fn take_range(&mut self, range: Extent) -> u64 {
        let mut taken_bytes = 0;
        while let Some(found) = self.list.overlap(range) {
            let removed = self.remove(found.offset);
            assert!(removed.is_some(), "the list found it just now");
            let inside = Extent {
                offset: found.offset.max(range.offset),
                len: found.end().min(range.end()) - found.offset.max(range.offset),
            };
            taken_bytes += inside.len;
            let before = Extent { offset: found.offset, len: inside.offset - found.offset };
            let after = Extent { offset: inside.end(), len: found.end() - inside.end() };
            for rest in [before, after] {
                if rest.len > 0 {
                    let rest = self.insert(rest);
                    assert!(rest.is_ok(), "the rest of an extent overlaps nothing");
                }
            }
        }
        taken_bytes
    }

    /// Takes out the last extent if it ends at `end`.
    pub(super) fn take_tail(&mut self, end: u64) -> Option<Extent> {
        let last = self.list.last().filter(|last| last.end() == end)?;
        self.remove(last.offset)
    }

    /// The extent to take `len` bytes from: it ends in time for `ceiling`, and lies lowest among
    /// the first `sizes` distinct sizes. Of one size the index knows the lowest offset, so that
    /// looking at every size finds the lowest fit of all.
    fn find(&self, len: u64, grain: Grain, ceiling: u64, sizes: usize) -> Option<Extent> {
        let mut best: Option<Extent> = None;
        let mut wanted = len;
        for _ in 0..sizes {
            let next = self.by_size(grain).range((wanted, 0)..).next();
            let Some(&(size, offset)) = next else { break };
            let fits = offset.saturating_add(len) <= ceiling;
            if fits && best.is_none_or(|best| offset < best.offset) {
                best = Some(Extent { offset, len: size });
            }
            if fits && size == len {
                break;
            }
            wanted = size + 1;
        }
        best
    }

    fn by_size(&self, grain: Grain) -> &BySize {
        match grain {
            Grain::Unit => &self.by_size,
            Grain::Frame => &self.frames_by_size,
        }
    }

    fn remove(&mut self, offset: u64) -> Option<Extent> {
        let extent = self.list.remove(offset)?;
        self.forget_size(extent);
        Some(extent)
    }

    fn forget_size(&mut self, extent: Extent) {
        self.by_size.remove(&(extent.len, extent.offset));
        if let Some(frames) = Grain::Frame.within(extent) {
            self.frames_by_size.remove(&(frames.len, frames.offset));
        }
    }
}

impl From<ExtentList> for AvailableExtents {
    fn from(list: ExtentList) -> Self {
        let size_first = |extent: Extent| (extent.len, extent.offset);
        let by_size = list.iter().map(size_first).collect();
        let frames = list.iter().filter_map(|extent| Grain::Frame.within(extent));
        let frames_by_size = frames.map(size_first).collect();
        Self { list, by_size, frames_by_size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(extents: &[(u64, u64)]) -> AvailableExtents {
        let list: ExtentList =
            extents.iter().map(|&(offset, len)| Extent { offset, len }).collect();
        list.into()
    }

    #[test]
    fn take_prefers_exact_fit_then_low_offset() {
        let mut space = available(&[(0, 8), (10, 4), (20, 2), (30, 4)]);
        assert_eq!(space.take(4, Grain::Unit), Some(Extent { offset: 10, len: 4 }));
        assert_eq!(
            space.take(3, Grain::Unit),
            Some(Extent { offset: 0, len: 3 }),
            "8 lies before 4"
        );
        assert_eq!(space.take(9, Grain::Unit), None);
        assert_eq!(space, available(&[(3, 5), (20, 2), (30, 4)]));
    }

    #[test]
    fn take_below_finds_lowest_fit_before_the_ceiling() {
        let mut space = available(&[(10, 4), (20, 9), (40, 2)]);
        assert_eq!(space.take_below(2, Grain::Unit, 11), None);
        assert_eq!(space.take_below(2, Grain::Unit, 12), Some(Extent { offset: 10, len: 2 }));
        assert_eq!(space.take_below(5, Grain::Unit, 25), Some(Extent { offset: 20, len: 5 }));
        assert_eq!(space.take_below(5, Grain::Unit, 29), None);
    }

    #[test]
    fn take_range_takes_whatever_part_is_there() {
        let mut space = available(&[(10, 10), (30, 10), (50, 10)]);
        assert_eq!(space.take_range(Extent { offset: 15, len: 37 }), 5 + 10 + 2);
        assert_eq!(space, available(&[(10, 5), (52, 8)]));
        assert_eq!(space.take_range(Extent { offset: 54, len: 2 }), 2);
        assert_eq!(space, available(&[(10, 5), (52, 2), (56, 4)]));
        assert_eq!(space.take_range(Extent { offset: 100, len: 2 }), 0);
    }

    #[test]
    fn frames_are_taken_whole_and_leave_the_rest() {
        let mut space = available(&[(4608, 8192), (16384, 12288 + 512)]);
        assert_eq!(space.largest(Grain::Frame), Some(Extent { offset: 16384, len: 12288 }));
        assert_eq!(space.take(8192, Grain::Frame), Some(Extent { offset: 16384, len: 8192 }));
        assert_eq!(space.take(4096, Grain::Frame), Some(Extent { offset: 8192, len: 4096 }));
        assert_eq!(space, available(&[(4608, 3584), (12288, 512), (24576, 4096 + 512)]));
        assert_eq!(space.take_below(4096, Grain::Frame, 28671), None);
        assert_eq!(space.take(8192, Grain::Frame), None);
        assert!(space.insert(Extent { offset: 8192, len: 4096 }).is_ok());
        assert_eq!(space, available(&[(4608, 8192), (24576, 4096 + 512)]));
    }

    #[test]
    fn take_tail_only_takes_what_ends_there() {
        let mut space = available(&[(10, 10), (30, 10)]);
        assert_eq!(space.take_tail(50), None);
        assert_eq!(space.take_tail(40), Some(Extent { offset: 30, len: 10 }));
        assert_eq!(space, available(&[(10, 10)]));
    }
}
