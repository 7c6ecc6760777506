//! Who sees which version: transaction ids, snapshots, and the rows that a snapshot counts.
//!
//! [`Transactions`] is the one place where a transaction becomes visible. It hands out ids to
//! transactions that write, knows which of them have not ended, and registers every live
//! [`Snapshot`], so that [`Transactions::oldest`] can say what nobody needs any more.
//!
//! A version carries the id of the transaction that wrote it. It is [`TxnId::VISIBLE`] if it came
//! from the disk, and its writer marks it [`TxnId::ABORTED`] in a rollback, before
//! [`Transactions::abort`]; so an id that has ended and still stands on a version committed.
//!
//! A transaction of a single version can do with one step: the version is in place as
//! [`TxnId::PENDING`], which nobody sees, and gets its id in [`Transactions::commit_at_once`], which
//! makes it visible.
//!
//! Reading without a lock, for one key: load [`Transactions::all_ended_below`] first, then the
//! page. The newest version that is not aborted is the answer if its id is below that bound. If
//! it is not below, it may have committed or not: take a snapshot and look again. (It will not
//! do to go on to an older version: a commit that ended while an older transaction is still
//! open is above the bound, and its own session expects to read it.) One bound answers for one
//! key; two keys that must agree need a snapshot.
//!
//! This layer knows neither pages nor the log. It locks one mutex, a leaf of the lock order, for
//! tens of nanoseconds, and calls nothing while it holds it.
//!
//! [`TxnId::VISIBLE`]: crate::base::ids::TxnId::VISIBLE
//! [`TxnId::ABORTED`]: crate::base::ids::TxnId::ABORTED
//! [`TxnId::PENDING`]: crate::base::ids::TxnId::PENDING
#![forbid(unsafe_code)]

mod live;
#[cfg(all(test, not(loom)))]
mod model;
mod rows;
mod snapshot;
mod transactions;

pub use snapshot::{ReadView, Snapshot, SnapshotGuard};
pub use transactions::Transactions;
