//! Models 7 and 13: snapshots are whole, the bounds keep their word, and row counts agree.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use loom_tests::{check, check_control};
use rshelve_core::base::ids::{TableId, TxnId};
use rshelve_core::internals::mvcc::{Snapshot, Transactions};
use rshelve_core::internals::weaken::Weakness;

const TABLE: TableId = TableId(1);

/// The newest version of a key: the id of whoever wrote it.
#[derive(Default)]
struct Key(AtomicU64);

impl Key {
    fn write(&self, id: TxnId) {
        // Release: as the head of an update chain is stored. Pairs with the load in `read`.
        self.0.store(id.0, Ordering::Release);
    }

    fn read(&self) -> TxnId {
        TxnId(self.0.load(Ordering::Acquire))
    }

    /// True if a snapshot sees a version that a transaction wrote.
    fn is_seen(&self, snapshot: &Snapshot) -> bool {
        let id = self.read();
        id != TxnId::VISIBLE && snapshot.sees(id)
    }
}

/// A commit over two keys beside a rollback of two others, and two snapshots.
fn whole_commits() {
    let transactions = Arc::new(Transactions::new());
    let keys = Arc::new([Key::default(), Key::default()]);
    let undone = Arc::new([Key::default(), Key::default()]);
    let writer = {
        let (transactions, keys) = (transactions.clone(), keys.clone());
        thread::spawn(move || {
            let id = transactions.begin_write();
            keys.iter().for_each(|key| key.write(id));
            transactions.commit(id, &[]);
        })
    };
    let loser = {
        let (transactions, undone) = (transactions.clone(), undone.clone());
        thread::spawn(move || {
            let id = transactions.begin_write();
            undone.iter().for_each(|key| key.write(id));
            undone.iter().for_each(|key| key.write(TxnId::ABORTED));
            transactions.abort(id);
        })
    };
    let guard = Transactions::snapshot(&transactions);
    // The writer may commit between the two reads.
    let [first, second] = [0, 1].map(|key: usize| keys[key].is_seen(guard.snapshot()));
    assert_eq!(first, second, "half a commit was seen");
    for key in &*undone {
        assert!(!key.is_seen(guard.snapshot()), "a rollback was seen");
    }
    writer.join().unwrap();
    loser.join().unwrap();
    let now = Transactions::snapshot(&transactions);
    assert!(keys.iter().all(|key| key.is_seen(now.snapshot())), "a commit was lost");
}

/// A live snapshot beside commits: the oldest id stays at or below its `min`.
fn oldest_waits() {
    let transactions = Arc::new(Transactions::new());
    let writer = {
        let transactions = transactions.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                transactions.commit(transactions.begin_write(), &[]);
            }
        })
    };
    let discarder = {
        let transactions = transactions.clone();
        thread::spawn(move || {
            let before = transactions.oldest();
            let after = transactions.oldest();
            assert!(before <= after, "the oldest id went back");
        })
    };
    let guard = Transactions::snapshot(&transactions);
    for _ in 0..2 {
        let oldest = transactions.oldest();
        assert!(oldest <= guard.snapshot().min(), "the oldest id passed a live snapshot");
    }
    writer.join().unwrap();
    discarder.join().unwrap();
    assert!(transactions.oldest() <= guard.snapshot().min(), "the oldest id passed a snapshot");
    drop(guard);
    assert_eq!(transactions.oldest(), TxnId(3), "the oldest id stayed behind");
}

/// A read without a lock beside a commit and a rollback of other keys: what is below the bound
/// committed, or is marked.
fn lock_free_read() {
    let transactions = Arc::new(Transactions::new());
    let keys = Arc::new([Key::default(), Key::default()]);
    let threads: Vec<_> = (0..2)
        .map(|key: usize| {
            let (transactions, keys) = (transactions.clone(), keys.clone());
            thread::spawn(move || {
                let id = transactions.begin_write();
                keys[key].write(id);
                if key == 0 {
                    transactions.commit(id, &[]);
                } else {
                    keys[key].write(TxnId::ABORTED);
                    transactions.abort(id);
                }
            })
        })
        .collect();
    let bound = transactions.all_ended_below();
    let [kept, undone] = [0, 1].map(|key: usize| keys[key].read());
    let is_believed = |id: TxnId| id != TxnId::VISIBLE && id < bound;
    assert!(!is_believed(undone), "a rollback was believed committed");
    if is_believed(kept) {
        assert!(!transactions.is_active(kept), "a running transaction was believed committed");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Two inserts, one of them rolled back, beside a snapshot: the rows that it sees are those that
/// it counts.
fn row_count() {
    let transactions = Arc::new(Transactions::new());
    let keys = Arc::new([Key::default(), Key::default(), Key::default()]);
    let threads: Vec<_> = (0..2)
        .map(|key: usize| {
            let (transactions, keys) = (transactions.clone(), keys.clone());
            thread::spawn(move || {
                let id = transactions.begin_write();
                keys[key].write(id);
                if key == 0 {
                    keys[2].write(id);
                    transactions.commit(id, &[(TABLE, 2)]);
                } else {
                    keys[key].write(TxnId::ABORTED);
                    transactions.abort(id);
                }
            })
        })
        .collect();
    let (guard, counts) = Transactions::snapshot_with_counts(&transactions);
    let seen = || keys.iter().filter(|key| key.is_seen(guard.snapshot())).count() as u64;
    let counted = counts.first().map_or(0, |(_, count)| *count);
    assert_eq!(seen(), counted, "the count differs from the rows");
    assert_eq!(guard.rows(TABLE), counted, "the count of a snapshot changed");
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(guard.rows(TABLE), counted, "the count of a snapshot changed");
    assert_eq!(transactions.rows(TABLE), 2, "a commit was not counted");
}

/// Somebody waits for a transaction that ends meanwhile. A wake-up that is lost is a deadlock,
/// because time does not pass under loom.
fn wait() {
    let transactions = Arc::new(Transactions::new());
    let id = transactions.begin_write();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let transactions = transactions.clone();
            thread::spawn(move || assert!(transactions.wait_ended(id, Duration::MAX)))
        })
        .collect();
    transactions.commit(id, &[]);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

#[test]
fn model_7_snapshots() {
    check("7 snapshots: whole commits", whole_commits);
    check("7 snapshots: oldest", oldest_waits);
    check("7 snapshots: read without a lock", lock_free_read);
}

#[test]
fn model_7_needs_max_in_the_same_critical_section() {
    // Half a commit or of what is rolled back later: whichever loom comes upon first.
    let complaint = "was seen";
    check_control("7 whole commits", Weakness::SnapshotMaxLate, complaint, whole_commits);
}

#[test]
fn model_7_needs_registration_in_the_same_critical_section() {
    let complaint = "the oldest id passed";
    check_control("7 oldest", Weakness::SnapshotRegisteredLate, complaint, oldest_waits);
}

#[test]
fn model_7_needs_the_release_of_the_bound() {
    let complaint = "a rollback was believed committed";
    check_control("7 read without a lock", Weakness::EndedBelowRelaxed, complaint, lock_free_read);
}

#[test]
fn model_13_row_count_against_commits_and_rollbacks() {
    check("13 row count", row_count);
}

#[test]
fn model_13_needs_counts_in_the_same_critical_section() {
    let complaint = "the count differs from the rows";
    check_control("13 row count", Weakness::RowCountsApart, complaint, row_count);
}

#[test]
fn waiters_are_woken() {
    check("waiting for the end of a transaction", wait);
}

#[test]
fn waiters_must_be_looked_for_after_the_end() {
    check_control("waiting", Weakness::WaitersLookedForEarly, "deadlock", wait);
}
