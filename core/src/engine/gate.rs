//! The gate: held by each write from its first version to its commit, and by `close` for good.
//!
//! Every write passes it, so it is kept in parts, one for each group of threads: who enters writes to its
//! own part only, and who closes takes them all.

use crate::sync::{RwLock, RwLockReadGuard, Sharded};

/// See the module. Each part says whether the database is closed.
#[derive(Debug, Default)]
pub(super) struct Gate(Sharded<RwLock<bool>>);

/// Keeps the gate from being closed.
pub(super) type Entered<'g> = RwLockReadGuard<'g, bool>;

impl Gate {
    /// Enters, unless the gate is closed; waits for a close under way.
    #[inline]
    pub fn enter(&self) -> Option<Entered<'_>> {
        Some(self.0.own().read()).filter(|closed| !**closed)
    }

    /// The same without waiting.
    pub fn try_enter(&self) -> Option<Entered<'_>> {
        self.0.own().try_read().filter(|closed| !**closed)
    }

    /// Waits until everybody has left, calls `closed`, and lets nobody in any more; false, and nothing is
    /// called, if it was closed before.
    pub fn close(&self, closed: impl FnOnce()) -> bool {
        // Always in the same order. Each stays locked until all are closed: nobody sees half of them so.
        let mut parts: Vec<_> = self.0.iter().map(RwLock::write).collect();
        let was_open = parts.iter_mut().all(|part| !std::mem::replace(&mut **part, true));
        if was_open {
            closed();
        }
        was_open
    }
}
