//! How long a thread has waited for other threads inside the engine: for locks and for conditions, not for the
//! disk. Added up only where the feature `waits` is on, which a benchmark turns on; else no code.

#[cfg(feature = "waits")]
mod imp {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    thread_local! {
        static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// Runs `wait`, and adds its time to the thread's.
    #[cold]
    pub fn timed<R>(wait: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let waited = wait();
        WAITED.set(WAITED.get() + start.elapsed());
        waited
    }

    /// The time that the calling thread has waited so far.
    pub fn waited() -> Duration {
        WAITED.get()
    }
}

#[cfg(not(feature = "waits"))]
mod imp {
    /// Runs `wait`.
    #[inline(always)]
    pub fn timed<R>(wait: impl FnOnce() -> R) -> R {
        wait()
    }
}

pub use imp::timed;
#[cfg(feature = "waits")]
pub use imp::waited;
