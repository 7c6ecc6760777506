//! What readers see beside writers, eviction and checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rshelve_core::base::options::Durability;
use rshelve_core::internals::weaken::Weakness;
use shuttle_tests::bank::{
    Client, FIXED, Which, below, check_end, check_fixed, fixed_rows, long_value, number, row,
    start, value,
};
use shuttle_tests::{check, check_control};

use crate::spawn;

/// Two scans in one transaction see the same, with the sum that always holds, and so do single reads.
fn snapshots_beside_transfers() {
    let (engine, storage) = start(Durability::Process);
    let [mut one, mut two, mut reader] = [(); 3].map(|()| Client::new(&engine));
    let transfers = spawn(move || {
        for sum in [5, 7, 9] {
            one.transfer(sum);
        }
    });
    let others = spawn(move || {
        two.transfer(13);
        two.transfer(17);
    });
    let evictor = engine.clone();
    let evictions = spawn(move || {
        evictor.evict_all().expect("an eviction");
        evictor.checkpoint().expect("a checkpoint");
        evictor.evict_all().expect("an eviction");
    });
    let reads = spawn(move || {
        reader.session.begin().expect("a begin");
        let first = reader.audit(below(2) == 0);
        assert!(reader.audit(below(2) == 0) == first, "two scans of one transaction differ");
        for (key, value) in &first {
            let again = reader.session.get(&reader.bank, key, <[u8]>::to_vec).expect("a get");
            assert!(again.as_ref() == Some(value), "a get differs from the scan");
        }
        reader.session.commit().expect("a commit");
        reader.audit(false);
        reader.session.release_snapshot();
    });
    transfers.join().expect("transfers");
    others.join().expect("transfers");
    evictions.join().expect("evictions");
    reads.join().expect("reads");
    check_end(&engine, &storage, &fixed_rows());
}

#[test]
fn snapshots_repeat_and_sums_hold() {
    check("snapshots", 1_200, 20_000, snapshots_beside_transfers);
}

#[test]
fn snapshots_lose_versions_when_rebuilds_forget_them() {
    let weakness = Weakness::FoldForgetsSnapshots;
    check_control("snapshots", weakness, "", 3_000, snapshots_beside_transfers);
}

#[test]
fn snapshots_see_half_commits_when_they_are_taken_in_two_steps() {
    let weakness = Weakness::SnapshotMaxLate;
    check_control("snapshots", weakness, "", 6_000, snapshots_beside_transfers);
}

/// A cursor that steps through rows which are filled in and taken away around it misses none of those that
/// stay; leaves split and shrink under it.
fn cursor_beside_removals() {
    let (engine, storage) = start(Durability::Process);
    let [mut writer, mut walker] = [(); 2].map(|()| Client::new(&engine));
    let churn = spawn(move || {
        for number in [1, 3, 5, 7] {
            writer.session.put(&writer.rows, &row(number), &value(number)).expect("a put");
        }
        for number in [1, 3, 5, 7] {
            assert!(writer.session.remove(&writer.rows, &row(number)).expect("a removal"));
        }
    });
    let evictor = engine.clone();
    let evictions = spawn(move || {
        evictor.evict_all().expect("an eviction");
        evictor.checkpoint().expect("a checkpoint");
        evictor.evict_all().expect("an eviction");
    });
    let walk = spawn(move || {
        for _ in 0..2 {
            check_fixed(&walker.scan(Which::Rows, below(2) == 0));
            walker.session.release_snapshot();
        }
        step_between_fixed_rows(&mut walker);
    });
    churn.join().expect("a writer");
    evictions.join().expect("evictions");
    walk.join().expect("a walker");
    check_end(&engine, &storage, &fixed_rows());
}

/// Steps from one end of the fixed rows to the other with a new snapshot at each step.
fn step_between_fixed_rows(walker: &mut Client) {
    let mut fixed_met = 0;
    walk(
        walker,
        below(2) == 0,
        || 0,
        |key| {
            fixed_met += u64::from((0..FIXED).any(|number| key == row(2 * number)));
        },
    );
    assert_eq!(fixed_met, FIXED - 1, "fixed rows met behind the first");
}

/// Walks over the rows, shows each key behind the first to `visit`, and checks that no step passes a row that was
/// there before the step: `present` has a bit for each.
fn walk(
    walker: &mut Client,
    forward: bool,
    present: impl Fn() -> u64,
    mut visit: impl FnMut(&[u8]),
) {
    let mut at = walker.session.position();
    let (from, to) = if forward { (0, 2 * (FIXED - 1)) } else { (2 * (FIXED - 1), 0) };
    assert!(walker.session.find(&walker.rows, &mut at, &row(from)).expect("a search"));
    while at.key() != Some(&row(to)) {
        let here = at.key().expect("a key").to_vec();
        let there = present();
        walker.session.release_snapshot();
        let moved = match forward {
            true => walker.session.next(&walker.rows, &mut at),
            false => walker.session.prev(&walker.rows, &mut at),
        };
        assert!(moved.expect("a move"), "the end of the table before the last fixed row");
        let key = at.key().expect("a key");
        let (low, high) = if forward { (&here[..], key) } else { (key, &here[..]) };
        for number in (0..64).filter(|number| there & (1 << number) != 0) {
            let passed = row(number);
            assert!(*low >= passed[..] || passed[..] >= *high, "row {number} was passed by");
        }
        visit(key);
    }
}

#[test]
fn cursors_miss_nothing_while_leaves_split_and_shrink() {
    check("cursors", 1_200, 20_000, cursor_beside_removals);
}

/// A cursor walks through rows that are put in ahead of it and behind it, and passes none that was there
/// before its step: its leaf is split under it.
fn cursor_beside_inserts() {
    let (engine, storage) = start(Durability::Process);
    let mut walker = Client::new(&engine);
    let present = Arc::new(AtomicU64::new(0));
    let forward = below(2) == 0;
    let inserts = [[9, 5, 1], [7, 3, 11]].map(|mut numbers| {
        let (present, mut writer) = (Arc::clone(&present), Client::new(&engine));
        spawn(move || {
            if !forward {
                numbers.reverse();
            }
            for number in numbers {
                writer.session.put(&writer.rows, &row(number), &value(number)).expect("a put");
                present.fetch_or(1 << number, SeqCst);
            }
        })
    });
    let evictor = engine.clone();
    let evictions = spawn(move || {
        evictor.evict_all().expect("an eviction");
        evictor.checkpoint().expect("a checkpoint");
    });
    walk(&mut walker, forward, || present.load(SeqCst), |_| ());
    drop(walker);
    for thread in inserts {
        thread.join().expect("inserts");
    }
    evictions.join().expect("evictions");
    let mut expected = fixed_rows();
    expected.extend([1, 3, 5, 7, 9, 11].map(|number| (row(number), value(number))));
    check_end(&engine, &storage, &expected);
}

#[test]
fn cursors_pass_no_row_that_was_there() {
    check("cursors beside inserts", 1_200, 20_000, cursor_beside_inserts);
}

/// Long values are overwritten, taken and read while their space is freed by checkpoints.
fn long_values_beside_checkpoints() {
    let (engine, storage) = start(Durability::Process);
    let mut writer = Client::new(&engine);
    writer.session.put(&writer.rows, &row(1), &long_value(1)).expect("a put");
    let mut reader = Client::new(&engine);
    let writes = spawn(move || {
        writer.session.put(&writer.rows, &row(1), &long_value(2)).expect("a put");
        let taken = writer.session.take(&writer.rows, &row(1)).expect("a removal");
        assert!(taken == Some(long_value(2)), "the value that was taken");
        writer.session.put(&writer.rows, &row(1), &long_value(3)).expect("a put");
    });
    let keeper = engine.clone();
    let checkpoints = spawn(move || {
        keeper.checkpoint().expect("a checkpoint");
        keeper.evict_all().expect("an eviction");
        keeper.checkpoint().expect("a checkpoint");
    });
    let reads = spawn(move || {
        let mut last = 0;
        for _ in 0..3 {
            let found = reader.session.get(&reader.rows, &row(1), <[u8]>::to_vec).expect("a get");
            if let Some(found) = found {
                let now = number(&found);
                assert!(found == long_value(now), "a torn value");
                assert!(now >= last, "value {now} after value {last}");
                last = now;
            }
        }
        reader.session.begin().expect("a begin");
        let before = reader.scan(Which::Rows, false);
        assert!(reader.scan(Which::Rows, true) == before, "two scans of one transaction differ");
        reader.session.commit().expect("a commit");
    });
    writes.join().expect("writes");
    checkpoints.join().expect("checkpoints");
    reads.join().expect("reads");
    let mut expected = fixed_rows();
    expected.insert(row(1), long_value(3));
    check_end(&engine, &storage, &expected);
}

#[test]
fn long_values_are_whole_and_in_order() {
    check("long values", 800, 10_000, long_values_beside_checkpoints);
}
