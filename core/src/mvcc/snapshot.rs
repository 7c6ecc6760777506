//! A set of transactions, those that had committed at one moment: what a reader sees.

use smallvec::SmallVec;

use crate::base::ids::{TableId, TxnId};
use crate::mvcc::Transactions;
use crate::sync::Arc;

/// Sees every transaction that had committed when it was taken, and no other.
///
/// Plain data: it protects nothing from being discarded. See [`SnapshotGuard`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Every id below had ended.
    pub(super) min: TxnId,
    /// No id from here on had been handed out.
    pub(super) max: TxnId,
    /// The ids from `min` on and below `max` that had not ended, ascending.
    pub(super) in_flight: SmallVec<[TxnId; 8]>,
}

impl Snapshot {
    /// Sees whatever was not rolled back, committed or not. Nothing of it is kept from being
    /// discarded: whoever reads long values holds a live snapshot too.
    pub fn everything() -> Self {
        Self { min: TxnId::ABORTED, max: TxnId::ABORTED, in_flight: SmallVec::new() }
    }

    /// True if the version that `id` wrote is in the snapshot. [`TxnId::VISIBLE`] always is,
    /// [`TxnId::ABORTED`] never.
    #[inline]
    pub fn sees(&self, id: TxnId) -> bool {
        // `VISIBLE` is below every `min`, and `ABORTED` above every `max`.
        id < self.min || (id < self.max && !self.is_in_flight(id))
    }

    #[inline]
    fn is_in_flight(&self, id: TxnId) -> bool {
        if self.in_flight.len() <= 8 {
            self.in_flight.contains(&id)
        } else {
            self.in_flight.binary_search(&id).is_ok()
        }
    }

    /// Ids below had ended when the snapshot was taken, so that it sees them unless they were
    /// rolled back.
    pub fn min(&self) -> TxnId {
        self.min
    }

    /// Ids from here on were handed out later, so that it sees none of them.
    pub fn max(&self) -> TxnId {
        self.max
    }

    /// The ids between [`Snapshot::min`] and [`Snapshot::max`] that it does not see, ascending.
    pub fn in_flight(&self) -> &[TxnId] {
        &self.in_flight
    }

    /// Bytes of memory that the snapshot occupies, on the heap too.
    pub fn size_bytes(&self) -> usize {
        let heap = if self.in_flight.spilled() { self.in_flight.capacity() } else { 0 };
        size_of::<Snapshot>() + heap * size_of::<TxnId>()
    }
}

/// A snapshot and one's own writes.
#[derive(Clone, Copy, Debug)]
pub struct ReadView<'s> {
    /// What others committed.
    pub snapshot: &'s Snapshot,
    /// The reader's own id, if it has written.
    pub own: Option<TxnId>,
}

impl ReadView<'_> {
    /// True if the version that `id` wrote is the reader's own, or in its snapshot.
    #[inline]
    pub fn sees(&self, id: TxnId) -> bool {
        self.own == Some(id) || self.snapshot.sees(id)
    }
}

/// A live snapshot: until it is dropped, [`Transactions::oldest`] does not pass it, and
/// whatever it sees is kept.
#[derive(Debug)]
pub struct SnapshotGuard {
    pub(super) snapshot: Arc<Snapshot>,
    /// How many transactions had ended when it was taken.
    pub(super) moment: u64,
    pub(super) transactions: Arc<Transactions>,
}

impl SnapshotGuard {
    /// What it sees. Shared by the snapshots between which no transaction began or ended.
    #[inline]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The rows that the snapshot sees in `table`, without those that the reader itself put in
    /// or deleted. 0 for a table that is not known.
    pub fn rows(&self, table: TableId) -> u64 {
        self.transactions.rows_at(table, self.moment)
    }

    /// What it sees, and what `own` wrote.
    #[inline]
    pub fn view(&self, own: Option<TxnId>) -> ReadView<'_> {
        ReadView { snapshot: &self.snapshot, own }
    }
}

impl Drop for SnapshotGuard {
    fn drop(&mut self) {
        self.transactions.release(self.moment);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn snapshot(min: u64, max: u64, in_flight: &[u64]) -> Snapshot {
        let in_flight = in_flight.iter().map(|id| TxnId(*id)).collect();
        Snapshot { min: TxnId(min), max: TxnId(max), in_flight }
    }

    #[test]
    fn snapshot_sees_what_had_ended_and_nothing_else() {
        let seen = snapshot(3, 7, &[3, 5]);
        let ids: Vec<u64> = (0..9).filter(|id| seen.sees(TxnId(*id))).collect();
        assert_eq!(ids, [0, 1, 2, 4, 6]);
        assert!(!seen.sees(TxnId::ABORTED));
    }

    #[test]
    fn snapshot_with_many_ids_in_flight_searches_them() {
        let odd: Vec<u64> = (101..201).step_by(2).collect();
        let seen = snapshot(101, 201, &odd);
        for id in 0..300 {
            assert_eq!(seen.sees(TxnId(id)), id < 101 || (id < 201 && id % 2 == 0), "{id}");
        }
        assert!(seen.size_bytes() >= size_of::<Snapshot>() + odd.len() * 8);
    }

    #[test]
    fn first_snapshot_sees_only_what_is_on_disk() {
        let seen = snapshot(1, 1, &[]);
        assert!(seen.sees(TxnId::VISIBLE));
        assert!(!seen.sees(TxnId::FIRST) && !seen.sees(TxnId::ABORTED));
    }

    #[test]
    fn read_view_sees_its_own_writes() {
        let seen = snapshot(3, 7, &[3]);
        let view = ReadView { snapshot: &seen, own: Some(TxnId(9)) };
        assert!(view.sees(TxnId(9)) && view.sees(TxnId(4)));
        assert!(!view.sees(TxnId(3)) && !view.sees(TxnId(8)));
        assert!(!ReadView { snapshot: &seen, own: None }.sees(TxnId(9)));
    }
}
