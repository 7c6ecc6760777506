//! Replay of logs that are large beside the cache: many batches of changes, sorted, come to what was committed;
//! and of a transaction that was under way while the log was released and used again.

use std::collections::BTreeMap;

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Session;
use rshelve_core::io::memory::MemoryStorage;

use crate::audit::unreached_bytes;
use crate::harness::{Random, database, open, read_all, scaled, seed, table, value_of};

const NAMES: [&str; 3] = ["eggs", "ham", "spam"];

/// Keys of all lengths, with much or nothing in common, and with zeros that only their number tells apart.
fn key_of(number: u64) -> Vec<u8> {
    match number % 3 {
        0 => number.to_be_bytes().to_vec(),
        1 => format!("the/same/folder/for/all/{number:0$}", number as usize % 40).into_bytes(),
        _ => vec![0; number as usize % 60],
    }
}

/// Three laps over the same keys, with deletions, long values, a checkpoint, and a table that is dropped and made
/// again; then the process is killed.
fn check(durability: Durability, seed: u64) {
    let storage = MemoryStorage::new();
    let options = database(durability, false);
    let engine = open(&storage, &options);
    let mut session = engine.session().expect("a session");
    let mut random = Random::new(seed);
    let mut model = BTreeMap::new();
    for lap in 0..3_u64 {
        let tables = NAMES.map(|name| {
            engine.table(name).or_else(|_| engine.create_table(name, &table())).expect("a table")
        });
        if lap == 1 {
            engine.checkpoint().expect("room");
        }
        for _ in 0..4000 {
            let (table, key) = (random.below(3) as usize, key_of(random.below(2000)));
            let kind = random.below(20);
            if kind < 4 {
                session.remove(&tables[table], &key).expect("room");
                model.remove(&(table, key));
            } else {
                let longest = if kind == 4 { 3000 } else { 300 };
                let value = value_of(random.below(longest) as usize, lap);
                session.put(&tables[table], &key, &value).expect("room");
                model.insert((table, key), value);
            }
        }
        if lap < 2 {
            drop(tables);
            engine.drop_table(NAMES[2]).expect("it is there");
            model.retain(|(table, _), _| *table < 2);
        }
    }
    let killed = storage.duplicate();
    let engine = open(&killed, &options);
    let mut session = engine.session().expect("a session");
    let mut found = BTreeMap::new();
    for (number, name) in NAMES.iter().enumerate() {
        let table = engine.table(name).expect("it is there");
        let rows = read_all(&mut session, &table, false);
        assert_eq!(session.rows(&table), rows.len() as u64, "{name}");
        found.extend(rows.into_iter().map(|(key, value)| ((number, key), value.to_vec())));
    }
    assert!(found == model, "{} rows, not {}", found.len(), model.len());
    drop(session);
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&killed), 0, "lost space");
}

#[test]
fn replay_in_batches_comes_to_what_was_committed() {
    for round in 0..scaled(4, 200) {
        let seed = Random::new(seed() + round).next();
        let durability = [Durability::Process, Durability::Sync][round as usize % 2];
        println!("{durability:?}, {seed}");
        check(durability, seed);
    }
}

/// The log keeps the first part of a transaction for as long as it is open, through checkpoints, and through
/// more log than there are segments to be used again.
#[test]
fn large_transaction_outlives_checkpoints_and_recycled_segments() {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions {
        cache_bytes_max: 8 << 20,
        log_segment_bytes: 32 << 10,
        ..database(Durability::Process, false)
    };
    let engine = open(&storage, &options);
    let [large, small] =
        ["large", "small"].map(|name| engine.create_table(name, &table()).expect("a table"));
    let (mut one, mut other) =
        (engine.session().expect("a session"), engine.session().expect("a session"));
    let put = |session: &mut Session, numbers: std::ops::Range<u64>| {
        for number in numbers {
            session.put(&large, &number.to_be_bytes(), &value_of(500, number)).expect("a put");
        }
    };
    one.begin().expect("a begin");
    put(&mut one, 0..1000);
    for lap in 0..8 {
        for number in 0..200_u64 {
            other.put(&small, &number.to_be_bytes(), &value_of(500, lap)).expect("a put");
        }
        engine.checkpoint().expect("a checkpoint");
    }
    put(&mut one, 1000..2000);
    one.commit().expect("a commit");
    let engine = open(&storage.duplicate(), &options);
    let mut session = engine.session().expect("a session");
    for (name, count) in [("large", 2000), ("small", 200)] {
        let table = engine.table(name).expect("a table");
        let rows = read_all(&mut session, &table, false);
        assert_eq!(rows.len(), count, "{name}");
        let fill = |number| if name == "large" { number } else { 7 };
        for (key, number) in rows.iter().zip(0_u64..) {
            let expected = (&number.to_be_bytes().to_vec(), &value_of(500, fill(number)).into());
            assert_eq!(key, expected, "{name} {number}");
        }
    }
}
