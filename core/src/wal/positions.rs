//! The core of group commit: which positions are handed out, filled, and durable.
//!
//! There is no I/O here and no byte of a record, so that a model checker can run the type
//! itself. The protocol of one commit is register, reserve, copy (the caller's), fill, wait,
//! publish (the caller's), deregister.
//!
//! Four numbers, each at or above the one after it: `end` (everything below is handed out),
//! `filled` (everything below is copied), `synced` (everything below is durable), and the lowest
//! registered bound, which lies at or below `end` and is unrelated to the other two.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::ids::Lsn;
use crate::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sync::{Condvar, Mutex, is_left_out, ordering, thread_number};

/// Registrations that have a slot of their own; more go to a locked list. Few under a model
/// checker, where each costs a scheduling point.
const SLOTS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 64 };

/// A slot's or entry's content when nobody is registered in it.
const FREE: u64 = u64::MAX;

/// One cache line to itself, so that neighbours do not fight over it.
#[derive(Debug)]
#[repr(align(64))]
struct Line<T>(T);

/// What every record moves, and so lies on one line.
#[derive(Debug)]
struct Moving {
    /// The end of what was handed out. Moved by reservers; read by registrations, checkpoints
    /// and statistics.
    end: AtomicU64,
    /// Everything before this position is copied. Moved by whoever filled the record that starts there, and
    /// on through what was filled early by holders of `fill`; read by all.
    filled: AtomicU64,
}

/// What hardly ever changes and everybody reads.
#[derive(Debug)]
struct Resting {
    /// Everything before is durable. Written by the one leader; read by all.
    synced: AtomicU64,
    /// Set once, after `Fill::failure`, by whoever met the first failure; read by all.
    failed: AtomicBool,
    /// How many records were filled early, and how many threads wait for `filled` to move. Written by
    /// holders of `fill`; read by whoever moved `filled`, who takes that lock if there are any. Both sides
    /// write to `filled` in between, so that one of them sees the other.
    watchers: AtomicUsize,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Positions {
    moving: Line<Moving>,
    resting: Line<Resting>,
    /// Each registered commit's bound, or [`FREE`]. Written by its owner; read by checkpoints.
    slots: Box<[Line<AtomicU64>]>,
    /// The bounds of those who found no free slot. A leaf in the lock order.
    overflow: Mutex<Vec<u64>>,
    /// What was copied out of order. A leaf in the lock order.
    fill: Mutex<Fill>,
    /// Signalled when `filled` moves and when the log fails; waited on with `fill`.
    fill_moved: Condvar,
    /// Whether somebody is syncing. Above `fill` in the lock order, never held across a sync.
    leading: Mutex<bool>,
    /// Signalled when a leader is done, well or not; waited on with `leading`.
    sync_done: Condvar,
}

#[derive(Debug)]
struct Fill {
    /// How many wait for `filled` to move.
    waiters: usize,
    /// Reservations that were filled before an earlier one was: (start, end).
    early: BinaryHeap<Reverse<(u64, u64)>>,
    /// The first failure.
    failure: Option<Arc<Error>>,
}

/// A registered commit: the place of its bound. Given back with [`Positions::deregister`].
#[derive(Debug)]
#[must_use = "the bound stays until it is deregistered"]
pub struct Ticket(usize);

/// Positions handed out and not yet filled. Dropped unfilled (by a panic), it fails the log, so
/// that nobody waits for them for ever.
#[derive(Debug)]
#[must_use = "everybody behind it waits until it is filled"]
pub struct Reserved<'a> {
    positions: &'a Positions,
    start: u64,
    end: u64,
    settled: bool,
}

impl Positions {
    /// A log of which everything before `start` is durable, and nothing after is used.
    pub fn new(start: Lsn) -> Self {
        Self {
            moving: Line(Moving { end: AtomicU64::new(start.0), filled: AtomicU64::new(start.0) }),
            resting: Line(Resting {
                synced: AtomicU64::new(start.0),
                failed: AtomicBool::new(false),
                watchers: AtomicUsize::new(0),
            }),
            slots: (0..SLOTS).map(|_| Line(AtomicU64::new(FREE))).collect(),
            overflow: Mutex::new(Vec::new()),
            fill: Mutex::new(Fill { waiters: 0, early: BinaryHeap::new(), failure: None }),
            fill_moved: Condvar::new(),
            leading: Mutex::new(false),
            sync_done: Condvar::new(),
        }
    }

    /// The end of what was handed out.
    #[inline]
    pub fn end(&self) -> Lsn {
        // Acquire: pairs with the Release of `reserve`; see `lowest_registered`.
        Lsn(self.moving.0.end.load(ordering!(Acquire, EndRelaxed)))
    }

    /// Everything before this position is copied.
    #[inline]
    pub fn filled(&self) -> Lsn {
        // Acquire: pairs with the Release in `fill`; whoever syncs through this position must
        // see the copies that came before it.
        Lsn(self.moving.0.filled.load(ordering!(Acquire, FilledLoadRelaxed)))
    }

    /// Everything before this position is durable.
    #[inline]
    pub fn synced(&self) -> Lsn {
        // Acquire: pairs with the Release in `sync_through`.
        Lsn(self.resting.0.synced.load(Acquire))
    }

    /// Registers a bound at or below every position that the caller reserves from now on.
    #[inline]
    pub fn register(&self) -> Ticket {
        let bound = self.end().0 + if is_left_out!(BoundTooHigh) { 8 } else { 0 };
        // Where nobody else looks first, so that threads keep to their own lines.
        let hint = thread_number();
        for step in 0..SLOTS {
            let index = (hint + step) % SLOTS;
            let Some(slot) = self.slots.get(index) else { continue };
            // Relaxed: the Release in `reserve` publishes the bound, and nobody needs it before.
            if slot.0.load(Relaxed) == FREE
                && slot.0.compare_exchange(FREE, bound, Relaxed, Relaxed).is_ok()
            {
                return Ticket(index);
            }
        }
        self.register_overflow(bound)
    }

    #[cold]
    fn register_overflow(&self, bound: u64) -> Ticket {
        let mut overflow = self.overflow.lock();
        let free = overflow.iter().position(|&entry| entry == FREE).unwrap_or(overflow.len());
        match overflow.get_mut(free) {
            Some(entry) => *entry = bound,
            None => overflow.push(bound),
        }
        Ticket(SLOTS + free)
    }

    /// Takes a bound back. What the commit made visible must be so by now.
    #[inline]
    pub fn deregister(&self, ticket: &mut Ticket) {
        let index = std::mem::replace(&mut ticket.0, usize::MAX);
        if let Some(slot) = self.slots.get(index) {
            // Release: whoever finds the slot free (Acquire in `lowest_registered`) sees the
            // commit in the snapshot that it takes afterwards.
            slot.0.store(FREE, ordering!(Release, DeregisterRelaxed));
        } else if let Some(entry) = self.overflow.lock().get_mut(index.wrapping_sub(SLOTS)) {
            *entry = FREE;
        }
    }

    /// A position at or below every record of a commit that is registered, or registers later;
    /// the end of the log when nobody is registered.
    pub fn lowest_registered(&self) -> Lsn {
        // The end is read first. A commit whose bound we do not find below either registered
        // and deregistered before (then it is visible), or reserves after this load: had its
        // reserve come before, this Acquire load would have seen it, and its bound with it.
        let mut lowest = if is_left_out!(EndReadLast) { u64::MAX } else { self.end().0 };
        for slot in &self.slots {
            // Acquire: pairs with the Release in `deregister`.
            lowest = lowest.min(slot.0.load(ordering!(Acquire, BoundRelaxed)));
        }
        for &bound in self.overflow.lock().iter() {
            lowest = lowest.min(bound);
        }
        if is_left_out!(EndReadLast) {
            lowest = lowest.min(self.end().0);
        }
        Lsn(lowest)
    }

    /// Hands out the next `size_bytes` positions.
    #[inline]
    pub fn reserve(&self, size_bytes: u64) -> Reserved<'_> {
        // AcqRel: the Release publishes the caller's bound to `lowest_registered`; as a
        // read-modify-write it also passes on what earlier reservers published.
        let start = self.moving.0.end.fetch_add(size_bytes, ordering!(AcqRel, ReserveRelaxed));
        Reserved { positions: self, start, end: start + size_bytes, settled: false }
    }

    /// Marks positions as copied, and wakes whoever waited for it.
    #[inline]
    fn fill(&self, start: u64, end: u64) {
        // AcqRel: the Release publishes the copy, and those before it, which the Acquire saw; pairs with
        // the Acquire in `filled`. The Acquire pairs with the Release in `look_at_filled` too: who counted
        // itself before it looked is seen below.
        let order = ordering!(AcqRel, FilledStoreRelaxed);
        match self.moving.0.filled.compare_exchange(start, end, order, Relaxed) {
            // Relaxed: see above.
            Ok(_) if self.resting.0.watchers.load(Relaxed) == 0 => {}
            Ok(_) => self.pass_on(&mut self.fill.lock()),
            Err(filled) => {
                debug_assert!(filled < start, "positions are filled once");
                self.fill_early(start, end);
            }
        }
    }

    /// Keeps what was filled before an earlier record until that is.
    #[cold]
    fn fill_early(&self, start: u64, end: u64) {
        let mut fill = self.fill.lock();
        fill.early.push(Reverse((start, end)));
        self.count_watchers(&fill);
        // The earlier record may have been filled meanwhile.
        self.pass_on(&mut fill);
    }

    /// Moves `filled` on through what was filled early, and wakes those who wait.
    #[cold]
    fn pass_on(&self, fill: &mut Fill) {
        let mut filled = self.look_at_filled();
        while let Some(&Reverse((next, next_end))) = fill.early.peek() {
            if next != filled || is_left_out!(EarlyForgotten) {
                break;
            }
            fill.early.pop();
            self.count_watchers(fill);
            filled = next_end;
            // Release: pairs with the Acquire in `filled`. A store: whoever filled what starts here left it
            // to this lock's holders to move on.
            self.moving.0.filled.store(filled, ordering!(Release, FilledStoreRelaxed));
        }
        // Those who sleep hold the lock from their look at `filled` on.
        if fill.waiters > 0 && !is_left_out!(FillWithoutWake) {
            self.fill_moved.notify_all();
        }
    }

    /// Tells those who move `filled` whether somebody wants to know. The caller holds `fill`.
    fn count_watchers(&self, fill: &Fill) {
        // Relaxed: the exchange in `look_at_filled`, or the store in `pass_on`, publishes it.
        self.resting.0.watchers.store(fill.waiters + fill.early.len(), Relaxed);
    }

    /// The newest `filled`, for who has counted itself among the watchers: whoever moves it later sees that.
    fn look_at_filled(&self) -> u64 {
        if is_left_out!(FilledReadPlainly) {
            return self.moving.0.filled.load(Acquire);
        }
        // AcqRel, and a read-modify-write of the very position: either the move came first, and this
        // returns it, or it comes later and acquires what we released.
        self.moving.0.filled.fetch_add(0, AcqRel)
    }

    /// Parks until everything before `end` is copied.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log has failed.
    #[inline]
    pub fn wait_filled(&self, end: Lsn) -> Result<()> {
        // Acquire: pairs with the Release in `fail`.
        if self.filled() >= end && !self.resting.0.failed.load(Acquire) {
            return Ok(());
        }
        self.wait_filled_parked(end)
    }

    #[cold]
    fn wait_filled_parked(&self, end: Lsn) -> Result<()> {
        let mut fill = self.fill.lock();
        fill.waiters += 1;
        self.count_watchers(&fill);
        let outcome = loop {
            if let Some(first) = &fill.failure {
                break Err(Error::OutcomeUnknown { first: Arc::clone(first) });
            }
            if self.look_at_filled() >= end.0 {
                break Ok(());
            }
            fill = self.fill_moved.wait(fill);
        };
        fill.waiters -= 1;
        self.count_watchers(&fill);
        outcome
    }

    /// Returns when everything before `target`, which must be filled, is durable. One of those
    /// who wait calls `sync` with the position that is filled by then, for all of them; `sync`
    /// makes everything before it durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the log has failed, or fails here.
    pub fn sync_through(&self, target: Lsn, sync: impl FnOnce(Lsn) -> Result<()>) -> Result<Lsn> {
        debug_assert!(self.filled() >= target, "only what is filled can be synced");
        let mut leading = self.leading.lock();
        loop {
            let synced = self.synced();
            if synced >= target {
                return Ok(synced);
            }
            self.check()?;
            if !*leading {
                break;
            }
            leading = self.sync_done.wait(leading);
        }
        *leading = !is_left_out!(LeaderUnannounced);
        drop(leading);
        let lead = Lead { positions: self, done: false };
        lead.run(sync)
    }

    /// The failure that sealed the log, if any.
    pub fn failure(&self) -> Option<Arc<Error>> {
        // Acquire: pairs with the Release in `fail`.
        if !self.resting.0.failed.load(Acquire) {
            return None;
        }
        self.fill.lock().failure.clone()
    }

    /// Nothing, unless the log has failed.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] with the first failure.
    pub fn check(&self) -> Result<()> {
        match self.failure() {
            Some(first) => Err(Error::OutcomeUnknown { first }),
            None => Ok(()),
        }
    }

    /// Seals the log at what is durable now. The first error is kept, and everybody who waits
    /// gets it.
    pub fn fail(&self, error: Error) {
        let mut fill = self.fill.lock();
        fill.failure.get_or_insert_with(|| Arc::new(error));
        // Release: whoever sees the flag finds the error.
        self.resting.0.failed.store(true, Release);
        drop(fill);
        // Who waits for a leader needs no word from us: the leader is done in any case, and
        // they look at the flag then.
        if !is_left_out!(FailWithoutWake) {
            self.fill_moved.notify_all();
        }
    }
}

/// The leader of a group. Dropped before it is done (by a panic), it fails the log.
struct Lead<'a> {
    positions: &'a Positions,
    done: bool,
}

impl Lead<'_> {
    fn run(mut self, sync: impl FnOnce(Lsn) -> Result<()>) -> Result<Lsn> {
        let positions = self.positions;
        let through = positions.filled();
        let outcome = sync(through);
        // A failure elsewhere seals the log where it was: what it means for our sync is unknown.
        let outcome = outcome.and_then(|()| positions.check());
        self.done = true;
        match outcome {
            Ok(()) => {
                // Release: pairs with the Acquire in `synced`.
                positions.resting.0.synced.store(through.0, Release);
                Ok(through)
            }
            Err(error) => {
                positions.fail(error);
                positions.check().map(|()| through)
            }
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.positions.fail(died("while it synced the log"));
        }
        *self.positions.leading.lock() = false;
        if !is_left_out!(SyncWithoutWake) {
            self.positions.sync_done.notify_all();
        }
    }
}

impl Reserved<'_> {
    /// The first position.
    #[inline]
    pub fn start(&self) -> Lsn {
        Lsn(self.start)
    }

    /// The position behind the last one.
    #[inline]
    pub fn end(&self) -> Lsn {
        Lsn(self.end)
    }

    /// The bytes are copied.
    #[inline]
    pub fn fill(mut self) {
        self.settled = true;
        self.positions.fill(self.start, self.end);
    }

    /// The bytes could not be copied: the log is sealed.
    pub fn fail(mut self, error: Error) {
        self.settled = true;
        self.positions.fail(error);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.positions.fail(died("while it copied a record into the log"));
        }
    }
}

fn died(when: &str) -> Error {
    Error::Poisoned { why: format!("a thread panicked {when}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error() -> Error {
        Error::io("sync", &"spam-wal00000001".into(), std::io::Error::other("gone"))
    }

    #[test]
    fn fill_moves_only_without_a_gap() {
        let positions = Positions::new(Lsn(100));
        let [first, second, third] = [8, 16, 24].map(|size| positions.reserve(size));
        assert_eq!((first.start(), third.end(), positions.end()), (Lsn(100), Lsn(148), Lsn(148)));
        third.fill();
        second.fill();
        assert_eq!(positions.filled(), Lsn(100));
        first.fill();
        assert_eq!(positions.filled(), Lsn(148));
    }

    #[test]
    fn lowest_registered_is_the_oldest_bound_then_the_end() {
        let positions = Positions::new(Lsn(0));
        let mut old = positions.register();
        positions.reserve(64).fill();
        let mut young = positions.register();
        positions.reserve(64).fill();
        assert_eq!(positions.lowest_registered(), Lsn(0));
        positions.deregister(&mut old);
        assert_eq!(positions.lowest_registered(), Lsn(64));
        positions.deregister(&mut young);
        assert_eq!(positions.lowest_registered(), Lsn(128));
    }

    #[test]
    fn registrations_beyond_the_slots_still_bound() {
        let positions = Positions::new(Lsn(0));
        let mut tickets = Vec::new();
        for _ in 0..3 * SLOTS {
            tickets.push(positions.register());
            positions.reserve(8).fill();
        }
        for (index, ticket) in tickets.iter_mut().enumerate() {
            assert_eq!(positions.lowest_registered(), Lsn(8 * index as u64));
            positions.deregister(ticket);
        }
        assert_eq!(positions.lowest_registered(), positions.end());
        let mut again: Vec<_> = (0..3 * SLOTS).map(|_| positions.register()).collect();
        assert!(positions.overflow.lock().len() <= 2 * SLOTS, "entries are used again");
        again.iter_mut().for_each(|ticket| positions.deregister(ticket));
    }

    #[test]
    fn failed_copy_wakes_whoever_waits_behind_it() {
        let positions = Positions::new(Lsn(0));
        let first = positions.reserve(8);
        let second = positions.reserve(8);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let end = second.end();
                second.fill();
                positions.wait_filled(end)
            });
            first.fail(io_error());
            assert!(matches!(waiter.join().unwrap(), Err(Error::OutcomeUnknown { .. })));
        });
    }

    #[test]
    fn panic_between_reserve_and_fill_fails_the_log() {
        let positions = Positions::new(Lsn(0));
        drop(positions.reserve(8));
        assert!(matches!(positions.check(), Err(Error::OutcomeUnknown { .. })));
    }

    #[test]
    fn failed_sync_is_not_retried_and_keeps_its_error() {
        let positions = Positions::new(Lsn(0));
        positions.reserve(8).fill();
        assert_eq!(positions.sync_through(Lsn(8), |_| Ok(())).unwrap(), Lsn(8));
        positions.reserve(8).fill();
        assert!(positions.sync_through(Lsn(16), |_| Err(io_error())).is_err());
        let again = positions.sync_through(Lsn(16), |_| panic!("a failed sync was retried"));
        assert!(again.unwrap_err().to_string().contains("gone"));
        assert_eq!(positions.synced(), Lsn(8), "sealed where it was");
        assert!(positions.sync_through(Lsn(8), |_| panic!("durable already")).is_ok());
    }

    #[test]
    fn leader_syncs_for_all_that_is_filled() {
        let positions = Positions::new(Lsn(0));
        positions.reserve(8).fill();
        positions.reserve(8).fill();
        let mut asked = Vec::new();
        let through = positions.sync_through(Lsn(8), |through| {
            asked.push(through);
            Ok(())
        });
        assert_eq!(through.unwrap(), Lsn(16));
        positions.sync_through(Lsn(16), |_| panic!("the leader did it")).unwrap();
        assert_eq!(asked, [Lsn(16)]);
    }

    #[test]
    fn leader_that_panics_fails_the_log() {
        let positions = Positions::new(Lsn(0));
        positions.reserve(8).fill();
        let sync = || positions.sync_through(Lsn(8), |_| panic!("planted"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(sync)).is_err());
        assert!(positions.sync_through(Lsn(8), |_| Ok(())).is_err());
    }
}
