//! Retiring small structures under readers that are pinned for the length of one operation.
//!
//! A reader [`pin`]s, follows pointers, and drops its [`Guard`] before any I/O, wait or return.
//! Whoever unlinks a structure hands its destructor to [`Guard::defer`], which runs it when every
//! reader that was pinned at that time has unpinned. Outside loom this is `crossbeam-epoch`
//! (Fraser's epoch-based reclamation); under loom it is the simplest scheme that has the same
//! contract, because loom needs to see each step; under shuttle the same scheme without steps of its own.

/// Runs what this thread and those that ended have deferred, as far as nobody is pinned: what waits may keep the memory
/// of a whole database that is closed.
pub fn collect() {
    // The epoch is two steps ahead then, and each step runs some of it only.
    for _ in 0..16 {
        pin().flush();
    }
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    /// Proof that the current thread is pinned.
    #[derive(Debug)]
    pub struct Guard(crossbeam_epoch::Guard);

    /// Pins the current thread until the guard is dropped.
    #[inline]
    pub fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    impl Guard {
        /// Runs `destroy` once nobody who is pinned now is pinned any more.
        ///
        /// # Safety
        /// 1. What `destroy` frees is unreachable for whoever pins from now on.
        /// 2. `destroy` may run on any thread, at any later time.
        pub unsafe fn defer<F: FnOnce() + 'static>(&self, destroy: F) {
            // SAFETY: the caller's (1) and (2) are exactly crossbeam's contract.
            unsafe { self.0.defer_unchecked(destroy) }
        }

        /// Hands what was deferred on this thread to the collector, and lets it work.
        pub fn flush(&self) {
            self.0.flush();
        }
    }
}

#[cfg(loom)]
mod imp {
    use crate::sync::Mutex;

    struct Destroy(Box<dyn FnOnce()>);

    // SAFETY: by the contract of `defer` it may run on any thread.
    unsafe impl Send for Destroy {}

    struct Registry {
        pinned: usize,
        deferred: Vec<Destroy>,
    }

    loom::lazy_static! {
        // Not behind an `Arc`: after a failure statics are dropped outside the execution, where
        // loom's cannot count.
        static ref REGISTRY: Mutex<Registry> =
            Mutex::new(Registry { pinned: 0, deferred: Vec::new() });
    }

    /// Proof that the current thread is pinned.
    pub struct Guard(());

    /// Pins the current thread until the guard is dropped.
    pub fn pin() -> Guard {
        REGISTRY.lock().pinned += 1;
        Guard(())
    }

    impl Guard {
        /// See the real one.
        ///
        /// # Safety
        /// As the real one.
        pub unsafe fn defer<F: FnOnce() + 'static>(&self, destroy: F) {
            REGISTRY.lock().deferred.push(Destroy(Box::new(destroy)));
        }

        /// Nothing to do here.
        pub fn flush(&self) {}
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let mut registry = REGISTRY.lock();
            registry.pinned -= 1;
            if registry.pinned == 0 {
                let ready = std::mem::take(&mut registry.deferred);
                drop(registry);
                ready.into_iter().for_each(|destroy| (destroy.0)());
            }
        }
    }
}

#[cfg(shuttle)]
mod imp {
    use std::cell::RefCell;

    #[derive(Default)]
    struct Registry {
        pinned: usize,
        deferred: Vec<Box<dyn FnOnce()>>,
    }

    thread_local! {
        // One system thread runs all threads of a schedule.
        static REGISTRY: RefCell<Registry> = RefCell::default();
    }

    /// Proof that the current thread is pinned.
    #[derive(Debug)]
    pub struct Guard(());

    /// Pins the current thread until the guard is dropped.
    pub fn pin() -> Guard {
        REGISTRY.with_borrow_mut(|registry| registry.pinned += 1);
        Guard(())
    }

    impl Guard {
        /// See the real one.
        ///
        /// # Safety
        /// As the real one.
        pub unsafe fn defer<F: FnOnce() + 'static>(&self, destroy: F) {
            REGISTRY.with_borrow_mut(|registry| registry.deferred.push(Box::new(destroy)));
        }

        /// Nothing to do here.
        pub fn flush(&self) {}
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let ready = REGISTRY.with_borrow_mut(|registry| {
                registry.pinned -= 1;
                let is_last = registry.pinned == 0;
                if is_last { std::mem::take(&mut registry.deferred) } else { Vec::new() }
            });
            ready.into_iter().for_each(|destroy| destroy());
        }
    }
}

pub use imp::{Guard, pin};
