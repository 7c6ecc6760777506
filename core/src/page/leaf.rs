//! A leaf in memory: an immutable image, and what changed since.
//!
//! A lookup asks the insert list first (newest changes), then the image. Cells of an image that
//! was built in memory may be newer than some snapshot: those carry the id of their writer beside
//! the image ([`Leaf::cell_txn`]). What was read from disk everybody sees.
//!
//! A leaf never moves and never shrinks. When its delta is over budget, its holder builds others
//! from it (layer `reconcile`) and puts those in its place (layer `btree`); this one is then dead:
//! readers that hold it go on reading what their snapshots see, writers start again.

use std::cell::Cell as Flag;
use std::ptr::NonNull;

use super::delta::{Delta, Entry};
use super::reference::PageRef;
use super::update::{Unsettled, Update, UpdateKind, first_seen};
use super::view::{Everything, Verdict, View};
use crate::base::ids::TxnId;
use crate::cache::{Cache, Charge};
use crate::format::{Cell, PageImage, Tag, common_prefix, key_head};
use crate::memory::{Arena, Owned, PageMemory};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use crate::sync::life::{Life, Mortal};
use crate::sync::{Arc, Mutex, MutexGuard};

/// The keys that belong to a leaf: `low..high`, without end when there is no `high`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafRange {
    /// The smallest key that may be here.
    pub low: Box<[u8]>,
    /// The smallest key that is beyond.
    pub high: Option<Box<[u8]>>,
}

impl LeafRange {
    /// Whether every key belongs here: the leaf is the whole tree.
    pub fn is_everything(&self) -> bool {
        self.low.is_empty() && self.high.is_none()
    }

    /// Cuts what lies below `low` off.
    pub fn raise_low(&mut self, low: &[u8]) {
        if low > &*self.low {
            self.low = low.into();
        }
    }

    /// Cuts what lies from `high` on off.
    pub fn lower_high(&mut self, high: &[u8]) {
        if self.high.as_ref().is_none_or(|current| high < &**current) {
            self.high = Some(high.into());
        }
    }

    /// The length of the prefix that all keys of the range share.
    fn prefix_len(&self) -> usize {
        self.high.as_ref().map_or(0, |high| common_prefix(&self.low, high))
    }
}

/// A leaf. See the module. What a lookup reads comes first, on two cache lines that x86 fetches as a pair.
#[repr(C, align(128))]
pub struct Leaf {
    image: PageImage,
    /// Of each image cell, who wrote it, where some snapshot may not see it.
    cell_txns: Option<Box<[TxnId]>>,
    delta: Delta,
    prefix_len: u32,
    /// Replaced or evicted. Written by latch holders; read by whoever must not write here, or
    /// must not miss what was written elsewhere.
    dead: AtomicBool,
    /// How often it was used lately: eviction's clock counts it down.
    heat: AtomicU8,
    range: LeafRange,
    /// The reference whose word names this leaf. Valid while the leaf is alive.
    home: NonNull<PageRef>,
    /// How many changes were made since the leaf was built. Written by latch holders.
    changes: AtomicU64,
    writer: Mutex<Writer>,
    charge: Charge,
    life: Life,
}

impl Mortal for Leaf {
    fn life(&self) -> &Life {
        &self.life
    }
}

/// What only latch holders touch.
struct Writer {
    arena: Arena,
    /// How much of the arena is charged to the cache.
    charged_bytes: u64,
    /// Above this many entries the leaf wants to be rebuilt.
    entries_max: usize,
    /// Above this many bytes in the arena, too.
    arena_bytes_max: usize,
}

// SAFETY: what the raw pointers inside name is the arena's (which the leaf owns) or the home
// reference, which is `Sync` and outlives the leaf's life; mutation goes through atomics or the latch.
unsafe impl Send for Leaf {}
// SAFETY: as above; readers only load atomics and immutable fields.
unsafe impl Sync for Leaf {}

/// The hottest a leaf can be: how many rounds of the clock it survives unused.
const HEAT_MAX: u8 = 3;
/// So few entries are sorted faster than their order is kept.
#[cfg(not(loom))]
const ORDER_LEAST: usize = 4;
#[cfg(loom)]
const ORDER_LEAST: usize = 2;
/// What a leaf and its allocations take beside image and arena.
const OVERHEAD_BYTES: u64 = std::mem::size_of::<Leaf>() as u64 + 64;

/// What a view finds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'p> {
    /// Nothing.
    Missing,
    /// A value.
    Found(ValueRef<'p>),
    /// The view cannot tell; look again with a snapshot.
    Unsettled,
}

/// A value on a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'p> {
    /// The value itself.
    Inline(&'p [u8]),
    /// The reference of a value in overflow extents.
    Overflow(&'p [u8]),
}

impl<'p> ValueRef<'p> {
    fn of_cell(cell: Cell<'p>) -> Self {
        match cell.tag {
            Tag::Overflow => Self::Overflow(cell.bytes),
            _ => Self::Inline(cell.bytes),
        }
    }

    fn of_update(update: &'p Update) -> Option<Self> {
        match update.kind() {
            UpdateKind::Inline => Some(Self::Inline(update.bytes())),
            UpdateKind::Overflow | UpdateKind::Moved => Some(Self::Overflow(update.bytes())),
            UpdateKind::Tombstone => None,
        }
    }
}

impl Leaf {
    /// A leaf over `image`, whose keys belong to `range`, named by `home`.
    ///
    /// `cell_txns` says of each cell who wrote it, where some snapshot may not see it yet. The
    /// leaf wants a rebuild when its insert list holds more than `entries_max` keys.
    pub fn new(
        image: PageImage,
        cell_txns: Option<Box<[TxnId]>>,
        range: LeafRange,
        home: &PageRef,
        cache: &Arc<Cache>,
        entries_max: usize,
    ) -> Owned<Self> {
        let memory = cache.memory();
        let image = image.moved_to(memory);
        let txn_bytes = cell_txns.as_ref().map_or(0, |txns| size_of_val::<[TxnId]>(txns));
        let key_bytes = range.low.len() + range.high.as_ref().map_or(0, |high| high.len());
        let bytes = OVERHEAD_BYTES + (image.bytes_len() + txn_bytes + key_bytes) as u64;
        let arena_bytes_max = (image.bytes_len() * 2).max(16 << 10);
        let leaf = Self {
            prefix_len: range.prefix_len() as u32,
            image,
            cell_txns,
            range,
            home: NonNull::from(home),
            delta: Delta::new(),
            dead: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            heat: AtomicU8::new(1),
            writer: Mutex::new(Writer {
                arena: Arena::new(memory),
                charged_bytes: 0,
                entries_max,
                arena_bytes_max,
            }),
            charge: Charge::new(cache, bytes),
            life: Life::new(),
        };
        Owned::new(memory, leaf)
    }

    /// The cache that it is charged to.
    pub(super) fn cache(&self) -> &Arc<Cache> {
        self.charge.cache()
    }

    /// Where its memory comes from; none for the global allocator.
    pub fn memory(&self) -> Option<&Arc<PageMemory>> {
        self.charge.cache().memory()
    }

    /// The image.
    #[inline]
    pub fn image(&self) -> &PageImage {
        &self.image
    }

    /// The keys that belong here.
    pub fn range(&self) -> &LeafRange {
        &self.range
    }

    /// Whether `key` belongs here.
    pub fn covers(&self, key: &[u8]) -> bool {
        key >= &*self.range.low && self.range.high.as_ref().is_none_or(|high| key < &**high)
    }

    /// The bytes that it holds of the cache.
    pub fn charged_bytes(&self) -> u64 {
        self.charge.bytes()
    }

    /// Nothing leads to it any more: it is freed when nobody stands on it. Returns its bytes.
    pub(super) fn leave(&self) -> u64 {
        self.charge.leave();
        self.charge.bytes()
    }

    /// Who wrote the image's cell `slot`.
    #[inline]
    pub fn cell_txn(&self, slot: usize) -> TxnId {
        self.cell_txns.as_ref().map_or(TxnId::VISIBLE, |txns| txns[slot])
    }

    /// Whether every cell of the image is older than `oldest`, so that every snapshot sees it.
    pub fn cells_settled(&self, oldest: TxnId) -> bool {
        self.cell_txns.as_ref().is_none_or(|txns| txns.iter().all(|txn| *txn < oldest))
    }

    /// Whether nothing changed since the image.
    pub fn is_unchanged(&self) -> bool {
        self.delta.len() == 0
    }

    /// How many changes were made here since the leaf was built.
    pub fn changes(&self) -> u64 {
        // Acquire: pairs with the Release in `Latched::put`, so that who sees the count sees the
        // change.
        self.changes.load(Ordering::Acquire)
    }

    /// Whether it was replaced or evicted.
    #[inline]
    pub fn is_dead(&self) -> bool {
        // Acquire: what replaced it is seen by who descends again. Pairs with `Latched::kill`.
        self.dead.load(Ordering::Acquire)
    }

    /// Notes a use.
    #[inline]
    pub fn touch(&self) {
        // Relaxed: only a hint. The load first, so that hot leaves are not written to all the time.
        let heat = self.heat.load(Ordering::Relaxed);
        if heat < HEAT_MAX {
            self.heat.store(heat + 1, Ordering::Relaxed);
        }
    }

    /// Notes that whoever read it in is done with it: unless others use it, it may leave first.
    pub fn chill(&self) {
        if self.heat.load(Ordering::Relaxed) <= 1 {
            self.heat.store(0, Ordering::Relaxed);
        }
    }

    /// One round of the clock: true when the leaf was not used lately.
    pub fn cool(&self) -> bool {
        let heat = self.heat.load(Ordering::Relaxed);
        self.heat.store(heat.saturating_sub(1), Ordering::Relaxed);
        heat == 0
    }

    /// What `view` finds for `key`.
    #[inline]
    pub fn lookup(&self, key: &[u8], view: &impl View) -> Lookup<'_> {
        if self.delta.len() > 0
            && let Some(entry) = self.delta.find(key_head(key, self.prefix_len as usize), key)
        {
            // If no version of the chain is visible, what the image says holds.
            if let Some(found) = self.entry_value(entry, view) {
                return found;
            }
        }
        match self.image.search(key) {
            Ok(slot) => self.slot_value(slot, view),
            Err(_) => Lookup::Missing,
        }
    }

    /// What `view` finds in `entry`'s chain; none when it sees no version there.
    #[inline]
    pub fn entry_value<'p>(&'p self, entry: &'p Entry, view: &impl View) -> Option<Lookup<'p>> {
        match first_seen(entry.newest(), view) {
            Ok(Some(update)) => {
                Some(ValueRef::of_update(update).map_or(Lookup::Missing, Lookup::Found))
            }
            Ok(None) => None,
            Err(Unsettled) => Some(Lookup::Unsettled),
        }
    }

    /// What `view` finds in the image's cell `slot`.
    #[inline]
    pub fn slot_value(&self, slot: usize, view: &impl View) -> Lookup<'_> {
        match view.verdict(self.cell_txn(slot)) {
            Verdict::Seen => Lookup::Found(ValueRef::of_cell(self.image.cell(slot))),
            Verdict::Unseen => Lookup::Missing,
            Verdict::Unknown => Lookup::Unsettled,
        }
    }

    /// What `view` finds in the image's cell `slot`, and its key in place of what is in `key`; none, and
    /// `key` as it was, where it sees nothing or cannot tell.
    #[inline]
    pub fn slot_row(
        &self,
        slot: usize,
        view: &impl View,
        key: &mut Vec<u8>,
    ) -> Option<ValueRef<'_>> {
        self.cell_if_seen(slot, view, |image| image.row_into(slot, key))
    }

    /// The same where `key` is that of another of the image's rows.
    #[inline]
    pub fn other_slot_row(
        &self,
        slot: usize,
        view: &impl View,
        key: &mut Vec<u8>,
    ) -> Option<ValueRef<'_>> {
        self.cell_if_seen(slot, view, |image| image.rest_into(slot, key))
    }

    #[inline(always)]
    fn cell_if_seen<'p>(
        &'p self,
        slot: usize,
        view: &impl View,
        read: impl FnOnce(&'p PageImage) -> Cell<'p>,
    ) -> Option<ValueRef<'p>> {
        (view.verdict(self.cell_txn(slot)) == Verdict::Seen)
            .then(|| ValueRef::of_cell(read(&self.image)))
    }

    /// How many keys the insert list has.
    #[inline]
    pub fn entry_count(&self) -> usize {
        self.delta.len()
    }

    /// The entry numbered `index`. Numbers count arrivals and never change.
    #[inline]
    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.delta.entry(index)
    }

    /// The numbers of the entries in key order, into `order`, which is empty or has what an earlier call
    /// for this leaf gave.
    pub fn sort_entries_into(&self, order: &mut Vec<u16>) {
        let unkept = self.delta.sort_into(order);
        // A writer that is here now is about to make the order useless.
        if unkept >= ORDER_LEAST.max(order.len() / 8)
            && let Some(mut latched) = self.try_latch()
        {
            latched.keep_order(order);
        }
    }

    /// Waits for the right to write here.
    pub fn latch(&self) -> Latched<'_> {
        Latched::new(self, self.writer.lock())
    }

    /// The right to write here, if nobody has it now.
    pub fn try_latch(&self) -> Option<Latched<'_>> {
        self.writer.try_lock().map(|writer| Latched::new(self, writer))
    }
}

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
    fn new(leaf: &'p Leaf, writer: MutexGuard<'p, Writer>) -> Self {
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
    fn keep_order(&mut self, order: &[u16]) {
        self.leaf.delta.keep_order(&self.writer.arena, order);
        self.charge_arena();
    }

    fn note_change(&mut self) {
        // Release: pairs with the Acquire in `Leaf::changes`.
        self.leaf.changes.fetch_add(1, Ordering::Release);
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
