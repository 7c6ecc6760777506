//! What is kept in parts, so that threads keep to their own: the number of a thread, and values that there
//! are several of.

use crate::sync::Padded;

/// The number of the calling thread, from 0 on. Under a model checker all threads have 0.
#[cfg(not(any(loom, shuttle)))]
#[inline]
pub fn thread_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// See above.
#[cfg(any(loom, shuttle))]
pub fn thread_number() -> usize {
    0
}

/// How many parts there are: threads are dealt over them in turn.
const PARTS: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

/// One value for each of a few groups of threads, on cache lines of its own: what every thread writes to
/// all the time, and hardly anybody reads as a whole.
#[derive(Debug)]
pub struct Sharded<T>([Padded<T>; PARTS]);

impl<T> Sharded<T> {
    /// A value for each group, from `make`.
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| Padded(make())))
    }

    /// The value of the calling thread's group.
    #[inline]
    pub fn own(&self) -> &T {
        &self.0[thread_number() % PARTS]
    }

    /// All values, always in the same order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|part| &part.0)
    }
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}
