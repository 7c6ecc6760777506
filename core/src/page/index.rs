//! An internal page in memory: separators to search in, and the references of the children.
//!
//! Immutable. A change makes a new one and swaps it in under the tree's structure lock; the old
//! one is retired through the epoch, for descending readers may stand in it.

use std::ptr::NonNull;

use super::reference::PageRef;
use crate::cache::{Cache, Charge};
use crate::format::PageImage;
use crate::sync::life::{Life, Mortal};
use crate::sync::{Arc, CACHE_LINE_BYTES, prefetch};

/// What becomes of an index's children when it is replaced or leaves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Children {
    /// They live on under another index, which is charged for them.
    Stay,
    /// They leave memory, too.
    Leave,
}

/// What a reference takes: it begins a cache line, and an allocator that has its own words in front of each block
/// leaves the rest of the line before unused.
const REFERENCE_BYTES: u64 = 2 * size_of::<PageRef>() as u64;
/// What an index and its allocations take beside image and children.
const OVERHEAD_BYTES: u64 = size_of::<Index>() as u64 + 64;

/// An internal page in memory.
pub struct Index {
    /// The separators. Slot 0's counts as minus infinity.
    image: PageImage,
    /// As many as the image has slots. The last index that names a reference owns it.
    children: Box<[NonNull<PageRef>]>,
    charge: Charge,
    life: Life,
}

impl Mortal for Index {
    fn life(&self) -> &Life {
        &self.life
    }
}

// SAFETY: the references behind the pointers are `Sync`, shared by all threads, and are freed
// only by whoever unlinked the last index that named them.
unsafe impl Send for Index {}
// SAFETY: as above; an index is immutable.
unsafe impl Sync for Index {}

impl Index {
    /// An index over `children`, one for each slot of `image`. It and they are charged to `cache`.
    pub fn new(image: PageImage, children: Box<[NonNull<PageRef>]>, cache: &Arc<Cache>) -> Self {
        let image = image.moved_to(cache.memory());
        let own_bytes = OVERHEAD_BYTES + (image.bytes_len() + size_of_val(&*children)) as u64;
        let charge = Charge::new(cache, own_bytes + children_bytes(&children));
        assert_eq!(image.len(), children.len(), "an index has a child for each separator");
        assert!(!children.is_empty(), "an index has a child");
        Self { image, children, charge, life: Life::new() }
    }

    /// No reference leads to it any more: it is freed when no descent stands in it.
    pub(super) fn leave(&self, children: Children) {
        let children_bytes = children_bytes(&self.children);
        match children {
            Children::Stay => self.charge.shrink(children_bytes),
            Children::Leave => self.charge.cache().note_heap_left(children_bytes),
        }
        self.charge.leave();
    }

    /// The separators.
    #[inline]
    pub fn image(&self) -> &PageImage {
        &self.image
    }

    /// How many children it has; at least one.
    pub fn child_count(&self) -> usize {
        self.children.len()
    }

    /// The children, as the next index will name them.
    pub fn children(&self) -> &[NonNull<PageRef>] {
        &self.children
    }

    /// The child numbered `slot`.
    #[inline]
    pub fn child(&self, slot: usize) -> &PageRef {
        // SAFETY: a reference outlives every index that names it: it is retired through the epoch
        // together with the last one, and `self` is borrowed under a guard or the structure lock.
        let child = unsafe { self.children[slot].as_ref() };
        child.life().touch();
        child
    }

    /// Asks the processor for the index itself.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(std::ptr::from_ref(self));
        prefetch(std::ptr::from_ref(self).wrapping_byte_add(CACHE_LINE_BYTES));
    }

    /// Asks the processor for what names the child numbered `slot`.
    #[inline]
    pub fn prefetch_child(&self, slot: usize) {
        prefetch(self.children.as_ptr().wrapping_add(slot));
    }

    /// The number of the child where `key` belongs.
    #[inline]
    pub fn find(&self, key: &[u8]) -> usize {
        self.image.search_child(key)
    }

    /// The number of the child where the keys just below `key` belong.
    pub fn find_before(&self, key: &[u8]) -> usize {
        let (Ok(slot) | Err(slot)) = self.image.search(key);
        slot.saturating_sub(1)
    }

    /// The number of the child whose reference this is.
    pub fn position(&self, child: &PageRef) -> Option<usize> {
        self.children.iter().position(|pointer| std::ptr::eq(pointer.as_ptr(), child))
    }

    /// The separator in front of child `slot`, into `out`; empty for the first.
    pub fn separator_into(&self, slot: usize, out: &mut Vec<u8>) {
        out.clear();
        if slot > 0 {
            self.image.key_into(slot, out);
        }
    }
}

fn children_bytes(children: &[NonNull<PageRef>]) -> u64 {
    children.len() as u64 * REFERENCE_BYTES
}
