//! What the database holds in memory, and who waits for room.
//!
//! Every page, change, log buffer and snapshot is charged here. The cache knows only sums: the
//! eviction layer decides what leaves, the session layer decides when to call it. It knows no
//! page and no tree.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::memory::{PageMemory, trim_heap};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, is_left_out};

/// How full the cache is, in words that say what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below the target: nothing to do.
    None,
    /// Somewhat above the target: background eviction is woken, if it does not work already.
    Background,
    /// Above the trigger: a thread that finished an operation helps.
    Help,
    /// Full: a thread waits for room before its next operation.
    Full,
}

/// Above this part of its size background eviction works, unless it is told otherwise.
pub const EVICTION_TARGET_PERCENT: u64 = 80;
/// Above this part of its size a thread that finished an operation helps, unless it is told otherwise.
pub const EVICTION_TRIGGER_PERCENT: u64 = 90;

/// Bounds of [`Cache::batch_bytes`].
const BATCH_BYTES_LEAST: u64 = 16 << 10;
const BATCH_BYTES_MOST: u64 = 1 << 20;

/// Bounds of how much leaves the heap before that is trimmed. The upper one keeps others from waiting for long.
const HEAP_BYTES_LEAST: u64 = 1 << 20;
const HEAP_BYTES_MOST: u64 = 32 << 20;

/// The account of one database's memory.
#[derive(Debug)]
pub struct Cache {
    /// Written by `new` and `resize`, as the two below. Relaxed: whoever reads an old size acts on
    /// the new one a moment later.
    bytes_max: AtomicU64,
    /// Above this background eviction works.
    target_bytes: AtomicU64,
    /// Above this a thread that finished an operation helps.
    trigger_bytes: AtomicU64,
    /// Written by every charge and release, read by whoever asks for pressure. Relaxed: the sum
    /// orders nothing but itself.
    bytes_used: AtomicU64,
    /// How much of that was unlinked, and is only waiting for readers to let it be freed.
    /// Relaxed: a hint, for who would evict more.
    bytes_leaving: AtomicU64,
    /// What lay in the global allocator's heap and left since that was last trimmed. Relaxed: a hint.
    heap_bytes_left: AtomicU64,
    /// Whether rows are a better use of memory than leaves; they are where nothing is known. Written by the evictor, read
    /// by who misses a row. Relaxed: a hint.
    prefers_rows: AtomicBool,
    /// How many threads wait for `room`. Written by them; read by releases, to skip the
    /// notification.
    waiters: AtomicUsize,
    room: Condvar,
    /// Where pages lie, if not wherever the global allocator puts them.
    memory: Option<Arc<PageMemory>>,
    /// Guards nothing but the step from a waiter's look at the sum to its sleep. A leaf of the
    /// lock order.
    room_lock: Mutex<()>,
}

impl Cache {
    /// An empty cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let percent = |percent| AtomicU64::new(bytes_max / 100 * percent);
        Self {
            bytes_max: AtomicU64::new(bytes_max),
            target_bytes: percent(EVICTION_TARGET_PERCENT),
            trigger_bytes: percent(EVICTION_TRIGGER_PERCENT),
            bytes_used: AtomicU64::new(0),
            bytes_leaving: AtomicU64::new(0),
            heap_bytes_left: AtomicU64::new(0),
            prefers_rows: AtomicBool::new(true),
            waiters: AtomicUsize::new(0),
            room: Condvar::new(),
            memory: PageMemory::reserve(bytes_max),
            room_lock: Mutex::new(()),
        }
    }

    /// From now on it holds at most `bytes_max` bytes; background eviction works above the first
    /// percentage of that, and threads help above the second. What is too much leaves as eviction goes
    /// on.
    pub fn resize(&self, bytes_max: u64, target_percent: u64, trigger_percent: u64) {
        let before = self.bytes_max.swap(bytes_max, Ordering::Relaxed);
        if let Some(memory) = self.memory.as_ref().filter(|_| before != bytes_max) {
            memory.resize(bytes_max);
        }
        self.target_bytes.store(bytes_max / 100 * target_percent, Ordering::Relaxed);
        self.trigger_bytes.store(bytes_max / 100 * trigger_percent, Ordering::Relaxed);
        // There may be room now for who waits for it.
        drop(self.room_lock.lock());
        self.room.notify_all();
    }

    /// The most bytes it may hold.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Where its pages lie; none for wherever the global allocator puts them.
    pub fn memory(&self) -> Option<&Arc<PageMemory>> {
        self.memory.as_ref()
    }

    /// The bytes it holds.
    pub fn bytes_used(&self) -> u64 {
        self.bytes_used.load(Ordering::Relaxed) + self.slack_bytes()
    }

    /// What page memory takes beside what was charged for what lies in it.
    #[inline]
    pub fn slack_bytes(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| memory.slack_bytes())
    }

    /// How many bytes one thread may have in hand beside what the sum is steered by: pages written
    /// together, pages replaced and not yet freed. Several threads together stay well within the
    /// tenth by which the cache may pass its size.
    pub fn batch_bytes(&self) -> u64 {
        (self.bytes_max() / 64).clamp(BATCH_BYTES_LEAST, BATCH_BYTES_MOST)
    }

    /// The bytes that stay until somebody evicts them: without what is leaving anyway, and without spare room
    /// in page memory, as far as the cache is not full for its sake.
    fn bytes_staying(&self) -> u64 {
        let target = self.target_bytes.load(Ordering::Relaxed);
        let uncounted = self.full_above().saturating_sub(target + self.batch_bytes());
        self.pages_staying() + self.slack_bytes().saturating_sub(uncounted)
    }

    /// The same without any spare room.
    fn pages_staying(&self) -> u64 {
        // Another thread may free something between the two loads.
        let used = self.bytes_used.load(Ordering::Relaxed);
        used.saturating_sub(self.bytes_leaving.load(Ordering::Relaxed))
    }

    /// Whether what stays is not too much, and only the spare room beside it is. A page that leaves makes room for the
    /// next one, but the span that it lay in is free only when all others are gone from there: to evict
    /// pages from anywhere makes more spare room, and more, until most of the memory is that.
    pub fn is_scattered(&self) -> bool {
        self.wants_eviction() && self.pages_staying() <= self.target_bytes.load(Ordering::Relaxed)
    }

    /// Above so many bytes a thread waits before it adds to them. What threads add that did not
    /// wait, or by making room, fits above.
    fn full_above(&self) -> u64 {
        let max = self.bytes_max();
        max - (self.batch_bytes() * 4).min(max / 16)
    }

    /// How full it is.
    #[inline]
    pub fn pressure(&self) -> Pressure {
        let used = self.bytes_used();
        if used <= self.target_bytes.load(Ordering::Relaxed) {
            // Before the second load, for the sake of caches with room to spare.
            Pressure::None
        } else if used > self.full_above() {
            Pressure::Full
        } else if self.bytes_staying() > self.trigger_bytes.load(Ordering::Relaxed) {
            Pressure::Help
        } else if self.bytes_staying() > self.wake_above() {
            Pressure::Background
        } else {
            Pressure::None
        }
    }

    /// Above so many bytes background eviction is woken, which then works down to the target. A little more
    /// than that, so that it is not woken again by each page that is read in.
    fn wake_above(&self) -> u64 {
        let target = self.target_bytes.load(Ordering::Relaxed);
        let trigger = self.trigger_bytes.load(Ordering::Relaxed);
        target + self.batch_bytes().min(trigger.saturating_sub(target) / 2)
    }

    /// Whether it may come to be full: something may have to leave soon.
    pub fn is_half_full(&self) -> bool {
        self.bytes_used() > self.bytes_max() / 2
    }

    /// Whether what is read in for one row should be that row, and not its leaf. Something else has to leave for it, and
    /// rows are used more for the memory that they take, as far as eviction has seen.
    pub fn prefers_rows(&self) -> bool {
        let is_at_target = || {
            let target = self.target_bytes.load(Ordering::Relaxed);
            self.bytes_used() + self.bytes_max() / 16 > target
        };
        self.prefers_rows.load(Ordering::Relaxed) && is_at_target()
    }

    /// Says what eviction has seen.
    pub fn set_prefers_rows(&self, prefers: bool) {
        self.prefers_rows.store(prefers, Ordering::Relaxed);
    }

    /// Whether more stays than should: freeing what is leaving would not be enough.
    pub fn wants_eviction(&self) -> bool {
        self.bytes_staying() > self.target_bytes.load(Ordering::Relaxed)
    }

    /// Whether it grows, so that somebody should [`get_memory_ahead`](Self::get_memory_ahead); true for one
    /// caller.
    #[inline]
    pub fn takes_memory(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.take_shortage())
    }

    /// Has the system give it some memory before it is needed, unless it is to grow no further.
    pub fn get_memory_ahead(&self) {
        if let Some(memory) = self.memory.as_ref().filter(|_| !self.wants_eviction()) {
            memory.get_ahead();
        }
    }

    /// Notes that `bytes` of the global allocator's heap are about to be free, and were in small pieces.
    pub fn note_heap_left(&self, bytes: u64) {
        self.heap_bytes_left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives the system back what became free of the heap, if it is much. First `reclaim` frees what can be.
    pub fn trim_heap(&self, reclaim: impl FnOnce()) {
        let enough = (self.bytes_max() / 16).clamp(HEAP_BYTES_LEAST, HEAP_BYTES_MOST);
        let is_much = self.heap_bytes_left.load(Ordering::Relaxed) >= enough;
        // One of several callers does it.
        if is_much && self.heap_bytes_left.swap(0, Ordering::Relaxed) >= enough {
            reclaim();
            trim_heap();
        }
    }

    /// Whether it is full only until what is leaving is gone.
    pub fn is_emptying(&self) -> bool {
        let leaving = self.bytes_leaving.load(Ordering::Relaxed);
        self.bytes_used().saturating_sub(leaving) <= self.full_above()
    }

    /// Sleeps until the cache is no longer full, or `time` has passed; true when there is room.
    pub fn wait_for_room(&self, time: Duration) -> bool {
        let start = Instant::now();
        // Relaxed: the exchange on the sum, below, publishes it.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let mut guard = self.room_lock.lock();
        while self.bytes_used_or_announced() > self.full_above() {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            guard = self.room.wait_timeout(guard, left).0;
        }
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        self.pressure() < Pressure::Full
    }

    /// The bytes it holds, asked by a waiter that has counted itself: a release that lowers the sum
    /// later than this sees the waiter.
    fn bytes_used_or_announced(&self) -> u64 {
        if is_left_out!(WaiterLooksWithoutExchange) {
            return self.bytes_used.load(Ordering::SeqCst) + self.slack_bytes();
        }
        // Release, and a read-modify-write of the very sum: either the release's came first, and
        // this returns the lowered sum, or it comes later and acquires what we released.
        // What lay in page memory went back there before that, so the slack is of this sum or later.
        self.bytes_used.fetch_add(0, Ordering::AcqRel) + self.slack_bytes()
    }

    fn charge(&self, bytes: u64) {
        self.bytes_used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: u64) {
        // AcqRel: pairs with the waiter's exchange in `bytes_used_or_announced`.
        let before = self.bytes_used.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "released {bytes} of {before} charged bytes");
        if self.waiters.load(Ordering::Relaxed) > 0 {
            // The waiter looked before the sum fell, and sleeps before it lets the lock go.
            if !is_left_out!(ReleaseWithoutRoomLock) {
                drop(self.room_lock.lock());
            }
            self.room.notify_all();
        }
    }
}

/// Bytes charged to a cache until this is dropped.
#[derive(Debug)]
pub struct Charge {
    cache: Arc<Cache>,
    bytes: AtomicU64,
    /// How many of them were announced as leaving. Written once, by who unlinks the owner.
    leaving: AtomicU64,
}

impl Charge {
    /// Charges `bytes`.
    pub fn new(cache: &Arc<Cache>, bytes: u64) -> Self {
        cache.charge(bytes);
        Self { cache: Arc::clone(cache), bytes: AtomicU64::new(bytes), leaving: AtomicU64::new(0) }
    }

    /// Charges `bytes` more.
    pub fn grow(&self, bytes: u64) {
        self.cache.charge(bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` of it back: their owner is another now.
    pub fn shrink(&self, bytes: u64) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "gave {bytes} of {before} charged bytes back");
        self.cache.release(bytes);
    }

    /// What is charged was unlinked, and is freed as soon as no reader stands on it. Called once.
    pub fn leave(&self) {
        let bytes = self.bytes();
        self.leaving.store(bytes, Ordering::Relaxed);
        self.cache.bytes_leaving.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The bytes charged so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The cache that is charged.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // Relaxed, both: who frees has synchronized with who unlinked, and the sum is a hint.
        let leaving = self.leaving.load(Ordering::Relaxed);
        if leaving > 0 {
            self.cache.bytes_leaving.fetch_sub(leaving, Ordering::Relaxed);
        }
        self.cache.release(self.bytes());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn heap_is_trimmed_once_for_each_sixteenth_that_left_it() {
        let cache = Cache::new(64 << 20);
        let trims = |left_bytes| {
            let mut reclaims = 0;
            cache.note_heap_left(left_bytes);
            (0..2).for_each(|_| cache.trim_heap(|| reclaims += 1));
            reclaims
        };
        let left = [3 << 20, (1 << 20) - 1, 1, 40 << 20, 1];
        assert_eq!(left.map(trims), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn charges_return_to_zero() {
        let cache = Arc::new(Cache::new(1000));
        let charge = Charge::new(&cache, 700);
        assert_eq!(cache.pressure(), Pressure::None);
        charge.grow(301);
        assert_eq!(cache.pressure(), Pressure::Full);
        drop(charge);
        assert_eq!(cache.bytes_used(), 0);
    }

    #[test]
    fn what_is_leaving_asks_for_no_eviction() {
        let cache = Arc::new(Cache::new(1000));
        let (stays, leaves) = (Charge::new(&cache, 700), Charge::new(&cache, 300));
        assert!(cache.wants_eviction() && !cache.is_emptying());
        leaves.leave();
        assert_eq!(cache.pressure(), Pressure::Full);
        assert!(!cache.wants_eviction() && cache.is_emptying());
        drop(leaves);
        assert_eq!(cache.pressure(), Pressure::None);
        stays.shrink(600);
        assert_eq!((stays.bytes(), cache.bytes_used()), (100, 100));
    }

    #[test]
    fn resizing_moves_every_threshold_and_wakes_who_waits() {
        let cache = Arc::new(Cache::new(1000));
        let _charge = Charge::new(&cache, 50_000);
        assert_eq!(cache.pressure(), Pressure::Full);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| cache.wait_for_room(Duration::from_secs(60)));
            cache.resize(100_000, 1, 90);
            assert!(waiter.join().expect("the waiter does not panic"));
        });
        assert_eq!(cache.pressure(), Pressure::Background);
        cache.resize(100_000, 80, 90);
        assert_eq!(cache.pressure(), Pressure::None);
    }

    /// Pages that come and go leave spare room in page memory. It counts as used, and asks for eviction before
    /// anybody waits for it, but not of just any page.
    #[test]
    fn spare_room_counts_and_is_told_from_pages() {
        let cache = Arc::new(Cache::new(64 << 20));
        let Some(memory) = cache.memory() else { return };
        let blocks: Vec<_> =
            (0..4000).map(|_| crate::memory::Block::new(Some(memory), 16 << 10)).collect();
        assert!(cache.slack_bytes() < 1 << 20, "{}", cache.slack_bytes());
        // All but one in two are free again, and none of their spans.
        let kept: Vec<_> = blocks.into_iter().step_by(2).collect();
        let slack = cache.slack_bytes();
        assert!(slack > 24 << 20, "{slack}");
        let charge = Charge::new(&cache, cache.full_above() - cache.batch_bytes() - slack - 4096);
        assert!(!cache.wants_eviction() && !cache.is_scattered());
        charge.grow(64 << 10);
        assert!(cache.is_scattered() && cache.pressure() < Pressure::Full);
        charge.grow(cache.batch_bytes());
        assert_eq!(cache.pressure(), Pressure::Full);
        drop(kept);
        charge.grow(cache.bytes_max() / 2);
        assert!(cache.wants_eviction() && !cache.is_scattered(), "there are too many pages");
    }

    #[test]
    fn release_wakes_a_waiter() {
        let cache = Arc::new(Cache::new(1000));
        let charge = Charge::new(&cache, 2000);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| cache.wait_for_room(Duration::from_secs(60)));
            drop(charge);
            assert!(waiter.join().expect("the waiter does not panic"));
        });
    }

    #[test]
    fn waiting_ends_in_time_when_nothing_is_released() {
        let cache = Arc::new(Cache::new(1000));
        let _charge = Charge::new(&cache, 2000);
        assert!(!cache.wait_for_room(Duration::from_millis(1)));
    }
}
