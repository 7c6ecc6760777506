//! Bytes and slices that live in a leaf's arena.
//!
//! Nodes are carved from a few blocks and freed with them, when the leaf is. What is handed out here are raw slices, because the leaf that owns the arena is also what
//! everybody borrows from; the borrow of the leaf is what keeps them alive.

use std::ptr::NonNull;

use crate::memory::Arena;

/// A slice in a leaf's arena.
pub(super) struct ArenaSlice<T> {
    start: NonNull<T>,
    len: u32,
}

impl<T> Clone for ArenaSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ArenaSlice<T> {}

impl<T> ArenaSlice<T> {
    /// Notes a slice that was just carved from an arena.
    pub(super) fn of(slice: &mut [T]) -> Self {
        let len = u32::try_from(slice.len()).expect("keys and values are shorter than 4 GiB");
        Self { start: NonNull::from(slice).cast(), len }
    }

    /// The slice.
    ///
    /// # Safety
    /// 1. The arena that it was carved from outlives `'p`.
    /// 2. Nobody holds it mutably.
    pub(super) unsafe fn get<'p>(self) -> &'p [T] {
        // SAFETY: `of` took start and length from one slice, so it is aligned, initialized and in
        // one block; (1) and (2) are the caller's.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

/// Copies `bytes` into `arena`.
pub(super) fn copy_bytes(arena: &Arena, bytes: &[u8]) -> ArenaSlice<u8> {
    ArenaSlice::of(arena.alloc_slice_copy(bytes))
}
