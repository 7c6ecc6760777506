//! The bell: how the background threads sleep, are woken, and learn that they end.
//!
//! It knows nothing of the engine, so that a model can reach it where the engine is left out.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, is_left_out};

/// What wakes the threads.
#[derive(Debug, Default)]
pub struct Bell {
    /// A leaf of the lock order.
    rung: Mutex<Rung>,
    keeper: Condvar,
    evictor: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    keeper: bool,
    evictor: bool,
    ended: bool,
}

impl Bell {
    /// The log, or the file, may need attention.
    pub fn ring_keeper(&self) {
        self.rung.lock().keeper = true;
        self.keeper.notify_all();
    }

    /// The cache fills up, or the log's segment does.
    pub fn ring_evictor(&self) {
        let mut rung = self.rung.lock();
        if !rung.evictor {
            rung.evictor = true;
            drop(rung);
            self.evictor.notify_all();
        }
    }

    /// The threads end.
    pub fn end(&self) {
        if is_left_out!(EndAfterWake) {
            self.keeper.notify_all();
            self.evictor.notify_all();
        }
        self.rung.lock().ended = true;
        if is_left_out!(EndAfterWake) {
            return;
        }
        self.keeper.notify_all();
        self.evictor.notify_all();
    }

    /// Whether the threads are to end.
    pub fn has_ended(&self) -> bool {
        self.rung.lock().ended
    }

    /// Sleeps until the keeper is rung for or `time` has passed; false at the end.
    pub fn wait_keeper(&self, time: Duration) -> bool {
        let mut rung = self.rung.lock();
        if !rung.keeper && !rung.ended {
            rung = self.keeper.wait_timeout(rung, time).0;
        }
        rung.keeper = false;
        !rung.ended
    }

    /// Sleeps until the evictor is rung for; false at the end.
    pub fn wait_evictor(&self) -> bool {
        let mut rung = self.rung.lock();
        while !rung.evictor && !rung.ended {
            rung = self.evictor.wait(rung);
        }
        rung.evictor = false;
        !rung.ended
    }
}
