//! A session: operations one after the other, autocommitted or in a transaction, and cursors' places.

mod batch;

use std::cell::OnceCell;

use super::edges::Edges;
use super::{Inner, OpenTable};
use crate::base::codec::Reader;
use crate::base::error::{Error, Result, RollbackReason};
use crate::base::ids::TxnId;
use crate::base::options::KEY_BYTES_MAX;
use crate::block::overflow::{OverflowRef, read_value};
use crate::btree::{Landing, Position, Target, Tree};
use crate::mvcc::{ReadView, Snapshot, SnapshotGuard, Transactions};
use crate::page::{Lookup, PinnedLeaf, Settled, ValueRef};
use crate::sync::Arc;
use crate::txn::{Existing, Transaction, Write, Wrote};

/// Runs operations on an open database, one at a time. It may move between threads.
pub struct Session {
    inner: Arc<Inner>,
    pin: PinnedLeaf,
    transaction: Option<Transaction>,
    /// For writes that are transactions of their own; kept for its buffers.
    alone: Option<Transaction>,
    /// The transaction is one of these, which only read.
    weak: Option<Isolation>,
    /// An operation of the transaction failed: it cannot be committed any more if it wrote.
    failed: bool,
    /// What cursors see outside a transaction, from their first placed read on.
    snapshot: Option<SnapshotGuard>,
    /// Where the transaction's first and last rows are.
    edges: Edges,
}

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
    fn refuse_write(self) -> Error {
        let name = match self {
            Self::Snapshot => "snapshot",
            Self::ReadCommitted => "read-committed",
            Self::ReadUncommitted => "read-uncommitted",
        };
        Error::Unsupported { what: format!("a write in a transaction with {name} isolation") }
    }
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
        Self {
            inner,
            pin,
            transaction: None,
            alone: None,
            edges: Edges::default(),
            weak: None,
            failed: false,
            snapshot: None,
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
            tree.find_leaf(Target::At(key), &mut self.pin)?;
            if let Some(answer) = look(&self.pin, key, below, &mut read) {
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
        if self.transaction.is_some()
            || !table.tree().find_leaf_in_cache(Target::At(key), &mut self.pin)
        {
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
        tree.find_leaf(Target::At(key), &mut self.pin)?;
        let view = view_of(&self.transaction, held.as_ref());
        let leaf = self.pin.leaf();
        let Some(Lookup::Found(value)) = leaf.map(|leaf| leaf.lookup(key, &view)) else {
            return Ok(None);
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
        self.inner.check_writable("write")?;
        check_lengths(key, value)?;
        if let Some(isolation) = self.weak {
            return Err(isolation.refuse_write());
        }
        if self.failed {
            return Err(Error::invalid("the transaction has failed; roll it back"));
        }
        let write = Write { key, value, wanted };
        let outcome = match self.inner.make_room() {
            Err(error) => Err(error),
            Ok(()) if self.transaction.is_some() => {
                if value.is_some() {
                    self.edges.put(table.id(), key);
                }
                self.write_in_transaction(table.tree(), write, look)
            }
            Ok(()) => self.write_alone(table.tree(), write, look),
        };
        self.pin.release();
        self.inner.relieve();
        if outcome.is_err() && self.transaction.is_some() {
            self.failed = true;
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
            let alone =
                self.alone.get_or_insert_with(|| Transaction::new(None, &inner.shared.cache));
            let gate = inner.enter()?;
            let wrote = alone.write(tree, write, &inner.committer, &mut self.pin, look);
            match wrote {
                Ok(Wrote::Done(_)) => {
                    alone.commit(&inner.committer, &mut self.pin)?;
                    if self.snapshot.is_some() {
                        // Cursors that are under way see what their own session wrote.
                        self.snapshot = Some(Transactions::snapshot(&inner.shared.transactions));
                    }
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

    fn wait_for(&mut self, with: TxnId) -> Result<()> {
        let inner = &*self.inner;
        inner.shared.stats.conflicts.bump();
        self.pin.release();
        let timeout = inner.options.timeout;
        if inner.shared.transactions.wait_ended(with, timeout) {
            return Ok(());
        }
        Err(Error::Rollback { reason: RollbackReason::TimedOut(timeout) })
    }

    // Transactions.

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
        self.snapshot = None;
        self.failed = false;
        if isolation != Isolation::Snapshot {
            self.weak = Some(isolation);
            return Ok(());
        }
        let snapshot = Transactions::snapshot(&self.inner.shared.transactions);
        self.transaction = Some(Transaction::new(Some(snapshot), &self.inner.shared.cache));
        Ok(())
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some() || self.weak.is_some()
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
        if self.end_weak() {
            return Ok(());
        }
        let missing = || Error::invalid("no transaction is open; begin one");
        let mut transaction = self.transaction.take().ok_or_else(missing)?;
        self.edges.forget();
        if std::mem::take(&mut self.failed) && transaction.has_written() {
            transaction.rollback(&mut self.pin)?;
            return Err(Error::invalid(
                "an operation of the transaction had failed; it was rolled back, run it again",
            ));
        }
        let outcome = match self.inner.enter() {
            Ok(_gate) => transaction.commit(&self.inner.committer, &mut self.pin),
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
        let missing = || Error::invalid("no transaction is open; begin one");
        let mut transaction = self.transaction.take().ok_or_else(missing)?;
        self.edges.forget();
        self.failed = false;
        let outcome = transaction.rollback(&mut self.pin);
        self.pin.release();
        outcome
    }

    /// Ends a transaction that only read; false when there is no such one.
    fn end_weak(&mut self) -> bool {
        let ended = self.weak.take().is_some();
        if ended {
            (self.failed, self.snapshot) = (false, None);
        }
        ended
    }

    // Cursors' places.

    /// A place in a table, nowhere yet.
    pub fn position(&self) -> Position {
        Position::new(self.inner.shared.new_pin())
    }

    /// Goes to `key`; false, and nowhere, if it is not there.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading pages gives.
    pub fn find(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.placed(|view| at.find(table.tree(), key, view))
    }

    /// Goes to `key` or the smallest key above.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<Landing> {
        self.placed(|view| at.seek(table.tree(), key, view))
    }

    /// Goes to the largest key below `key`; false, and nowhere, if there is none.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn seek_below(&mut self, table: &OpenTable, at: &mut Position, key: &[u8]) -> Result<bool> {
        self.placed(|view| {
            at.go_before(table.tree(), key)?;
            at.prev(table.tree(), view)
        })
    }

    /// Goes to the next key; from nowhere, to the first.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn next(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if at.is_set() || self.transaction.is_none() {
            return self.placed(|view| at.next(table.tree(), view));
        }
        let front = self.edges.front(table.id()).map(<[u8]>::to_vec);
        let found = self.placed(|view| match front {
            Some(front) => Ok(at.seek(table.tree(), &front, view)? != Landing::End),
            None => at.next(table.tree(), view),
        })?;
        if let Some(key) = at.key().filter(|_| found) {
            self.edges.found_front(table.id(), key);
        }
        Ok(found)
    }

    /// Goes to the previous key; from nowhere, to the last.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn prev(&mut self, table: &OpenTable, at: &mut Position) -> Result<bool> {
        if at.is_set() || self.transaction.is_none() {
            return self.placed(|view| at.prev(table.tree(), view));
        }
        let back = self.edges.back(table.id()).map(<[u8]>::to_vec);
        let found = self.placed(|view| match back {
            Some(back) => Ok(at.find(table.tree(), &back, view)? || {
                at.go_before(table.tree(), &back)?;
                at.prev(table.tree(), view)?
            }),
            None => at.prev(table.tree(), view),
        })?;
        if let Some(key) = at.key().filter(|_| found) {
            self.edges.found_back(table.id(), key);
        }
        Ok(found)
    }

    fn placed<R>(&mut self, go: impl FnOnce(&ReadView<'_>) -> Result<R>) -> Result<R> {
        self.inner.check_open()?;
        if self.transaction.is_none() && self.snapshot.is_none() {
            self.snapshot = Some(Transactions::snapshot(&self.inner.shared.transactions));
        }
        let outcome = if self.weak == Some(Isolation::ReadUncommitted) {
            go(&ReadView { snapshot: &Snapshot::everything(), own: None })
        } else {
            go(&view_of(&self.transaction, self.snapshot.as_ref()))
        };
        self.inner.relieve();
        outcome
    }

    /// Lets the snapshot of reads outside a transaction go: no cursor is placed any more, or what it
    /// sees shall be new.
    pub fn release_snapshot(&mut self) {
        self.snapshot = None;
    }

    /// Whether reads outside a transaction have a snapshot now.
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The bytes of the value that `at` is on: borrowed from its page, or, for a long one, read into
    /// `long_value`, which the caller empties when `at` moves.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is nowhere; what reading a long value gives.
    pub fn value<'v>(
        &self,
        table: &OpenTable,
        at: &'v Position,
        long_value: &'v OnceCell<Vec<u8>>,
    ) -> Result<&'v [u8]> {
        match at.value() {
            Some(ValueRef::Inline(bytes)) => Ok(bytes),
            Some(ValueRef::Overflow(reference)) => match long_value.get() {
                Some(bytes) => Ok(bytes),
                None => {
                    let bytes = load_long_value(table.tree(), reference)?;
                    Ok(long_value.get_or_init(|| bytes))
                }
            },
            None => Err(Error::invalid("the cursor is on no record; search or move it first")),
        }
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

/// What stands for `key` on the pinned leaf, without a snapshot. None when that cannot be told, or is a
/// long value, whose space may be used again while nobody is known to look at it.
#[inline]
fn look<R>(
    pin: &PinnedLeaf,
    key: &[u8],
    below: TxnId,
    read: &mut Option<impl FnOnce(&[u8]) -> R>,
) -> Option<Option<R>> {
    let leaf = pin.leaf()?;
    leaf.touch();
    match leaf.lookup(key, &Settled { below }) {
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

fn load_long_value(tree: &Tree, reference: &[u8]) -> Result<Vec<u8>> {
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
