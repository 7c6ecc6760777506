//! What went wrong once, each as the shortest history that shows it.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::{CallKind, Fault, MemoryStorage};
use rshelve_core::page::ValueRef;

fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions { durability, background: false, ..DatabaseOptions::default() }
}

fn open_on(storage: &MemoryStorage, durability: Durability) -> Engine {
    Engine::open_on(Arc::new(storage.clone()), "spam", options(durability)).expect("it opens")
}

/// Small pages, so that few rows make several levels.
fn small_pages() -> TableOptions {
    TableOptions { leaf_bytes_max: 4 << 10, internal_bytes_max: 4 << 10, ..TableOptions::default() }
}

fn get(session: &mut Session, table: &OpenTable, key: &[u8]) -> Option<Vec<u8>> {
    session.get(table, key, <[u8]>::to_vec).expect("it can be read")
}

fn key(number: u32) -> Vec<u8> {
    format!("{number:08}").into_bytes()
}

/// The same files as a killed process leaves them.
fn killed(storage: &MemoryStorage) -> MemoryStorage {
    storage.duplicate()
}

#[test]
fn leaf_in_front_splits_after_the_first_one_was_removed() {
    let storage = MemoryStorage::new();
    let engine = open_on(&storage, Durability::Checkpoint);
    let table = engine.create_table("eggs", &small_pages()).expect("a new table");
    let mut session = engine.session().expect("open");
    let value = [7; 100];
    for number in 0..2000 {
        session.put(&table, &key(number), &value).expect("room");
    }
    // Whole leaves go, the first among them.
    for number in 0..1000 {
        assert!(session.remove(&table, &key(number)).expect("room"));
    }
    engine.checkpoint().expect("room");
    for number in 0..1000 {
        session.put(&table, &key(number), &value).expect("room");
    }
    let mut at = session.position();
    for number in 0..2000 {
        assert!(session.next(&table, &mut at).expect("it can be read"), "{number}");
        assert_eq!(at.key(), Some(&*key(number)));
    }
    assert!(!session.next(&table, &mut at).expect("it can be read"));
}

#[test]
fn drop_that_was_refused_is_not_replayed() {
    let storage = MemoryStorage::new();
    let engine = open_on(&storage, Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let mut session = engine.session().expect("open");
    session.put(&table, b"key", b"value").expect("room");
    let refused = engine.drop_table("eggs");
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");

    let recovered = open_on(&killed(&storage), Durability::Process);
    let table = recovered.table("eggs").expect("the table is still there");
    let mut session = recovered.session().expect("open");
    assert_eq!(get(&mut session, &table, b"key"), Some(b"value".to_vec()));
}

#[test]
fn table_that_a_transaction_wrote_to_cannot_be_dropped() {
    let engine = open_on(&MemoryStorage::new(), Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let mut session = engine.session().expect("open");
    session.begin().expect("none is open");
    session.put(&table, b"key", &[1; 100_000]).expect("room");
    drop(table);
    let refused = engine.drop_table("eggs");
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    session.rollback().expect("its pages are there");
    engine.drop_table("eggs").expect("nobody uses it");
}

#[test]
fn long_value_rolled_back_from_an_image_is_freed_once() {
    let engine = open_on(&MemoryStorage::new(), Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let mut session = engine.session().expect("open");
    session.begin().expect("none is open");
    session.put(&table, b"long", &[1; 100_000]).expect("room");
    // Enough keys for a rebuild, which moves the value's reference into the image.
    for number in 0..100 {
        session.put(&table, &key(number), b"short").expect("room");
    }
    session.rollback().expect("its pages are there");
    // Another rebuild drops what was rolled back.
    for number in 0..100 {
        session.put(&table, &key(number), b"other").expect("no space is freed twice");
    }
    engine.checkpoint().expect("no space is freed twice");
    session.put(&table, b"long", &[2; 100_000]).expect("room");
    assert_eq!(get(&mut session, &table, b"long"), Some(vec![2; 100_000]));
    engine.close().expect("no space is freed twice");
}

/// A transaction that is logged ahead of its commit holds the start of replay back, so that recovery
/// applies what the checkpoint holds already.
fn with_replay_held_back(history: impl FnOnce(&Engine, &OpenTable, &mut Session)) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let engine = open_on(&storage, Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let mut large = engine.session().expect("open");
    large.begin().expect("none is open");
    for number in 0..100 {
        large.put(&table, &key(1_000_000 + number), &[0; 4000]).expect("room");
    }
    let mut session = engine.session().expect("open");
    history(&engine, &table, &mut session);
    killed(&storage)
}

#[test]
fn replay_over_the_same_long_value_frees_it_once() {
    let storage = with_replay_held_back(|engine, table, session| {
        session.put(table, b"long", &[1; 100_000]).expect("room");
        engine.checkpoint().expect("room");
        session.put(table, b"long", &[2; 100_000]).expect("room");
    });
    let recovered = open_on(&storage, Durability::Process);
    let table = recovered.table("eggs").expect("the table is still there");
    let mut session = recovered.session().expect("open");
    assert_eq!(get(&mut session, &table, b"long"), Some(vec![2; 100_000]));
    recovered.close().expect("no space is freed twice");
}

#[test]
fn replay_keeps_a_long_value_that_an_older_record_replaces_for_a_while() {
    // On the page of the long value, so that it is rebuilt in between.
    let near = |number: u32| format!("long {number}").into_bytes();
    let storage = with_replay_held_back(|engine, table, session| {
        session.put(table, b"long", &[1; 100_000]).expect("room");
        for number in 0..100 {
            session.put(table, &near(number), b"short").expect("room");
        }
        session.put(table, b"long", &[2; 100_000]).expect("room");
        for number in 0..100 {
            session.put(table, &near(number), b"other").expect("room");
        }
        engine.checkpoint().expect("room");
    });
    let recovered = open_on(&storage, Durability::Process);
    let table = recovered.table("eggs").expect("the table is still there");
    let mut session = recovered.session().expect("open");
    // Take whatever space is free.
    for number in 0..20 {
        recovered.checkpoint().expect("room");
        session.put(&table, &key(number), &[3; 100_000]).expect("room");
    }
    assert_eq!(get(&mut session, &table, b"long"), Some(vec![2; 100_000]));
    recovered.close().expect("no space is freed twice");
}

#[test]
fn checkpoint_that_found_no_room_is_made_up_for_at_close() {
    let mut failures = 0;
    // Where the file's end lies decides which write is the one that does not fit.
    for units in 1..=130 {
        let storage = MemoryStorage::new();
        let engine = open_on(&storage, Durability::Checkpoint);
        let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
        let mut session = engine.session().expect("open");
        session.put(&table, b"key", b"before").expect("room");
        engine.checkpoint().expect("room");
        storage.fail_nth_of(&[CallKind::Allocate], 1, Fault::Enospc, true);
        if session.put(&table, b"long", &vec![5; units * 512 - 32]).is_err() {
            break;
        }
        session.put(&table, b"key", b"value").expect("room in memory");
        let outcome = engine.checkpoint();
        storage.heal();
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Full { .. }), "{error}");
            failures += 1;
        }
        engine.close().expect("there is room again");
        let again = open_on(&storage, Durability::Checkpoint);
        let table = again.table("eggs").expect("the table is still there");
        let mut session = again.session().expect("open");
        assert_eq!(get(&mut session, &table, b"key"), Some(b"value".to_vec()), "{units} units");
    }
    assert!(failures > 2, "the leaf, the catalog and the free list are written: {failures}");
}

#[test]
fn position_outlives_its_table_and_its_database() {
    let engine = open_on(&MemoryStorage::new(), Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let other = engine.create_table("ham", &TableOptions::default()).expect("a new table");
    let mut session = engine.session().expect("open");
    let mut positions = Vec::new();
    for table in [&table, &other] {
        session.put(table, b"key", &[9; 2000]).expect("room");
        let mut at = session.position();
        assert!(session.find(table, &mut at, b"key").expect("it can be read"));
        positions.push(at);
    }
    drop((table, other));
    engine.drop_table("eggs").expect("no handle is open");
    drop((session, engine));
    let garbage: Vec<_> = (0..2000).map(|_| vec![1_u8; 2100]).collect();
    for at in &positions {
        assert!(at.value() == Some(ValueRef::Inline(&[9; 2000])), "the bytes are others now");
    }
    drop(garbage);
}

#[test]
fn table_can_be_dropped_after_a_session_wrote_to_it() {
    let engine = open_on(&MemoryStorage::new(), Durability::Process);
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a new table");
    let mut session = engine.session().expect("open");
    session.put(&table, b"key", b"value").expect("room");
    drop(table);
    engine.drop_table("eggs").expect("nobody uses it");
    drop(session);
}
