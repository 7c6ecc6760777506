//! Ranges of keys of which nothing is known, and what fills them.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use super::report::LostRange;

/// The gaps of one table.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Disjoint, in any order.
    lost: Vec<LostRange>,
    /// The first and last keys of leaves that were found in gaps: what they say counts. Disjoint.
    filled: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Gaps {
    /// Of a table of which nothing is known.
    pub(super) fn everything() -> Self {
        let why = "nothing leads to it".to_owned();
        Self { lost: vec![LostRange { why, ..LostRange::default() }], filled: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lost.is_empty()
    }

    pub(super) fn lost(&self) -> &[LostRange] {
        &self.lost
    }

    pub(super) fn into_lost(self) -> Vec<LostRange> {
        self.lost
    }

    /// Everything from `low` to `high` is unknown.
    pub(super) fn add(&mut self, range: LostRange) {
        self.lost.push(range);
    }

    /// Whether a key lies in a gap that was not filled; if so its row counts as found, unless
    /// it is perhaps stale. Such a row is not wanted where as many others were found as there were.
    pub(super) fn wants(&mut self, key: &[u8], is_stale: bool) -> bool {
        if self.is_filled(key) {
            return false;
        }
        let gap = self.lost.iter_mut().find(|gap| {
            gap.low.as_slice() <= key && gap.high.as_ref().is_none_or(|high| key < high.as_slice())
        });
        let has_all = |gap: &LostRange| gap.rows.is_some_and(|rows| gap.rows_found >= rows);
        gap.filter(|gap| !is_stale || !has_all(gap)).is_some_and(|gap| {
            // Of a stale one nobody knows whether it is one of those that are missing.
            gap.rows_found += u64::from(!is_stale);
            true
        })
    }

    fn is_filled(&self, key: &[u8]) -> bool {
        let before = self.filled.range::<[u8], _>((Unbounded, Included(key))).next_back();
        before.is_some_and(|(_, last)| key <= last.as_slice())
    }

    /// A leaf with keys from `first` to `last` said all there is to say of them.
    pub(super) fn fill(&mut self, first: &[u8], last: &[u8]) {
        let (mut first, mut last) = (first.to_vec(), last.to_vec());
        let mut within: Vec<Vec<u8>> = Vec::new();
        if let Some((low, high)) = self.filled.range(..=first.clone()).next_back()
            && *high >= first
        {
            within.push(low.clone());
        }
        let range = (first.clone(), last.clone());
        within.extend(self.filled.range(range.0..=range.1).map(|(low, _)| low.clone()));
        for low in within {
            if let Some(high) = self.filled.remove(&low) {
                first = first.min(low);
                last = last.max(high);
            }
        }
        self.filled.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_joins_what_overlaps_and_wants_the_rest() {
        let mut gaps = Gaps::default();
        gaps.add(LostRange { low: b"d".to_vec(), high: Some(b"m".to_vec()), ..Default::default() });
        assert!(!gaps.wants(b"c", false) && !gaps.wants(b"m", false) && gaps.wants(b"d", false));
        gaps.fill(b"e", b"f");
        gaps.fill(b"h", b"i");
        assert!(
            !gaps.wants(b"ea", false)
                && !gaps.wants(b"f", false)
                && gaps.wants(b"fa", false)
                && gaps.wants(b"g", false)
        );
        gaps.fill(b"f", b"h");
        assert!(!gaps.wants(b"g", false) && !gaps.wants(b"i", false) && gaps.wants(b"ia", false));
        assert_eq!(gaps.filled.len(), 1);
        assert_eq!(gaps.lost()[0].rows_found, 4);
        gaps.lost[0].rows = Some(5);
        assert!(gaps.wants(b"da", true) && gaps.wants(b"db", true) && gaps.wants(b"dc", false));
        assert!(!gaps.wants(b"da", true) && gaps.wants(b"db", false));
    }
}
