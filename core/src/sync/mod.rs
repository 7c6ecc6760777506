//! The one switch between real threads and model-checked ones.
//!
//! Everything in this crate that touches an atomic, a lock, a condition variable or a thread
//! takes it from here, so that `loom-tests` checks the real types, and `shuttle-tests` the whole
//! engine. Locks never poison: a panic
//! while one is held is caught by whoever owns the thread and poisons the *database*, with a
//! reason, instead (see `engine`).
//!
//! This layer knows nothing of the others.

#[cfg(not(any(loom, shuttle)))]
#[path = "real.rs"]
mod imp;
#[cfg(loom)]
#[path = "loom.rs"]
mod imp;
#[cfg(shuttle)]
#[path = "shuttle.rs"]
mod imp;

pub mod epoch;
pub mod life;
mod padded;
mod prefetch;
mod shard;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod waits;
#[cfg(any(loom, shuttle))]
pub mod weaken;

/// Whether the running model leaves a step of its protocol out: a negative control. In every build
/// but a model checker's it is the constant `false`.
macro_rules! is_left_out {
    ($weakness:ident) => {{
        #[cfg(any(loom, shuttle))]
        {
            $crate::sync::weaken::is($crate::sync::weaken::Weakness::$weakness)
        }
        #[cfg(not(any(loom, shuttle)))]
        {
            false
        }
    }};
}

/// A memory ordering, or `Relaxed` in a model that leaves it out.
macro_rules! ordering {
    ($ordering:expr, $weakness:ident) => {
        if $crate::sync::is_left_out!($weakness) {
            $crate::sync::atomic::Ordering::Relaxed
        } else {
            $ordering
        }
    };
}

pub(crate) use is_left_out;
pub(crate) use ordering;

pub use imp::{Arc, Condvar, Mutex, MutexGuard, atomic};
// No layer that is modelled uses these.
#[cfg(not(loom))]
pub use imp::{RwLock, RwLockReadGuard, Weak, thread};
pub use padded::Padded;
pub use prefetch::{CACHE_LINE_BYTES, prefetch};
pub use shard::{Sharded, thread_number};
