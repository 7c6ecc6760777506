//! Schedules of the whole engine over a storage in memory: commits, splits, removals, eviction,
//! checkpoints, kills and closes beside each other.
#![cfg(shuttle)]
#![forbid(unsafe_code)]

mod ends;
mod kills;
mod readers;
mod writers;

use shuttle::thread::{self, JoinHandle};

/// Runs `work` on a thread of its own.
fn spawn<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    thread::spawn(work)
}
