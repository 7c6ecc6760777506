//! Whose turn it is: one checkpoint, or change to which tables there are, at a time; and how a checkpoint that
//! nobody waits for makes pauses.
//!
//! A checkpoint reads, copies and writes more memory than caches hold, so whoever works beside it is slower
//! for as long as the machine is busy with both. One in the background is in no hurry: it rests between batches
//! (PostgreSQL spreads its checkpoints for the same reason), until somebody waits for its end.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Held by whose turn it is. Counts the checkpoints.
    checkpoints: Mutex<u32>,
    /// How many wait for their turn. A leaf of the lock order.
    waiting: Mutex<usize>,
    /// Signalled when somebody begins to wait; waited on with `waiting`.
    came: Condvar,
}

impl Turn {
    /// Waits for its turn, which ends with what is returned: the number of checkpoints so far. A pause of
    /// whoever has it now ends at once.
    pub fn take(&self) -> MutexGuard<'_, u32> {
        if let Some(taken) = self.checkpoints.try_lock() {
            return taken;
        }
        *self.waiting.lock() += 1;
        self.came.notify_all();
        let taken = self.checkpoints.lock();
        *self.waiting.lock() -= 1;
        taken
    }

    /// Rests for `time`, for whose turn it is; not, or no longer, while somebody waits for it. Never under a
    /// model checker, which has no time.
    pub fn pause(&self, time: Duration) {
        let waiting = self.waiting.lock();
        if *waiting == 0 && !cfg!(any(loom, shuttle)) {
            drop(self.came.wait_timeout(waiting, time));
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn pause_ends_when_somebody_waits_and_lasts_when_nobody_does() {
        let turn = Turn::default();
        let start = Instant::now();
        std::thread::scope(|scope| {
            let mut taken = turn.take();
            *taken += 1;
            let waits = scope.spawn(|| *turn.take());
            // Whether it waits already or comes in the middle.
            turn.pause(LONG);
            turn.pause(LONG);
            drop(taken);
            assert_eq!(waits.join().expect("no panic"), 1);
        });
        assert!(start.elapsed() < LONG / 2);
        let (rest, start) = (Duration::from_millis(20), Instant::now());
        let taken = turn.take();
        turn.pause(rest);
        drop(taken);
        assert!(start.elapsed() >= rest);
    }
}
