//! Transactions of a session: begin, commit, rollback, and what they see.

use std::time::Duration;

use super::Session;
use crate::base::error::{Error, Result};
use crate::base::options::Durability;
use crate::io::SyncPoint;
use crate::mvcc::Transactions;
use crate::txn::Transaction;

/// What a transaction sees of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// What had committed when it began, and its own writes.
    #[default]
    Snapshot,
    /// What has committed, looked up anew whenever no cursor of its session is on a record. It may
    /// not write.
    ReadCommitted,
    /// What was written, committed or not. It may not write.
    ReadUncommitted,
}

impl Isolation {
    pub(super) fn refuse_write(self) -> Error {
        let name = match self {
            Self::Snapshot => "snapshot",
            Self::ReadCommitted => "read-committed",
            Self::ReadUncommitted => "read-uncommitted",
        };
        Error::Unsupported { what: format!("a write in a transaction with {name} isolation") }
    }
}

impl Session {
    /// Begins a transaction: from now on the session sees what is committed now, and its own writes.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; [`Error::Closed`].
    pub fn begin(&mut self) -> Result<()> {
        self.begin_with(Isolation::Snapshot)
    }

    /// Begins a transaction that sees of others what `isolation` says.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&mut self, isolation: Isolation) -> Result<()> {
        self.inner.check_open()?;
        if self.in_transaction() {
            return Err(Error::invalid("a transaction is open already; commit it or roll it back"));
        }
        (self.failed, self.conflicted) = (false, false);
        if isolation != Isolation::Snapshot {
            // Cursors that are placed go on in the snapshot that they have, if they read in one.
            if self.weak() == Some(Isolation::ReadUncommitted) {
                self.release_snapshot();
            }
            self.weak = Some(isolation);
            return Ok(());
        }
        self.release_snapshot();
        let snapshot = Transactions::snapshot(&self.inner.shared.transactions);
        self.transaction = Some(Transaction::new(Some(snapshot), &self.inner.shared.cache));
        Ok(())
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some() || self.weak.is_some()
    }

    /// Whether an operation of the transaction was rolled back, so that all of it may succeed when it
    /// runs again.
    pub fn has_conflicted(&self) -> bool {
        self.conflicted
    }

    /// What reads see, and whether writes are refused, while no transaction is open: a read or a write
    /// is a transaction of its own then.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        self.resting = isolation;
    }

    /// The weaker isolation that there is now.
    #[inline]
    pub(super) fn weak(&self) -> Option<Isolation> {
        let resting = (self.transaction.is_none()).then_some(self.resting);
        self.weak.or(resting.filter(|&isolation| isolation != Isolation::Snapshot))
    }

    /// Refuses a write where the isolation only reads.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn refuse_weak(&self) -> Result<()> {
        self.weak().map_or(Ok(()), |isolation| Err(isolation.refuse_write()))
    }

    /// Notes that an operation failed: an open transaction that wrote cannot be committed any more.
    pub fn fail(&mut self) {
        self.failed |= self.in_transaction();
    }

    /// Commits the transaction. On an error it is rolled back.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one, or when an operation in it failed after it had written;
    /// [`Error::OutcomeUnknown`] when the log could not be synced; what the log gives.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_with(None)
    }

    /// Commits the transaction; with `sync` set, on stable storage when it returns. Without, as the
    /// database's durability says. One that wrote nothing waits for nothing, nor for what came before it.
    ///
    /// # Errors
    /// As [`commit`](Self::commit). [`Error::Unsupported`], and the transaction goes on, when `sync`
    /// is false and the database's durability promises more; [`Error::OutcomeUnknown`] also when it
    /// is committed and could not be synced.
    pub fn commit_with(&mut self, sync: Option<bool>) -> Result<()> {
        let durability = self.inner.options.durability;
        if sync == Some(false) && durability == Durability::Sync {
            let what = "a commit that is less durable than the database's others".to_owned();
            return Err(Error::Unsupported { what });
        }
        let wrote = self.transaction.as_ref().is_some_and(Transaction::has_written);
        self.commit_transaction(sync == Some(true))?;
        if sync == Some(true) && wrote && durability != Durability::Sync {
            let synced = match self.inner.committer.log() {
                Some(_) => self.inner.committer.sync(SyncPoint::Background),
                None => self.inner.checkpoint(),
            };
            return synced.map_err(|first| Error::OutcomeUnknown { first: first.into() });
        }
        Ok(())
    }

    fn commit_transaction(&mut self, synced: bool) -> Result<()> {
        if self.end_weak() {
            return Ok(());
        }
        let mut transaction = self.take_transaction()?;
        if std::mem::take(&mut self.failed) && transaction.has_written() {
            transaction.rollback(&mut self.pin)?;
            return Err(Error::invalid(
                "an operation of the transaction had failed; it was rolled back, run it again",
            ));
        }
        let outcome = match self.inner.enter() {
            Ok(_gate) => transaction.commit(&self.inner.committer, &mut self.pin, synced),
            Err(closed) => {
                transaction.rollback(&mut self.pin)?;
                Err(closed)
            }
        };
        self.pin.release();
        self.inner.relieve();
        outcome
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one; what reading pages gives.
    pub fn rollback(&mut self) -> Result<()> {
        if self.end_weak() {
            return Ok(());
        }
        let mut transaction = self.take_transaction()?;
        self.failed = false;
        let outcome = transaction.rollback(&mut self.pin);
        self.pin.release();
        outcome
    }

    /// The transaction sees what is committed now, from here on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] outside a transaction with snapshot isolation, or when it has written.
    pub fn reset_snapshot(&mut self) -> Result<()> {
        if self.weak.is_some() {
            let what = "a new snapshot in a transaction that has none".to_owned();
            return Err(Error::Unsupported { what });
        }
        let Some(transaction) = self.transaction.as_mut().filter(|open| !open.has_written()) else {
            let what = "a new snapshot in a transaction that has written".to_owned();
            return Err(Error::Unsupported { what });
        };
        transaction.set_snapshot(Transactions::snapshot(&self.inner.shared.transactions));
        self.edges.forget();
        self.view += 1;
        Ok(())
    }

    /// How long an operation may wait for another transaction, or for room in the cache; none is the
    /// database's time-out.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout.unwrap_or(self.inner.options.timeout);
    }

    fn take_transaction(&mut self) -> Result<Transaction> {
        let missing = || Error::invalid("no transaction is open; begin one");
        let transaction = self.transaction.take().ok_or_else(missing)?;
        self.edges.forget();
        self.view += 1;
        Ok(transaction)
    }

    /// Ends a transaction that only read; false when there is no such one.
    fn end_weak(&mut self) -> bool {
        let ended = self.weak.take().is_some();
        if ended {
            self.failed = false;
            self.release_snapshot();
        }
        ended
    }
}
