//! A stretch of address space that asks for huge pages.

use std::ptr::NonNull;

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw, UncheckedAdvice};

/// What the system makes huge pages of.
pub(super) const HUGE_BYTES: usize = 2 << 20;

/// Memory that is reserved, and becomes resident as it is touched.
#[derive(Debug)]
pub(super) struct Region {
    raw: MmapRaw,
    /// Where the first huge page begins in it.
    skip_bytes: usize,
    len_bytes: usize,
}

impl Region {
    /// Reserves `len_bytes`, unless the system refuses.
    pub(super) fn reserve(len_bytes: usize) -> Option<Self> {
        let reserved = len_bytes.checked_add(HUGE_BYTES)?;
        let map: MmapMut = MmapOptions::new().len(reserved).no_reserve_swap().map_anon().ok()?;
        // Without huge pages there is nothing to gain here.
        map.advise(Advice::HugePage).ok()?;
        let skip_bytes = map.as_ptr().align_offset(HUGE_BYTES);
        Some(Self { raw: MmapRaw::from(map), skip_bytes, len_bytes })
    }

    fn base(&self) -> NonNull<u8> {
        let start = self.raw.as_mut_ptr().wrapping_add(self.skip_bytes);
        NonNull::new(start).expect("maps are not at null")
    }

    /// The address `offset` bytes from the start.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len_bytes, "an offset beyond the region");
        // SAFETY: the map is longer than `skip_bytes + len_bytes`.
        unsafe { self.base().add(offset) }
    }

    /// Whether `address` lies in it.
    pub(super) fn holds(&self, address: NonNull<u8>) -> bool {
        address.addr().get().wrapping_sub(self.base().addr().get()) < self.len_bytes
    }

    /// How far from the start `address`, which [`at`](Self::at) gave, is.
    pub(super) fn offset_of(&self, address: NonNull<u8>) -> usize {
        address.addr().get() - self.base().addr().get()
    }

    /// Makes the memory of a part resident, as zeros where it was not; false when the system has none, or does not
    /// know how to.
    pub(super) fn populate(&self, offset: usize, len_bytes: usize) -> bool {
        self.raw.advise_range(Advice::PopulateWrite, self.skip_bytes + offset, len_bytes).is_ok()
    }

    /// Gives the memory of a part back to the system; it is zeros when it is touched again. False when the
    /// system refuses, as for memory that the program has locked: then it stays.
    ///
    /// # Safety
    /// 1. Nobody holds anything in it.
    pub(super) unsafe fn empty(&self, offset: usize, len_bytes: usize) -> bool {
        let at = self.skip_bytes + offset;
        // SAFETY: (1) is the caller's: what was there is lost.
        unsafe { self.raw.unchecked_advise_range(UncheckedAdvice::DontNeed, at, len_bytes) }.is_ok()
    }
}
