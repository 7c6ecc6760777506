//! The live snapshots, by the moment at which they were taken.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::base::ids::TxnId;
use crate::mvcc::Snapshot;
use crate::sync::Arc;

/// Every registered snapshot. A *moment* counts the transactions that had ended; snapshots of
/// one moment see the same commits and share an entry.
#[derive(Debug, Default)]
pub(super) struct LiveSnapshots {
    /// Ascending by moment, and so by `min` too. Only the last may have nobody on it: it is kept
    /// so that the next snapshot finds its memory, or even its contents.
    moments: VecDeque<Moment>,
}

#[derive(Debug)]
struct Moment {
    moment: u64,
    /// Snapshots of this moment that are live.
    count: usize,
    /// The newest one that was taken. Those before it differ only in transactions that began
    /// between them, which neither sees.
    snapshot: Arc<Snapshot>,
}

/// What a snapshot taken now is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now<'s> {
    pub moment: u64,
    /// True if no transaction began or ended since the last snapshot was taken.
    pub unchanged: bool,
    pub next: TxnId,
    /// The ids in flight, ascending, as the halves of a ring.
    pub in_flight: (&'s [TxnId], &'s [TxnId]),
}

impl LiveSnapshots {
    /// Takes a snapshot and counts it as live. Moments come in ascending order.
    pub fn take(&mut self, now: Now<'_>) -> Arc<Snapshot> {
        match self.moments.back_mut() {
            Some(last) if last.moment == now.moment || last.count == 0 => {
                if !(now.unchanged && last.moment == now.moment) {
                    last.moment = now.moment;
                    now.write_to(&mut last.snapshot);
                }
                last.count += 1;
                Arc::clone(&last.snapshot)
            }
            last => {
                debug_assert!(last.is_none_or(|last| last.moment < now.moment));
                let snapshot = Arc::new(now.snapshot());
                let entry =
                    Moment { moment: now.moment, count: 1, snapshot: Arc::clone(&snapshot) };
                self.moments.push_back(entry);
                snapshot
            }
        }
    }

    /// One fewer; true if it was the last of the oldest moment.
    pub fn release(&mut self, moment: u64) -> bool {
        // Most snapshots are short, and of the newest moment when they go.
        let last = self.moments.len() - 1;
        let index = if self.moments[last].moment == moment {
            last
        } else {
            let found = self.moments.binary_search_by_key(&moment, |entry| entry.moment);
            found.expect("a live snapshot is registered")
        };
        let entry = &mut self.moments[index];
        entry.count -= 1;
        if entry.count > 0 {
            return false;
        }
        if index != last {
            self.moments.remove(index);
        }
        index == 0
    }

    fn live(&self) -> impl DoubleEndedIterator<Item = &Moment> {
        self.moments.iter().filter(|entry| entry.count > 0)
    }

    /// The oldest live snapshot.
    pub fn oldest(&self) -> Option<&Snapshot> {
        self.live().next().map(|entry| &*entry.snapshot)
    }

    /// The moment of the newest live snapshot.
    pub fn newest_moment(&self) -> Option<u64> {
        self.live().next_back().map(|entry| entry.moment)
    }

    /// True if a live snapshot was taken at `from` or later, and before `until`.
    pub fn any_between(&self, from: u64, until: u64) -> bool {
        let index = self.moments.partition_point(|entry| entry.moment < from);
        self.moments.get(index).is_some_and(|entry| entry.moment < until && entry.count > 0)
    }

    /// How many moments have live snapshots.
    pub fn moment_count(&self) -> usize {
        self.live().count()
    }

    /// One snapshot of each moment, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.live().map(|entry| &entry.snapshot)
    }
}

impl Now<'_> {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { min: self.next, max: self.next, in_flight: SmallVec::new() };
        self.fill(&mut snapshot);
        snapshot
    }

    /// Makes `snapshot` the one of now: in place if nobody else holds it.
    fn write_to(&self, snapshot: &mut Arc<Snapshot>) {
        match Arc::get_mut(snapshot) {
            Some(snapshot) => self.fill(snapshot),
            None => *snapshot = Arc::new(self.snapshot()),
        }
    }

    fn fill(&self, snapshot: &mut Snapshot) {
        let (front, back) = self.in_flight;
        snapshot.min = front.first().copied().unwrap_or(self.next);
        snapshot.max = self.next;
        snapshot.in_flight.clear();
        snapshot.in_flight.extend_from_slice(front);
        snapshot.in_flight.extend_from_slice(back);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn now(moment: u64, next: u64, in_flight: &[TxnId]) -> Now<'_> {
        Now { moment, unchanged: false, next: TxnId(next), in_flight: (in_flight, &[]) }
    }

    #[test]
    fn moment_stays_as_long_as_one_of_its_snapshots() {
        let mut live = LiveSnapshots::default();
        let first = live.take(now(0, 5, &[]));
        let second = live.take(now(0, 6, &[TxnId(5)]));
        assert_ne!(first, second);
        live.take(now(1, 6, &[]));
        assert_eq!((live.moment_count(), live.newest_moment()), (2, Some(1)));
        assert!(!live.release(0));
        assert_eq!(live.oldest().map(Snapshot::min), Some(TxnId(5)));
        assert!(live.release(0));
        assert_eq!(live.oldest().map(Snapshot::min), Some(TxnId(6)));
        assert!(live.release(1));
        assert_eq!((live.moment_count(), live.oldest(), live.newest_moment()), (0, None, None));
    }

    #[test]
    fn snapshot_is_shared_only_while_nothing_changed() {
        let mut live = LiveSnapshots::default();
        let first = live.take(now(0, 5, &[]));
        let same = live.take(Now { unchanged: true, ..now(0, 5, &[]) });
        assert!(Arc::ptr_eq(&first, &same));
        let later = live.take(now(0, 6, &[TxnId(5)]));
        assert_eq!(first.max(), TxnId(5));
        assert_eq!((later.max(), later.in_flight()), (TxnId(6), &[TxnId(5)][..]));
    }

    #[test]
    fn any_between_looks_at_live_moments_only() {
        let mut live = LiveSnapshots::default();
        for moment in [2, 4, 6] {
            live.take(now(moment, 9, &[]));
        }
        live.release(4);
        live.release(6);
        let found: Vec<bool> = (0..8).map(|from| live.any_between(from, from + 1)).collect();
        assert_eq!(found, [false, false, true, false, false, false, false, false]);
    }
}
