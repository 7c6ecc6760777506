//! Making images from cells in key order: for rebuild, reconcile and split.
//!
//! The caller says the common prefix in advance, because of sorted keys it is the common prefix
//! of the first and the last. Cells that come unchanged from another image are copied as they
//! are, runs of them at once, when both prefixes are of one length.

use std::ops::Range;

use super::guess::Guess;
use super::image::PageImage;
use super::key::{HEAD_BYTES, KeyRest};
use super::layout::{
    Header, IMAGE_BYTES_MAX, Layout, PREFIX_AT, PageKind, RawCell, TAG_BITS, Tag, cell_bytes,
    image_bytes,
};
use crate::base::codec::{BLOCK_HEADER_BYTES, Reader, put_varint};
use crate::memory::{PageBytes, PageMemory};
use crate::sync::Arc;

/// Builds one page image after another.
///
/// ```
/// use rshelve_core::format::{BuilderCapacity, PageBuilder, PageKind, Tag, common_prefix};
///
/// let pairs: [(&[u8], &[u8]); 2] = [(b"spam:1", b"eggs"), (b"spam:2", b"ham")];
/// let prefix_len = common_prefix(pairs[0].0, pairs[1].0);
/// let prefix = &pairs[0].0[..prefix_len];
/// let mut builder = PageBuilder::new(PageKind::Leaf, prefix, BuilderCapacity::default());
/// for (key, value) in pairs {
///     builder.push(key, Tag::Inline, value);
/// }
/// let image = builder.finish_image();
/// assert_eq!(image.search(b"spam:2"), Ok(1));
/// assert_eq!(image.cell(1).bytes, b"ham");
/// ```
#[derive(Debug)]
pub struct PageBuilder {
    kind: PageKind,
    prefix: Vec<u8>,
    /// As they lie in the image.
    heads: Vec<[u8; HEAD_BYTES]>,
    /// Where each cell begins in `cells`.
    offsets: Vec<u32>,
    cells: Vec<u8>,
    /// The offsets as they lie in the image; empty between calls.
    offset_bytes: Vec<u8>,
    /// A key on its way from an image with another prefix; empty between calls.
    key: Vec<u8>,
}

/// How much a builder makes room for at once. Only a hint.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuilderCapacity {
    /// The count of cells.
    pub slots: usize,
    /// Their size in bytes, by [`cell_bytes`](super::cell_bytes).
    pub cells_bytes: usize,
}

impl PageBuilder {
    /// A builder of a page whose keys all begin with `prefix`.
    pub fn new(kind: PageKind, prefix: &[u8], capacity: BuilderCapacity) -> Self {
        Self {
            kind,
            prefix: prefix.to_vec(),
            heads: Vec::with_capacity(capacity.slots),
            offsets: Vec::with_capacity(capacity.slots),
            cells: Vec::with_capacity(capacity.cells_bytes),
            offset_bytes: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Forgets what was pushed and begins another page, in the room that is there.
    pub fn restart(&mut self, kind: PageKind, prefix: &[u8]) {
        self.kind = kind;
        self.prefix.clear();
        self.prefix.extend_from_slice(prefix);
        self.clear();
    }

    /// What its room takes, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        self.heads.capacity() * 14 + self.cells.capacity()
    }

    /// Adds a cell behind the others.
    ///
    /// # Panics
    /// When the key is shorter than the prefix, the tag is not of this kind of page, or the
    /// image grows past [`IMAGE_BYTES_MAX`]; in debug builds also when the key does not begin
    /// with the prefix or is not greater than the one before.
    #[inline]
    pub fn push(&mut self, key: &[u8], tag: Tag, value: &[u8]) {
        self.begin_cell(key, tag, value.len());
        self.cells.extend_from_slice(value);
    }

    /// As [`push`](Self::push), with the value in pieces that follow each other.
    ///
    /// # Panics
    /// As `push` does.
    #[inline]
    pub fn push_parts(&mut self, key: &[u8], tag: Tag, parts: &[&[u8]]) {
        self.begin_cell(key, tag, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.cells.extend_from_slice(part);
        }
    }

    /// Adds the cell in `slot` of `image`; without looking into it when the prefixes have one
    /// length.
    ///
    /// # Panics
    /// As [`push`](Self::push) does.
    #[inline]
    pub fn push_from(&mut self, image: &PageImage, slot: usize) {
        if !self.takes_cells_of(image) {
            return self.push_run_across_prefixes(image, slot..slot + 1);
        }
        let head = image.head(slot);
        let cell = image.as_bytes().get(image.offset(slot)..image.cell_end(slot));
        self.check_order(head);
        self.heads.push(head.to_le_bytes());
        self.offsets.push(self.cells.len() as u32);
        self.cells.extend_from_slice(cell.unwrap_or_default());
        self.check_joint(self.len() - 1);
    }

    /// Adds the cells in `slots` of `image`; with a few large copies when the prefixes have one
    /// length.
    ///
    /// # Panics
    /// As [`push`](Self::push) does.
    pub fn push_run(&mut self, image: &PageImage, slots: Range<usize>) {
        // First, for a page that shares no key with `image` may have another prefix of its length.
        if slots.is_empty() {
            return;
        }
        if !self.takes_cells_of(image) {
            return self.push_run_across_prefixes(image, slots);
        }
        let begin = image.offset(slots.start);
        let end = image.cell_end(slots.end - 1);
        let heads = image.heads().get(slots.clone()).unwrap_or_default();
        let first = heads.first().map_or(0, |head| u64::from_le_bytes(*head));
        self.check_order(first);
        let moved_to = self.cells.len();
        let joint = self.len();
        self.offsets.extend(slots.map(|slot| (image.offset(slot) - begin + moved_to) as u32));
        self.heads.extend_from_slice(heads);
        self.cells.extend_from_slice(image.as_bytes().get(begin..end).unwrap_or_default());
        self.check_joint(joint);
    }

    /// Whether cells of `image` are, as they are, cells of this page.
    #[inline]
    fn takes_cells_of(&self, image: &PageImage) -> bool {
        let same = image.prefix_len as usize == self.prefix.len() && image.kind() == self.kind;
        debug_assert!(
            !same || image.prefix() == self.prefix,
            "prefixes of one length are the same"
        );
        same
    }

    #[inline]
    fn check_order(&self, head: u64) {
        let last = self.heads.last().map(|last| u64::from_le_bytes(*last));
        assert!(last.is_none_or(|last| last <= head), "keys come in order");
    }

    /// Checks what a copy from `slot` on has left behind.
    #[inline]
    fn check_joint(&self, slot: usize) {
        assert!(self.cells.len() <= IMAGE_BYTES_MAX, "an image of more than 4 GiB");
        debug_assert!(slot == 0 || self.rest(slot - 1) < self.rest(slot), "keys ascend strictly");
    }

    fn push_run_across_prefixes(&mut self, image: &PageImage, slots: Range<usize>) {
        let mut key = std::mem::take(&mut self.key);
        for slot in slots {
            image.key_into(slot, &mut key);
            let cell = image.cell(slot);
            self.push(&key, cell.tag, cell.bytes);
        }
        key.clear();
        self.key = key;
    }

    /// Everything of a cell but its value.
    #[inline]
    fn begin_cell(&mut self, key: &[u8], tag: Tag, value_len: usize) {
        let prefix_len = self.prefix.len();
        assert!(key.len() >= prefix_len, "a key shorter than its page's prefix");
        assert!(self.kind.allows(tag), "a cell of another kind of page");
        debug_assert!(key.starts_with(&self.prefix), "keys begin with the prefix");
        let rest = KeyRest::of(key, prefix_len);
        self.check_order(rest.head);
        debug_assert!(
            self.rest(self.len().wrapping_sub(1)).is_none_or(|last| last < rest),
            "keys ascend strictly"
        );
        let size_bytes = cell_bytes(prefix_len, key.len(), value_len);
        assert!(self.cells.len() + size_bytes <= IMAGE_BYTES_MAX, "an image of more than 4 GiB");
        self.heads.push(rest.head.to_le_bytes());
        self.offsets.push(self.cells.len() as u32);
        self.cells.reserve(size_bytes);
        put_varint(&mut self.cells, rest.len as u64);
        put_varint(&mut self.cells, (value_len as u64) << TAG_BITS | tag as u64);
        self.cells.extend_from_slice(rest.suffix);
    }

    /// The count of cells pushed.
    #[inline]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether nothing was pushed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The exact size in bytes of what [`finish`](Self::finish) would give now.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        image_bytes(self.prefix.len(), self.heads.len(), self.cells.len())
    }

    /// The exact size in bytes after one more cell with a key and a value of these lengths.
    #[inline]
    pub fn size_bytes_with(&self, key_len: usize, value_len: usize) -> usize {
        let prefix_len = self.prefix.len();
        let cells_bytes = self.cells.len() + cell_bytes(prefix_len, key_len, value_len);
        image_bytes(prefix_len, self.heads.len() + 1, cells_bytes)
    }

    /// The image of what was pushed, behind zeros in place of the block's header, in a vector
    /// without spare room. The builder is then empty and keeps its kind and prefix.
    ///
    /// # Panics
    /// When an internal page has no cell, or the image is larger than [`IMAGE_BYTES_MAX`].
    pub fn finish(&mut self) -> Vec<u8> {
        self.assemble(|parts| parts.concat()).0
    }

    /// As [`finish`](Self::finish), ready to be searched: what was just built is not checked
    /// again, but in debug builds.
    ///
    /// # Panics
    /// As `finish` does.
    pub fn finish_image(&mut self) -> PageImage {
        self.finish_image_in(None)
    }

    /// As [`finish_image`](Self::finish_image), in `memory` if there is one and it has room.
    ///
    /// # Panics
    /// As `finish` does.
    pub fn finish_image_in(&mut self, memory: Option<&Arc<PageMemory>>) -> PageImage {
        let slots = self.heads.len() as u32;
        let prefix_len = self.prefix.len() as u32;
        let (bytes, layout) = self.assemble(|parts| PageBytes::concat(parts, memory));
        let mut image = PageImage {
            bytes,
            prefix_len,
            heads_at: layout.heads_at as u32,
            offsets_at: layout.offsets_at as u32,
            cells_at: layout.cells_at as u32,
            end: layout.end as u32,
            slots,
            kind: self.kind,
            wide: layout.wide,
            guess: Guess::default(),
        };
        image.guess = Guess::through(image.heads());
        #[cfg(debug_assertions)]
        if let Err(error) = PageImage::parse(image.as_bytes().into()) {
            panic!("the builder made an image that does not parse: {error}");
        }
        image
    }

    /// Gives the parts of the image to `put`, in their order.
    fn assemble<R>(&mut self, put: impl FnOnce(&[&[u8]]) -> R) -> (R, Layout) {
        assert!(
            self.kind == PageKind::Leaf || !self.heads.is_empty(),
            "an internal page without children"
        );
        let layout = Layout::new(self.prefix.len(), self.heads.len(), self.cells.len());
        assert!(layout.end <= IMAGE_BYTES_MAX, "an image of more than 4 GiB");
        let header = Header {
            kind: self.kind,
            wide: layout.wide,
            slots: self.heads.len() as u32,
            prefix_len: self.prefix.len() as u32,
            end: layout.end as u32,
        };
        let cells_at = layout.cells_at as u32;
        let offsets = self.offsets.iter().map(|offset| cells_at + offset);
        if layout.wide {
            self.offset_bytes.extend(offsets.flat_map(u32::to_le_bytes));
        } else {
            self.offset_bytes.extend(offsets.flat_map(|offset| (offset as u16).to_le_bytes()));
        }
        let padding = [0; HEAD_BYTES];
        let padding_len = layout.heads_at - PREFIX_AT - self.prefix.len();
        let parts: [&[u8]; 7] = [
            &[0; BLOCK_HEADER_BYTES],
            &header.encode(),
            &self.prefix,
            padding.get(..padding_len).unwrap_or_default(),
            self.heads.as_flattened(),
            &self.offset_bytes,
            &self.cells,
        ];
        debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), layout.end);
        let done = put(&parts);
        self.clear();
        (done, layout)
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.offsets.clear();
        self.offset_bytes.clear();
        self.cells.clear();
    }

    /// The key of a slot already pushed, behind the prefix.
    fn rest(&self, slot: usize) -> Option<KeyRest<'_>> {
        let at = *self.offsets.get(slot)? as usize;
        let cell = RawCell::decode(&mut Reader::new(self.cells.get(at..)?))?;
        let head = u64::from_le_bytes(*self.heads.get(slot)?);
        Some(KeyRest { head, suffix: cell.suffix, len: cell.rest_len })
    }
}
