//! The transactions of one open database: where they begin, end, and become visible.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::ids::{TableId, TxnId};
use crate::mvcc::live::{LiveSnapshots, Now};
use crate::mvcc::rows::RowCounts;
use crate::mvcc::{Snapshot, SnapshotGuard};
use crate::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(loom, shuttle))]
use crate::sync::weaken::{self, Weakness};
use crate::sync::{Arc, Condvar, Mutex, Padded};

/// Ids, live snapshots and row counts of one open database.
#[derive(Debug)]
pub struct Transactions {
    bounds: Padded<Bounds>,
    /// A leaf of the lock order: nothing is locked or called while it is held.
    state: Padded<Mutex<State>>,
    /// Signalled, under no lock, after a transaction ended that somebody waits for.
    ended: Condvar,
    /// A negative control: see [`Transactions::leave_conflict_check_out`].
    #[cfg(all(feature = "internals", not(loom)))]
    checks_no_conflicts: std::sync::atomic::AtomicBool,
}

/// What readers look at without the lock. Written only under the lock, and never decreased.
#[derive(Debug)]
struct Bounds {
    /// Every id below has ended. Release stores by whoever ends the oldest transaction; Acquire
    /// loads by readers, before they read a page.
    all_ended_below: AtomicU64,
    /// Every id below is visible to every live and future snapshot. Release stores by whoever
    /// ends a transaction or drops a snapshot; Acquire loads by whoever discards versions.
    oldest: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// The id that the next transaction gets.
    next: TxnId,
    /// The ids that were handed out and have not ended, ascending.
    active: VecDeque<TxnId>,
    /// How many transactions have ended.
    moment: u64,
    live: LiveSnapshots,
    /// True if no transaction began or ended since the last snapshot was taken.
    unchanged: bool,
    rows: RowCounts,
    /// The ids that threads wait for, one entry per thread.
    awaited: Vec<TxnId>,
}

impl State {
    /// The lowest id that has not ended.
    fn all_ended_below(&self) -> TxnId {
        self.active.front().copied().unwrap_or(self.next)
    }

    /// Takes a snapshot and registers it under its moment.
    fn take_snapshot(&mut self) -> (Arc<Snapshot>, u64) {
        let now = Now {
            moment: self.moment,
            unchanged: self.unchanged,
            next: self.next,
            in_flight: self.active.as_slices(),
        };
        self.unchanged = true;
        (self.live.take(now), self.moment)
    }
}

impl Transactions {
    /// No transaction yet, no snapshot, and no table known.
    pub fn new() -> Transactions {
        let first = TxnId::FIRST;
        Transactions {
            bounds: Padded(Bounds {
                all_ended_below: AtomicU64::new(first.0),
                oldest: AtomicU64::new(first.0),
            }),
            state: Padded(Mutex::new(State {
                next: first,
                active: VecDeque::new(),
                moment: 0,
                live: LiveSnapshots::default(),
                unchanged: false,
                rows: RowCounts::default(),
                awaited: Vec::new(),
            })),
            ended: Condvar::new(),
            #[cfg(all(feature = "internals", not(loom)))]
            checks_no_conflicts: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// From now on a transaction may write over what it does not see, if that has ended. Only builds for
    /// tests have it.
    #[cfg(all(feature = "internals", not(loom)))]
    pub(crate) fn leave_conflict_check_out(&self) {
        self.checks_no_conflicts.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether a transaction's snapshot says what it may write over: always, but for a negative control.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn checks_conflicts(&self) -> bool {
        #[cfg(feature = "internals")]
        if self.checks_no_conflicts.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        true
    }

    /// Hands out the id of a transaction that is about to write its first version. It must end,
    /// in [`Transactions::commit`] or [`Transactions::abort`].
    pub fn begin_write(&self) -> TxnId {
        let mut state = self.state.lock();
        let id = state.next;
        state.next = TxnId(id.0 + 1);
        // The lowest active id stays, or becomes what `next` was: no bound moves.
        state.active.push_back(id);
        state.unchanged = false;
        id
    }

    /// Makes everything that `id` wrote visible, to snapshots taken from now on, and changes row
    /// counts with it: `rows` has the number of rows that it added to each table, or took.
    ///
    /// # Panics
    /// If `id` is not active: it never began, or has ended.
    pub fn commit(&self, id: TxnId, rows: &[(TableId, i64)]) {
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::RowCountsApart) {
            self.end(id, &[]);
            return self.change_rows(rows);
        }
        self.end(id, rows);
    }

    /// Ends `id` without making anything visible. The caller has marked every version that `id`
    /// wrote as [`TxnId::ABORTED`].
    ///
    /// # Panics
    /// If `id` is not active: it never began, or has ended.
    pub fn abort(&self, id: TxnId) {
        self.end(id, &[]);
    }

    /// Begins a transaction and ends it in one step, once all that it writes is in place as
    /// [`TxnId::PENDING`]: `stamp` gives that its id. `rows` as in [`Transactions::commit`].
    ///
    /// One look at the lock where [`begin_write`](Self::begin_write) and [`commit`](Self::commit) take two.
    /// `stamp` stores ids and does nothing else: it runs under the lock.
    pub fn commit_at_once(&self, (table, change): (TableId, i64), stamp: impl FnOnce(TxnId)) {
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::StampBehindCommit) {
            let id = self.begin_write();
            self.end(id, &[(table, change)]);
            return stamp(id);
        }
        let state = &mut *self.state.lock();
        let id = state.next;
        stamp(id);
        state.next = TxnId(id.0 + 1);
        state.moment += 1;
        state.unchanged = false;
        state.rows.apply(table, change, state.moment, &state.live);
        // While an older one is active, no bound moves.
        if state.active.is_empty() {
            self.publish_bounds(state);
        }
    }

    /// What [`Transactions::commit`] must not do: change counts by themselves.
    #[cfg(any(loom, shuttle))]
    fn change_rows(&self, rows: &[(TableId, i64)]) {
        let state = &mut *self.state.lock();
        for (table, change) in rows {
            state.rows.apply(*table, *change, state.moment, &state.live);
        }
    }

    fn end(&self, id: TxnId, rows: &[(TableId, i64)]) {
        #[cfg(any(loom, shuttle))]
        let early =
            weaken::is(Weakness::WaitersLookedForEarly) && self.state.lock().awaited.contains(&id);
        let awaited = {
            let state = &mut *self.state.lock();
            let index = state.active.binary_search(&id).expect("an active transaction ends");
            state.active.remove(index);
            state.moment += 1;
            state.unchanged = false;
            for (table, change) in rows {
                state.rows.apply(*table, *change, state.moment, &state.live);
            }
            if index == 0 {
                self.publish_bounds(state);
            }
            state.awaited.contains(&id)
        };
        #[cfg(any(loom, shuttle))]
        let awaited = if weaken::is(Weakness::WaitersLookedForEarly) { early } else { awaited };
        if awaited {
            self.ended.notify_all();
        }
    }

    /// Stores both bounds anew. The lock is held.
    fn publish_bounds(&self, state: &State) {
        let ended = state.all_ended_below();
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::EndedBelowRelaxed) {
            return self.bounds.all_ended_below.store(ended.0, Ordering::Relaxed);
        }
        // Release: everything that the ended transactions wrote, and the marks of those that
        // were rolled back. Pairs with the Acquire load in `all_ended_below`.
        self.bounds.all_ended_below.store(ended.0, Ordering::Release);
        self.publish_oldest(state);
    }

    /// Stores the oldest bound anew. The lock is held.
    fn publish_oldest(&self, state: &State) {
        let ended = state.all_ended_below();
        let oldest = state.live.oldest().map_or(ended, Snapshot::min);
        // Relaxed: written under the lock, which we hold.
        debug_assert!(self.bounds.oldest.load(Ordering::Relaxed) <= oldest.0);
        // Release: as in `publish_bounds`; and the last reads of the snapshots that are gone.
        // Pairs with the Acquire load in `oldest`.
        self.bounds.oldest.store(oldest.0, Ordering::Release);
    }

    /// Takes a snapshot and registers it: it stays live until the guard is dropped.
    pub fn snapshot(this: &Arc<Transactions>) -> SnapshotGuard {
        #[cfg(any(loom, shuttle))]
        if weaken::is(Weakness::SnapshotMaxLate) || weaken::is(Weakness::SnapshotRegisteredLate) {
            return Transactions::snapshot_in_two_steps(this);
        }
        let (snapshot, moment) = this.state.lock().take_snapshot();
        SnapshotGuard { snapshot, moment, transactions: Arc::clone(this) }
    }

    /// What [`Transactions::snapshot`] must not be: two critical sections.
    #[cfg(any(loom, shuttle))]
    fn snapshot_in_two_steps(this: &Arc<Transactions>) -> SnapshotGuard {
        let snapshot = {
            let mut state = this.state.lock();
            let (snapshot, moment) = state.take_snapshot();
            state.live.release(moment);
            snapshot
        };
        let mut state = this.state.lock();
        let (later, later_moment) = state.take_snapshot();
        if weaken::is(Weakness::SnapshotMaxLate) {
            let snapshot = Arc::new(Snapshot { max: later.max, ..Snapshot::clone(&snapshot) });
            return SnapshotGuard {
                snapshot,
                moment: later_moment,
                transactions: Arc::clone(this),
            };
        }
        SnapshotGuard { snapshot, moment: later_moment, transactions: Arc::clone(this) }
    }

    /// Like [`Transactions::snapshot`], with the row counts of every known table in it, ascending
    /// by table: for a checkpoint.
    pub fn snapshot_with_counts(this: &Arc<Transactions>) -> (SnapshotGuard, Vec<(TableId, u64)>) {
        let (snapshot, moment, rows) = {
            let mut state = this.state.lock();
            let (snapshot, moment) = state.take_snapshot();
            (snapshot, moment, state.rows.all())
        };
        (SnapshotGuard { snapshot, moment, transactions: Arc::clone(this) }, rows)
    }

    /// Ends the registration of one snapshot of `moment`.
    pub(super) fn release(&self, moment: u64) {
        let state = &mut *self.state.lock();
        if state.live.release(moment) {
            self.publish_oldest(state);
        }
    }

    /// Every id below had ended before this was called: the versions that still carry it
    /// committed, those of a rollback are marked. Load it *before* the page that it is used on;
    /// the module's page says how.
    #[inline]
    pub fn all_ended_below(&self) -> TxnId {
        // Acquire: pairs with the Release store in `publish_bounds`.
        TxnId(self.bounds.all_ended_below.load(Ordering::Acquire))
    }

    /// Every id below is visible to every live and future snapshot, unless it was rolled back:
    /// of the versions of a key with such ids only the newest is ever read again. Never
    /// decreases, and never passes an active id or the `min` of a live snapshot. (Newest by the
    /// order of the chain: that is the order of commits, which ids need not follow.)
    #[inline]
    pub fn oldest(&self) -> TxnId {
        // Acquire: pairs with the Release store in `publish_oldest`.
        TxnId(self.bounds.oldest.load(Ordering::Acquire))
    }

    /// True if `id` was handed out and has not ended.
    pub fn is_active(&self, id: TxnId) -> bool {
        id >= self.all_ended_below() && self.state.lock().active.binary_search(&id).is_ok()
    }

    /// What can still be read, oldest first: one snapshot per moment at which live ones were
    /// taken, and the one that would be taken now. Of the versions of a key that have ended, a
    /// rebuild needs for each of these the newest that it sees, and no other; of those that have
    /// not ended (the last snapshot has them in flight, or above its `max`), every one.
    pub fn readable(&self) -> Vec<Arc<Snapshot>> {
        let mut state = self.state.lock();
        let (now, moment) = state.take_snapshot();
        state.live.release(moment);
        state.live.iter().filter(|live| !Arc::ptr_eq(live, &now)).chain([&now]).cloned().collect()
    }

    /// The rows of `table` after the last commit; 0 for a table that is not known.
    pub fn rows(&self, table: TableId) -> u64 {
        self.state.lock().rows.now(table)
    }

    pub(super) fn rows_at(&self, table: TableId, moment: u64) -> u64 {
        self.state.lock().rows.at(table, moment)
    }

    /// Makes a table's count known, as it was found on disk; for every snapshot, live ones too.
    pub fn set_rows(&self, table: TableId, count: u64) {
        self.state.lock().rows.set(table, count);
    }

    /// Forgets the count of a table that was dropped and that no live snapshot counts any more.
    pub fn forget_table(&self, table: TableId) {
        self.state.lock().rows.remove(table);
    }

    /// Parks until `id` has ended, for at most `timeout`. True if it has ended; at once for an id
    /// that was never active. A transaction must not wait for itself.
    pub fn wait_ended(&self, id: TxnId, timeout: Duration) -> bool {
        if id < self.all_ended_below() {
            return true;
        }
        // A time beyond the clock's end is no limit.
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.state.lock();
        let is_active = |state: &State| state.active.binary_search(&id).is_ok();
        if !is_active(&state) {
            return true;
        }
        // Registered under the lock that whoever ends `id` takes: it sees us, or we saw it end.
        state.awaited.push(id);
        let mut timed_out = false;
        while is_active(&state) && !timed_out {
            state = match deadline {
                None => self.ended.wait(state),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    timed_out = left.is_zero();
                    if timed_out { state } else { self.ended.wait_timeout(state, left).0 }
                }
            };
        }
        if let Some(index) = state.awaited.iter().position(|awaited| *awaited == id) {
            state.awaited.swap_remove(index);
        }
        !is_active(&state)
    }
}

impl Default for Transactions {
    fn default() -> Transactions {
        Transactions::new()
    }
}
