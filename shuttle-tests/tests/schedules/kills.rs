//! Copies of the files, made at any step, as a killed process leaves them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rshelve_core::base::options::Durability;
use rshelve_core::internals::weaken::Weakness;
use shuttle_tests::bank::{Client, Which, check_end, fixed_rows, open, row, start, value};
use shuttle_tests::{check, check_control};

use crate::spawn;

/// What was acknowledged before a copy was made is in it, whole; what was not is in it whole or not at
/// all.
fn copies_beside_commits(durability: Durability) {
    let (engine, storage) = start(durability);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let [mut one, mut two] = [(); 2].map(|()| Client::new(&engine));
    let writes = {
        let acknowledged = Arc::clone(&acknowledged);
        spawn(move || {
            for round in 1..=3 {
                two.session.begin().expect("a begin");
                for number in [1, 7] {
                    two.session.put(&two.rows, &row(number), &value(round)).expect("a put");
                }
                two.session.commit().expect("a commit");
                acknowledged.store(round, SeqCst);
            }
        })
    };
    let transfers = spawn(move || {
        one.transfer(3);
        one.transfer(4);
    });
    let keeper = engine.clone();
    let checkpoints = spawn(move || {
        keeper.checkpoint().expect("a checkpoint");
        keeper.evict_all().expect("an eviction");
    });
    for _ in 0..2 {
        let least = acknowledged.load(SeqCst);
        let copy = storage.duplicate();
        check_copy(&open(&copy, engine.options()), least);
    }
    writes.join().expect("writes");
    transfers.join().expect("transfers");
    checkpoints.join().expect("checkpoints");
    let mut expected = fixed_rows();
    expected.extend([1, 7].map(|number| (row(number), value(3))));
    check_end(&engine, &storage, &expected);
}

fn check_copy(copy: &rshelve_core::engine::Engine, least: u64) {
    let mut client = Client::new(copy);
    client.audit(false);
    let rows = client.scan(Which::Rows, false);
    client.session.release_snapshot();
    let [first, second] = [1, 7].map(|number| rows.get(&row(number)));
    assert!(first == second, "half a commit in a copy");
    let round = first.map_or(0, |value| shuttle_tests::bank::number(value));
    assert!(round >= least, "round {round} in a copy, {least} was acknowledged");
    assert_eq!(client.session.rows(&client.rows), rows.len() as u64, "the count in a copy");
    drop(client);
    copy.close().expect("a close");
}

#[test]
fn copies_have_what_was_acknowledged() {
    check("copies", 600, 10_000, || copies_beside_commits(Durability::Process));
}

#[test]
fn copies_have_what_was_acknowledged_when_commits_sync() {
    check("copies of synced commits", 600, 10_000, || copies_beside_commits(Durability::Sync));
}

#[test]
fn commits_wait_for_ever_when_a_step_of_group_commit_is_left_out() {
    for weakness in [Weakness::SyncWithoutWake, Weakness::FillWithoutWake, Weakness::EarlyForgotten]
    {
        check_control("copies of synced commits", weakness, "deadlock", 3_000, || {
            copies_beside_commits(Durability::Sync);
        });
    }
}
