//! One transaction, from its snapshot to its commit or rollback.

use smallvec::SmallVec;

use super::commit::{Committer, Logged};
use super::record::{Change, Verb};
use super::write::{Existing, Own, WriteKind, Wrote, write};
use crate::base::codec::{Reader, put_prefixed, put_varint};
use crate::base::error::{Error, Result};
use crate::base::ids::{TableId, TxnId};
use crate::block::overflow::{OverflowRef, free_value, write_value};
use crate::btree::{Tree, TreeUse};
use crate::cache::{Cache, Charge};
use crate::mvcc::{ReadView, SnapshotGuard};
use crate::page::{PinnedLeaf, UpdateKind, ValueRef};
use crate::sync::Arc;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Write<'w> {
    /// The key.
    pub key: &'w [u8],
    /// Its new value; without one it is deleted.
    pub value: Option<&'w [u8]>,
    /// Which state of the key is wanted.
    pub wanted: Existing,
}

/// Changes are written to the log ahead of the commit when there are so many bytes of them.
const CHUNK_BYTES: usize = 256 << 10;

/// What a transaction's buffers may take before they are charged to the cache.
const UNCHARGED_BYTES: u64 = 16 << 10;

/// A transaction that has not ended. Dropped, it must have been committed or rolled back.
#[derive(Debug)]
pub struct Transaction {
    snapshot: Option<SnapshotGuard>,
    id: Option<TxnId>,
    trees: SmallVec<[Arc<Tree>; 2]>,
    /// Keeps each of them from being dropped, while the transaction outlasts an operation.
    uses: SmallVec<[TreeUse; 2]>,
    /// What was written: the number of the tree and the key, one after the other.
    undo: Vec<u8>,
    /// For the log: the changes since the last chunk.
    changes: Vec<u8>,
    logged: Logged,
    rows: SmallVec<[(TableId, i64); 2]>,
    long_values: Vec<OverflowRef>,
    charge: Charge,
}

impl Transaction {
    /// A transaction that sees `snapshot`; without one it only writes, and its caller keeps the
    /// trees from being dropped.
    pub fn new(snapshot: Option<SnapshotGuard>, cache: &Arc<Cache>) -> Self {
        Self {
            snapshot,
            id: None,
            trees: SmallVec::new(),
            uses: SmallVec::new(),
            undo: Vec::new(),
            changes: Vec::new(),
            logged: Logged::default(),
            rows: SmallVec::new(),
            long_values: Vec::new(),
            charge: Charge::new(cache, 0),
        }
    }

    /// Whether it wrote anything.
    pub fn has_written(&self) -> bool {
        self.id.is_some()
    }

    /// It sees `snapshot` from now on.
    ///
    /// # Panics
    /// If it has written: its reads and its conflicts would not agree.
    pub fn set_snapshot(&mut self, snapshot: SnapshotGuard) {
        assert!(!self.has_written(), "a snapshot changes before the first write");
        self.snapshot = Some(snapshot);
    }

    /// The snapshot that it reads in, if it has one.
    pub fn snapshot(&self) -> Option<&SnapshotGuard> {
        self.snapshot.as_ref()
    }

    /// What it sees.
    ///
    /// # Panics
    /// If it has no snapshot.
    pub fn view(&self) -> ReadView<'_> {
        self.snapshot.as_ref().expect("a transaction that reads has a snapshot").view(self.id)
    }

    /// The rows of `table` as it sees them.
    pub fn rows(&self, table: TableId) -> u64 {
        let committed = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.rows(table));
        let own = self.rows.iter().find(|(id, _)| *id == table).map_or(0, |(_, change)| *change);
        committed.saturating_add_signed(own)
    }

    /// Writes to a key of `tree`. `look` sees the value that was there.
    ///
    /// # Errors
    /// What reading and writing gives; the transaction must be rolled back then.
    pub fn write(
        &mut self,
        tree: &Arc<Tree>,
        Write { key, value, wanted }: Write<'_>,
        committer: &Committer,
        pin: &mut PinnedLeaf,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<Wrote> {
        let mut reference = Vec::new();
        let (what, verb) = match value {
            None => (WriteKind::Remove, Verb::Remove),
            Some(value) if value.len() <= tree.inline_bytes_max() => {
                (WriteKind::Put(UpdateKind::Inline, value), Verb::Put(value))
            }
            Some(value) => {
                let compression = tree.options().compression;
                let blocks = &tree.shared().blocks;
                let long = write_value(blocks, tree.id(), compression, value)?;
                long.encode(&mut reference);
                self.long_values.push(long);
                committer.note_overflow();
                (WriteKind::Put(UpdateKind::Overflow, &reference), Verb::PutOverflow(&reference))
            }
        };
        self.write_prepared(tree, key, (what, verb), wanted, committer, pin, look)
    }

    /// Gives the long value of `key` another place: `long` is a copy of it. Nobody else's
    /// transaction conflicts with that once it is committed.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn move_long_value(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        long: OverflowRef,
        committer: &Committer,
        pin: &mut PinnedLeaf,
    ) -> Result<Wrote> {
        let mut reference = Vec::new();
        long.encode(&mut reference);
        self.long_values.push(long);
        committer.note_overflow();
        let what = WriteKind::Put(UpdateKind::Moved, &reference);
        let verb = Verb::PutOverflow(&reference);
        let wanted = Existing::Required;
        self.write_prepared(tree, key, (what, verb), wanted, committer, pin, &mut |_| {})
    }

    /// Writes what is in the file already, where it is a long value; that one is given back if it is
    /// not written.
    #[allow(clippy::too_many_arguments, reason = "what `write` has, and what it made of it")]
    fn write_prepared(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        (what, verb): (WriteKind<'_>, Verb<'_>),
        wanted: Existing,
        committer: &Committer,
        pin: &mut PinnedLeaf,
        look: &mut dyn FnMut(ValueRef<'_>),
    ) -> Result<Wrote> {
        let number = self.enlist(tree)?;
        let undo_before = self.undo.len();
        // Remembered first: should the write fail half-way, the rollback looks here too.
        put_varint(&mut self.undo, number as u64);
        put_prefixed(&mut self.undo, key);
        let snapshot = self.snapshot.as_ref().map(|guard| &**guard.snapshot());
        let mut own = Own { snapshot, id: &mut self.id };
        let wrote = write(tree, key, what, wanted, &mut own, pin, look)?;
        match wrote {
            Wrote::Done(rows) => self.note(tree, key, verb, rows, committer)?,
            Wrote::Unwanted | Wrote::Conflict(_) => {
                self.undo.truncate(undo_before);
                if matches!(verb, Verb::PutOverflow(_)) {
                    self.give_back_last_long_value(tree)?;
                }
            }
        }
        Ok(wrote)
    }

    /// The number of `tree` among those that the transaction wrote to.
    fn enlist(&mut self, tree: &Arc<Tree>) -> Result<usize> {
        if let Some(number) = self.trees.iter().position(|known| Arc::ptr_eq(known, tree)) {
            return Ok(number);
        }
        let mixed = |known: &Arc<Tree>| known.options().logged != tree.options().logged;
        if self.undo.is_empty() {
            // Kept from the transaction before.
            self.trees.clear();
        }
        if self.trees.iter().any(mixed) {
            return Err(Error::invalid(
                "a transaction cannot write to logged and unlogged tables; use one for each",
            ));
        }
        if self.snapshot.is_some() {
            self.uses.push(tree.new_use());
        }
        self.trees.push(Arc::clone(tree));
        Ok(self.trees.len() - 1)
    }

    fn give_back_last_long_value(&mut self, tree: &Tree) -> Result<()> {
        match self.long_values.pop() {
            Some(long) => free_value(&tree.shared().blocks, &long),
            None => Ok(()),
        }
    }

    /// Remembers a write, for the log and the row counts.
    fn note(
        &mut self,
        tree: &Tree,
        key: &[u8],
        verb: Verb<'_>,
        rows: i64,
        committer: &Committer,
    ) -> Result<()> {
        let table = tree.id();
        match self.rows.iter_mut().find(|(id, _)| *id == table) {
            Some((_, change)) => *change += rows,
            None => self.rows.push((table, rows)),
        }
        if committer.log().is_some() && tree.options().logged {
            Change { table, key, verb }.encode_into(&mut self.changes);
            if self.changes.len() >= CHUNK_BYTES {
                let changes = std::mem::take(&mut self.changes);
                committer.append_chunk(&mut self.logged, &changes)?;
            }
        }
        let held = (self.undo.capacity() + self.changes.capacity()) as u64;
        if held > self.charge.bytes() + UNCHARGED_BYTES {
            self.charge.grow(held - self.charge.bytes());
        }
        Ok(())
    }

    /// Commits. On an error everything is rolled back. It may be used again, without its snapshot. `synced` says
    /// that its log will be synced at once.
    ///
    /// # Errors
    /// As [`Committer::commit`].
    pub fn commit(
        &mut self,
        committer: &Committer,
        pin: &mut PinnedLeaf,
        synced: bool,
    ) -> Result<()> {
        if let Some(id) = self.id {
            let logged = std::mem::take(&mut self.logged);
            if let Err(error) = committer.commit(id, &self.rows, &self.changes, logged, synced) {
                // What it wrote to was in memory a moment ago; if rolling back fails too, the
                // first error is the one that explains.
                if let Err(second) = self.rollback(pin) {
                    tracing::error!(%second, "a transaction could not be rolled back");
                }
                return Err(error);
            }
        }
        self.reset();
        Ok(())
    }

    /// Rolls back: marks all its versions, frees its long values, and ends it. It may be used again,
    /// without its snapshot.
    ///
    /// # Errors
    /// When a page cannot be read in; its versions stay invisible, because it does not end then.
    pub fn rollback(&mut self, pin: &mut PinnedLeaf) -> Result<()> {
        let outcome = self.undo_all(pin);
        self.reset();
        outcome
    }

    fn undo_all(&mut self, pin: &mut PinnedLeaf) -> Result<()> {
        let Some(tree) = self.trees.first() else { return Ok(()) };
        let shared = tree.shared();
        if let Some(id) = self.id {
            let mut undo = Reader::new(&self.undo);
            while let Some((tree, key)) = next_undo(&mut undo, &self.trees) {
                // What the image still holds of it, the rebuild that takes it out frees.
                let hidden = tree.write(key, pin, |latched| {
                    Ok(match latched.abort(key, id) {
                        Some(ValueRef::Overflow(long)) => {
                            OverflowRef::decode(&mut Reader::new(long))
                        }
                        Some(ValueRef::Inline(_)) | None => None,
                    })
                })?;
                self.long_values.retain(|long| Some(*long) != hidden);
            }
            shared.stats.rollbacks.bump();
            shared.transactions.abort(id);
        }
        for long in &self.long_values {
            free_value(&shared.blocks, long)?;
        }
        Ok(())
    }

    /// As new, with the room that its buffers have unless that is much.
    fn reset(&mut self) {
        self.snapshot = None;
        self.id = None;
        self.logged = Logged::default();
        self.uses.clear();
        self.rows.clear();
        self.long_values.clear();
        if self.charge.bytes() > 0 {
            (self.undo, self.changes) = (Vec::new(), Vec::new());
            self.charge = Charge::new(self.charge.cache(), 0);
        }
        self.undo.clear();
        self.changes.clear();
        if self.trees.len() > 1 {
            self.trees.clear();
        }
    }
}

fn next_undo<'u>(undo: &mut Reader<'u>, trees: &'u [Arc<Tree>]) -> Option<(&'u Tree, &'u [u8])> {
    let tree = trees.get(usize::try_from(undo.varint()?).ok()?)?;
    Some((tree, undo.prefixed()?))
}
