//! Space that a killed writer had taken and that nobody refers to: found again by the next open where the
//! file is small, by `reclaim` in any.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::Durability;
use rshelve_core::engine::reclaim_on;
use rshelve_core::io::memory::MemoryStorage;

use crate::audit::unreached_bytes;
use crate::harness::{NAME, database, open, table, value_of};

const LONG_BYTES: usize = 1 << 20;

/// The files of a process that was killed when a transaction had written four long values, and a checkpoint
/// had gone by; before that it had committed `count` others.
fn killed(durability: Durability, count: u32) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let options = database(durability, false);
    let engine = open(&storage, &options);
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..count {
        let value = value_of(LONG_BYTES, u64::from(number));
        session.put(&eggs, &number.to_be_bytes(), &value).expect("room");
    }
    let mut open = engine.session().expect("a session");
    open.begin().expect("none is open");
    for number in 1000..1004_u32 {
        open.put(&eggs, &number.to_be_bytes(), &value_of(LONG_BYTES, 0)).expect("room");
    }
    engine.checkpoint().expect("room");
    session.put(&eggs, b"after", b"").expect("room");
    let killed = storage.duplicate();
    open.rollback().expect("one is open");
    killed
}

/// Opens and closes, and does nothing in between.
fn touch(storage: &MemoryStorage, durability: Durability) {
    open(storage, &database(durability, false)).close().expect("a close");
}

#[test]
fn lost_space_of_a_small_file_is_freed_by_the_next_open() {
    for durability in [Durability::Process, Durability::Checkpoint] {
        let storage = killed(durability, 3);
        touch(&storage, durability);
        // Once without a log it was freed in memory only, and lost for good by a close without changes.
        assert_eq!(unreached_bytes(&storage), 0, "{durability:?}");
    }
}

#[test]
fn lost_space_of_a_large_file_is_freed_by_reclaim() {
    for durability in [Durability::Process, Durability::Checkpoint] {
        let storage = killed(durability, 70);
        touch(&storage, durability);
        let lost = unreached_bytes(&storage);
        println!("{durability:?}: {lost} bytes are lost in a large file");
        // What a log names is freed whatever the file's size.
        assert!(lost > 4 * LONG_BYTES as u64 || durability != Durability::Checkpoint);
        let freed = reclaim_on(Arc::new(storage.clone()), NAME).expect("nobody has it open");
        assert_eq!(freed, lost, "{durability:?}");
        assert_eq!(unreached_bytes(&storage), 0, "{durability:?}");
        let engine = open(&storage, &database(durability, false));
        let eggs = engine.table("eggs").expect("it is there");
        assert_eq!(engine.session().expect("a session").rows(&eggs) / 70, 1, "all rows are there");
        let busy = reclaim_on(Arc::new(storage.clone()), NAME);
        assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
        drop(eggs);
        engine.close().expect("a close");
    }
}

/// The checkpoint in front of which the log begins may have seen a table's end already: then nothing of the
/// table is there when the log is replayed, but for the long values that its records name.
#[test]
fn long_values_of_a_table_that_the_checkpoint_saw_dropped_are_freed() {
    for durability in [Durability::Process, Durability::Sync] {
        let storage = MemoryStorage::new();
        let engine = open(&storage, &database(durability, false));
        let eggs = engine.create_table("eggs", &table()).expect("a table");
        let passing = engine.create_table("passing", &table()).expect("a table");
        engine.checkpoint().expect("room");
        // So large that its first part is in the log: replay begins there for as long as it is open.
        let mut large = engine.session().expect("a session");
        large.begin().expect("none is open");
        for number in 0..400_u32 {
            large.put(&eggs, &number.to_be_bytes(), &value_of(900, 0)).expect("room");
        }
        let mut session = engine.session().expect("a session");
        let long = value_of(LONG_BYTES, 1);
        session.put(&passing, b"key", &long).expect("room");
        drop(passing);
        engine.drop_table("passing").expect("nobody has it open");
        engine.checkpoint().expect("room");
        session.put(&eggs, b"after", b"").expect("room");
        let killed = storage.duplicate();
        large.rollback().expect("one is open");
        touch(&killed, durability);
        assert_eq!(unreached_bytes(&killed), 0, "{durability:?}");
    }
}
