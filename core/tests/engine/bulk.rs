//! Bulk loads: every row there, in a file that verifies; nothing seen before the end, nothing lost or
//! leaked by one that does not come to its end.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, OpenTable};
use rshelve_core::io::memory::{Fault, MemoryStorage};

use crate::audit::{clean_report, unreached_bytes};
use crate::harness::{
    Random, Rows, check_rows, database, open, read_all, scaled, seed, table, value_of,
};

fn rows(random: &mut Random, count: usize) -> Rows {
    let mut rows = Rows::new();
    while rows.len() < count {
        let shared = ["", "a", "spam/eggs/", "spam/ham/"][random.below(4) as usize];
        let mut key = shared.as_bytes().to_vec();
        key.extend((0..random.below(20)).map(|_| b'a' + random.below(4) as u8));
        let len = match random.below(40) {
            0 => 1000 + random.below(20_000),
            _ => random.below(80),
        };
        rows.insert(key, value_of(len as usize, random.next()).into());
    }
    rows
}

fn fill(engine: &Engine, table: &OpenTable, rows: &Rows) {
    let mut load = engine.session().expect("a session").bulk(table).expect("an empty table");
    for (key, value) in rows {
        load.insert(key, value).expect("a row");
    }
    assert_eq!(load.finish().expect("the end"), rows.len() as u64);
}

fn check(engine: &Engine, table: &OpenTable, rows: &Rows, what: &str) {
    let mut session = engine.session().expect("a session");
    check_rows(what, &read_all(&mut session, table, false), rows);
    check_rows(what, &read_all(&mut session, table, true), rows);
    assert_eq!(session.rows(table), rows.len() as u64, "{what}");
}

#[test]
fn loaded_rows_are_there_durable_and_can_be_changed() {
    let seed = seed();
    for round in 0..scaled(8, 200) {
        let mut random = Random::new(seed ^ round);
        let count = [0, 1, 2, 60, 700, 5000][random.below(6) as usize];
        let mut expected = rows(&mut random, count);
        let storage = MemoryStorage::new();
        let options = database(Durability::Process, false);
        {
            let engine = open(&storage, &options);
            let table = engine.create_table("main", &table()).expect("a table");
            fill(&engine, &table, &expected);
            check(&engine, &table, &expected, "after the load");
            // As a killed process: what was loaded is in a checkpoint.
            storage.fail_nth(1, Fault::Eio, true);
        }
        storage.heal();
        let engine = open(&storage, &options);
        let table = engine.table("main").expect("a table");
        check(&engine, &table, &expected, "after a crash");
        let mut session = engine.session().expect("a session");
        for number in 0..random.below(300) {
            let key = format!("spam/{}", random.below(500)).into_bytes();
            let value: Arc<[u8]> = value_of(30, number).into();
            session.put(&table, &key, &value).expect("a put");
            expected.insert(key, value);
        }
        drop(session);
        check(&engine, &table, &expected, "after changes");
        drop(table);
        engine.close().expect("a close");
        assert_eq!(unreached_bytes(&storage), 0);
    }
}

#[test]
fn unfinished_load_leaves_neither_rows_nor_space_behind() {
    let storage = MemoryStorage::new();
    let options = database(Durability::Process, false);
    let engine = open(&storage, &options);
    let table = engine.create_table("main", &table()).expect("a table");
    let rows = rows(&mut Random::new(seed()), 3000);
    let mut load = engine.session().expect("a session").bulk(&table).expect("an empty table");
    for (key, value) in &rows {
        load.insert(key, value).expect("a row");
    }
    check(&engine, &table, &Rows::new(), "before the end");
    engine.checkpoint().expect("a checkpoint beside it");
    drop(load);
    drop(table);
    engine.close().expect("a close");
    let report = clean_report(&storage);
    assert_eq!(report.unreached_bytes(), 0);
    assert!(report.reached_bytes < 16 << 10, "the space was not given back: {report}");
}

#[test]
fn load_takes_ascending_keys_and_an_empty_table_only() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &database(Durability::Process, false));
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let session = || engine.session().expect("a session");
    let mut load = session().bulk(&table).expect("an empty table");
    load.insert(b"b", b"1").expect("a row");
    for key in [b"b", b"a"] {
        assert!(matches!(load.insert(key, b"2"), Err(Error::Invalid { .. })));
    }
    load.insert(b"c", b"3").expect("a refused row does no harm");
    session().put(&table, b"x", b"meanwhile").expect("a put beside it");
    assert!(matches!(load.finish(), Err(Error::Invalid { .. })), "somebody was faster");
    assert!(matches!(session().bulk(&table), Err(Error::Invalid { .. })));
    session().remove(&table, b"x").expect("a removal");
    let mut load = session().bulk(&table).expect("empty again");
    load.insert(b"b", b"1").expect("a row");
    assert_eq!(load.finish().expect("the end"), 1);
    assert_eq!(session().get(&table, b"b", <[u8]>::to_vec).expect("a get"), Some(b"1".to_vec()));
}

/// Loaded rows are in no log. Where a large transaction holds back the position that replay starts from, the
/// log still says that an older table was filled and dropped: that must not reach the table that was loaded,
/// so no table gets a dropped one's id.
#[test]
fn loaded_rows_outlive_the_replay_of_a_drop_before_them() {
    let storage = MemoryStorage::new();
    let options =
        DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Process, false) };
    let expected = rows(&mut Random::new(seed()), 500);
    let engine = open(&storage, &options);
    let other = engine.create_table("other", &table()).expect("a table");
    let mut large = engine.session().expect("a session");
    large.begin().expect("a begin");
    for number in 0..1000_u32 {
        // More than a record takes: a part of it is in the log before it commits.
        large.put(&other, &number.to_be_bytes(), &value_of(500, 1)).expect("a put");
    }
    for name in ["main", "older"] {
        let older = engine.create_table(name, &table()).expect("a table");
        engine.session().expect("a session").put(&older, b"old", b"row").expect("a put");
        drop(older);
        engine.drop_table(name).expect("a drop");
    }
    let main = engine.create_table("main", &table()).expect("a table");
    fill(&engine, &main, &expected);
    let engine = open(&storage.duplicate(), &options);
    assert_eq!(engine.table_names(), ["main", "other"]);
    let main = engine.table("main").expect("a table");
    check(&engine, &main, &expected, "after a crash");
    let other = engine.table("other").expect("a table");
    assert_eq!(engine.session().expect("a session").rows(&other), 0, "it did not commit");
}

/// The rows of a load are seen before its checkpoint is durable. When that fails, for want of space too,
/// nobody writes on what a kill would take back.
#[test]
fn load_whose_checkpoint_fails_makes_the_database_read_only() {
    let rows = rows(&mut Random::new(seed()), 800);
    let (mut failed, mut took) = (0, 0);
    for fault in [Fault::Eio, Fault::Enospc] {
        for durability in [Durability::Process, Durability::Sync, Durability::Checkpoint] {
            for nth in 1.. {
                let storage = MemoryStorage::new();
                let options = database(durability, false);
                let engine = open(&storage, &options);
                let main = engine.create_table("main", &table()).expect("a table");
                let other = engine.create_table("other", &table()).expect("a table");
                engine.checkpoint().expect("room");
                let mut session = engine.session().expect("a session");
                let mut load = session.bulk(&main).expect("an empty table");
                rows.iter().for_each(|(key, value)| load.insert(key, value).expect("a row"));
                storage.fail_nth(nth, fault, false);
                let finished = load.finish();
                storage.heal();
                let is_seen = session.rows(&main) > 0;
                let put = session.put(&other, b"key", b"value");
                match &finished {
                    Ok(_) => assert!(is_seen && put.is_ok(), "{put:?}"),
                    Err(_) if is_seen => {
                        assert!(
                            matches!(put, Err(Error::Failed { .. })),
                            "{fault:?} {nth}: {put:?}"
                        );
                        failed += 1;
                    }
                    Err(_) => {}
                }
                drop((session, main, other));
                let is_done = finished.is_ok();
                let _ = engine.close();
                drop(engine);
                let engine = open(&storage, &options);
                let main = engine.table("main").expect("a table");
                let found = engine.session().expect("a session").rows(&main);
                // Its superblock may have reached the disk, and its twin not.
                assert!(found == rows.len() as u64 || (found == 0 && !is_done), "{found} rows");
                if found > 0 {
                    check(&engine, &main, &rows, "after a failure");
                    took += 1;
                }
                drop(main);
                engine.close().expect("a close");
                assert_eq!(unreached_bytes(&storage), 0, "{fault:?} at call {nth}, {durability:?}");
                if is_done {
                    break;
                }
            }
        }
    }
    println!("{failed} loads failed when their rows were seen, {took} were there in the end");
    assert!(failed > 10);
}
