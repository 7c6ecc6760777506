//! The pair of fences under the hazard protocol: a symmetric kind, and one that charges the
//! scanner for both sides.

use crate::sync::atomic::{AtomicPtr, Ordering, fence};
#[cfg(any(loom, shuttle))]
use crate::sync::weaken::{self, Weakness};

/// How a reader's published hazard and a scanner's changed word are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    /// A full fence on either side. Works everywhere.
    Portable,
    /// The reader only keeps the compiler from reordering; the scanner makes every running
    /// thread of the process execute a full fence, by the system call `membarrier`. Linux only.
    Membarrier,
}

impl Fences {
    /// The faster kind that works here: [`Fences::Membarrier`] where the kernel has it.
    pub fn fastest() -> Fences {
        Fences::Membarrier.or_portable()
    }

    /// This kind if it works here, else [`Fences::Portable`]. Registers the process with the
    /// kernel if need be.
    pub(super) fn or_portable(self) -> Fences {
        match self {
            Fences::Membarrier if membarrier::register() => Fences::Membarrier,
            _ => Fences::Portable,
        }
    }

    /// Stores `object` in `hazard` so that the caller's next read of the word that led to
    /// `object` is ordered after it.
    #[inline]
    pub(super) fn publish(self, hazard: &AtomicPtr<()>, object: *mut ()) {
        match self {
            Fences::Portable => publish_portable(hazard, object),
            Fences::Membarrier => {
                // Release: what the owner did with the object that the slot named before comes
                // first. Pairs with the Acquire load in `Registry::for_each_hazard`.
                hazard.store(object, Ordering::Release);
                // Pairs with `membarrier` in `Fences::before_scan`, which turns this into a full
                // fence on whatever processor runs it.
                #[cfg(not(any(loom, shuttle)))]
                std::sync::atomic::compiler_fence(Ordering::SeqCst);
            }
        }
    }

    /// Orders every change of a word before this call against the reads of hazards after it.
    /// False if the kernel refused: then nothing may be freed on the strength of those reads.
    #[must_use]
    pub(super) fn before_scan(self) -> bool {
        match self {
            Fences::Portable => {
                #[cfg(any(loom, shuttle))]
                if weaken::is(Weakness::HazardScannerFence) {
                    return true;
                }
                // SeqCst: pairs with the fence in `publish_portable`.
                fence(Ordering::SeqCst);
                true
            }
            // Pairs with the compiler fence in `Fences::publish`. The call is a full fence for
            // the calling thread too.
            Fences::Membarrier => membarrier::run(),
        }
    }
}

/// Store and full fence in one instruction: on x86 an exchange is a full fence, and cheaper than
/// `mfence`. The language does not promise that an exchange orders later loads of other words
/// as a fence does, so this is for x86 machine code only; Miri and loom get the fence.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(miri), not(any(loom, shuttle))))]
#[inline]
fn publish_portable(hazard: &AtomicPtr<()>, object: *mut ()) {
    // SeqCst: Release as in `Fences::publish`, and the full fence that pairs with the one in
    // `Fences::before_scan`.
    hazard.swap(object, Ordering::SeqCst);
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

#[cfg(not(all(
    any(target_arch = "x86", target_arch = "x86_64"),
    not(miri),
    not(any(loom, shuttle))
)))]
#[inline]
fn publish_portable(hazard: &AtomicPtr<()>, object: *mut ()) {
    // Release: as in `Fences::publish`.
    hazard.store(object, Ordering::Release);
    #[cfg(any(loom, shuttle))]
    if weaken::is(Weakness::HazardReaderFence) {
        return;
    }
    // SeqCst: pairs with the fence in `Fences::before_scan`.
    fence(Ordering::SeqCst);
}

#[cfg(all(target_os = "linux", not(miri), not(any(loom, shuttle))))]
mod membarrier {
    //! `membarrier(2)`. The numbers are the kernel's, fixed by its promise to user space.

    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Tells the kernel that this process will call [`run`]; false if it cannot.
    pub fn register() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED) && run()
    }

    /// A full fence on every processor that runs a thread of this process, this one included.
    pub fn run() -> bool {
        call(PRIVATE_EXPEDITED)
    }
}

#[cfg(not(all(target_os = "linux", not(miri), not(any(loom, shuttle)))))]
mod membarrier {
    //! Where there is no `membarrier`.

    pub fn register() -> bool {
        false
    }

    pub fn run() -> bool {
        false
    }
}
