//! Conflicts, tables that come and go, and the end of a database.

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::internals::weaken::Weakness;
use shuttle_tests::bank::{
    Client, check_content, check_end, fixed_rows, open, options, row, start, start_with, value,
};
use shuttle_tests::{Kept, check, check_control};

use crate::spawn;

/// Counters go up by one for each increment that was acknowledged, whether it was a transaction that read
/// first, or a batch, beside writes that wait.
fn increments() {
    let (engine, storage) = start(Durability::Process);
    let mut threads = Vec::new();
    for _ in 0..2 {
        let mut client = Client::new(&engine);
        threads.push(spawn(move || {
            let mut done = 0;
            while done < 2 {
                done += u64::from(increment(&mut client));
            }
        }));
    }
    let mut alone = Client::new(&engine);
    let waits = spawn(move || {
        // Waits for whichever transaction is in the way.
        alone.session.put(&alone.rows, &row(9), &value(9)).expect("a put");
        let batch = [(row(5), Some(value(5))), (row(9), Some(value(9)))];
        alone.session.apply(&alone.rows, &batch).expect("a batch");
    });
    for thread in threads {
        thread.join().expect("increments");
    }
    waits.join().expect("writes");
    let mut expected = fixed_rows();
    expected.extend([(row(1), value(4)), (row(5), value(5)), (row(9), value(9))]);
    check_end(&engine, &storage, &expected);
}

fn increment(client: &mut Client) -> bool {
    let Client { session, rows, .. } = client;
    session.begin().expect("a begin");
    let was = session.get(rows, &row(1), shuttle_tests::bank::number).expect("a get");
    let put = session.put(rows, &row(9), &value(9));
    match put.and_then(|()| session.put(rows, &row(1), &value(was.unwrap_or(0) + 1))) {
        Ok(()) => session.commit().map(|()| true).expect("a commit"),
        Err(Error::Rollback { .. }) => {
            session.rollback().expect("a rollback");
            shuttle::thread::yield_now();
            false
        }
        Err(error) => panic!("an increment fails: {error}"),
    }
}

#[test]
fn increments_are_never_lost() {
    check("increments", 1_000, 15_000, increments);
}

#[test]
fn waiters_sleep_for_ever_when_they_are_looked_for_early() {
    check_control("increments", Weakness::WaitersLookedForEarly, "deadlock", 5_000, increments);
}

/// Tables are created, filled and dropped beside checkpoints, eviction and writes to another.
fn tables_that_come_and_go() {
    let (engine, storage) = start(Durability::Process);
    let passing = engine.clone();
    let mut session = Kept::new(engine.session().expect("a session"));
    let comes_and_goes = spawn(move || {
        for _ in 0..2 {
            let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
            let table = passing.create_table("passing", &small).expect("a table");
            for number in 0..5 {
                session.put(&table, &row(number), &value(number)).expect("a put");
            }
            drop(table);
            passing.drop_table("passing").expect("a drop");
        }
    });
    let mut writer = Client::new(&engine);
    let writes = spawn(move || {
        writer.transfer(3);
        writer.session.put(&writer.rows, &row(1), &value(1)).expect("a put");
    });
    let keeper = engine.clone();
    let checkpoints = spawn(move || {
        keeper.checkpoint().expect("a checkpoint");
        keeper.evict_all().expect("an eviction");
        keeper.checkpoint().expect("a checkpoint");
    });
    comes_and_goes.join().expect("tables");
    writes.join().expect("writes");
    checkpoints.join().expect("checkpoints");
    assert_eq!(engine.table_names(), ["bank", "rows"]);
    let mut expected = fixed_rows();
    expected.insert(row(1), value(1));
    check_end(&engine, &storage, &expected);
}

#[test]
fn tables_come_and_go_without_a_trace() {
    check("tables", 600, 10_000, tables_that_come_and_go);
}

/// One thread closes the database while others work: each operation is done, or says that the database is
/// closed; the background threads end; what was acknowledged is there afterwards.
fn close_beside_work() {
    let options = DatabaseOptions { background: true, ..options(Durability::Process) };
    let (engine, storage) = start_with(&options);
    let mut threads = Vec::new();
    for number in [1, 3] {
        let mut client = Client::new(&engine);
        threads.push(spawn(move || {
            let put = client.session.put(&client.rows, &row(number), &value(number));
            let removed = match put {
                Ok(()) => client.session.remove(&client.rows, &row(0)).map(|_| ()),
                Err(ref error) => Err(error.clone()),
            };
            for outcome in [&put, &removed] {
                assert!(
                    matches!(outcome, Ok(()) | Err(Error::Closed { .. })),
                    "an operation beside a close: {outcome:?}"
                );
            }
            (number, put.is_ok(), removed.is_ok())
        }));
    }
    let closer = engine.clone();
    let close = spawn(move || closer.close().expect("a close"));
    let mut expected = fixed_rows();
    for thread in threads {
        let (number, is_put, is_removed) = thread.join().expect("a writer");
        if is_put {
            expected.insert(row(number), value(number));
        }
        if is_removed {
            expected.remove(&row(0));
        }
    }
    close.join().expect("a close");
    assert!(engine.is_closed());
    drop(engine);
    let reopened = open(&storage, &shuttle_tests::bank::options(Durability::Process));
    check_content(&reopened, &expected, "after a close beside work");
    reopened.close().expect("a close");
}

#[test]
fn close_beside_work_loses_nothing_and_hangs_nobody() {
    check("close", 1_000, 15_000, close_beside_work);
}

#[test]
fn close_hangs_when_threads_are_woken_too_early() {
    check_control("close", Weakness::EndAfterWake, "deadlock", 5_000, close_beside_work);
}
