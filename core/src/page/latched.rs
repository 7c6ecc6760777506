//! Writing to a leaf: the latch, and what its holder may do.

use std::cell::Cell as Flag;
use std::ptr::NonNull;

use super::delta::Entry;
use super::leaf::{Leaf, NO_DETOURS, ValueRef, Writer};
use super::reference::PageRef;
use super::update::{Update, UpdateKind, first_seen};
use super::view::Everything;
use crate::base::ids::TxnId;
use crate::format::key_head;
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::sync::life::Mortal;

/// What [`Latched::newest`] found.
pub struct Newest<'p> {
    entry: Option<&'p Entry>,
    /// Who wrote the newest version; none when the key was never here.
    pub txn: Option<TxnId>,
    /// The value, unless the newest version deletes the key, or there is none.
    pub value: Option<ValueRef<'p>>,
    /// Where the newest version only gave the value another place: who wrote the value.
    pub author: Option<TxnId>,
}

/// A version in place whose transaction has no id yet. Dropped without one, it is rolled back.
pub struct Pending<'l> {
    update: &'l Update,
    is_stamped: bool,
}

impl Pending<'_> {
    /// Gives it the id of its transaction, in the very step in which that commits.
    #[inline]
    pub fn stamp(mut self, txn: TxnId) {
        self.is_stamped = true;
        self.update.stamp(txn);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_stamped {
            self.update.abort();
        }
    }
}

/// The right to write to a leaf, or to replace it.
pub struct Latched<'p> {
    leaf: &'p Leaf,
    writer: MutexGuard<'p, Writer>,
    /// The leaf was killed under this very latch, and its home is not retired yet.
    killed: Flag<bool>,
}

impl<'p> Latched<'p> {
    pub(super) fn new(leaf: &'p Leaf, writer: MutexGuard<'p, Writer>) -> Self {
        Self { leaf, writer, killed: Flag::new(false) }
    }

    /// The leaf.
    pub fn leaf(&self) -> &'p Leaf {
        self.leaf
    }

    /// The reference that names the leaf; none when somebody else replaced it meanwhile.
    pub fn home(&self) -> Option<&PageRef> {
        if self.leaf.is_dead() && !self.killed.get() {
            return None;
        }
        // SAFETY: a reference is retired only by who killed its leaf, which takes the latch that
        // `self` holds; and if that was us, it is the last thing done with `self`, by value.
        let home = unsafe { self.leaf.home.as_ref() };
        home.life().touch();
        Some(home)
    }

    /// The newest version of `key` that was not rolled back.
    #[inline]
    pub fn newest(&self, key: &[u8]) -> Newest<'p> {
        let leaf = self.leaf;
        self.newest_at(leaf.delta.find(key_head(key, leaf.prefix_len as usize), key), key)
    }

    /// The same, given the key's entry.
    #[inline]
    fn newest_at(&self, entry: Option<&'p Entry>, key: &[u8]) -> Newest<'p> {
        let leaf = self.leaf;
        if let Some(entry) = entry
            && let Ok(Some(update)) = first_seen(entry.newest(), &Everything)
        {
            let value = ValueRef::of_update(update);
            let author =
                (update.kind() == UpdateKind::Moved).then(|| self.author_of_moved(update, key));
            return Newest { entry: Some(entry), txn: Some(update.txn()), value, author };
        }
        match leaf.image.search(key) {
            Ok(slot) => {
                let value = Some(ValueRef::of_cell(leaf.image.cell(slot)));
                Newest { entry, txn: Some(leaf.cell_txn(slot)), value, author: None }
            }
            Err(_) => Newest { entry, txn: None, value: None, author: None },
        }
    }

    /// Who wrote the value that `moved`, a version of `key`, gave another place.
    #[cold]
    fn author_of_moved(&self, moved: &Update, key: &[u8]) -> TxnId {
        let older = std::iter::successors(moved.older(), |update| update.older());
        let mut written = older
            .filter(|update| update.txn() != TxnId::ABORTED && update.kind() != UpdateKind::Moved);
        match (written.next(), self.leaf.image.search(key)) {
            (Some(update), _) => update.txn(),
            (None, Ok(slot)) => self.leaf.cell_txn(slot),
            (None, Err(_)) => TxnId::VISIBLE,
        }
    }

    /// Puts a version of `key` in front of the others.
    pub fn put(&mut self, key: &[u8], txn: TxnId, kind: UpdateKind, bytes: &[u8]) {
        let leaf = self.leaf;
        let entry = leaf.delta.find(key_head(key, leaf.prefix_len as usize), key);
        self.put_at(entry, key, txn, kind, bytes);
    }

    /// The same, given what [`newest`](Self::newest) found under this latch.
    #[inline]
    pub fn put_on(
        &mut self,
        newest: &Newest<'p>,
        key: &[u8],
        txn: TxnId,
        kind: UpdateKind,
        bytes: &[u8],
    ) {
        self.put_at(newest.entry, key, txn, kind, bytes);
    }

    /// The same, of a transaction that gets its id and commits in one step: until then nobody sees it,
    /// and if it does not come to that, nobody ever will. The latch is held until then.
    #[inline]
    pub fn put_pending_on(
        &mut self,
        newest: &Newest<'p>,
        key: &[u8],
        kind: UpdateKind,
        bytes: &[u8],
    ) -> Pending<'_> {
        let update = self.put_at(newest.entry, key, TxnId::PENDING, kind, bytes);
        // SAFETY: it was just carved from the arena of the leaf that `self` borrows, which frees nothing
        // before it is dropped.
        Pending { update: unsafe { update.as_ref() }, is_stamped: false }
    }

    /// Gives `key` a version that everybody sees, unless that deletes what is not there, and says whether
    /// the key had a value. For keys in ascending order, of which one may come again at once: of the leaf's
    /// entries only the first `before` are searched, as many as there were before the first of these calls.
    pub fn put_ascending(
        &mut self,
        before: usize,
        key: &[u8],
        kind: UpdateKind,
        bytes: &[u8],
    ) -> bool {
        let leaf = self.leaf;
        let last = leaf.delta.len().checked_sub(1).and_then(|last| leaf.delta.entry(last));
        let entry = last.filter(|entry| entry.key() == key).or_else(|| {
            leaf.delta.find_among(before, key_head(key, leaf.prefix_len as usize), key)
        });
        let was_there = self.newest_at(entry, key).value.is_some();
        if was_there || kind != UpdateKind::Tombstone {
            self.put_at(entry, key, TxnId::VISIBLE, kind, bytes);
        }
        was_there
    }

    #[inline]
    fn put_at(
        &mut self,
        entry: Option<&Entry>,
        key: &[u8],
        txn: TxnId,
        kind: UpdateKind,
        bytes: &[u8],
    ) -> NonNull<Update> {
        let leaf = self.leaf;
        debug_assert!(leaf.covers(key), "a key outside of its leaf's range");
        let arena = &self.writer.arena;
        let older = entry.and_then(Entry::newest_link);
        let update = Update::carve(arena, txn, kind, bytes, older);
        match entry {
            Some(entry) => entry.prepend(update),
            None => leaf.delta.append(arena, leaf.prefix_len as usize, key, update),
        }
        self.note_change();
        update
    }

    /// Takes over the versions `newest..` of `key` from a leaf that this one will replace.
    pub fn adopt(&mut self, key: &[u8], newest_first: &[&Update]) {
        for update in newest_first.iter().rev() {
            self.put(key, update.txn(), update.kind(), update.bytes());
        }
    }

    /// Marks what `txn` wrote to `key` as rolled back. A value of it that a rebuild moved into the
    /// image is hidden, and returned: if it is long, the next rebuild frees its space.
    pub fn abort(&mut self, key: &[u8], txn: TxnId) -> Option<ValueRef<'p>> {
        let leaf = self.leaf;
        let entry = leaf.delta.find(key_head(key, leaf.prefix_len as usize), key);
        let mut next = entry.map(Entry::newest);
        while let Some(update) = next {
            if update.txn() == txn {
                update.abort();
            }
            next = update.older();
        }
        // What a rebuild moved into the image had nothing below it: the key was absent. If there is a
        // version above, the value is hidden already, and the version may be another writer's.
        let is_hidden =
            entry.is_some_and(|entry| !matches!(first_seen(entry.newest(), &Everything), Ok(None)));
        let mut hidden = None;
        if !is_hidden
            && let Ok(slot) = leaf.image.search(key)
            && leaf.cell_txn(slot) == txn
        {
            self.put(key, TxnId::VISIBLE, UpdateKind::Tombstone, &[]);
            hidden = Some(ValueRef::of_cell(leaf.image.cell(slot)));
        }
        self.note_change();
        hidden
    }

    /// Keeps the order of the entries for whoever asks next.
    pub(super) fn keep_order(&mut self, order: &[u16]) {
        self.leaf.delta.keep_order(&self.writer.arena, order);
        self.charge_arena();
    }

    /// What is over budget or in its readers' way cannot leave yet: it is no use to fold the leaf for them
    /// before it changes again.
    pub fn bear_detours(&self) {
        self.leaf.detours.store(NO_DETOURS, Ordering::Relaxed);
    }

    fn note_change(&mut self) {
        // Relaxed: only a hint. The load first, so that readers keep the line.
        if self.leaf.detours.load(Ordering::Relaxed) != 0 {
            self.leaf.detours.store(0, Ordering::Relaxed);
        }
        // Relaxed: the latch orders it; only its holders write this, so that a load and a store will do.
        let changes = self.leaf.changes.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `Leaf::changes`.
        self.leaf.changes.store(changes + 1, Ordering::Release);
        self.charge_arena();
    }

    fn charge_arena(&mut self) {
        let bytes = self.writer.arena.allocated_bytes() as u64;
        if bytes > self.writer.charged_bytes {
            self.leaf.charge.grow(bytes - self.writer.charged_bytes);
            self.writer.charged_bytes = bytes;
        }
    }

    /// Whether the leaf has so many changes that lookups would suffer.
    pub fn is_over_budget(&self) -> bool {
        self.leaf.delta.len() > self.writer.entries_max
            || self.writer.arena.allocated_bytes() > self.writer.arena_bytes_max
    }

    /// Puts the budget off: what is over it cannot leave yet.
    pub fn raise_budget(&mut self) {
        self.writer.entries_max = self.writer.entries_max.max(self.leaf.delta.len() * 2);
        self.writer.arena_bytes_max =
            self.writer.arena_bytes_max.max(self.writer.arena.allocated_bytes() * 2);
    }

    /// The leaf is about to be replaced, or to leave memory. Comes before the first word or index
    /// that leads past the leaf: whoever gets past it may commit there, and a reader that holds
    /// this leaf and sees that commit in its snapshot must find out that it has to look again.
    pub fn kill(&self) {
        if !self.leaf.is_dead() {
            self.killed.set(true);
            // Release: pairs with the Acquire in `Leaf::is_dead`. Who missed it there, but takes a
            // snapshot behind a commit beyond this leaf, sees it by way of the word and the commit.
            self.leaf.dead.store(true, Ordering::Release);
        }
    }
}
