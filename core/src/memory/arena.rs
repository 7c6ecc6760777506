//! An arena: values and slices carved from a few blocks, and freed with them.
//!
//! Nothing that lies in it is dropped. It is what `bumpalo` is, in a database's page memory: that takes
//! no allocator but the global one.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::NonNull;

use super::{Block, PageMemory, Sparse};
use crate::sync::{Arc, CACHE_LINE_BYTES, prefetch};

/// The sizes of the first block, and of those that follow: small, because there is an arena to each leaf, and
/// its last block is half empty on average.
const BLOCK_BYTES: [usize; 2] = [1 << 10, 2 << 10];

/// See the module.
pub struct Arena {
    memory: Option<Arc<PageMemory>>,
    blocks: RefCell<Vec<Block>>,
    /// What is left of the newest block: its address and its length.
    free: Cell<(NonNull<u8>, usize)>,
    allocated_bytes: Cell<usize>,
}

// SAFETY: the address leads into a block that the arena owns.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena that takes nothing yet, and its blocks from `memory` if that has room.
    pub fn new(memory: Option<&Arc<PageMemory>>) -> Self {
        Self {
            memory: memory.map(Arc::clone),
            blocks: RefCell::new(Vec::new()),
            free: Cell::new((NonNull::dangling(), 0)),
            allocated_bytes: Cell::new(0),
        }
    }

    /// The bytes that its blocks take.
    pub fn allocated_bytes(&self) -> usize {
        self.allocated_bytes.get()
    }

    /// Whether any of its blocks lies in a span of page memory that is worth emptying.
    pub fn lies_in(&self, sparse: Sparse) -> bool {
        self.blocks.borrow().iter().any(|block| block.lies_in(sparse))
    }

    /// Puts `value` into it. It is never dropped.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "no two calls give the same memory")]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        let place = self.carve(size_of::<T>(), align_of::<T>()).cast::<T>();
        // SAFETY: the place is fresh, large enough, aligned, and this arena's.
        unsafe {
            place.write(value);
            &mut *place.as_ptr()
        }
    }

    /// Copies `slice` into it.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "no two calls give the same memory")]
    pub fn alloc_slice_copy<T: Copy>(&self, slice: &[T]) -> &mut [T] {
        let place = self.carve(size_of_val(slice), align_of::<T>()).cast::<T>();
        // SAFETY: as in `alloc`, for each of the elements.
        unsafe {
            place.copy_from_nonoverlapping(NonNull::from(slice).cast(), slice.len());
            std::slice::from_raw_parts_mut(place.as_ptr(), slice.len())
        }
    }

    /// A slice of `len` elements, each what `fill` makes of its index.
    #[allow(clippy::mut_from_ref, reason = "no two calls give the same memory")]
    pub fn alloc_slice_fill_with<T>(
        &self,
        len: usize,
        mut fill: impl FnMut(usize) -> T,
    ) -> &mut [T] {
        let bytes = size_of::<T>().checked_mul(len).expect("a slice that fits into memory");
        let place = self.carve(bytes, align_of::<T>()).cast::<T>();
        for index in 0..len {
            // SAFETY: as in `alloc`, for each of the elements.
            unsafe { place.add(index).write(fill(index)) };
        }
        // SAFETY: all elements were written.
        unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), len) }
    }

    /// Asks the processor for the next `bytes` that will be carved, as far as the newest block has them.
    #[inline]
    pub fn prefetch_free(&self, bytes: usize) {
        let (start, len) = self.free.get();
        for at in (0..bytes.min(len)).step_by(CACHE_LINE_BYTES) {
            prefetch(start.as_ptr().wrapping_add(at));
        }
    }

    /// Memory for so many bytes that nobody else has, and that lives as long as the arena.
    #[inline]
    fn carve(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let (start, len) = self.free.get();
        let skip = start.align_offset(align);
        match skip.checked_add(bytes) {
            Some(taken) if taken <= len => {
                // SAFETY: `taken` bytes are left of the newest block.
                let (place, rest) = unsafe { (start.add(skip), start.add(taken)) };
                self.free.set((rest, len - taken));
                place
            }
            _ => self.carve_from_new_block(bytes, align),
        }
    }

    #[cold]
    fn carve_from_new_block(&self, bytes: usize, align: usize) -> NonNull<u8> {
        assert!(align <= 16, "blocks are aligned to 16");
        let mut blocks = self.blocks.borrow_mut();
        let usual = BLOCK_BYTES[blocks.len().min(BLOCK_BYTES.len() - 1)];
        let block = Block::new(self.memory.as_ref(), bytes.max(usual));
        let (start, len) = (block.start(), block.bytes_len());
        self.allocated_bytes.set(self.allocated_bytes.get() + len);
        blocks.push(block);
        // SAFETY: the block has room for `bytes`, and starts aligned.
        self.free.set((unsafe { start.add(bytes) }, len - bytes));
        start
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("allocated_bytes", &self.allocated_bytes())
            .finish_non_exhaustive()
    }
}
