//! A session: operations one after the other, autocommitted or in a transaction, and cursors' places.

mod batch;
mod bulk;
mod places;
mod rewrite;
mod transactions;

pub use bulk::Bulk;
pub use places::{PageView, Walk};
pub use transactions::Isolation;

use std::time::Duration;

use super::edges::Edges;
use super::{Inner, OpenTable};
use crate::base::codec::Reader;
use crate::base::error::{Error, Result, RollbackReason};
use crate::base::ids::TxnId;
use crate::base::options::KEY_BYTES_MAX;
use crate::block::overflow::{OverflowRef, read_value};
use crate::btree::{Position, Tree};
use crate::cache::Pressure;
use crate::mvcc::{ReadView, SnapshotGuard, Transactions};
use crate::page::{Lookup, PinnedLeaf, Settled, ValueRef};
use crate::sync::Arc;
use crate::txn::{Existing, Transaction, Write, Wrote, WroteAtOnce, write_at_once};

/// Runs operations on an open database, one at a time. It may move between threads.
pub struct Session {
    inner: Arc<Inner>,
    pin: PinnedLeaf,
    /// The pages of a batch's next keys; kept for their slots.
    ahead: Vec<PinnedLeaf>,
    transaction: Option<Transaction>,
    /// For writes that are transactions of their own; kept for its buffers.
    alone: Option<Transaction>,
    /// The log record of the write under way, likewise.
    record: Vec<u8>,
    /// The transaction is one of these, which only read.
    weak: Option<Isolation>,
    /// What there is of it outside a transaction.
    resting: Isolation,
    /// An operation of the transaction failed: it cannot be committed any more if it wrote.
    failed: bool,
    /// An operation of the transaction was refused so that it may succeed when all of it runs again.
    conflicted: bool,
    /// What cursors see outside a transaction, from their first placed read on.
    snapshot: Option<SnapshotGuard>,
    /// Where the transaction's first and last rows are.
    edges: Edges,
    /// Counts the views that cursors have had: a new one with each snapshot.
    view: u64,
    /// How long an operation waits at most.
    timeout: Duration,
}

/// What [`Session::get_cached`] found without the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached<R> {
    /// The value, as it was read.
    Found(R),
    /// There is no such key.
    Missing,
    /// Finding out needs the disk, or a wait.
    NeedsDisk,
}

impl Session {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let pin = inner.shared.new_pin();
        let timeout = inner.options.timeout;
        Self {
            inner,
            pin,
            ahead: Vec::new(),
            transaction: None,
            alone: None,
            record: Vec::new(),
            edges: Edges::default(),
            weak: None,
            resting: Isolation::Snapshot,
            failed: false,
            conflicted: false,
            snapshot: None,
            view: 0,
            timeout,
        }
    }

    // Reading.

    /// What `read` makes of `key`'s value.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading pages gives.
    pub fn get<R>(
        &mut self,
        table: &OpenTable,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.inner.check_open()?;
        let tree = table.tree();
        let mut read = Some(read);
        if self.transaction.is_none() {
            // Loaded before the page is looked at: whatever is older had ended.
            let below = self.inner.shared.transactions.all_ended_below();
            tree.find_row(key, &mut self.pin)?;
            if let Some(answer) = look(&self.pin, key, below, &mut read) {
                self.inner.note_detour(tree, 1, &self.pin);
                self.pin.release();
                self.inner.relieve();
                return Ok(answer);
            }
        }
        let found = self.get_in_snapshot(tree, key, &mut read)?;
        self.pin.release();
        self.inner.relieve();
        Ok(found)
    }

    /// The same without the disk, without waiting, and outside any transaction.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn get_cached<R>(
        &mut self,
        table: &OpenTable,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Cached<R>> {
        self.inner.check_open()?;
        let below = self.inner.shared.transactions.all_ended_below();
        if self.transaction.is_some() || !table.tree().find_row_in_cache(key, &mut self.pin) {
            return Ok(Cached::NeedsDisk);
        }
        let answer = look(&self.pin, key, below, &mut Some(read));
        self.pin.release();
        Ok(match answer {
            Some(Some(found)) => Cached::Found(found),
            Some(None) => Cached::Missing,
            None => Cached::NeedsDisk,
        })
    }

    fn get_in_snapshot<R>(
        &mut self,
        tree: &Tree,
        key: &[u8],
        read: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Result<Option<R>> {
        let held = self.hold_snapshot();
        tree.find_row(key, &mut self.pin)?;
        let view = view_of(&self.transaction, held.as_ref());
        let value = match (self.pin.value(), self.pin.leaf()) {
            // What is left of a leaf everybody sees.
            (Some(value), _) => value,
            (None, Some(leaf)) => match leaf.read(key, &view) {
                Lookup::Found(value) => value,
                Lookup::Missing | Lookup::Unsettled => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let Some(read) = read.take() else { return Ok(None) };
        match value {
            ValueRef::Inline(bytes) => Ok(Some(read(bytes))),
            ValueRef::Overflow(reference) => {
                let bytes = load_long_value(tree, reference)?;
                Ok(Some(read(&bytes)))
            }
        }
    }

    /// A snapshot for one read, unless the transaction has one.
    fn hold_snapshot(&self) -> Option<SnapshotGuard> {
        match self.transaction {
            Some(_) => None,
            None => Some(Transactions::snapshot(&self.inner.shared.transactions)),
        }
    }

    /// How many rows `table` has, as the session sees it.
    pub fn rows(&self, table: &OpenTable) -> u64 {
        match &self.transaction {
            Some(transaction) => transaction.rows(table.id()),
            None => self.inner.shared.transactions.rows(table.id()),
        }
    }

    // Writing.

    /// Gives `key` this value.
    ///
    /// # Errors
    /// [`Error::Rollback`] when another transaction is in the way, or the cache is full;
    /// [`Error::Invalid`] for a key or value that is too long; [`Error::ReadOnly`],
    /// [`Error::Failed`], [`Error::Full`], [`Error::Closed`]; what reading and writing gives.
    pub fn put(&mut self, table: &OpenTable, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(table, key, Some(value), Existing::Either, &mut |_| {}).map(|_| ())
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn insert(&mut self, table: &OpenTable, key: &[u8], value: &[u8]) -> Result<bool> {
        self.write(table, key, Some(value), Existing::Forbidden, &mut |_| {})
    }

    /// Gives `key` this value if it has one; false if it has none.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn replace(&mut self, table: &OpenTable, key: &[u8], value: &[u8]) -> Result<bool> {
        self.write(table, key, Some(value), Existing::Required, &mut |_| {})
    }

    /// Deletes `key`; false if it is not there.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn remove(&mut self, table: &OpenTable, key: &[u8]) -> Result<bool> {
        self.write(table, key, None, Existing::Required, &mut |_| {})
    }

    /// Deletes `key`, which is the one that `at` is at, and likely on the page that it holds; false if it is not
    /// there. The position stays, and is on no value.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn remove_at(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<bool> {
        at.lend_page(|pin| {
            std::mem::swap(pin, &mut self.pin);
            let removed = self.write_near(table, key, None, Existing::Required, &mut |_| {});
            std::mem::swap(pin, &mut self.pin);
            removed
        })
    }

    /// Deletes `keys`, best in ascending order; how many of them were there.
    ///
    /// # Errors
    /// As [`put`](Self::put); those before the key that it failed at are deleted.
    pub fn remove_all<'k>(
        &mut self,
        table: &OpenTable,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<u64> {
        let mut removed = 0;
        let outcome = keys.into_iter().try_for_each(|key| {
            let wrote = self.write_near(table, key, None, Existing::Required, &mut |_| {})?;
            removed += u64::from(wrote);
            Ok(())
        });
        self.pin.release();
        outcome.map(|()| removed)
    }

    /// Deletes `key` and returns its value, in one step.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn take(&mut self, table: &OpenTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut taken = None;
        let mut reference = None;
        // A long value's space is not used again while somebody may still see it.
        let held = self.hold_snapshot();
        let wrote = self.write(table, key, None, Existing::Required, &mut |value| match value {
            ValueRef::Inline(bytes) => taken = Some(bytes.to_vec()),
            ValueRef::Overflow(bytes) => reference = Some(bytes.to_vec()),
        })?;
        if let Some(reference) = reference.filter(|_| wrote) {
            taken = Some(load_long_value(table.tree(), &reference)?);
        }
        drop(held);
        Ok(taken)
    }

    fn write(
        &mut self,
        table: &OpenTable,
        key: &[u8],
        value: Option<&[u8]>,
        wanted: Existing,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<bool> {
        let outcome = self.write_near(table, key, value, wanted, look);
        self.pin.release();
        outcome
    }

    /// The same, first on the page that the session's pin holds; it holds the key's page afterwards.
    fn write_near(
        &mut self,
        table: &OpenTable,
        key: &[u8],
        value: Option<&[u8]>,
        wanted: Existing,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<bool> {
        self.inner.check_writable("write")?;
        check_lengths(key, value)?;
        self.refuse_weak()?;
        let write = Write { key, value, wanted };
        let outcome = match self.make_room() {
            Err(error) => Err(error),
            Ok(()) if self.transaction.is_some() => {
                if value.is_some() {
                    self.edges.put(table.id(), key);
                }
                self.write_in_transaction(table.tree(), write, look)
            }
            Ok(()) => self.write_alone(table.tree(), write, look),
        };
        self.inner.relieve();
        if let Err(error) = &outcome
            && self.transaction.is_some()
        {
            self.failed = true;
            self.conflicted |= error.is_rollback();
        }
        outcome
    }

    fn write_in_transaction(
        &mut self,
        tree: &Arc<Tree>,
        write: Write<'_>,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<bool> {
        let Some(transaction) = &mut self.transaction else { return Ok(false) };
        let _gate = self.inner.enter()?;
        let committer = &self.inner.committer;
        match transaction.write(tree, write, committer, &mut self.pin, look)? {
            Wrote::Done(_) => Ok(true),
            Wrote::Unwanted => Ok(false),
            Wrote::Conflict(_) => {
                self.inner.shared.stats.conflicts.bump();
                Err(Error::conflict())
            }
        }
    }

    /// A write that is a transaction of its own. It waits for an open transaction in its way.
    fn write_alone(
        &mut self,
        tree: &Arc<Tree>,
        write: Write<'_>,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<bool> {
        loop {
            let inner = &*self.inner;
            let gate = inner.enter()?;
            match write_at_once(
                tree,
                write,
                &inner.committer,
                &mut self.record,
                &mut self.pin,
                look,
            )? {
                WroteAtOnce::Done => {
                    drop(gate);
                    self.renew_snapshot();
                    return Ok(true);
                }
                WroteAtOnce::Unwanted => return Ok(false),
                WroteAtOnce::Conflict(with) => {
                    drop(gate);
                    self.wait_for(with)?;
                    continue;
                }
                WroteAtOnce::NotNow => {}
            }
            let alone =
                self.alone.get_or_insert_with(|| Transaction::new(None, &inner.shared.cache));
            let wrote = alone.write(tree, write, &inner.committer, &mut self.pin, look);
            match wrote {
                Ok(Wrote::Done(_)) => {
                    alone.commit(&inner.committer, &mut self.pin, false)?;
                    drop(gate);
                    self.renew_snapshot();
                    return Ok(true);
                }
                Ok(Wrote::Unwanted) => return Ok(false),
                Ok(Wrote::Conflict(with)) => {
                    drop(gate);
                    self.wait_for(with)?;
                }
                Err(error) => {
                    alone.rollback(&mut self.pin)?;
                    return Err(error);
                }
            }
        }
    }

    /// Waits until the cache has room. What is pinned ahead could not leave meanwhile.
    fn make_room(&mut self) -> Result<()> {
        if self.inner.shared.cache.pressure() < Pressure::Full {
            return Ok(());
        }
        self.release_ahead();
        self.inner.wait_for_room(self.timeout)
    }

    fn release_ahead(&mut self) {
        self.ahead.iter_mut().for_each(PinnedLeaf::release);
    }

    /// Cursors that are under way see what their own session wrote: the next read takes a new snapshot.
    fn renew_snapshot(&mut self) {
        if self.snapshot.is_some() {
            self.release_snapshot();
        }
    }

    fn wait_for(&mut self, with: TxnId) -> Result<()> {
        let inner = &*self.inner;
        inner.shared.stats.conflicts.bump();
        self.pin.release();
        let timeout = self.timeout;
        if inner.shared.transactions.wait_ended(with, timeout) {
            return Ok(());
        }
        Err(Error::Rollback { reason: RollbackReason::TimedOut(timeout) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut transaction) = self.transaction.take()
            && self.inner.guard.is_ours()
            && let Err(error) = transaction.rollback(&mut self.pin)
        {
            tracing::error!(%error, "an open transaction could not be rolled back");
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("in_transaction", &self.in_transaction())
            .finish_non_exhaustive()
    }
}

/// What stands for `key` on what is pinned, without a snapshot. None when that cannot be told, or is a
/// long value, whose space may be used again while nobody is known to look at it.
#[inline]
fn look<R>(
    pin: &PinnedLeaf,
    key: &[u8],
    below: TxnId,
    read: &mut Option<impl FnOnce(&[u8]) -> R>,
) -> Option<Option<R>> {
    let found = match pin.value() {
        Some(value) => Lookup::Found(value),
        None => pin.leaf()?.read(key, &Settled { below }),
    };
    match found {
        Lookup::Missing => Some(None),
        Lookup::Found(ValueRef::Inline(bytes)) => Some(read.take().map(|read| read(bytes))),
        Lookup::Found(ValueRef::Overflow(_)) | Lookup::Unsettled => None,
    }
}

fn view_of<'v>(
    transaction: &'v Option<Transaction>,
    snapshot: Option<&'v SnapshotGuard>,
) -> ReadView<'v> {
    match (transaction, snapshot) {
        (Some(transaction), _) => transaction.view(),
        (None, Some(snapshot)) => snapshot.view(None),
        (None, None) => unreachable!("whoever reads has a transaction or a snapshot"),
    }
}

pub(super) fn load_long_value(tree: &Tree, reference: &[u8]) -> Result<Vec<u8>> {
    let blocks = &tree.shared().blocks;
    let value = OverflowRef::decode(&mut Reader::new(reference)).ok_or_else(|| {
        Error::corrupt(blocks.label(), 0, "reference of a long value", "an address", "none")
    })?;
    read_value(blocks, &value)
}

fn check_lengths(key: &[u8], value: Option<&[u8]>) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a key of {} bytes is too long; the longest is {KEY_BYTES_MAX} bytes",
            key.len()
        )));
    }
    match value {
        Some(value) if value.len() as u64 > crate::base::options::VALUE_BYTES_MAX => {
            Err(Error::invalid(format!("a value of {} bytes is too long", value.len())))
        }
        _ => Ok(()),
    }
}
