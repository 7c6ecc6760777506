//! A batch of changes: one transaction that reads nothing, so that it can wait for whoever is first.
//!
//! What a transaction with a snapshot may not follow, because it would overwrite what it has not seen,
//! a batch may: it gives its keys their values whatever they had, as a write by itself does.
//! Only a transaction that has not ended is in its way.

use std::time::{Duration, Instant};

use super::{Session, check_lengths};
use crate::base::error::{Error, Result, RollbackReason};
use crate::base::ids::TxnId;
use crate::btree::Tree;
use crate::engine::OpenTable;
use crate::sync::Arc;
use crate::txn::{Existing, Transaction, Write, Wrote};

/// How long a batch waits for another transaction while it keeps what it has written. A write by
/// itself ends within that, and keeps nothing while it waits in its turn. Another batch may wait
/// for us; then the first one that has waited so long rolls back, and the other goes on.
const WAIT_IN_PLACE: Duration = Duration::from_millis(5);

impl Session {
    /// Applies every change of `batch` in one transaction: no value deletes the key. Waits for
    /// transactions that are in the way, up to the database's time-out.
    ///
    /// # Errors
    /// [`Error::Rollback`] when one did not end in time, or the cache is full; [`Error::Invalid`] inside
    /// a transaction; else as [`put`](Session::put). Nothing of the batch is applied then.
    pub fn apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        table: &OpenTable,
        batch: &[(K, Option<V>)],
    ) -> Result<()> {
        self.inner.check_writable("write")?;
        if self.in_transaction() {
            return Err(Error::invalid("a transaction is open already; commit it or roll it back"));
        }
        for (key, value) in batch {
            check_lengths(key.as_ref(), value.as_ref().map(AsRef::as_ref))?;
        }
        let timeout = self.timeout;
        let deadline = Instant::now().checked_add(timeout);
        while let Some(with) = {
            let whole = Transaction::new(None, &self.inner.shared.cache);
            self.try_apply(table.tree(), batch, whole, deadline)?
        } {
            let left = left_until(deadline);
            if !self.inner.shared.transactions.wait_ended(with, left) {
                return Err(Error::Rollback { reason: RollbackReason::TimedOut(timeout) });
            }
        }
        self.renew_snapshot();
        Ok(())
    }

    /// Applies the batch, or says which transaction is in the way; nothing is applied then.
    fn try_apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        tree: &Arc<Tree>,
        batch: &[(K, Option<V>)],
        mut whole: Transaction,
        deadline: Option<Instant>,
    ) -> Result<Option<TxnId>> {
        let inner = Arc::clone(&self.inner);
        for (key, value) in batch {
            let write = Write {
                key: key.as_ref(),
                value: value.as_ref().map(AsRef::as_ref),
                wanted: if value.is_some() { Existing::Either } else { Existing::Required },
            };
            match self.write_of_batch(tree, &mut whole, write, deadline) {
                Ok(None) => {}
                stopped => {
                    whole.rollback(&mut self.pin)?;
                    self.pin.release();
                    return stopped;
                }
            }
        }
        let committed = match inner.enter() {
            Ok(_gate) => whole.commit(&inner.committer, &mut self.pin, false),
            Err(closed) => {
                whole.rollback(&mut self.pin)?;
                Err(closed)
            }
        };
        self.pin.release();
        inner.relieve();
        committed.map(|()| None)
    }

    /// One write of the batch; says which transaction is in the way if it stays there.
    fn write_of_batch(
        &mut self,
        tree: &Arc<Tree>,
        whole: &mut Transaction,
        write: Write<'_>,
        deadline: Option<Instant>,
    ) -> Result<Option<TxnId>> {
        let inner = &*self.inner;
        loop {
            inner.make_room(self.timeout)?;
            let wrote = {
                let _gate = inner.enter()?;
                whole.write(tree, write, &inner.committer, &mut self.pin, &mut |_| {})?
            };
            self.pin.release();
            inner.relieve();
            let Wrote::Conflict(with) = wrote else { return Ok(None) };
            inner.shared.stats.conflicts.bump();
            let patience = WAIT_IN_PLACE.min(left_until(deadline));
            if !inner.shared.transactions.wait_ended(with, patience) {
                return Ok(Some(with));
            }
        }
    }
}

/// The time until `deadline`; for ever without one.
fn left_until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
}
