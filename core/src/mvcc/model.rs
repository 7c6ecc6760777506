//! [`Transactions`] against a model that remembers every commit and answers by looking.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::{Snapshot, SnapshotGuard, Transactions};
use crate::base::ids::{TableId, TxnId};
use crate::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// Which of the active ones, and its row counts: table, added.
    Commit(usize, Vec<(u32, i64)>),
    /// Begin and commit in one step, with its row count.
    AtOnce(u32, i64),
    Abort(usize),
    Snapshot,
    SnapshotWithCounts,
    /// Which of the live ones.
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((0..3_u32, -2..5_i64), 0..3);
    prop_oneof![
        4 => Just(Step::Begin),
        3 => (any::<usize>(), rows).prop_map(|(which, rows)| Step::Commit(which, rows)),
        3 => (0..3_u32, -2..5_i64).prop_map(|(table, change)| Step::AtOnce(table, change)),
        1 => any::<usize>().prop_map(Step::Abort),
        3 => Just(Step::Snapshot),
        1 => Just(Step::SnapshotWithCounts),
        3 => any::<usize>().prop_map(Step::Release),
    ]
}

/// What a snapshot should see: remembered when it was taken.
struct Expected {
    guard: SnapshotGuard,
    committed: BTreeSet<TxnId>,
    rows: BTreeMap<TableId, u64>,
}

#[derive(Default)]
struct Model {
    begun: u64,
    active: Vec<TxnId>,
    committed: BTreeSet<TxnId>,
    aborted: BTreeSet<TxnId>,
    rows: BTreeMap<TableId, u64>,
    live: Vec<Expected>,
}

impl Model {
    fn apply(&mut self, transactions: &Arc<Transactions>, step: Step) {
        match step {
            Step::Begin => {
                let id = transactions.begin_write();
                self.begun += 1;
                assert_eq!(id, TxnId(self.begun));
                self.active.push(id);
            }
            Step::Commit(which, rows) if !self.active.is_empty() => {
                let id = self.active.remove(which % self.active.len());
                let rows: Vec<_> = rows.into_iter().map(|(table, n)| (TableId(table), n)).collect();
                for (table, change) in &rows {
                    let count = self.rows.entry(*table).or_default();
                    *count = count.saturating_add_signed(*change);
                }
                transactions.commit(id, &rows);
                self.committed.insert(id);
            }
            Step::AtOnce(table, change) => {
                self.begun += 1;
                let count = self.rows.entry(TableId(table)).or_default();
                *count = count.saturating_add_signed(change);
                let mut stamped = None;
                transactions.commit_at_once((TableId(table), change), |id| stamped = Some(id));
                assert_eq!(stamped, Some(TxnId(self.begun)));
                self.committed.insert(TxnId(self.begun));
            }
            Step::Abort(which) if !self.active.is_empty() => {
                let id = self.active.remove(which % self.active.len());
                transactions.abort(id);
                self.aborted.insert(id);
            }
            Step::Snapshot => self.expect(Transactions::snapshot(transactions)),
            Step::SnapshotWithCounts => {
                let (guard, counts) = Transactions::snapshot_with_counts(transactions);
                let known = |(_, count): &(TableId, u64)| *count > 0;
                let expected: Vec<_> =
                    self.rows.iter().map(|(table, count)| (*table, *count)).filter(known).collect();
                assert_eq!(counts.into_iter().filter(known).collect::<Vec<_>>(), expected);
                self.expect(guard);
            }
            Step::Release(which) if !self.live.is_empty() => {
                drop(self.live.swap_remove(which % self.live.len()));
            }
            Step::Commit(..) | Step::Abort(_) | Step::Release(_) => {}
        }
    }

    fn expect(&mut self, guard: SnapshotGuard) {
        let (committed, rows) = (self.committed.clone(), self.rows.clone());
        self.live.push(Expected { guard, committed, rows });
    }

    /// True if `snapshot` sees exactly `committed`. A rolled-back id may look visible once it has
    /// ended: no version carries it.
    fn agrees(&self, snapshot: &Snapshot, committed: &BTreeSet<TxnId>) -> bool {
        let ids = (1..self.begun + 3).map(TxnId).filter(|id| !self.aborted.contains(id));
        { ids }.all(|id| snapshot.sees(id) == committed.contains(&id))
    }

    fn check(&self, transactions: &Transactions) {
        for expected in &self.live {
            let snapshot = expected.guard.snapshot();
            assert!(self.agrees(snapshot, &expected.committed), "{snapshot:?}");
            assert!(snapshot.sees(TxnId::VISIBLE) && !snapshot.sees(TxnId::ABORTED));
            for table in (0..4).map(TableId) {
                let rows = expected.rows.get(&table).copied().unwrap_or(0);
                assert_eq!(expected.guard.rows(table), rows, "{table:?} in {snapshot:?}");
            }
        }
        self.check_readable(transactions);
        self.check_bounds(transactions);
        for table in (0..4).map(TableId) {
            assert_eq!(transactions.rows(table), self.rows.get(&table).copied().unwrap_or(0));
        }
    }

    /// Each live snapshot, and one taken now, is answered for by exactly one readable one.
    fn check_readable(&self, transactions: &Transactions) {
        let readable = transactions.readable();
        let mut wanted: BTreeSet<&BTreeSet<TxnId>> =
            self.live.iter().map(|expected| &expected.committed).collect();
        wanted.insert(&self.committed);
        for committed in &wanted {
            assert!(readable.iter().any(|snapshot| self.agrees(snapshot, committed)));
        }
        let last = readable.last().expect("one of now");
        assert!(self.agrees(last, &self.committed));
        assert_eq!(last.max(), TxnId(self.begun + 1));
        // Rollbacks make moments too, which see the same.
        assert!(readable.len() <= self.live.len() + 1);
    }

    fn check_bounds(&self, transactions: &Transactions) {
        let next = TxnId(self.begun + 1);
        let ended = self.active.iter().min().copied().unwrap_or(next);
        let mins = self.live.iter().map(|expected| expected.guard.snapshot().min());
        assert_eq!(transactions.all_ended_below(), ended);
        assert_eq!(transactions.oldest(), mins.min().unwrap_or(ended));
        for id in (1..self.begun + 2).map(TxnId) {
            assert_eq!(transactions.is_active(id), self.active.contains(&id));
            let ended = transactions.wait_ended(id, Duration::ZERO);
            assert_eq!(ended, !self.active.contains(&id));
        }
    }
}

proptest! {
    #[test]
    fn transactions_agree_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let transactions = Arc::new(Transactions::new());
        let mut model = Model::default();
        for step in steps {
            model.apply(&transactions, step);
            model.check(&transactions);
        }
    }
}

#[test]
fn waiter_wakes_when_the_transaction_ends() {
    let transactions = Transactions::new();
    for round in 0..1000 {
        let id = transactions.begin_write();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert!(transactions.wait_ended(id, Duration::MAX)));
            }
            if round % 2 == 0 {
                transactions.commit(id, &[]);
            } else {
                transactions.abort(id);
            }
        });
    }
}

#[test]
fn waiter_gives_up_when_its_time_is_over() {
    let transactions = Transactions::new();
    let id = transactions.begin_write();
    assert!(!transactions.wait_ended(id, Duration::from_millis(1)));
    transactions.commit(transactions.begin_write(), &[]);
    assert!(!transactions.wait_ended(id, Duration::ZERO));
    assert!(transactions.wait_ended(TxnId::ABORTED, Duration::ZERO));
    assert!(transactions.wait_ended(TxnId::VISIBLE, Duration::ZERO));
}

#[test]
#[should_panic(expected = "an active transaction ends")]
fn transaction_ends_once() {
    let transactions = Transactions::new();
    let id = transactions.begin_write();
    transactions.abort(id);
    transactions.commit(id, &[]);
}

#[test]
fn threads_agree_on_the_count() {
    const TABLE: TableId = TableId(1);
    let transactions = Arc::new(Transactions::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let before = Transactions::snapshot(&transactions);
                    let rows = before.rows(TABLE);
                    transactions.commit(transactions.begin_write(), &[(TABLE, 2)]);
                    transactions.commit(transactions.begin_write(), &[(TABLE, -1)]);
                    assert_eq!(before.rows(TABLE), rows);
                    assert!(transactions.oldest() <= before.snapshot().min());
                }
            });
        }
    });
    assert_eq!(transactions.rows(TABLE), 4000);
    assert_eq!(transactions.oldest(), transactions.all_ended_below());
}
