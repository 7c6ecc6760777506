//! Writers beside eviction and checkpoints.

use rshelve_core::base::options::Durability;
use rshelve_core::internals::weaken::Weakness;
use shuttle_tests::bank::{Client, Rows, check_end, fixed_rows, row, start, value};
use shuttle_tests::{check, check_control};

use crate::spawn;

/// Puts rows between the fixed ones in one transaction, so that leaves split, and one by itself; takes
/// one away again. Returns what is there.
fn insert_and_remove(client: &mut Client) -> Rows {
    let session = &mut client.session;
    session.begin().expect("a begin");
    for number in [1, 3, 5] {
        session.put(&client.rows, &row(number), &value(number)).expect("a put");
    }
    session.commit().expect("a commit");
    session.put(&client.rows, &row(7), &value(7)).expect("a put");
    assert!(session.remove(&client.rows, &row(3)).expect("a removal"));
    let mut expected = fixed_rows();
    expected.extend([1, 5, 7].map(|number| (row(number), value(number))));
    expected
}

fn commit_split_evict_checkpoint(durability: Durability) {
    let (engine, storage) = start(durability);
    let [mut one, mut two] = [(); 2].map(|()| Client::new(&engine));
    let transfers = spawn(move || {
        one.transfer(7);
        one.transfer(11);
    });
    let inserts = spawn(move || insert_and_remove(&mut two));
    let evictor = engine.clone();
    let evictions = spawn(move || {
        evictor.evict_all().expect("an eviction");
        evictor.evict_all().expect("an eviction");
    });
    let keeper = engine.clone();
    let checkpoints = spawn(move || {
        keeper.checkpoint().expect("a checkpoint");
        keeper.checkpoint().expect("a checkpoint");
    });
    transfers.join().expect("transfers");
    let expected = inserts.join().expect("inserts");
    evictions.join().expect("evictions");
    checkpoints.join().expect("checkpoints");
    check_end(&engine, &storage, &expected);
}

#[test]
fn writers_beside_eviction_and_checkpoints_lose_nothing() {
    check("writers", 600, 20_000, || commit_split_evict_checkpoint(Durability::Process));
}

#[test]
fn writers_without_a_log_lose_nothing() {
    check("writers without a log", 200, 5_000, || {
        commit_split_evict_checkpoint(Durability::Checkpoint);
    });
}

#[test]
fn writes_without_a_mark_are_lost() {
    let scenario = || commit_split_evict_checkpoint(Durability::Process);
    check_control("writers", Weakness::WriteWithoutMark, "", 2_000, scenario);
}

#[test]
fn changes_during_a_write_back_are_lost_without_a_second_count() {
    let scenario = || commit_split_evict_checkpoint(Durability::Process);
    check_control("writers", Weakness::CleanWithoutRecount, "", 5_000, scenario);
}
