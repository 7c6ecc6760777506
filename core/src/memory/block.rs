//! A block of memory with an owner, and the bytes of a page in one.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{PageMemory, Sparse};
use crate::sync::Arc;

/// How blocks from the global allocator are aligned; those of a [`PageMemory`] are more.
const ALIGN_BYTES: usize = 16;

/// Uninitialized memory, freed with its owner.
pub struct Block {
    start: NonNull<u8>,
    len: usize,
    /// Where it came from; none for the global allocator.
    memory: Option<Arc<PageMemory>>,
}

// SAFETY: it owns its memory, and `PageMemory` takes blocks back from any thread.
unsafe impl Send for Block {}
// SAFETY: a shared block gives an address away, and nothing else.
unsafe impl Sync for Block {}

impl Block {
    /// A block of at least `len` bytes, more than none, from `memory` if that has room.
    pub fn new(memory: Option<&Arc<PageMemory>>, len: usize) -> Self {
        if let Some(memory) = memory
            && let Some(start) = memory.take(len)
        {
            return Self { start, len, memory: Some(Arc::clone(memory)) };
        }
        let layout = layout(len);
        assert!(len > 0, "a block of no bytes");
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, len, memory: None }
    }

    /// Its first byte, aligned to 16.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Whether it lies in a span of page memory that is worth emptying.
    pub fn lies_in(&self, sparse: Sparse) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.is_sparse_at(self.start, self.len, sparse))
    }

    /// The bytes that it takes, all of which may be used.
    pub fn bytes_len(&self) -> usize {
        footprint(self.memory.as_ref(), self.len)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        match &self.memory {
            // SAFETY: (1) taken in `new` with this length, and dropped once; (2) the owner is gone.
            Some(memory) => unsafe { memory.give_back(self.start, self.len) },
            // SAFETY: allocated in `new` with this layout.
            None => unsafe { dealloc(self.start.as_ptr(), layout(self.len)) },
        }
    }
}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(len, ALIGN_BYTES).expect("a block of less than half the address space")
}

fn footprint(memory: Option<&Arc<PageMemory>>, len: usize) -> usize {
    memory.and_then(|_| PageMemory::block_bytes(len)).unwrap_or(len)
}

/// Immutable bytes, in a database's page memory or from the global allocator.
pub struct PageBytes {
    start: NonNull<u8>,
    len: usize,
    /// Where they came from; none for a box.
    memory: Option<Arc<PageMemory>>,
}

// SAFETY: it owns its bytes, as a box does.
unsafe impl Send for PageBytes {}
// SAFETY: as above; nobody writes to them.
unsafe impl Sync for PageBytes {}

impl PageBytes {
    /// A copy of `bytes` in `memory`, if that has room for it.
    pub fn copy_of(bytes: &[u8], memory: Option<&Arc<PageMemory>>) -> Self {
        if let Some(memory) = memory
            && let Some(start) = memory.take(bytes.len())
        {
            // SAFETY: the block is fresh, and has room for so many bytes.
            unsafe { start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
            return Self { start, len: bytes.len(), memory: Some(Arc::clone(memory)) };
        }
        Self::from(Box::from(bytes))
    }

    /// Bytes put together from `parts`, in `memory` if that has room for them.
    pub fn concat(parts: &[&[u8]], memory: Option<&Arc<PageMemory>>) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        if let Some(memory) = memory
            && let Some(start) = memory.take(len)
        {
            let mut at = 0;
            for part in parts {
                // SAFETY: the block is fresh, and has room for all parts, so for those before this one.
                let place = unsafe { start.add(at) };
                // SAFETY: and for this one behind them.
                unsafe {
                    place.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len());
                }
                at += part.len();
            }
            return Self { start, len, memory: Some(Arc::clone(memory)) };
        }
        Self::from(parts.concat().into_boxed_slice())
    }

    /// The same bytes in `memory`, if there is one and they are not there yet.
    pub fn moved_to(self, memory: Option<&Arc<PageMemory>>) -> Self {
        if memory.is_none() || self.memory.is_some() { self } else { Self::copy_of(&self, memory) }
    }

    /// Whether they lie in a span of page memory that is worth emptying.
    pub fn lie_in(&self, sparse: Sparse) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.is_sparse_at(self.start, self.len, sparse))
    }

    /// What they take in memory.
    pub fn footprint(&self) -> usize {
        footprint(self.memory.as_ref(), self.len)
    }
}

/// Bytes of a page that are not all there yet, in the place where they will be read.
#[derive(Debug)]
pub struct PageBuffer(PageBytes);

impl PageBuffer {
    /// So many zeros in `memory`; none if it has no room for them.
    pub fn zeroed_in(memory: &Arc<PageMemory>, len: usize) -> Option<Self> {
        let start = memory.take(len)?;
        // SAFETY: the block is fresh, and has room for so many bytes.
        unsafe { start.write_bytes(0, len) };
        Some(Self(PageBytes { start, len, memory: Some(Arc::clone(memory)) }))
    }

    /// They are all there.
    pub fn finish(self) -> PageBytes {
        self.0
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are initialized and owned, and nobody else knows of them yet.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.as_ptr(), self.0.len) }
    }
}

impl From<Box<[u8]>> for PageBytes {
    fn from(bytes: Box<[u8]>) -> Self {
        let len = bytes.len();
        let start = NonNull::from(Box::leak(bytes)).cast();
        Self { start, len, memory: None }
    }
}

impl From<Vec<u8>> for PageBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.into_boxed_slice())
    }
}

impl From<&[u8]> for PageBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_of(bytes, None)
    }
}

impl Deref for PageBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are initialized and owned, whichever way they came.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Clone for PageBytes {
    fn clone(&self) -> Self {
        Self::copy_of(self, self.memory.as_ref())
    }
}

impl Drop for PageBytes {
    fn drop(&mut self) {
        match &self.memory {
            // SAFETY: (1) taken with this length, and dropped once; (2) the owner is gone.
            Some(memory) => unsafe { memory.give_back(self.start, self.len) },
            None => {
                let bytes = NonNull::slice_from_raw_parts(self.start, self.len);
                // SAFETY: without a memory they came from a box.
                drop(unsafe { Box::from_raw(bytes.as_ptr()) });
            }
        }
    }
}

impl fmt::Debug for PageBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageBytes").field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.len).finish_non_exhaustive()
    }
}
