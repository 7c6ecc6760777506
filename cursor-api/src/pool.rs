//! Sessions that are lent to one operation at a time.
//!
//! A session holds a hazard slot, so that opening one per operation would cost; a few kept ones, found
//! by thread, cost little and are rarely fought over.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use rshelve_core::engine::{Engine, Session};

use crate::Result;

/// How many sessions are kept at most.
const SLOTS: usize = 16;

/// One slot, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot(Mutex<Option<Session>>);

/// The sessions of one table.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    slots: [Slot; SLOTS],
}

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// This thread's slot: threads are dealt over the slots in turn.
fn own_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SLOT.with(|slot| {
        if slot.get() == usize::MAX {
            // Relaxed: any number will do.
            slot.set(NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS);
        }
        slot.get()
    })
}

impl Pool {
    /// Runs `work` with a session that nobody else uses meanwhile.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        engine: &Engine,
        work: impl FnOnce(&mut Session) -> Result<R>,
    ) -> Result<R> {
        let Some(mut kept) = self.slots.get(own_slot()).and_then(Slot::try_take) else {
            return work(&mut engine.session()?);
        };
        let kept = NotAfterPanic(&mut kept);
        let session = match &mut *kept.0 {
            Some(session) => session,
            empty => empty.insert(engine.session()?),
        };
        work(session)
    }
}

impl Slot {
    /// What is in it, unless somebody else has it now.
    fn try_take(&self) -> Option<MutexGuard<'_, Option<Session>>> {
        match self.0.try_lock() {
            Ok(kept) => Some(kept),
            // Who panicked has left it empty.
            Err(TryLockError::Poisoned(poison)) => Some(poison.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Drops a session that work has panicked in: the work may have left it with a snapshot, which would keep
/// every version that it sees.
struct NotAfterPanic<'s>(&'s mut Option<Session>);

impl Drop for NotAfterPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}
