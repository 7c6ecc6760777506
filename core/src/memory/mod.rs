//! Memory for pages: large stretches that the system backs with huge pages, cut into blocks of like sizes.
//!
//! A lookup in a tree larger than the processor's caches is a handful of misses, and with pages of
//! 4 KiB each of them is a miss of the address translation, too. Pages' images, leaves and their
//! changes therefore lie in one reservation per database that asks for **huge pages**
//! (`MADV_HUGEPAGE`): random reads took a third less time, short ranges half.
//!
//! The reservation is cut into **spans** of 128 KiB; a span holds blocks of one **class** of size (eight
//! to a doubling) for as long as one of them lives, then any class may have it. A thread gets
//! first what it gave back last, which its processor still has in its cache. The idea is
//! that of the slab allocator with its magazines (Bonwick, 1994; Bonwick and Adams, 2001).
//!
//! What a database does not fit into, and small databases altogether, get memory from the global
//! allocator: [`PageMemory::reserve`] may say no, and whoever is given no memory goes on with that.
//! So do databases under a model checker.
//!
//! Memory that was never touched takes its time: the system clears it, and a virtual machine may have to get it
//! from its host. While a database grows, [`PageMemory::get_ahead`] has that done on a thread that nobody waits for.
//!
//! What spans hold beside live blocks is [`slack`](PageMemory::slack_bytes): the cache counts it as used, so
//! that its size bounds what the process really holds.

mod arena;
mod block;
mod class;
mod heap;
mod owned;
mod region;
mod spans;
mod spares;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use arena::Arena;
pub use block::{Block, PageBuffer, PageBytes};
pub use class::Sparse;
pub use heap::trim_heap;
pub use owned::Owned;

use std::ptr::NonNull;

use smallvec::SmallVec;

use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, Padded, Sharded};
use class::{CLASSES, Class, class_of};
use region::Region;
use spans::Spans;
use spares::Spares;

/// The bytes of a span.
const SPAN_BYTES: usize = 128 << 10;

/// The least size of a cache whose pages lie here: below, what spans have to spare would weigh too much.
pub const CACHE_BYTES_LEAST: u64 = 64 << 20;

/// So many bytes come from the global allocator first: the system clears a whole huge page when it is
/// touched, which would take longer than all else that opening a small database does.
const EARLY_BYTES: i64 = 1 << 20;

/// Blocks below this size come from the global allocator, and those above the largest class.
const BLOCK_BYTES_LEAST: usize = 256;

/// The memory of one database's pages. See the module.
#[derive(Debug)]
pub struct PageMemory {
    region: Region,
    /// Locked before `classes`.
    spares: Sharded<Mutex<Spares>>,
    /// Nothing is locked under one but `spans`, to take a span.
    classes: Box<[Padded<Mutex<Class>>]>,
    /// Of each span, its number among its class's. Written and read under its class's lock.
    places: Box<[AtomicU32]>,
    /// A leaf of the lock order.
    spans: Mutex<Spans>,
    /// What still comes from the global allocator. Relaxed, and read alone once it is used up.
    early_bytes: AtomicI64,
    /// The cache is too small now: nothing comes here any more. Relaxed: what does all the same is evicted
    /// like all else.
    closed: AtomicBool,
    /// What is resident in spans beside live blocks, but for what the threads have not said yet. Relaxed: a
    /// sum that orders nothing.
    slack_bytes: AtomicI64,
    /// How many spans became free so far. Relaxed: a count.
    spans_freed: AtomicU64,
    /// Somebody should [`get_ahead`](Self::get_ahead). Relaxed: a hint.
    is_short: AtomicBool,
}

impl PageMemory {
    /// Memory for a cache of `cache_bytes_max`; none where that is small, or the system refuses.
    pub fn reserve(cache_bytes_max: u64) -> Option<Arc<Self>> {
        if cfg!(any(loom, shuttle, miri)) || cache_bytes_max < CACHE_BYTES_LEAST {
            return None;
        }
        // An eighth more, for spans that are not full; what does not fit goes elsewhere.
        let bytes = usize::try_from(cache_bytes_max + cache_bytes_max / 8).ok()?;
        Self::with_spans(u32::try_from(bytes.div_ceil(SPAN_BYTES)).ok()?, EARLY_BYTES)
    }

    fn with_spans(count: u32, early_bytes: i64) -> Option<Arc<Self>> {
        let region = Region::reserve(count as usize * SPAN_BYTES)?;
        let classes = (0..CLASSES).map(|class| Padded(Mutex::new(Class::new(class))));
        Some(Arc::new(Self {
            region,
            spares: Sharded::new(|| Mutex::new(Spares::new())),
            classes: classes.collect(),
            places: (0..count).map(|_| AtomicU32::new(0)).collect(),
            spans: Mutex::new(Spans::new(count)),
            early_bytes: AtomicI64::new(early_bytes),
            closed: AtomicBool::new(false),
            slack_bytes: AtomicI64::new(0),
            spans_freed: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
        }))
    }

    /// The cache has another size: a small one gets nothing from here any more, and what is free goes back to
    /// the system.
    pub fn resize(&self, cache_bytes_max: u64) {
        let is_small = cache_bytes_max < CACHE_BYTES_LEAST;
        self.closed.store(is_small, Ordering::Relaxed);
        self.give_back_spares();
        let warm_max = if is_small { 0 } else { spans::warm_max(cache_bytes_max) };
        let surplus = self.spans.lock().keep_warm(warm_max);
        surplus.into_iter().for_each(|span| self.give_to_system(span));
    }

    /// Gives back what threads keep at hand: a single block keeps all of its span from becoming free.
    pub fn give_back_spares(&self) {
        for spares in self.spares.iter() {
            let mut own = spares.lock();
            let blocks: Vec<Vec<usize>> =
                (0..CLASSES).map(|number| own.take_all(number).collect()).collect();
            // Its threads must not wait for the system.
            drop(own);
            for (number, blocks) in
                blocks.into_iter().enumerate().filter(|(_, all)| !all.is_empty())
            {
                self.give_back_to_class(number, blocks.into_iter());
            }
        }
    }

    /// What is resident here beside what was handed out, in bytes, to half a megabyte.
    #[inline]
    pub fn slack_bytes(&self) -> u64 {
        self.slack_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    /// How many bytes of spans became free so far.
    pub fn freed_bytes(&self) -> u64 {
        self.spans_freed.load(Ordering::Relaxed) * SPAN_BYTES as u64
    }

    fn note_slack(&self, spares: &mut Spares, bytes: i64) {
        if let Some(bytes) = spares.note_slack(bytes) {
            self.slack_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// What a block for `len` bytes takes, if there is a class for it.
    fn block_bytes(len: usize) -> Option<usize> {
        class_of(len).map(class::block_bytes)
    }

    /// A block for `len` bytes, aligned to 64; none when there is no class or no room for it.
    fn take(&self, len: usize) -> Option<NonNull<u8>> {
        let number = class_of(len).filter(|_| self.is_open(len))?;
        let mut spares = self.spares.own().lock();
        let offset = spares.take(number).or_else(|| self.take_from_class(number))?;
        self.note_slack(&mut spares, -(class::block_bytes(number) as i64));
        Some(self.region.at(offset))
    }

    /// Whether a block of `len` bytes may come from here.
    fn is_open(&self, len: usize) -> bool {
        let is_early = self.early_bytes.load(Ordering::Relaxed) > 0
            && self.early_bytes.fetch_sub(len as i64, Ordering::Relaxed) > 0;
        !is_early && !self.closed.load(Ordering::Relaxed)
    }

    fn take_from_class(&self, number: usize) -> Option<usize> {
        let mut class = self.classes[number].lock();
        class.take().or_else(|| {
            let span = self.take_span()?;
            let place = class.add_span(span);
            self.places[span as usize].store(place, Ordering::Relaxed);
            class.take()
        })
    }

    /// Whether a block of `len` bytes that is alive lies in a span that is worth emptying.
    fn is_sparse_at(&self, start: NonNull<u8>, len: usize, sparse: Sparse) -> bool {
        let Some(number) = class_of(len) else { return false };
        let span = self.region.offset_of(start) / SPAN_BYTES;
        let class = self.classes[number].lock();
        class.is_sparse(self.places[span].load(Ordering::Relaxed), sparse)
    }

    /// Whether the block at `start` lies here.
    fn holds(&self, start: NonNull<u8>) -> bool {
        self.region.holds(start)
    }

    fn take_span(&self) -> Option<u32> {
        let mut spans = self.spans.lock();
        let (span, is_resident) = spans.take()?;
        if spans.are_short() && !self.is_short.load(Ordering::Relaxed) {
            self.is_short.store(true, Ordering::Relaxed);
        }
        drop(spans);
        if !is_resident {
            self.slack_bytes.fetch_add(SPAN_BYTES as i64, Ordering::Relaxed);
        }
        Some(span)
    }

    /// Whether somebody should [`get_ahead`](Self::get_ahead); true for one caller.
    #[inline]
    pub fn take_shortage(&self) -> bool {
        self.is_short.load(Ordering::Relaxed) && self.is_short.swap(false, Ordering::Relaxed)
    }

    /// Makes a little more memory resident than was asked for, so that who asks next need not wait for the
    /// system. It counts as slack.
    pub fn get_ahead(&self) {
        loop {
            let Some(cold) = self.spans.lock().take_ahead() else { return };
            let (first, count) = (cold.start as usize, cold.len());
            let is_resident = self.region.populate(first * SPAN_BYTES, count * SPAN_BYTES);
            if is_resident {
                self.slack_bytes.fetch_add((count * SPAN_BYTES) as i64, Ordering::Relaxed);
            }
            let mut spans = self.spans.lock();
            // The lowest is taken first.
            cold.rev().for_each(|span| spans.put(span, !is_resident));
            if !is_resident {
                return;
            }
        }
    }

    /// Takes the block of `len` bytes at `start` back.
    ///
    /// # Safety
    /// 1. It came from [`take`](Self::take) with this `len`, and comes back once.
    /// 2. Nobody touches it any more.
    unsafe fn give_back(&self, start: NonNull<u8>, len: usize) {
        let Some(number) = class_of(len) else { return };
        let mut spares = self.spares.own().lock();
        self.note_slack(&mut spares, class::block_bytes(number) as i64);
        let are_many = spares.put(number, self.region.offset_of(start));
        if self.closed.load(Ordering::Relaxed) {
            self.give_back_to_class(number, spares.take_all(number));
        } else if are_many {
            self.give_back_to_class(number, spares.take_half(number));
        }
    }

    fn give_back_to_class(&self, number: usize, blocks: impl Iterator<Item = usize>) {
        let place = |span: u32| self.places[span as usize].load(Ordering::Relaxed);
        let mut class = self.classes[number].lock();
        let free: SmallVec<[u32; 4]> =
            blocks.filter_map(|offset| class.give_back(offset, place)).collect();
        drop(class);
        // Without the class's lock: the system may take its time.
        free.into_iter().for_each(|span| self.give_back_span(span));
    }

    fn give_back_span(&self, span: u32) {
        self.spans_freed.fetch_add(1, Ordering::Relaxed);
        if !self.spans.lock().keep(span) {
            self.give_to_system(span);
        }
    }

    /// Gives the memory of a free span, which is on no list, back to the system.
    fn give_to_system(&self, span: u32) {
        // SAFETY: no block of the span is alive, and nobody finds it to take one.
        let is_gone = unsafe { self.region.empty(span as usize * SPAN_BYTES, SPAN_BYTES) };
        if is_gone {
            self.slack_bytes.fetch_sub(SPAN_BYTES as i64, Ordering::Relaxed);
        }
        self.spans.lock().put(span, is_gone);
    }
}
