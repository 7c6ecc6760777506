//! The places of things in an image: its header, the sizes of its parts, the form of a cell.

use super::key::HEAD_BYTES;
use crate::base::codec::{BLOCK_HEADER_BYTES, Reader, varint_len};

/// The most bytes that an image may have, the block's header included.
pub const IMAGE_BYTES_MAX: usize = u32::MAX as usize;

/// The most bytes that a page's prefix, counted once for each slot, should stand for: a key with another
/// prefix among the others makes a page of so many bytes more, and that must fit a block. Whoever
/// builds pages parts them here.
pub const SHARED_BYTES_MAX: usize = 2 << 20;

/// More than this no page is ever built with, and none is read. A page that was cut at
/// [`SHARED_BYTES_MAX`] may have got a longer prefix by it.
pub(super) const SHARED_BYTES_LIMIT: u64 = 2 * SHARED_BYTES_MAX as u64;

/// Up to this size, offsets have two bytes.
const NARROW_BYTES_MAX: usize = 1 << 16;

/// The header's flag for offsets of four bytes.
const FLAG_WIDE_OFFSETS: u8 = 1;

/// How many bits of a cell's second integer hold the tag.
pub(super) const TAG_BITS: u32 = 2;

/// Where the prefix begins: behind the image's header, which has 16 bytes.
pub(super) const PREFIX_AT: usize = BLOCK_HEADER_BYTES + 16;

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageKind {
    /// Keys and values.
    Leaf = 1,
    /// Separators and children.
    Internal = 2,
}

impl PageKind {
    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Leaf),
            2 => Some(Self::Internal),
            _ => None,
        }
    }

    /// Whether a page of this kind may hold cells with `tag`.
    pub const fn allows(self, tag: Tag) -> bool {
        match self {
            Self::Leaf => matches!(tag, Tag::Inline | Tag::Overflow),
            Self::Internal => matches!(tag, Tag::Child),
        }
    }
}

/// What the bytes of a cell mean to the layers above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tag {
    /// The value itself. Leaf pages only.
    Inline = 0,
    /// A reference to a value in overflow extents. Leaf pages only.
    Overflow = 1,
    /// A child's address cookie and row count. Internal pages only.
    Child = 2,
}

impl Tag {
    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::Inline),
            1 => Some(Self::Overflow),
            2 => Some(Self::Child),
            _ => None,
        }
    }
}

/// The size in bytes of one cell in a page with a prefix of `prefix_len` bytes: what its key and
/// value take beside the slot's head and offset.
#[inline]
pub const fn cell_bytes(prefix_len: usize, key_len: usize, value_len: usize) -> usize {
    let rest_len = key_len.saturating_sub(prefix_len);
    varint_len(rest_len as u64)
        + varint_len((value_len as u64) << TAG_BITS)
        + rest_len.saturating_sub(HEAD_BYTES)
        + value_len
}

/// The size in bytes of an image, the block's header included, with `slots` cells that take
/// `cells_bytes` together (each by [`cell_bytes`]).
#[inline]
pub const fn image_bytes(prefix_len: usize, slots: usize, cells_bytes: usize) -> usize {
    Layout::new(prefix_len, slots, cells_bytes).end
}

/// Where the parts of an image begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) heads_at: usize,
    pub(super) offsets_at: usize,
    pub(super) cells_at: usize,
    pub(super) end: usize,
    pub(super) wide: bool,
}

impl Layout {
    /// The layout that a builder gives an image: two-byte offsets whenever they suffice.
    #[inline]
    pub(super) const fn new(prefix_len: usize, slots: usize, cells_bytes: usize) -> Self {
        let heads_at = heads_at(prefix_len);
        let offsets_at = heads_at + slots * HEAD_BYTES;
        let wide = offsets_at + slots * offset_bytes(false) + cells_bytes > NARROW_BYTES_MAX;
        let cells_at = offsets_at + slots * offset_bytes(wide);
        Self { heads_at, offsets_at, cells_at, end: cells_at + cells_bytes, wide }
    }
}

/// Where heads begin behind a prefix of `prefix_len` bytes: at a multiple of eight.
#[inline]
pub(super) const fn heads_at(prefix_len: usize) -> usize {
    (PREFIX_AT + prefix_len).next_multiple_of(HEAD_BYTES)
}

/// The bytes of one offset.
#[inline]
pub(super) const fn offset_bytes(wide: bool) -> usize {
    if wide { 4 } else { 2 }
}

/// The image's header, as it stands in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: PageKind,
    pub(super) wide: bool,
    pub(super) slots: u32,
    pub(super) prefix_len: u32,
    pub(super) end: u32,
}

impl Header {
    /// The header as bytes.
    pub(super) fn encode(&self) -> [u8; PREFIX_AT - BLOCK_HEADER_BYTES] {
        let [s0, s1, s2, s3] = self.slots.to_le_bytes();
        let [p0, p1, p2, p3] = self.prefix_len.to_le_bytes();
        let [e0, e1, e2, e3] = self.end.to_le_bytes();
        let flags = if self.wide { FLAG_WIDE_OFFSETS } else { 0 };
        [self.kind as u8, flags, 0, 0, s0, s1, s2, s3, p0, p1, p2, p3, e0, e1, e2, e3]
    }

    /// The header that `reader` stands before. `Err` names the field that no header has, where
    /// it lies from the header's start, and what was found there; `None` is a header cut short.
    #[inline(never)]
    pub(super) fn decode(
        reader: &mut Reader<'_>,
    ) -> Result<Option<Self>, (&'static str, usize, u32)> {
        let Some([kind, flags, reserved @ ..]) = reader.array::<4>() else { return Ok(None) };
        let (Some(slots), Some(prefix_len), Some(end)) = (reader.u32(), reader.u32(), reader.u32())
        else {
            return Ok(None);
        };
        let kind = PageKind::from_byte(kind).ok_or(("kind of page", 0, u32::from(kind)))?;
        if flags & !FLAG_WIDE_OFFSETS != 0 {
            return Err(("flags of a page", 1, u32::from(flags)));
        }
        if reserved != [0; 2] {
            return Err(("reserved bytes", 2, u32::from(u16::from_le_bytes(reserved))));
        }
        Ok(Some(Self { kind, wide: flags & FLAG_WIDE_OFFSETS != 0, slots, prefix_len, end }))
    }
}

/// One cell, decoded as far as its lengths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawCell<'a> {
    /// The length of the key without the page's prefix.
    pub(super) rest_len: usize,
    /// The tag's bits, legal or not.
    pub(super) tag_bits: u64,
    /// What of the key follows prefix and head.
    pub(super) suffix: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> RawCell<'a> {
    /// The cell at the front of `bytes`, as [`decode`](Self::decode) finds it: for the hot path, where
    /// lengths of one and two bytes are decoded in place.
    #[inline(always)]
    pub(super) fn at_front(bytes: &'a [u8]) -> Option<Self> {
        match Self::short_at_front(bytes) {
            None => Self::decode(&mut Reader::new(bytes)),
            short => short,
        }
    }

    /// The same, but none where a length takes more bytes.
    #[inline(always)]
    pub(super) fn short_at_front(bytes: &'a [u8]) -> Option<Self> {
        let [rest_len, low, high, ..] = *bytes else { return None };
        let (value_word, begin) = match (low < 0x80, high < 0x80) {
            (true, _) => (usize::from(low), 2),
            (false, true) => (usize::from(low & 0x7f) | usize::from(high) << 7, 3),
            (false, false) => return None,
        };
        if rest_len >= 0x80 {
            return None;
        }
        let rest_len = usize::from(rest_len);
        let value_at = begin + rest_len.saturating_sub(HEAD_BYTES);
        let suffix = bytes.get(begin..value_at)?;
        let value = bytes.get(value_at..value_at + (value_word >> TAG_BITS))?;
        Some(Self { rest_len, tag_bits: value_word as u64 & ((1 << TAG_BITS) - 1), suffix, value })
    }

    /// Takes a cell off `reader`; `None` when it does not fit into what is left.
    #[inline(never)]
    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let rest_len = usize::try_from(reader.varint()?).ok()?;
        let value_word = reader.varint()?;
        let suffix = reader.bytes(rest_len.saturating_sub(HEAD_BYTES))?;
        let value = reader.bytes(usize::try_from(value_word >> TAG_BITS).ok()?)?;
        Some(Self { rest_len, tag_bits: value_word & ((1 << TAG_BITS) - 1), suffix, value })
    }
}
