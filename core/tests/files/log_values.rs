//! Long values that the log names: lost ones are reported where it is known that they were there, and
//! what nobody committed leaves no space behind.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::{Compression, DatabaseOptions, Durability};
use rshelve_core::engine::{Engine, OpenTable, Session, verify_on};
use rshelve_core::io::memory::MemoryStorage;

use crate::harness::{NAME, database, key, open_existing, read_table, small_pages, value};

/// Longer than what a leaf takes.
const LONG_BYTES: usize = 5000;

struct World {
    storage: MemoryStorage,
    engine: Engine,
    table: OpenTable,
    session: Session,
}

fn world() -> World {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Process) };
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options).expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let session = engine.session().expect("open");
    World { storage, engine, table, session }
}

impl World {
    fn put(&mut self, number: usize, len: usize) {
        self.session.put(&self.table, &key(number), &value("eggs", number, len)).expect("room");
    }

    /// As a killed process leaves it, with the long value `number` damaged.
    fn killed_and_damaged(&self, number: usize) -> MemoryStorage {
        let killed = self.storage.duplicate();
        let mut bytes = killed.peek(NAME).expect("the database is there");
        let start = value("eggs", number, 64);
        let at = bytes.windows(64).position(|window| window == start).expect("the long value");
        bytes[at + 100] ^= 1;
        killed.plant(NAME, &bytes);
        killed
    }
}

fn rows(storage: &MemoryStorage) -> usize {
    let engine = open_existing(storage, Durability::Process).expect("it opens");
    let mut session = engine.session().expect("open");
    let table = engine.table("eggs").expect("it is there");
    let rows = read_table(&mut session, &table).expect("all of it").len();
    drop((session, table));
    engine.close().expect("room");
    rows
}

fn lost_bytes(storage: &MemoryStorage) -> u64 {
    let report = verify_on(Arc::new(storage.clone()), NAME, &mut |_| Ok(())).expect("it is there");
    assert!(report.is_clean(), "{report}");
    report.unreached_bytes()
}

/// A long value that was damaged on the disk ended the log in front of its record without a word, even
/// where a later record knew that it had been durable: commits that were promised went.
#[test]
fn damaged_long_value_that_was_durable_is_corruption() {
    let mut world = world();
    world.put(1, LONG_BYTES);
    world.engine.sync().expect("a sync");
    // Knows of the sync.
    world.put(2, 10);
    let damaged = world.killed_and_damaged(1);
    match open_existing(&damaged, Durability::Process) {
        Err(Error::Corrupt(corruption)) => {
            assert!(corruption.what.contains("overflow"), "{corruption}");
            assert!(corruption.file.ends_with(NAME), "{corruption}");
        }
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn damaged_long_value_that_nobody_knows_durable_ends_the_log() {
    let mut world = world();
    world.put(0, 10);
    world.put(1, LONG_BYTES);
    world.put(2, 10);
    let damaged = world.killed_and_damaged(1);
    assert_eq!(rows(&damaged), 1, "what came before");
}

/// What is older than the checkpoint may be gone, but only where something replaced it.
#[test]
fn long_value_that_is_gone_must_have_been_overtaken() {
    for overtaken in [true, false] {
        let mut world = world();
        // Holds back where replay starts, so that the records behind are read again.
        let mut other = world.engine.session().expect("open");
        other.begin().expect("a begin");
        for number in 100..420 {
            let value = value("eggs", number, 1000);
            other.put(&world.table, &key(number), &value).expect("room");
        }
        world.put(1, LONG_BYTES);
        if overtaken {
            world.put(1, 20);
        }
        world.engine.checkpoint().expect("room");
        world.put(3, 10);
        let damaged = world.killed_and_damaged(1);
        let opened = open_existing(&damaged, Durability::Process);
        match opened {
            Ok(engine) => {
                assert!(overtaken, "a long value went without a word");
                let mut session = engine.session().expect("open");
                let table = engine.table("eggs").expect("it is there");
                let found = session.get(&table, &key(1), <[u8]>::to_vec).expect("it is whole");
                assert_eq!(found, Some(value("eggs", 1, 20)));
            }
            Err(Error::Corrupt(_)) => assert!(!overtaken),
            Err(error) => panic!("{error}"),
        }
        other.rollback().expect("a rollback");
    }
}

#[test]
fn long_values_of_a_transaction_that_never_committed_leave_no_space_behind() {
    let mut world = world();
    world.put(0, 10);
    world.engine.checkpoint().expect("room");
    world.session.begin().expect("a begin");
    for number in 1..60 {
        world.put(number, LONG_BYTES);
    }
    // Enough beside them that the log has a part of it.
    for number in 60..400 {
        world.put(number, 1000);
    }
    let killed = world.storage.duplicate();
    // Recovery cut short, and done again, finds the same.
    for _ in 0..2 {
        let again = killed.duplicate();
        drop(open_existing(&again, Durability::Process).expect("it opens"));
        assert_eq!(rows(&again), 1);
        assert_eq!(lost_bytes(&again), 0);
    }
    world.session.rollback().expect("a rollback");
}

#[test]
fn long_values_that_were_open_at_a_checkpoint_leave_no_space_behind() {
    let mut world = world();
    world.put(0, 10);
    world.session.begin().expect("a begin");
    for number in 1..20 {
        world.put(number, LONG_BYTES);
    }
    // The checkpoint counts their space as used, and reaches none of it.
    world.engine.checkpoint().expect("room");
    let killed = world.storage.duplicate();
    assert!(lost_bytes(&killed) > 19 * LONG_BYTES as u64);
    assert_eq!(rows(&killed), 1);
    assert_eq!(lost_bytes(&killed), 0);
    world.session.rollback().expect("a rollback");
}
