//! A batch of changes: one transaction that reads nothing, so that it can wait for whoever is first.
//!
//! What a transaction with a snapshot may not follow, because it would overwrite what it has not seen,
//! a batch may: it gives its keys their values whatever they had, as a write by itself does.
//! Only a transaction that has not ended is in its way.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{Session, check_lengths};
use crate::base::error::{Error, Result, RollbackReason};
use crate::base::ids::TxnId;
use crate::btree::{KEYS_AT_ONCE, Tree};
use crate::engine::OpenTable;
use crate::sync::Arc;
use crate::txn::{Existing, Transaction, Write, Wrote};

/// How long a batch waits for another transaction while it keeps what it has written. A write by
/// itself ends within that, and keeps nothing while it waits in its turn. Another batch may wait
/// for us; then the first one that has waited so long rolls back, and the other goes on.
const WAIT_IN_PLACE: Duration = Duration::from_millis(5);

impl Session {
    /// Applies every change of `batch`: no value deletes the key. Outside a transaction in one of its own, which
    /// waits for transactions that are in the way, up to the session's time-out. Inside one it comes to the same as if they
    /// were made one by one.
    ///
    /// # Errors
    /// [`Error::Rollback`] when one did not end in time, or the cache is full; else as [`put`](Session::put). Nothing of
    /// the batch is applied then. Inside a transaction those before the change that it failed at are, and that can only be
    /// rolled back; but keys and values that are too long are refused before anything is done.
    pub fn apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        table: &OpenTable,
        batch: &[(K, Option<V>)],
    ) -> Result<()> {
        self.inner.check_writable("write")?;
        self.refuse_weak()?;
        for (key, value) in batch {
            check_lengths(key.as_ref(), value.as_ref().map(AsRef::as_ref))?;
        }
        if self.in_transaction() {
            return self.apply_in_transaction(table, batch);
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
        let stopped = self.write_each(tree, batch, |session, write| {
            match session.write_of_batch(tree, &mut whole, write, deadline) {
                Ok(None) => ControlFlow::Continue(()),
                stopped => ControlFlow::Break(stopped),
            }
        });
        let outcome = match stopped {
            ControlFlow::Continue(()) => match inner.enter() {
                Ok(_gate) => whole.commit(&inner.committer, &mut self.pin, false).map(|()| None),
                Err(closed) => whole.rollback(&mut self.pin).and(Err(closed)),
            },
            ControlFlow::Break(stopped) => whole.rollback(&mut self.pin).and(stopped),
        };
        self.pin.release();
        inner.relieve();
        outcome
    }

    fn apply_in_transaction<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        table: &OpenTable,
        batch: &[(K, Option<V>)],
    ) -> Result<()> {
        let outcome = self.write_each(table.tree(), batch, |session, write| {
            let Write { key, value, wanted } = write;
            match session.write(table, key, value, wanted, &mut |_| {}) {
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        outcome.break_value().map_or(Ok(()), Err)
    }

    /// Calls `write` for each change of the batch, in order, until it breaks off. The session's pin is most likely on the
    /// key's page then: the pages of some keys are pinned together, which hardly takes longer than one.
    fn write_each<K: AsRef<[u8]>, V: AsRef<[u8]>, B>(
        &mut self,
        tree: &Tree,
        batch: &[(K, Option<V>)],
        mut write: impl FnMut(&mut Self, Write<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut write_group = |session: &mut Self, group: &[(K, Option<V>)]| {
            session.approach(tree, group);
            group.iter().enumerate().try_for_each(|(number, (key, value))| {
                if let Some(pin) = session.ahead.get_mut(number) {
                    pin.swap_page(&mut session.pin);
                }
                let wanted = if value.is_some() { Existing::Either } else { Existing::Required };
                let (key, value) = (key.as_ref(), value.as_ref().map(AsRef::as_ref));
                write(session, Write { key, value, wanted })
            })
        };
        let outcome = batch.chunks(KEYS_AT_ONCE).try_for_each(|group| write_group(self, group));
        self.release_ahead();
        outcome
    }

    /// Pins the pages of the keys of `group`.
    fn approach<K: AsRef<[u8]>, V>(&mut self, tree: &Tree, group: &[(K, V)]) {
        if group.len() < 2 {
            return;
        }
        while self.ahead.len() < group.len() {
            self.ahead.push(self.inner.shared.new_pin());
        }
        let keys: SmallVec<[&[u8]; KEYS_AT_ONCE]> =
            group.iter().map(|(key, _)| key.as_ref()).collect();
        tree.approach(&keys, &mut self.ahead);
    }

    /// One write of the batch; says which transaction is in the way if it stays there.
    fn write_of_batch(
        &mut self,
        tree: &Arc<Tree>,
        whole: &mut Transaction,
        write: Write<'_>,
        deadline: Option<Instant>,
    ) -> Result<Option<TxnId>> {
        loop {
            self.make_room()?;
            let inner = &*self.inner;
            let wrote = {
                let _gate = inner.enter()?;
                whole.write(tree, write, &inner.committer, &mut self.pin, &mut |_| {})?
            };
            self.pin.release();
            inner.relieve();
            let Wrote::Conflict(with) = wrote else { return Ok(None) };
            inner.shared.stats.conflicts.bump();
            self.release_ahead();
            let inner = &*self.inner;
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
