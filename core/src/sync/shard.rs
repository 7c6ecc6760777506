//! Which part of something that is kept in parts a thread uses, so that threads keep to their own.

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
