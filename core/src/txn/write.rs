//! One write to one key, under its leaf's latch: conflict first, then existence, then the version.

use crate::base::error::Result;
use crate::base::ids::TxnId;
use crate::btree::Tree;
use crate::mvcc::{Snapshot, Transactions};
use crate::page::{Latched, PinnedLeaf, UpdateKind, ValueRef};

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
    // A value that was only moved is nobody's new one. But while the move is not committed, its record
    // in the log may come behind ours, and replay would end with it.
    let author = newest.author.filter(|_| newest.txn.is_some_and(|id| !transactions.is_active(id)));
    if let Some(writer) = author.or(newest.txn)
        && !own.may_follow(writer, transactions)
    {
        return Wrote::Conflict(writer);
    }
    match (wanted, newest.value) {
        (Existing::Required, None) | (Existing::Forbidden, Some(_)) => return Wrote::Unwanted,
        (_, Some(value)) => look(value),
        (_, None) => {}
    }
    let id = *own.id.get_or_insert_with(|| transactions.begin_write());
    let was = i64::from(newest.value.is_some());
    match what {
        WriteKind::Put(kind, bytes) => {
            latched.put_on(&newest, key, id, kind, bytes);
            Wrote::Done(1 - was)
        }
        WriteKind::Remove => {
            latched.put_on(&newest, key, id, UpdateKind::Tombstone, &[]);
            Wrote::Done(-was)
        }
    }
}
