//! The memory that the process's allocator holds beside what is in use.
//!
//! References to pages are small and many, and lie between others in the global allocator's heap. When an internal
//! page leaves with all of its own, glibc keeps that memory for later requests of like sizes, which page memory
//! then makes elsewhere: the process would hold both.

/// Has the allocator give whole pages of the system that it does not use back, where it is one that can be told to.
/// Takes a tenth of a millisecond for each megabyte, for which others wait who want memory from the same arena.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(any(miri, loom, shuttle))))]
    // SAFETY: any thread may call it at any time; it touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
