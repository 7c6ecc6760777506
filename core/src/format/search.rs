//! Finding a key in an image. This is the hot read path.
//!
//! A lookup touches the prefix, a few cache lines of heads, one offset and one cell; no other
//! cell, unless two heads are equal.

use std::cmp::Ordering;
use std::hint::black_box;
use std::ops::Range;

use super::image::PageImage;
use super::key::{HEAD_BYTES, KeyRest};
use crate::sync::{CACHE_LINE_BYTES, prefetch};

/// How many parts a range of heads is cut into per step. The seven heads between the parts are
/// loaded side by side, not one after the other, which is what counts when they are not in the
/// processor's cache; and none of it is a branch that could be guessed wrong.
const PARTS: usize = 8;

/// From how many heads on it is quickest to look at all of them: three cache lines, in a row.
const SCAN_HEADS_MAX: usize = 24;

impl PageImage {
    /// Finds `key` as [`slice::binary_search`] does: `Ok` is its slot, `Err` the slot that it
    /// would get.
    #[inline]
    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix_len = self.prefix_len as usize;
        match compare_prefix(key, self.prefix()) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.len()),
            Ordering::Equal => {}
        }
        let rest = KeyRest::of(key, prefix_len);
        let heads = self.heads();
        let window = match self.guess.range(rest.head, heads.len()) {
            Some(range) => range,
            None => window_of(heads, rest.head),
        };
        // On its way from memory while the heads are: what is looked at next, if the key is there.
        touch(self.as_bytes(), self.offset_place(window.start.midpoint(window.end)));
        let low = window.start + count_below(heads.get(window).unwrap_or_default(), rest.head);
        match heads.get(low) {
            Some(head) if u64::from_le_bytes(*head) == rest.head => self.search_cells(low, &rest),
            _ => Err(low),
        }
    }

    /// Finds `key`, which is greater than every key in front of slot `from`, among the `reach` slots from there on;
    /// none if it is greater than all of those and there are more. Quicker than [`search`](Self::search) for who
    /// comes by in key order.
    #[inline]
    pub fn search_within(
        &self,
        from: usize,
        reach: usize,
        key: &[u8],
    ) -> Option<Result<usize, usize>> {
        match compare_prefix(key, self.prefix()) {
            Ordering::Less => return Some(Err(from)),
            Ordering::Greater => return Some(Err(self.len())),
            Ordering::Equal => {}
        }
        let rest = KeyRest::of(key, self.prefix_len as usize);
        let heads = self.heads();
        let near = heads.get(from..heads.len().min(from + reach)).unwrap_or_default();
        let low = from + count_below(near, rest.head);
        match heads.get(low).map(|head| u64::from_le_bytes(*head).cmp(&rest.head)) {
            Some(Ordering::Less) => None,
            Some(Ordering::Equal) => Some(self.search_cells(low, &rest)),
            Some(Ordering::Greater) | None => Some(Err(low)),
        }
    }

    /// Asks the processor for what [`search`](Self::search) will look at, as far as that can be told before any of it
    /// has come.
    #[inline]
    pub fn prefetch_place(&self, key: &[u8]) {
        prefetch(self.prefix().as_ptr());
        let heads = self.heads();
        let head = KeyRest::of(key, self.prefix_len as usize).head;
        match self.guess.range(head, heads.len()) {
            Some(window) => {
                let lines = window.clone().step_by(CACHE_LINE_BYTES / HEAD_BYTES);
                let slots = lines.chain([window.end]);
                slots.filter_map(|slot| heads.get(slot)).for_each(|head| prefetch(head));
            }
            None => (1..PARTS)
                .filter_map(|part| heads.get(part * (heads.len() / PARTS)))
                .for_each(|head| prefetch(head)),
        }
    }

    /// Finds the child of an internal page that `key` belongs to: the last slot whose separator
    /// is not greater. The separator of slot 0 counts as less than every key.
    #[inline]
    pub fn search_child(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(slot) => slot,
            Err(slot) => slot.saturating_sub(1),
        }
    }

    /// Finds `rest` among the cells from `low` on, the first whose head is the same.
    #[inline]
    fn search_cells(&self, low: usize, rest: &KeyRest<'_>) -> Result<usize, usize> {
        // Nearly always the head occurs once, and this is the key or there is none.
        match self.rest(low).cmp(rest) {
            Ordering::Equal => Ok(low),
            Ordering::Greater => Err(low),
            Ordering::Less => self.search_same_heads(low + 1, rest),
        }
    }

    /// Finds `rest` among the cells from `low` on that have its head.
    #[cold]
    fn search_same_heads(&self, mut low: usize, rest: &KeyRest<'_>) -> Result<usize, usize> {
        let others = self.heads().get(low..).unwrap_or_default();
        let mut high = low + others.partition_point(|head| u64::from_le_bytes(*head) <= rest.head);
        while low < high {
            let middle = low.midpoint(high);
            match self.rest(middle).cmp(rest) {
                Ordering::Equal => return Ok(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// How the key in `slot` compares with `key`.
    #[inline]
    pub fn compare(&self, slot: usize, key: &[u8]) -> Ordering {
        compare_prefix(key, self.prefix())
            .then_with(|| KeyRest::of(key, self.prefix_len as usize).cmp(&self.rest(slot)))
            .reverse()
    }
}

/// How `key` compares with the keys that begin with `prefix`: `Equal` if it is one of them.
#[inline]
fn compare_prefix(key: &[u8], prefix: &[u8]) -> Ordering {
    match key.get(..prefix.len()) {
        Some(front) if same(front, prefix) => Ordering::Equal,
        front => front.unwrap_or(key).cmp(prefix),
    }
}

/// Whether `a` and `b`, of one length, are equal; without a call for what prefixes are like.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let (a_chunks, b_chunks) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
        return a_last == b_last && a_chunks.iter().zip(b_chunks).all(|(x, y)| x == y);
    }
    a.iter().zip(b).all(|(x, y)| x == y)
}

/// Where among the ascending `heads` the first lies that is not less than `head`: in this range, or right
/// behind it. It is short.
#[inline]
fn window_of(heads: &[[u8; HEAD_BYTES]], head: u64) -> Range<usize> {
    let mut window = 0..heads.len();
    while window.len() > SCAN_HEADS_MAX {
        let rest = heads.get(window.clone()).unwrap_or_default();
        let part_len = rest.len() / PARTS;
        let parts_below: usize = (1..PARTS)
            .map(|part| rest.get(part * part_len).map_or(0, |other| less(other, head)))
            .sum();
        // The heads that begin the first `parts_below` parts after the first are less, and the
        // next one is not: what is left to count lies between.
        let begin = window.start + parts_below * part_len;
        let end = if parts_below == PARTS - 1 { window.end } else { begin + part_len };
        window = begin..end;
    }
    window
}

/// How many of `heads` are less than `head`.
#[inline]
fn count_below(heads: &[[u8; HEAD_BYTES]], head: u64) -> usize {
    heads.iter().map(|other| less(other, head)).sum()
}

#[inline]
fn less(other: &[u8; HEAD_BYTES], head: u64) -> usize {
    usize::from(u64::from_le_bytes(*other) < head)
}

/// Starts to fetch what lies at `at` into the processor's cache: a load that nothing waits for.
#[inline]
pub(super) fn touch(bytes: &[u8], at: usize) {
    black_box(bytes.get(at).copied());
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn heads_below_are_counted_at_every_length() {
        for len in 0..700_u64 {
            let heads: Vec<_> = (0..len).map(|i| (i / 3 * 2).to_le_bytes()).collect();
            for head in 0..=len {
                let expected =
                    heads.iter().filter(|other| u64::from_le_bytes(**other) < head).count();
                let window = window_of(&heads, head);
                assert!(window.len() <= SCAN_HEADS_MAX, "{head} among {len}");
                let found = window.start + count_below(&heads[window], head);
                assert_eq!(found, expected, "{head} among {len}");
            }
        }
    }

    #[test]
    fn compare_prefix_tells_where_a_key_lies() {
        let bytes: Vec<u8> = (1..=30).collect();
        for len in 0..=bytes.len() {
            let prefix = &bytes[..len];
            assert!(compare_prefix(prefix, prefix).is_eq());
            assert!(compare_prefix(&bytes, prefix).is_eq());
            for at in 0..len {
                assert!(compare_prefix(&prefix[..at], prefix).is_lt());
                let mut key = bytes.clone();
                key[at] += 1;
                assert!(compare_prefix(&key, prefix).is_gt(), "{at} of {len}");
                assert!(compare_prefix(&key[..=at], prefix).is_gt());
                key[at] -= 2;
                assert!(compare_prefix(&key, prefix).is_lt());
            }
        }
    }
}
