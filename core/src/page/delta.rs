//! A leaf's insert list: the keys that changed since its image, each with its update chain.
//!
//! Entries are appended, never moved and never removed. Their key heads lie side by side, so that a
//! lookup scans a few cache lines of integers and touches an entry only when its head is equal;
//! lists are short (the leaf is rebuilt when one outgrows its budget), so the scan beats the
//! pointer chase of a skip list. Readers that want the entries in key order sort their numbers, which
//! costs less than keeping every insert sorted; the first to do so leaves the order behind for those
//! that come before the next insert.
//!
//! Writers hold the leaf's latch; readers hold nothing but the leaf.

use std::cmp::Ordering as KeyOrder;
use std::ptr::NonNull;

use super::arena::{ArenaSlice, copy_bytes};
use super::update::Update;
use crate::format::key_head;
use crate::memory::Arena;
use crate::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sync::life::Life;
use crate::sync::{CACHE_LINE_BYTES, is_left_out, ordering, prefetch};

/// How many entries the first array holds; each next one doubles.
#[cfg(not(any(loom, shuttle)))]
const CAPACITY_FIRST: usize = 8;
#[cfg(any(loom, shuttle))]
const CAPACITY_FIRST: usize = 1;

/// So many cache lines of heads are asked for ahead: a list is seldom longer.
const HEAD_LINES_MOST: usize = 8;

/// A key that changed, and its versions.
pub struct Entry {
    /// The newest version. Written by latch holders, read by everybody.
    chain: AtomicPtr<Update>,
    key: ArenaSlice<u8>,
    life: Life,
}

impl Entry {
    /// The key.
    pub fn key(&self) -> &[u8] {
        // SAFETY: (1) the borrow of `self` is a borrow of the leaf that owns the arena; (2) keys
        // are never written after they were carved.
        unsafe { self.key.get() }
    }

    /// The newest version, rolled back or not.
    #[inline]
    pub fn newest(&self) -> &Update {
        // Acquire: the update's fields are seen. Pairs with the Release stores in `Delta::append`
        // and `prepend`.
        let update = self.chain.load(Ordering::Acquire);
        // SAFETY: a chain is never empty, and its updates live in the arena of the leaf that
        // `self` is borrowed from.
        let update = unsafe { &*update };
        update.life.touch();
        update
    }

    /// Puts `update` in front. The caller holds the latch and made `update` with the newest
    /// version as its older one.
    pub(super) fn prepend(&self, update: NonNull<Update>) {
        // Release: publishes the update's fields. Pairs with the Acquire load in `newest`.
        self.chain.store(update.as_ptr(), ordering!(Ordering::Release, PrependRelaxed));
    }

    /// The newest version as a link for the next one.
    pub(super) fn newest_link(&self) -> Option<NonNull<Update>> {
        NonNull::new(self.chain.load(Ordering::Relaxed))
    }
}

/// One array of entries, replaced by a longer one when it is full. The old one stays in the arena
/// for readers that hold it: what it shows is the list as it was.
struct Entries {
    /// How many are published. Written by latch holders, read by everybody.
    count: AtomicU32,
    heads: ArenaSlice<AtomicU64>,
    slots: ArenaSlice<AtomicPtr<Entry>>,
    life: Life,
}

/// The numbers of the first so many entries in key order, as somebody sorted them.
struct Order {
    numbers: ArenaSlice<u16>,
    life: Life,
}

/// The insert list of one leaf.
pub(super) struct Delta {
    /// Null until the first change.
    entries: AtomicPtr<Entries>,
    /// Null until somebody wanted the entries in order.
    order: AtomicPtr<Order>,
}

impl Delta {
    pub(super) fn new() -> Self {
        Self {
            entries: AtomicPtr::new(std::ptr::null_mut()),
            order: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    #[inline]
    fn entries(&self) -> Option<&Entries> {
        // Acquire: the arrays' content is seen. Pairs with the Release store in `grow`.
        let entries = self.entries.load(Ordering::Acquire);
        // SAFETY: arrays live in the arena of the leaf that `self` is a field of.
        let entries = unsafe { entries.as_ref() }?;
        entries.life.touch();
        Some(entries)
    }

    /// Asks the processor for what says where the entries are.
    #[inline]
    pub(super) fn prefetch(&self) {
        // Relaxed: what it leads to is not looked at.
        prefetch(self.entries.load(Ordering::Relaxed));
    }

    /// Asks the processor for the entries' heads.
    #[inline]
    pub(super) fn prefetch_heads(&self) {
        let heads = self.entries().map_or(&[][..], Entries::heads);
        let lines = heads.iter().step_by(CACHE_LINE_BYTES / size_of::<u64>());
        lines.take(HEAD_LINES_MOST).for_each(|head| prefetch(head));
    }

    /// How many keys changed.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries().map_or(0, Entries::len)
    }

    /// The entry numbered `index`, in the order of arrival. Numbers never change.
    #[inline]
    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries()?.entry(index)
    }

    /// The entry of `key`, whose head is `head`.
    #[inline]
    pub(super) fn find(&self, head: u64, key: &[u8]) -> Option<&Entry> {
        self.find_among(usize::MAX, head, key)
    }

    /// The same, among the first `count` entries.
    #[inline]
    pub(super) fn find_among(&self, count: usize, head: u64, key: &[u8]) -> Option<&Entry> {
        let entries = self.entries()?;
        let heads = entries.heads();
        let heads = heads.get(..count).unwrap_or(heads);
        for (index, candidate) in heads.iter().enumerate() {
            // Relaxed: published by the Acquire load of the count.
            if candidate.load(Ordering::Relaxed) == head
                && let Some(entry) = entries.entry(index)
                && entry.key() == key
            {
                return Some(entry);
            }
        }
        None
    }

    /// Brings `order`, which is empty or what an earlier call for this list gave, up to date: the
    /// numbers of all entries in key order. Returns how many of them nobody had kept in order.
    pub(super) fn sort_into(&self, order: &mut Vec<u16>) -> usize {
        let Some(entries) = self.entries() else { return 0 };
        let heads = entries.heads();
        let kept = self.kept_order().filter(|kept| kept.len() <= heads.len()).unwrap_or_default();
        if order.len() < kept.len() {
            order.clear();
            order.extend_from_slice(kept);
        }
        let compare = |a: u16, b: u16| entries.compare(heads, a as usize, b as usize);
        let fresh = order.len() as u16..heads.len() as u16;
        if fresh.len() <= order.len() / 4 {
            for number in fresh {
                let at = order.partition_point(|&other| compare(other, number).is_lt());
                order.insert(at, number);
            }
        } else {
            order.extend(fresh);
            order.sort_unstable_by(|&a, &b| compare(a, b));
        }
        heads.len() - kept.len()
    }

    /// How many of the entries with the numbers `order`, which ascend by key, are below `key`, whose head is
    /// `head`. Only entries with its head are touched.
    pub(super) fn count_below(&self, order: &[u16], head: u64, key: &[u8]) -> usize {
        let Some(entries) = self.entries() else { return 0 };
        let heads = entries.heads();
        order.partition_point(|&number| {
            let number = usize::from(number);
            // Relaxed: published by the Acquire load of the count.
            let other = heads.get(number).map_or(u64::MAX, |other| other.load(Ordering::Relaxed));
            other < head
                || other == head && entries.entry(number).is_some_and(|entry| entry.key() < key)
        })
    }

    /// The order of so many entries as there were when it was kept.
    #[inline]
    fn kept_order(&self) -> Option<&[u16]> {
        // Acquire: the numbers are seen. Pairs with the Release store in `keep_order`.
        let order = self.order.load(Ordering::Acquire);
        // SAFETY: orders live in the arena of the leaf that `self` is a field of.
        let order = unsafe { order.as_ref() }?;
        order.life.touch();
        // SAFETY: (1) as above; (2) numbers are never written after they were carved.
        Some(unsafe { order.numbers.get() })
    }

    /// Leaves `order`, what [`sort_into`](Self::sort_into) gave, to those that ask next. The caller
    /// holds the latch.
    pub(super) fn keep_order(&self, arena: &Arena, order: &[u16]) {
        if self.kept_order().is_some_and(|kept| kept.len() >= order.len()) {
            return;
        }
        let numbers = ArenaSlice::of(arena.alloc_slice_copy(order));
        let order: *mut Order = arena.alloc(Order { numbers, life: Life::new() });
        // Release: publishes the numbers. Pairs with the Acquire load in `kept_order`. Numbers are
        // those of entries that its reader knows: it compares the count that it has loaded.
        self.order.store(order, ordering!(Ordering::Release, OrderRelaxed));
    }

    /// Appends `key` with its first version. The caller holds the latch and knows that `key` has
    /// no entry yet.
    pub(super) fn append(
        &self,
        arena: &Arena,
        prefix_len: usize,
        key: &[u8],
        update: NonNull<Update>,
    ) {
        let chain = AtomicPtr::new(update.as_ptr());
        let entry = arena.alloc(Entry { chain, key: copy_bytes(arena, key), life: Life::new() });
        let entries = match self.entries() {
            Some(entries) if entries.len() < entries.capacity() => entries,
            full => self.grow(arena, full),
        };
        let index = entries.len();
        // SAFETY: (1) the arrays live in the arena of the leaf that `self` is a field of; (2) all
        // writes to them are atomic.
        let (heads, slots) = unsafe { (entries.heads.get(), entries.slots.get()) };
        let count = index as u32 + 1;
        if is_left_out!(AppendCountFirst) {
            entries.count.store(count, Ordering::Release);
        }
        heads[index].store(key_head(key, prefix_len), Ordering::Relaxed);
        slots[index].store(entry, Ordering::Relaxed);
        // Release: publishes the head, the slot, the entry and its first update. Pairs with the
        // Acquire load in `Entries::len`.
        entries.count.store(count, ordering!(Ordering::Release, AppendRelaxed));
    }

    fn grow<'p>(&'p self, arena: &Arena, full: Option<&Entries>) -> &'p Entries {
        let count = full.map_or(0, Entries::len);
        let capacity = if count == 0 { CAPACITY_FIRST } else { count * 2 };
        let heads = arena.alloc_slice_fill_with(capacity, |index| {
            let old = full.and_then(|full| full.heads().get(index));
            AtomicU64::new(old.map_or(0, |head| head.load(Ordering::Relaxed)))
        });
        let slots = arena.alloc_slice_fill_with(capacity, |index| {
            let old = full.and_then(|full| full.entry(index));
            AtomicPtr::new(
                old.map_or(std::ptr::null_mut(), |entry| std::ptr::from_ref(entry).cast_mut()),
            )
        });
        let entries = arena.alloc(Entries {
            count: AtomicU32::new(count as u32),
            heads: ArenaSlice::of(heads),
            slots: ArenaSlice::of(slots),
            life: Life::new(),
        });
        let pointer: *mut Entries = entries;
        // Release: publishes the arrays. Pairs with the Acquire load in `entries`.
        self.entries.store(pointer, ordering!(Ordering::Release, GrowRelaxed));
        // SAFETY: just carved from the arena of the leaf that `self` is a field of.
        unsafe { &*pointer }
    }
}

impl Entries {
    #[inline]
    fn len(&self) -> usize {
        // Acquire: everything below the count is seen. Pairs with the Release store in `append`.
        self.count.load(Ordering::Acquire) as usize
    }

    fn capacity(&self) -> usize {
        // SAFETY: as in `heads`.
        unsafe { self.heads.get() }.len()
    }

    /// The heads of the published entries.
    #[inline]
    fn heads(&self) -> &[AtomicU64] {
        // SAFETY: (1) `self` lies in the same arena as its arrays; (2) all writes are atomic.
        let all = unsafe { self.heads.get() };
        &all[..self.len()]
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<&Entry> {
        // SAFETY: as in `heads`.
        let all = unsafe { self.slots.get() };
        let slot = all.get(index)?;
        // Relaxed: published by the Acquire load of the count that made the caller ask.
        let entry = slot.load(Ordering::Relaxed);
        // SAFETY: null beyond the count; else carved from this arena and never freed before it.
        let entry = unsafe { entry.as_ref() }?;
        entry.life.touch();
        Some(entry)
    }

    fn compare(&self, heads: &[AtomicU64], a: usize, b: usize) -> KeyOrder {
        let head = |index: usize| heads[index].load(Ordering::Relaxed);
        head(a).cmp(&head(b)).then_with(|| {
            let key = |index| self.entry(index).map(Entry::key);
            key(a).cmp(&key(b))
        })
    }
}
