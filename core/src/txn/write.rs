//! One write to one key, under its leaf's latch: conflict first, then existence, then the version.

use crate::base::error::Result;
use crate::base::ids::TxnId;
use crate::btree::Tree;
use crate::mvcc::{Snapshot, Transactions};
use crate::page::{Latched, Newest, PinnedLeaf, UpdateKind, ValueRef};

/// What a write does.
#[derive(Clone, Copy, Debug)]
pub enum WriteKind<'v> {
    /// Gives the key a value (or the reference of one).
    Put(UpdateKind, &'v [u8]),
    /// Deletes it.
    Remove,
}

/// Which state of the key a write wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Any.
    Either,
    /// The key must be there.
    Required,
    /// The key must not be there.
    Forbidden,
}

/// Who writes.
#[derive(Debug)]
pub struct Own<'t> {
    /// What a transaction sees; none for one that only writes.
    pub snapshot: Option<&'t Snapshot>,
    /// The writer's id, once it has one.
    pub id: &'t mut Option<TxnId>,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// It is done; this is how many rows the table has more.
    Done(i64),
    /// The key was there, or was not, against what was wanted. Nothing was written.
    Unwanted,
    /// This transaction wrote the key first. Nothing was written.
    Conflict(TxnId),
}

impl Own<'_> {
    /// Whether the writer may build on a version by `writer`.
    fn may_follow(&self, writer: TxnId, transactions: &Transactions) -> bool {
        *self.id == Some(writer)
            || match self.snapshot {
                Some(snapshot) if transactions.checks_conflicts() => snapshot.sees(writer),
                _ => !transactions.is_active(writer),
            }
    }
}

/// What a writer found where it wants to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// What it wants.
    Wanted,
    /// The key is there, or is not, against what it wants.
    Unwanted,
    /// A version that it may not follow.
    Conflict(TxnId),
}

/// Conflict first, then existence. `may_follow` says whether the writer may build on a version by another.
#[inline]
pub(super) fn judge(
    newest: &Newest<'_>,
    wanted: Existing,
    transactions: &Transactions,
    may_follow: impl FnOnce(TxnId) -> bool,
) -> Found {
    // A value that was only moved is nobody's new one. But while the move is not committed, its record
    // in the log may come behind ours, and replay would end with it.
    let author = newest.author.filter(|_| newest.txn.is_some_and(|id| !transactions.is_active(id)));
    if let Some(writer) = author.or(newest.txn)
        && !may_follow(writer)
    {
        return Found::Conflict(writer);
    }
    match (wanted, newest.value) {
        (Existing::Required, None) | (Existing::Forbidden, Some(_)) => Found::Unwanted,
        _ => Found::Wanted,
    }
}

impl<'v> WriteKind<'v> {
    /// The version that it puts.
    pub(super) fn version(self) -> (UpdateKind, &'v [u8]) {
        match self {
            Self::Put(kind, bytes) => (kind, bytes),
            Self::Remove => (UpdateKind::Tombstone, &[]),
        }
    }

    /// How many rows the table has more after it.
    pub(super) fn rows_added(self, newest: &Newest<'_>) -> i64 {
        i64::from(matches!(self, Self::Put(..))) - i64::from(newest.value.is_some())
    }
}

/// Writes to `key` of `tree`. `look` sees the value that was there, if the write is done.
///
/// # Errors
/// What reading pages gives.
pub fn write(
    tree: &Tree,
    key: &[u8],
    what: WriteKind<'_>,
    wanted: Existing,
    own: &mut Own<'_>,
    pin: &mut PinnedLeaf,
    look: &mut dyn FnMut(ValueRef<'_>),
) -> Result<Wrote> {
    let transactions = &tree.shared().transactions;
    tree.write(key, pin, |latched| {
        Ok(write_latched(latched, key, what, wanted, own, transactions, look))
    })
}

fn write_latched(
    latched: &mut Latched<'_>,
    key: &[u8],
    what: WriteKind<'_>,
    wanted: Existing,
    own: &mut Own<'_>,
    transactions: &Transactions,
    look: &mut dyn FnMut(ValueRef<'_>),
) -> Wrote {
    let newest = latched.newest(key);
    match judge(&newest, wanted, transactions, |writer| own.may_follow(writer, transactions)) {
        Found::Conflict(writer) => return Wrote::Conflict(writer),
        Found::Unwanted => return Wrote::Unwanted,
        Found::Wanted => newest.value.into_iter().for_each(look),
    }
    let id = *own.id.get_or_insert_with(|| transactions.begin_write());
    let (kind, bytes) = what.version();
    latched.put_on(&newest, key, id, kind, bytes);
    Wrote::Done(what.rows_added(&newest))
}
