//! Tests of an engine's parts together, in memory and on one thread, where unit tests of the parts cannot
//! reach.

use super::Engine;
use crate::base::options::{DatabaseOptions, OpenMode, TableOptions};
use crate::io::memory::MemoryStorage;
use crate::sync::Arc;

const ROWS: u32 = 2000;

fn open(storage: &MemoryStorage, mode: OpenMode) -> Engine {
    let options = DatabaseOptions { mode, background: false, ..DatabaseOptions::default() };
    Engine::open_on(Arc::new(storage.clone()), "spam", options).expect("it opens")
}

/// A checkpoint once went on behind the last leaf of an internal page, which it had prepared but not yet
/// installed, and looked for ever for a neighbour that was not in memory.
#[test]
fn checkpoint_of_a_last_leaf_ends_beside_a_neighbour_on_disk() {
    let storage = MemoryStorage::new();
    let small = TableOptions {
        leaf_bytes_max: 4 << 10,
        internal_bytes_max: 4 << 10,
        ..TableOptions::default()
    };
    let key = |number: u32| number.to_be_bytes();
    let engine = open(&storage, OpenMode::Create);
    let table = engine.create_table("main", &small).expect("the table is created");
    let mut session = engine.session().expect("a session opens");
    for number in 0..ROWS {
        session.put(&table, &key(number), &[1; 900]).expect("the row is stored");
    }
    assert!(table.tree().height() > 1, "several internal pages have leaves below");
    drop((session, table));
    engine.close().expect("it closes");

    // In key order, so that the leaf behind the one that changes was not read in yet.
    let engine = open(&storage, OpenMode::Existing);
    let table = engine.table("main").expect("the table is there");
    let mut session = engine.session().expect("a session opens");
    for number in 0..ROWS {
        session.put(&table, &key(number), &[2; 900]).expect("the row is replaced");
        engine.checkpoint().expect("the checkpoint ends");
    }
    assert_eq!(session.rows(&table), u64::from(ROWS));
}
