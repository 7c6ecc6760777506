//! The one switch between real threads and model-checked ones.
//!
//! Everything in this crate that touches an atomic, a lock, a condition variable or a thread
//! takes it from here, so that `loom-tests` checks the real types. Locks never poison: a panic
//! while one is held is caught by whoever owns the thread and poisons the *database*, with a
//! reason, instead (see `engine`).
//!
//! This layer knows nothing of the others.

#[cfg(not(loom))]
#[path = "real.rs"]
mod imp;
#[cfg(loom)]
#[path = "loom.rs"]
mod imp;

pub mod epoch;
mod padded;
#[cfg(loom)]
pub mod weaken;

pub use imp::{Arc, Condvar, Mutex, MutexGuard, RwLock, atomic, thread};
pub use padded::Padded;
