//! Where a head is among those of an image, roughly, from a look at nothing but the number itself.
//!
//! Keys such as hashes, counters and times lie evenly: a straight line from the first head to the last
//! says where each one is, give or take a few slots. Then a search goes straight to a few cache lines, instead
//! of from one to the next, each of which has to come from memory. How far the line is off is measured
//! when an image is made, so the answer is right whatever the keys are; where it is off by too much, it
//! is not used. (The idea is that of interpolation search, with the bound of a learned index: Kraska et al.,
//! "The Case for Learned Index Structures", 2018.)

use std::ops::Range;

use super::key::HEAD_BYTES;

/// The widest range that a guess may leave to be looked through.
const RANGE_MAX: usize = 40;

/// So few heads are looked at one by one.
const HEADS_LEAST: usize = 64;

/// The line through an image's heads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guess {
    /// The head of slot 0.
    first: u64,
    /// How many slots a head lies behind `first` for each unit above it, times 2^64; 0 where heads do
    /// not lie evenly.
    slots_per_unit: u64,
    /// How many slots the line is off at most.
    off_by: u32,
}

impl Guess {
    /// The line through `heads`, which ascend.
    pub(super) fn through(heads: &[[u8; HEAD_BYTES]]) -> Self {
        let head = |bytes: &[u8; HEAD_BYTES]| u64::from_le_bytes(*bytes);
        let (Some(first), Some(last)) = (heads.first().map(head), heads.last().map(head)) else {
            return Self::default();
        };
        let steps = heads.len() as u128 - 1;
        let slots_per_unit = (steps << 64).checked_div(u128::from(last - first)).unwrap_or(0);
        let Ok(slots_per_unit) = u64::try_from(slots_per_unit) else { return Self::default() };
        if heads.len() < HEADS_LEAST {
            return Self::default();
        }
        let line = Self { first, slots_per_unit, off_by: 0 };
        let off = |(slot, bytes)| line.slot_of(head(bytes)).abs_diff(slot);
        let off_by = heads.iter().enumerate().map(off).max().unwrap_or(0);
        match 2 * off_by < RANGE_MAX {
            true => Self { off_by: off_by as u32, ..line },
            false => Self::default(),
        }
    }

    /// Where `head` lies on the line. It never falls when `head` rises.
    #[inline]
    fn slot_of(&self, head: u64) -> usize {
        let units = u128::from(head.saturating_sub(self.first));
        ((units * u128::from(self.slots_per_unit)) >> 64) as usize
    }

    /// Where among the `len` heads the first lies that is not less than `head`: in this range, or right
    /// behind it. None where the line does not tell.
    #[inline]
    pub(super) fn range(&self, head: u64, len: usize) -> Option<Range<usize>> {
        if self.slots_per_unit == 0 {
            return None;
        }
        // The head in front is less, so the line has it no higher than ours, and is off by no more than it
        // is: our slot is at most one behind that. The head behind is not less: the same from above.
        let (slot, off_by) = (self.slot_of(head), self.off_by as usize);
        let end = (slot + off_by + 1).min(len);
        Some(slot.saturating_sub(off_by).min(end)..end)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(heads: &[u64]) -> Vec<[u8; HEAD_BYTES]> {
        heads.iter().map(|head| head.to_le_bytes()).collect()
    }

    fn check(heads: &[u64], asked: impl Iterator<Item = u64>) -> bool {
        let guess = Guess::through(&bytes_of(heads));
        for head in asked {
            let expected = heads.partition_point(|other| *other < head);
            if let Some(range) = guess.range(head, heads.len()) {
                assert!(range.len() <= RANGE_MAX, "{head}: {range:?}");
                assert!((range.start..=range.end).contains(&expected), "{head}: {range:?}");
            }
        }
        guess.slots_per_unit > 0
    }

    #[test]
    fn even_heads_are_found_in_a_short_range_and_others_not_at_all() {
        let even: Vec<u64> = (0..500).map(|number| (1 << 40) | (number * 1000)).collect();
        assert!(check(&even, (0..600_000).map(|number| (1 << 40) - 5000 + number)));
        let split: Vec<u64> = (0..500).map(|number| number + (number / 250 * (1 << 50))).collect();
        assert!(!check(&split, split.iter().copied()));
        assert!(!check(&[7; 500], [0, 7, 8, u64::MAX].into_iter()));
        assert!(!check(&even[..HEADS_LEAST - 1], [0].into_iter()));
        let whole: Vec<u64> = (0..=200).map(|number| u64::MAX / 200 * number).collect();
        assert!(check(
            &whole,
            whole.iter().flat_map(|head| [head.wrapping_sub(1), *head, head + 1])
        ));
    }

    proptest! {
        #[test]
        fn range_holds_the_slot(
            mut heads in prop::collection::vec(any::<u64>(), 1..400),
            bits in 0..64_u32,
            asked in prop::collection::vec(any::<u64>(), 1..100),
        ) {
            heads.iter_mut().for_each(|head| *head >>= bits);
            heads.sort_unstable();
            let near = heads.iter().flat_map(|head| [head.saturating_sub(1), *head, head.saturating_add(1)]);
            check(&heads, near.chain(asked.iter().map(|head| head >> bits)));
        }
    }
}
