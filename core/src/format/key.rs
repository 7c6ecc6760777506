//! Keys cut for comparison: common prefixes, heads, rests, separators.
//!
//! Knows no page.

/// How many key bytes a head holds.
pub const HEAD_BYTES: usize = 8;

/// The eight bytes of `key` after its first `prefix_len`, big-endian, padded with zeros on the
/// right; 0 when the key ends before.
///
/// Of two keys with the same `prefix_len` bytes in front, the one with the smaller head is the
/// smaller key. Equal heads decide nothing: padding looks like zero bytes.
///
/// ```
/// use rshelve_core::format::key_head;
/// assert_eq!(key_head(b"user:ab", 5), 0x6162_0000_0000_0000);
/// assert_eq!(key_head(b"user:ab\0", 5), key_head(b"user:ab", 5));
/// assert_eq!(key_head(b"us", 5), 0);
/// ```
#[inline]
pub fn key_head(key: &[u8], prefix_len: usize) -> u64 {
    let Some(rest) = key.get(prefix_len..) else { return 0 };
    if let Some(head) = rest.first_chunk::<HEAD_BYTES>() {
        return u64::from_be_bytes(*head);
    }
    if rest.is_empty() {
        return 0;
    }
    let unused_bits = 8 * (HEAD_BYTES - rest.len());
    // A short rest at the end of a long key: one load that reaches back into the prefix, which
    // the shift then pushes out.
    if let Some(last) = key.last_chunk::<HEAD_BYTES>() {
        return u64::from_be_bytes(*last) << unused_bits;
    }
    rest.iter().fold(0, |head, byte| head << 8 | u64::from(*byte)) << unused_bits
}

/// The key bytes that follow a page's prefix and are no part of the head.
#[inline]
pub(super) fn key_suffix(key: &[u8], prefix_len: usize) -> &[u8] {
    key.get(prefix_len.saturating_add(HEAD_BYTES)..).unwrap_or_default()
}

/// What follows a page's prefix in a key, in the form in which pages hold it.
///
/// The order of the fields is the order of keys: the head; when heads are equal, the suffix; when
/// these are equal too, the length, because then the two differ at most in zero bytes that the
/// padding of one head stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyRest<'a> {
    pub(super) head: u64,
    pub(super) suffix: &'a [u8],
    pub(super) len: usize,
}

impl<'a> KeyRest<'a> {
    /// The rest of `key`, which starts with a prefix of `prefix_len` bytes.
    #[inline]
    pub(super) fn of(key: &'a [u8], prefix_len: usize) -> Self {
        Self {
            head: key_head(key, prefix_len),
            suffix: key_suffix(key, prefix_len),
            len: key.len().saturating_sub(prefix_len),
        }
    }
}

/// How many bytes `a` and `b` share in front.
///
/// Of sorted keys, what the first and the last share is what all of them share: it is the prefix
/// to give to [`PageBuilder::new`](super::PageBuilder::new).
#[inline]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_chunks, a_tail) = a.as_chunks::<HEAD_BYTES>();
    let (b_chunks, b_tail) = b.as_chunks::<HEAD_BYTES>();
    for (index, (x, y)) in a_chunks.iter().zip(b_chunks).enumerate() {
        let differing = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differing != 0 {
            return index * HEAD_BYTES + (differing.trailing_zeros() / 8) as usize;
        }
    }
    let shared_chunks = a_chunks.len().min(b_chunks.len());
    let at = shared_chunks * HEAD_BYTES;
    let a_rest = if a_chunks.len() == shared_chunks { a_tail } else { a.get(at..).unwrap_or(&[]) };
    let b_rest = if b_chunks.len() == shared_chunks { b_tail } else { b.get(at..).unwrap_or(&[]) };
    at + a_rest.iter().zip(b_rest).take_while(|(x, y)| x == y).count()
}

/// The shortest key that is greater than `left_last` and not greater than `right_first`: what a
/// parent keeps of the border between two pages. `left_last` must be less than `right_first`.
///
/// ```
/// use rshelve_core::format::separator;
/// assert_eq!(separator(b"blueberry", b"cherry"), b"c");
/// assert_eq!(separator(b"a", b"a\0\0"), b"a\0");
/// ```
#[inline]
pub fn separator<'a>(left_last: &[u8], right_first: &'a [u8]) -> &'a [u8] {
    debug_assert!(left_last < right_first, "a separator stands between two different keys");
    // A key as short as what the two share is either a prefix of the left one, so not greater,
    // or on the same side of both.
    right_first.get(..=common_prefix(left_last, right_first)).unwrap_or(right_first)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn key_head_takes_eight_bytes_after_the_prefix() {
        let key: Vec<u8> = (1..=20).collect();
        for len in 0..key.len() {
            for prefix_len in 0..=len + 1 {
                let mut padded = [0_u8; 8];
                for (to, from) in padded.iter_mut().zip(key[..len].iter().skip(prefix_len)) {
                    *to = *from;
                }
                let head = key_head(&key[..len], prefix_len);
                assert_eq!(head, u64::from_be_bytes(padded), "{len} {prefix_len}");
            }
        }
    }

    #[test]
    fn key_rest_orders_padding_before_zero_bytes() {
        let keys: [&[u8]; 6] =
            [b"a", b"a\0", b"a\0\0\0\0\0\0\0", b"a\0\0\0\0\0\0\0\0", b"a\0\0\0\0\0\0\0\x01", b"b"];
        for pair in keys.windows(2) {
            assert!(KeyRest::of(pair[0], 0) < KeyRest::of(pair[1], 0), "{pair:?}");
        }
    }

    #[test]
    fn common_prefix_counts_shared_bytes_at_every_length() {
        let a: Vec<u8> = (0..40).collect();
        for same in 0..=40 {
            for (a_len, b_len) in [(same, same), (same, 40), (40, same)] {
                assert_eq!(common_prefix(&a[..a_len], &a[..b_len]), same);
            }
            let mut b = a.clone();
            if let Some(byte) = b.get_mut(same) {
                *byte ^= 0x80;
            }
            assert_eq!(common_prefix(&a, &b), same);
        }
    }
}
