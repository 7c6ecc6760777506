//! An image that has been checked: its prefix, and its cells in key order.

use std::fmt;

use super::guess::Guess;
use super::key::{HEAD_BYTES, KeyRest};
use super::layout::{PREFIX_AT, PageKind, RawCell, Tag, offset_bytes};
use crate::memory::{PageBytes, PageMemory, Sparse};
use crate::sync::Arc;

/// A page image in its block's buffer, immutable and known to be whole: no accessor can leave
/// the buffer, whatever its bytes were.
///
/// Slots count from 0 in key order. A method that takes a slot panics if there is no such slot,
/// as an index into a slice does: that is a bug of the caller, never a property of the bytes.
pub struct PageImage {
    pub(super) bytes: PageBytes,
    pub(super) prefix_len: u32,
    pub(super) heads_at: u32,
    pub(super) offsets_at: u32,
    pub(super) cells_at: u32,
    pub(super) end: u32,
    pub(super) slots: u32,
    pub(super) kind: PageKind,
    pub(super) wide: bool,
    pub(super) guess: Guess,
}

/// What a page holds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// What the bytes mean.
    pub tag: Tag,
    /// The value, or what stands for it.
    pub bytes: &'a [u8],
}

impl PageImage {
    /// What the page is for.
    #[inline]
    pub const fn kind(&self) -> PageKind {
        self.kind
    }

    /// The count of slots.
    #[inline]
    pub const fn len(&self) -> usize {
        self.slots as usize
    }

    /// Whether there are no slots.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// The bytes that all keys begin with.
    #[inline]
    pub fn prefix(&self) -> &[u8] {
        self.bytes.get(PREFIX_AT..PREFIX_AT + self.prefix_len as usize).unwrap_or_default()
    }

    /// What the image takes in memory beside this value: the whole buffer, and what its block has to
    /// spare.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.bytes.footprint()
    }

    /// Whether it lies in a span of page memory that is worth emptying.
    pub fn lies_in(&self, sparse: Sparse) -> bool {
        self.bytes.lie_in(sparse)
    }

    /// The whole buffer, the block's header included.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same image in `memory`, if there is one and it has room.
    pub fn moved_to(self, memory: Option<&Arc<PageMemory>>) -> Self {
        Self { bytes: self.bytes.moved_to(memory), ..self }
    }

    /// What the page holds in `slot`.
    #[inline]
    pub fn cell(&self, slot: usize) -> Cell<'_> {
        let cell = self.raw_cell(slot);
        // Other bits than a tag's do not pass `parse`.
        Cell { tag: Tag::from_bits(cell.tag_bits).unwrap_or(Tag::Inline), bytes: cell.value }
    }

    /// The length in bytes of the key in `slot`.
    #[inline]
    pub fn key_len(&self, slot: usize) -> usize {
        self.prefix_len as usize + self.raw_cell(slot).rest_len
    }

    /// Replaces what is in `out` by the key in `slot`.
    #[inline]
    pub fn key_into(&self, slot: usize, out: &mut Vec<u8>) {
        self.row_into(slot, out);
    }

    /// What the page holds in `slot`, and its key in place of what is in `key`.
    #[inline]
    pub fn row_into(&self, slot: usize, key: &mut Vec<u8>) -> Cell<'_> {
        key.clear();
        key.extend_from_slice(self.prefix());
        self.rest_into(slot, key)
    }

    /// The same where `key` begins with the page's prefix, as that of another row of the page does.
    #[inline]
    pub fn rest_into(&self, slot: usize, key: &mut Vec<u8>) -> Cell<'_> {
        let Some(cell) = self.short_cell(slot) else { return self.long_rest_into(slot, key) };
        self.cell_into(slot, cell, key)
    }

    /// The value in `slot` and, where it is the value itself, the key in place of what is in `key`, which may
    /// begin with the page's prefix already. None, and `key` as it was, where something stands for the value.
    #[inline]
    pub fn inline_row_into(
        &self,
        slot: usize,
        has_prefix: bool,
        key: &mut Vec<u8>,
    ) -> Option<&[u8]> {
        let cell = match self.short_cell(slot) {
            Some(cell) => cell,
            None => self.raw_cell(slot),
        };
        if Tag::from_bits(cell.tag_bits) != Some(Tag::Inline) {
            return None;
        }
        if !has_prefix {
            key.clear();
            key.extend_from_slice(self.prefix());
        }
        Some(self.cell_into(slot, cell, key).bytes)
    }

    #[cold]
    fn long_rest_into(&self, slot: usize, key: &mut Vec<u8>) -> Cell<'_> {
        self.cell_into(slot, self.raw_cell(slot), key)
    }

    #[inline(always)]
    fn cell_into<'p>(&'p self, slot: usize, cell: RawCell<'p>, key: &mut Vec<u8>) -> Cell<'p> {
        let prefix_len = self.prefix_len as usize;
        debug_assert!(key.starts_with(self.prefix()), "a key that begins with the page's prefix");
        key.truncate(prefix_len);
        key.extend_from_slice(&self.head(slot).to_be_bytes());
        key.extend_from_slice(cell.suffix);
        if cell.rest_len < HEAD_BYTES {
            key.truncate(prefix_len + cell.rest_len);
        }
        Cell { tag: Tag::from_bits(cell.tag_bits).unwrap_or(Tag::Inline), bytes: cell.value }
    }

    /// The head of the key in `slot`: [`key_head`](super::key_head) of it and the page's prefix.
    #[inline]
    pub fn head(&self, slot: usize) -> u64 {
        assert!(slot < self.len(), "slot {slot} of {}", self.slots);
        self.heads().get(slot).map_or(0, |head| u64::from_le_bytes(*head))
    }

    #[inline]
    pub(super) fn heads(&self) -> &[[u8; HEAD_BYTES]] {
        let part = self.heads_at as usize..self.offsets_at as usize;
        self.bytes.get(part).unwrap_or_default().as_chunks().0
    }

    /// The part of the buffer that cells fill.
    #[inline]
    pub(super) fn cells(&self) -> &[u8] {
        self.bytes.get(self.cells_at as usize..self.end as usize).unwrap_or_default()
    }

    /// Where in the buffer the offset of `slot` lies.
    #[inline]
    pub(super) fn offset_place(&self, slot: usize) -> usize {
        self.offsets_at as usize + slot * offset_bytes(self.wide)
    }

    /// Where in the buffer the cell of `slot` begins.
    #[inline]
    pub(super) fn offset(&self, slot: usize) -> usize {
        assert!(slot < self.len(), "slot {slot} of {}", self.slots);
        let place = self.bytes.get(self.offset_place(slot)..).unwrap_or_default();
        if self.wide {
            place.first_chunk().map_or(0, |offset| u32::from_le_bytes(*offset) as usize)
        } else {
            place.first_chunk().map_or(0, |offset| usize::from(u16::from_le_bytes(*offset)))
        }
    }

    /// Where in the buffer the cell of `slot` ends.
    #[inline]
    pub(super) fn cell_end(&self, slot: usize) -> usize {
        if slot + 1 < self.len() { self.offset(slot + 1) } else { self.end as usize }
    }

    /// What the cell in `slot` takes, in bytes.
    #[inline]
    pub fn cell_len(&self, slot: usize) -> usize {
        self.cell_end(slot) - self.offset(slot)
    }

    #[inline(always)]
    pub(super) fn raw_cell(&self, slot: usize) -> RawCell<'_> {
        let cell = self.bytes.get(self.offset(slot)..self.end as usize).unwrap_or_default();
        // There is a cell: `parse` decoded it, and `PageBuilder` encoded it.
        RawCell::at_front(cell).unwrap_or_default()
    }

    /// The cell in `slot` if its lengths are as short as nearly all are.
    #[inline(always)]
    fn short_cell(&self, slot: usize) -> Option<RawCell<'_>> {
        RawCell::short_at_front(self.bytes.get(self.offset(slot)..)?)
    }

    #[inline]
    pub(super) fn rest(&self, slot: usize) -> KeyRest<'_> {
        let cell = self.raw_cell(slot);
        KeyRest { head: self.head(slot), suffix: cell.suffix, len: cell.rest_len }
    }
}

impl fmt::Debug for PageImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageImage")
            .field("kind", &self.kind)
            .field("slots", &self.slots)
            .field("prefix", &self.prefix().escape_ascii().to_string())
            .field("bytes_len", &self.bytes_len())
            .finish_non_exhaustive()
    }
}
