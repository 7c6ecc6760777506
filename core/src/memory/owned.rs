//! A value in a block of its own: a box whose memory is a database's.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use super::PageMemory;
use crate::sync::Arc;

/// See the module.
pub struct Owned<T> {
    value: NonNull<T>,
    /// Where its memory came from; none when it is a box's.
    memory: Option<Arc<PageMemory>>,
}

// SAFETY: it owns its value, as a box does.
unsafe impl<T: Send> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// Puts `value` into `memory`, if that has room for it.
    pub fn new(memory: Option<&Arc<PageMemory>>, value: T) -> Self {
        const {
            // The smallest class's blocks are aligned to their size, the others' to 64.
            let in_smallest = size_of::<T>() <= 512 && align_of::<T>() <= 512;
            assert!(align_of::<T>() <= 64 || in_smallest || cfg!(any(loom, shuttle)));
        }
        if let Some(memory) = memory
            && let Some(start) = memory.take(size_of::<T>())
        {
            let place = start.cast::<T>();
            // SAFETY: the block is fresh, large enough and aligned.
            unsafe { place.write(value) };
            return Self { value: place, memory: Some(Arc::clone(memory)) };
        }
        Self { value: NonNull::from(Box::leak(Box::new(value))), memory: None }
    }

    /// Gives the value's address away.
    pub fn into_raw(self) -> NonNull<T> {
        let mut this = std::mem::ManuallyDrop::new(self);
        drop(this.memory.take());
        this.value
    }

    /// Takes back what [`into_raw`](Self::into_raw) gave away.
    ///
    /// # Safety
    /// 1. It came from `into_raw`, and comes back once.
    /// 2. `memory` is what [`new`](Self::new) was given.
    /// 3. Nobody else touches the value any more.
    pub unsafe fn from_raw(value: NonNull<T>, memory: Option<&Arc<PageMemory>>) -> Self {
        let memory = memory.filter(|memory| memory.holds(value.cast()));
        Self { value, memory: memory.map(Arc::clone) }
    }

    /// The same as a box, if its memory is a box's.
    pub fn into_box(self) -> Result<Box<T>, Self> {
        if self.memory.is_some() {
            return Err(self);
        }
        // SAFETY: without a memory it came from a box.
        Ok(unsafe { Box::from_raw(self.into_raw().as_ptr()) })
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is alive until `self` is dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        match self.memory.take() {
            Some(memory) => {
                // SAFETY: the value is alive, and ends here.
                unsafe { self.value.drop_in_place() };
                // SAFETY: (1) taken in `new` for a `T`, and dropped once; (2) the value is gone.
                unsafe { memory.give_back(self.value.cast(), size_of::<T>()) };
            }
            // SAFETY: without a memory it came from a box.
            None => drop(unsafe { Box::from_raw(self.value.as_ptr()) }),
        }
    }
}

impl<T> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").finish_non_exhaustive()
    }
}
