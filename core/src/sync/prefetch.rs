//! Asking for memory ahead of need.

/// What the processor fetches at once.
pub const CACHE_LINE_BYTES: usize = 64;

/// Asks the processor for the cache line at `place`, and waits for nothing. A hint: the address may be any, and where
/// the processor has no such instruction, nothing happens.
#[inline]
pub fn prefetch<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    // SAFETY: a prefetch of any address changes nothing that a program can see, and never fails.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = place;
}
