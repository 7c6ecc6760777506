//! A write that is a transaction of its own, committed in one step under the latch of its leaf.
//!
//! The version is put in place as pending, its record copied into the log, and then the transaction gets
//! its id and is visible: one look at the lock of the transactions and one at the log's, where a
//! transaction that begins, writes and commits takes two of each. It works only where a commit waits for
//! nothing, since the latch is held: the record fits the mapped part of the log, nothing before it is
//! still being copied, no sync is asked for, and the value is short. Otherwise nothing happened, and
//! [`Transaction`](super::Transaction) does it in the usual way.

use super::commit::Committer;
use super::record::{Change, Payload, Verb};
use super::transaction::Write;
use super::write::{Found, WriteKind, judge};
use crate::base::error::Result;
use crate::base::ids::TxnId;
use crate::btree::Tree;
use crate::page::{PinnedLeaf, UpdateKind, ValueRef};
use crate::sync::Arc;

/// What a write in one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WroteAtOnce {
    /// It is done and committed.
    Done,
    /// The key was there, or was not, against what was wanted. Nothing was written.
    Unwanted,
    /// This transaction wrote the key first. Nothing was written.
    Conflict(TxnId),
    /// It takes more than one step. Nothing was written.
    NotNow,
}

/// Writes to a key of `tree` and commits, if that takes neither the disk nor a wait. `buffer` is scratch
/// space. `look` sees the value that was there, if the write is done.
///
/// # Errors
/// What reading pages gives.
pub fn write_at_once(
    tree: &Arc<Tree>,
    Write { key, value, wanted }: Write<'_>,
    committer: &Committer,
    buffer: &mut Vec<u8>,
    pin: &mut PinnedLeaf,
    look: &mut dyn FnMut(ValueRef<'_>),
) -> Result<WroteAtOnce> {
    if value.is_some_and(|value| value.len() > tree.inline_bytes_max()) {
        return Ok(WroteAtOnce::NotNow);
    }
    let (what, verb) = match value {
        Some(value) => (WriteKind::Put(UpdateKind::Inline, value), Verb::Put(value)),
        None => (WriteKind::Remove, Verb::Remove),
    };
    let table = tree.id();
    // Written out and summed before the latch is taken, for it is held for the copy alone.
    buffer.clear();
    Payload::put_head(buffer, None);
    Change { table, key, verb }.encode_into(buffer);
    let parts = [&buffer[..]];
    let Some(draft) = committer.draft_at_once(tree.options().logged, &parts)? else {
        return Ok(WroteAtOnce::NotNow);
    };
    let transactions = &tree.shared().transactions;
    let mut follow_up = None;
    let wrote = tree.write(key, pin, |latched| {
        let newest = latched.newest(key);
        let may_follow = |writer| !transactions.is_active(writer);
        match judge(&newest, wanted, transactions, may_follow) {
            Found::Conflict(writer) => return Ok(WroteAtOnce::Conflict(writer)),
            Found::Unwanted => return Ok(WroteAtOnce::Unwanted),
            Found::Wanted => {}
        }
        let rows = what.rows_added(&newest);
        let (kind, bytes) = what.version();
        let pending = latched.put_pending_on(&newest, key, kind, bytes);
        Ok(match committer.commit_at_once(pending, (table, rows), draft) {
            None => WroteAtOnce::NotNow,
            Some(follow) => {
                follow_up = Some(follow);
                newest.value.into_iter().for_each(look);
                WroteAtOnce::Done
            }
        })
    })?;
    if let Some(follow_up) = follow_up {
        committer.follow_up(follow_up);
    }
    Ok(wrote)
}
