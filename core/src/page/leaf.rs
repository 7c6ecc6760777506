//! A leaf in memory: an immutable image, and what changed since.
//!
//! A lookup asks the insert list first (newest changes), then the image. Cells of an image that
//! was built in memory may be newer than some snapshot: those carry the id of their writer beside
//! the image ([`Leaf::cell_txn`]). What was read from disk everybody sees.
//!
//! A leaf never moves and never shrinks. When its delta is over budget, its holder builds others
//! from it (layer `reconcile`) and puts those in its place (layer `btree`); this one is then dead:
//! readers that hold it go on reading what their snapshots see, writers start again.

use std::mem::offset_of;
use std::ptr::NonNull;

use super::delta::{Delta, Entry};
use super::latched::Latched;
use super::marks::{Marks, Uses, mark_of, mark_of_head};
use super::reference::PageRef;
use super::update::{Unsettled, Update, UpdateKind, first_seen};
use super::view::{Verdict, View};
use crate::base::ids::TxnId;
use crate::cache::{Cache, Charge};
use crate::format::{Cell, PageImage, Tag, common_prefix, key_head};
use crate::memory::{Arena, Owned, PageMemory, Sparse};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use crate::sync::life::{Life, Mortal};
use crate::sync::{Arc, CACHE_LINE_BYTES, Mutex, prefetch};

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
    pub(super) image: PageImage,
    /// Of each image cell, who wrote it, where some snapshot may not see it.
    cell_txns: Option<Box<[TxnId]>>,
    pub(super) delta: Delta,
    pub(super) prefix_len: u32,
    /// Replaced or evicted. Written by latch holders; read by whoever must not write here, or
    /// must not miss what was written elsewhere.
    pub(super) dead: AtomicBool,
    /// How often it was used lately: eviction's clock counts it down.
    heat: AtomicU8,
    /// How often it was used for more than a row of the image since the clock looked last. A hint, as the marks are.
    uses: std::sync::atomic::AtomicU8,
    /// When the clock looked last it was too hot to leave before this time. A hint, too.
    is_safe: std::sync::atomic::AtomicBool,
    /// How often it was read since it last changed, where changes were in the way: see
    /// [`note_detour`](Self::note_detour). Zeroed by latch holders. A hint that orders nothing, so a model checker
    /// need not look at it.
    pub(super) detours: std::sync::atomic::AtomicU8,
    /// Which rows of the image were read lately.
    pub(super) marks: Marks,
    /// Which changed keys were read, as of their heads: a hint, as the marks are.
    changes_read: std::sync::atomic::AtomicU64,
    range: LeafRange,
    /// The reference whose word names this leaf. Valid while the leaf is alive.
    pub(super) home: NonNull<PageRef>,
    /// How many changes were made since the leaf was built. Written by latch holders.
    pub(super) changes: AtomicU64,
    writer: Mutex<Writer>,
    pub(super) charge: Charge,
    life: Life,
}

impl Mortal for Leaf {
    fn life(&self) -> &Life {
        &self.life
    }
}

/// What only latch holders touch.
pub(super) struct Writer {
    pub(super) arena: Arena,
    /// How much of the arena is charged to the cache.
    pub(super) charged_bytes: u64,
    /// Above this many entries the leaf wants to be rebuilt.
    pub(super) entries_max: usize,
    /// Above this many bytes in the arena, too.
    pub(super) arena_bytes_max: usize,
}

// SAFETY: what the raw pointers inside name is the arena's (which the leaf owns) or the home
// reference, which is `Sync` and outlives the leaf's life; mutation goes through atomics or the latch.
unsafe impl Send for Leaf {}
// SAFETY: as above; readers only load atomics and immutable fields.
unsafe impl Sync for Leaf {}

/// The hottest a leaf can be: how many rounds of the clock it survives unused.
const HEAT_MAX: u8 = 3;
/// So many uses of a leaf for more than a row are counted in one round of the clock.
const USES_MAX: u8 = 2;
/// The heat of a leaf that was not used yet: whoever reads it in is about to, which says nothing of others.
const HEAT_NEW: u8 = u8::MAX;
/// After so many detours it pays to fold the leaf: that takes as long as some two hundred of them.
const DETOURS_MAX: u8 = 200;
/// The leaf is not worth folding for its readers before it changes again.
pub(super) const NO_DETOURS: u8 = u8::MAX;
/// So few entries are sorted faster than their order is kept.
#[cfg(not(loom))]
const ORDER_LEAST: usize = 4;
#[cfg(loom)]
const ORDER_LEAST: usize = 2;
/// What a leaf and its allocations take beside image and arena.
pub(super) const OVERHEAD_BYTES: u64 = std::mem::size_of::<Leaf>() as u64 + 64;

/// What a change takes of the arena, about, if it is not long.
const CHANGE_BYTES: usize = 256;

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
    pub(super) fn of_cell(cell: Cell<'p>) -> Self {
        match cell.tag {
            Tag::Overflow => Self::Overflow(cell.bytes),
            _ => Self::Inline(cell.bytes),
        }
    }

    pub(super) fn of_update(update: &'p Update) -> Option<Self> {
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
            heat: AtomicU8::new(HEAT_NEW),
            uses: std::sync::atomic::AtomicU8::new(0),
            is_safe: std::sync::atomic::AtomicBool::new(false),
            detours: std::sync::atomic::AtomicU8::new(0),
            marks: Marks::default(),
            changes_read: std::sync::atomic::AtomicU64::new(0),
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

    /// Whether its image or a change lies in a span of page memory that is worth emptying. (The leaf itself lies
    /// among hundreds, all of which would have to leave.)
    pub fn lies_in(&self, sparse: Sparse) -> bool {
        self.image.lies_in(sparse)
            || self.writer.try_lock().is_some_and(|writer| writer.arena.lies_in(sparse))
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

    /// Whether every snapshot sees the newest version of each key that changed since the image. The caller holds the
    /// latch.
    pub fn changes_settled(&self, oldest: TxnId) -> bool {
        (0..self.delta.len()).filter_map(|index| self.delta.entry(index)).all(|entry| {
            let mut versions = std::iter::successors(Some(entry.newest()), |update| update.older());
            versions
                .find(|update| update.txn() != TxnId::ABORTED)
                .is_none_or(|newest| newest.txn() < oldest)
        })
    }

    /// Whether nothing changed since the image.
    pub fn is_unchanged(&self) -> bool {
        self.delta.len() == 0
    }

    /// Whether it changed since it was built; what its building had to leave as it was is no change.
    pub fn is_worth_folding(&self) -> bool {
        !self.is_unchanged() && self.detours.load(Ordering::Relaxed) != NO_DETOURS
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

    /// Notes a use for which the leaf is needed, whatever rows may stay without it. The first, for which it was read in,
    /// leaves it cold.
    #[inline]
    pub fn touch(&self) {
        // Relaxed: only a hint, as in `warm`.
        let uses = self.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
        self.warm();
    }

    #[inline]
    fn warm(&self) {
        // Relaxed: only a hint. The load first, so that hot leaves are not written to all the time.
        let heat = self.heat.load(Ordering::Relaxed);
        if heat < HEAT_MAX {
            self.heat.store(heat + 1, Ordering::Relaxed);
        } else if heat == HEAT_NEW {
            self.heat.store(0, Ordering::Relaxed);
        }
    }

    /// It takes the place of `old`, and is used as much.
    pub(super) fn take_heat_of(&self, old: &Self) {
        self.heat.store(old.heat.load(Ordering::Relaxed), Ordering::Relaxed);
        self.is_safe.store(old.is_safe.load(Ordering::Relaxed), Ordering::Relaxed);
        // Where nothing leaves memory, it need not be known which rows may stay.
        if self.cache().is_half_full() {
            self.take_marks_of(old);
        }
    }

    /// Marks the rows that were read on `old`, whose place it takes: new ones, and those that did not change. Whoever
    /// replaces a row may do so again, and needs the leaf for that.
    fn take_marks_of(&self, old: &Self) {
        let mark = |key: &[u8]| {
            if let Ok(slot) = self.image.search(key) {
                self.marks.add_before(mark_of(slot, self.image.len()));
            }
        };
        let head = |key: &[u8]| key_head(key, old.prefix_len as usize);
        let (marks, mut key) = (old.marks.all(), Vec::new());
        for slot in (0..old.image.len()).filter(|slot| marks & mark_of(*slot, old.image.len()) != 0)
        {
            old.image.key_into(slot, &mut key);
            if old.delta.find(head(&key), &key).is_none() {
                mark(&key);
            }
        }
        let read = old.changes_read.load(Ordering::Relaxed);
        for entry in (0..old.delta.len()).filter_map(|index| old.delta.entry(index)) {
            let key = entry.key();
            if read & mark_of_head(head(key)) != 0 && old.image.search(key).is_err() {
                mark(key);
            }
        }
    }

    /// Notes a read that had to look through the changes since the image, and how much longer that took,
    /// in looks at one key. True when there were so many of them without a change in between that the
    /// leaf should be folded.
    #[inline]
    pub fn note_detour(&self, looks: u8) -> bool {
        if self.delta.len() == 0 {
            return false;
        }
        // Relaxed: only a hint; a count that another reader's overwrites does no harm.
        let detours = self.detours.load(Ordering::Relaxed);
        if detours == NO_DETOURS {
            return false;
        }
        let detours = detours.saturating_add(looks).min(DETOURS_MAX);
        self.detours.store(detours, Ordering::Relaxed);
        detours == DETOURS_MAX
    }

    /// Notes that whoever read it in is done with it: unless others use it, it may leave first.
    pub fn chill(&self) {
        if matches!(self.heat.load(Ordering::Relaxed), 1 | HEAT_NEW) {
            self.heat.store(0, Ordering::Relaxed);
        }
    }

    /// Somebody tries to write it out. If that cannot be, it is tried again when the clock has gone round some
    /// times, not each time.
    pub fn heat_up(&self) {
        self.heat.store(HEAT_MAX, Ordering::Relaxed);
    }

    /// Asks the processor for what [`cool`](Self::cool) looks at. The leaf may be gone meanwhile.
    #[inline]
    pub(super) fn prefetch_heat(leaf: NonNull<Self>) {
        prefetch(leaf.as_ptr().wrapping_byte_add(offset_of!(Self, heat)));
    }

    /// Asks the processor for the leaf itself, which may be gone meanwhile.
    #[inline]
    pub(super) fn prefetch(leaf: NonNull<Self>) {
        for line in (0..size_of::<Self>()).step_by(CACHE_LINE_BYTES) {
            prefetch(leaf.as_ptr().wrapping_byte_add(line));
        }
    }

    /// Asks the processor for what a write to `key` looks at next, given the leaf itself.
    #[inline]
    pub fn prefetch_place(&self, key: &[u8]) {
        self.delta.prefetch();
        self.image.prefetch_place(key);
        prefetch(self.range.low.as_ptr());
        if let Some(high) = &self.range.high {
            prefetch(high.as_ptr());
        }
    }

    /// Asks the processor for what a write looks at after that: the heads of what changed, and where the change goes. For
    /// a moment this takes the latch, if nobody has it.
    #[inline]
    pub fn prefetch_changes(&self) {
        self.delta.prefetch_heads();
        if let Some(writer) = self.writer.try_lock() {
            writer.arena.prefetch_free(CHANGE_BYTES);
        }
    }

    /// Whether a row of it was read more than once since this was asked last: if no row can stay without it, it should.
    pub fn take_read_again(&self) -> bool {
        self.marks.take_again()
    }

    /// How often the disk was spared since the clock looked last because the leaf had stayed until then: for each of its
    /// rows that was read and had not been before, for it could stay without the leaf, and once for all else. Nothing
    /// where it would not have left, and what it was read in for does not count.
    pub fn uses(&self) -> Uses {
        if self.is_safe.load(Ordering::Relaxed) {
            return Uses::default();
        }
        let (bytes, is_new) = (self.charged_bytes(), !self.marks.are_old());
        let (rows, others) = (self.marks.count_new(), u32::from(self.uses.load(Ordering::Relaxed)));
        let came_for_row = is_new && rows > 0;
        let others = others.min(if is_new && !came_for_row { 2 } else { 1 });
        let reads = u64::from((rows + others).saturating_sub(u32::from(is_new)));
        // One that is new was read in half a round ago if nothing else is known.
        Uses { reads, bytes: if is_new { bytes / 2 } else { bytes } }
    }

    /// One round of the clock: true when the leaf was not used lately.
    pub fn cool(&self) -> bool {
        let heat = self.heat.load(Ordering::Relaxed);
        let less = if heat == HEAT_NEW { 0 } else { heat.saturating_sub(1) };
        self.heat.store(less, Ordering::Relaxed);
        self.uses.store(0, Ordering::Relaxed);
        self.is_safe.store(less > 0, Ordering::Relaxed);
        if heat > 0 {
            self.marks.end_round();
        }
        heat == 0
    }

    /// What `view` finds for `key`, which counts as a use: of one row, where that is the image's. However often
    /// that row is used, this is one use of the leaf in a round of the clock, which can leave and the row stay.
    #[inline]
    pub fn read(&self, key: &[u8], view: &impl View) -> Lookup<'_> {
        if let Some(found) = self.lookup_change(key, view) {
            let mark = mark_of_head(key_head(key, self.prefix_len as usize));
            let read = self.changes_read.load(Ordering::Relaxed);
            if read & mark == 0 {
                self.changes_read.store(read | mark, Ordering::Relaxed);
            }
            self.touch();
            return found;
        }
        match self.image.search(key) {
            Ok(slot) => {
                if self.marks.note(slot, self.image.len()) {
                    self.warm();
                }
                self.slot_value(slot, view)
            }
            Err(_) => {
                self.touch();
                Lookup::Missing
            }
        }
    }

    /// What `view` finds for `key`.
    #[inline]
    pub fn lookup(&self, key: &[u8], view: &impl View) -> Lookup<'_> {
        if let Some(found) = self.lookup_change(key, view) {
            return found;
        }
        match self.image.search(key) {
            Ok(slot) => self.slot_value(slot, view),
            Err(_) => Lookup::Missing,
        }
    }

    /// What `view` finds for `key` among the changes since the image; none when it sees none of its versions there,
    /// and what the image says holds.
    #[inline]
    fn lookup_change(&self, key: &[u8], view: &impl View) -> Option<Lookup<'_>> {
        if self.delta.len() == 0 {
            return None;
        }
        let entry = self.delta.find(key_head(key, self.prefix_len as usize), key)?;
        self.entry_value(entry, view)
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

    /// How many of the entries, whose numbers in key order are `order`, have keys below `key`.
    pub fn entries_below(&self, order: &[u16], key: &[u8]) -> usize {
        self.delta.count_below(order, key_head(key, self.prefix_len as usize), key)
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
