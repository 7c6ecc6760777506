//! One version of one key, and the chain of them.

use std::ptr::NonNull;

use super::arena::{ArenaSlice, copy_bytes};
use super::view::{Verdict, View};
use crate::base::ids::TxnId;
use crate::memory::Arena;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::life::Life;

/// What a version says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// The key has this value.
    Inline,
    /// The key has a value in overflow extents; the bytes are their reference.
    Overflow,
    /// The same, and the value is that of the next older version at another place: nothing changed
    /// for anybody.
    Moved,
    /// The key is deleted.
    Tombstone,
}

impl UpdateKind {
    /// Whether the bytes are the reference of a value in overflow extents.
    pub fn is_long(self) -> bool {
        matches!(self, Self::Overflow | Self::Moved)
    }
}

/// A version: an immutable value, and the transaction that wrote it.
pub struct Update {
    /// The writer's id, or [`TxnId::PENDING`] until [`Update::stamp`]; written once more with
    /// [`TxnId::ABORTED`] by a rollback. Both hold the latch; read by everybody.
    txn: AtomicU64,
    /// The next older version. Fixed before the update is reachable.
    older: Option<NonNull<Update>>,
    kind: UpdateKind,
    bytes: ArenaSlice<u8>,
    pub(super) life: Life,
}

impl Update {
    /// Carves a version from `arena`, in front of `older`.
    pub(super) fn carve(
        arena: &Arena,
        txn: TxnId,
        kind: UpdateKind,
        bytes: &[u8],
        older: Option<NonNull<Update>>,
    ) -> NonNull<Update> {
        let bytes = copy_bytes(arena, bytes);
        let txn = AtomicU64::new(txn.0);
        NonNull::from(arena.alloc(Update { txn, older, kind, bytes, life: Life::new() }))
    }

    /// The transaction that wrote it, or [`TxnId::ABORTED`].
    #[inline]
    pub fn txn(&self) -> TxnId {
        // Acquire: what the transaction did before it was marked aborted is seen. Pairs with the
        // Release store in `abort`. (What `stamp` stores, the bounds and snapshots order.)
        TxnId(self.txn.load(Ordering::Acquire))
    }

    /// Marks it rolled back. The caller holds the leaf's latch.
    pub(super) fn abort(&self) {
        // Release: pairs with the Acquire load in `txn`.
        self.txn.store(TxnId::ABORTED.0, Ordering::Release);
    }

    /// Gives it the id of its writer, in the step that makes it visible. The caller holds the leaf's latch.
    pub(super) fn stamp(&self, txn: TxnId) {
        // Relaxed: to who does not see `txn` in its snapshot, or below its bound, either is one it does
        // not see; who does took them behind the lock under which this is stored.
        self.txn.store(txn.0, Ordering::Relaxed);
    }

    /// What it says.
    pub fn kind(&self) -> UpdateKind {
        self.kind
    }

    /// Its value, or the reference to it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: (1) the borrow of `self` is a borrow of the arena's leaf, because updates are
        // only ever reached through it; (2) nothing writes to the bytes after `carve`.
        unsafe { self.bytes.get() }
    }

    /// The next older version.
    pub fn older(&self) -> Option<&Update> {
        // SAFETY: older versions were carved from the same arena, before this one, and are never
        // mutated but through their atomics.
        let older = self.older.map(|update| unsafe { update.as_ref() })?;
        older.life.touch();
        Some(older)
    }
}

/// The first version from `newest` on that `view` sees, past those that were rolled back.
#[inline]
pub(super) fn first_seen<'p>(
    newest: &'p Update,
    view: &impl View,
) -> Result<Option<&'p Update>, Unsettled> {
    let mut next = Some(newest);
    while let Some(update) = next {
        let txn = update.txn();
        if txn != TxnId::ABORTED {
            match view.verdict(txn) {
                Verdict::Seen => return Ok(Some(update)),
                Verdict::Unseen => {}
                Verdict::Unknown => return Err(Unsettled),
            }
        }
        next = update.older();
    }
    Ok(None)
}

/// A view without a snapshot met a version that it cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsettled;
