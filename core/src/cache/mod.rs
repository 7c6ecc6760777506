//! What the database holds in memory, and who waits for room.
//!
//! Every page, change, log buffer and snapshot is charged here. The cache knows only sums: the
//! eviction layer decides what leaves, the session layer decides when to call it. It knows no
//! page and no tree.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, is_left_out};

/// How full the cache is, in words that say what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below the target: nothing to do.
    None,
    /// Above the target: background eviction works.
    Background,
    /// Above the trigger: a thread that finished an operation helps.
    Help,
    /// Full: a thread waits for room before its next operation.
    Full,
}

/// The account of one database's memory.
#[derive(Debug)]
pub struct Cache {
    bytes_max: AtomicU64,
    /// Written by every charge and release, read by whoever asks for pressure. Relaxed: the sum
    /// orders nothing but itself.
    bytes_used: AtomicU64,
    /// How many threads wait for `room`. Written by them; read by releases, to skip the
    /// notification.
    waiters: AtomicUsize,
    room: Condvar,
    /// Guards nothing but the step from a waiter's look at the sum to its sleep. A leaf of the
    /// lock order.
    room_lock: Mutex<()>,
}

impl Cache {
    /// An empty cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max: AtomicU64::new(bytes_max),
            bytes_used: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            room: Condvar::new(),
            room_lock: Mutex::new(()),
        }
    }

    /// The most bytes it may hold.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// The bytes it holds.
    pub fn bytes_used(&self) -> u64 {
        self.bytes_used.load(Ordering::Relaxed)
    }

    /// How full it is.
    #[inline]
    pub fn pressure(&self) -> Pressure {
        let (used, max) = (self.bytes_used(), self.bytes_max());
        if used <= max / 100 * 80 {
            Pressure::None
        } else if used <= max / 100 * 90 {
            Pressure::Background
        } else if used <= max {
            Pressure::Help
        } else {
            Pressure::Full
        }
    }

    /// Sleeps until the cache is no longer full, or `time` has passed; true when there is room.
    pub fn wait_for_room(&self, time: Duration) -> bool {
        let start = Instant::now();
        // Relaxed: the exchange on the sum, below, publishes it.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let mut guard = self.room_lock.lock();
        while self.bytes_used_or_announced() > self.bytes_max() {
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
            return self.bytes_used.load(Ordering::SeqCst);
        }
        // Release, and a read-modify-write of the very sum: either the release's came first, and
        // this returns the lowered sum, or it comes later and acquires what we released.
        self.bytes_used.fetch_add(0, Ordering::AcqRel)
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
}

impl Charge {
    /// Charges `bytes`.
    pub fn new(cache: &Arc<Cache>, bytes: u64) -> Self {
        cache.charge(bytes);
        Self { cache: Arc::clone(cache), bytes: AtomicU64::new(bytes) }
    }

    /// Charges `bytes` more.
    pub fn grow(&self, bytes: u64) {
        self.cache.charge(bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
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
        self.cache.release(self.bytes());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

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
