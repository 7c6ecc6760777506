//! Pages whose keys share a long prefix say more than they hold: thousands of keys of 60 KiB lie in a block
//! of a hundred. Whatever is done with such a page, memory stays in proportion to its bytes.

use std::ops::ControlFlow;
use std::sync::Arc;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, verify_on};
use rshelve_core::format::{BuilderCapacity, PageBuilder, PageKind, Tag};
use rshelve_core::io::memory::MemoryStorage;

use crate::counting::peak_of;
use crate::exercise::{Figures, use_it_all};
use crate::harness::{NAME, Random, Rows, database, read_table, scaled, seed};
use crate::surgery::Patient;

/// What each key begins with.
const PREFIX_BYTES: usize = 60 << 10;

/// What work on a page may hold: pages, a handful of keys, the cache, and the file, which is in memory.
const PEAK_BYTES_MAX: u64 = 40 << 20;

fn options() -> DatabaseOptions {
    DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Checkpoint) }
}

/// What `run` returns, which must not hold more than is in proportion.
#[track_caller]
fn bounded<R>(what: &str, run: impl FnOnce() -> R) -> R {
    let (result, peak) = peak_of(run);
    println!("{what}: at most {peak} bytes held");
    assert!(peak <= PEAK_BYTES_MAX, "{what}: {peak} bytes");
    result
}

fn long_key(number: u32) -> Vec<u8> {
    [&[b'k'; PREFIX_BYTES][..], &number.to_be_bytes()].concat()
}

#[test]
fn keys_with_a_long_prefix_take_memory_in_proportion() {
    let storage = MemoryStorage::new();
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("new");
    let table = engine.create_table("eggs", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("open");
    bounded("puts", || {
        for number in 0..3000 {
            session.put(&table, &long_key(number), b"v").expect("room");
        }
    });
    bounded("checkpoint", || engine.checkpoint().expect("room"));
    bounded("a put and a checkpoint", || {
        session.put(&table, &long_key(7), b"new").expect("room");
        engine.checkpoint().expect("room");
    });
    bounded("keys of another prefix, and a checkpoint", || {
        session.put(&table, b"a", b"before").expect("room");
        session.put(&table, &[b"k".repeat(20), b"z".to_vec()].concat(), b"after").expect("room");
        session.put(&table, b"z", b"behind").expect("room");
        engine.checkpoint().expect("room");
    });
    bounded("the same while a snapshot needs what was before", || {
        let mut reader = engine.session().expect("open");
        reader.begin().expect("none is open");
        assert!(reader.get(&table, b"b", |_| ()).expect("all of it").is_none());
        for key in [&b"b"[..], b"y", &long_key(9), &long_key(5000)] {
            session.put(&table, key, b"new").expect("room");
        }
        engine.checkpoint().expect("room");
        reader.rollback().expect("one is open");
    });
    bounded("a close and an open", || {
        drop((session, table));
        engine.close().expect("room");
        drop(Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("it is there"));
    });
    let report = bounded("verify", || verify_on(Arc::new(storage.clone()), NAME, &mut |_| Ok(())));
    let report = report.expect("it can be read");
    assert!(report.is_clean() && report.tables[0].rows == 3006, "{report}");
}

/// Keys of three families: with one long prefix, with another, and short.
fn any_key(random: &mut Random) -> Vec<u8> {
    let number = (random.below(400) as u32).to_be_bytes();
    match random.below(8) {
        0 => number[2..].to_vec(),
        1 => [&[b'k'; 30][..], &number].concat(),
        2..=4 => [&[b'k'; 9000][..], &number].concat(),
        _ => [&[b'm'; 40_000][..], &number].concat(),
    }
}

/// Any work on such keys, against a model: pages that must part do, and nothing is lost on the way.
#[test]
fn keys_of_several_long_prefixes_are_all_found() {
    let seed = seed();
    for round in 0..scaled(4, 60) {
        let mut random = Random::new(seed ^ round);
        let storage = MemoryStorage::new();
        let mut engine = Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("new");
        let pages = TableOptions { leaf_bytes_max: 16 << 10, ..TableOptions::default() };
        drop(engine.create_table("eggs", &pages).expect("a table"));
        let mut model = Rows::new();
        for _ in 0..6 {
            let table = engine.table("eggs").expect("it is there");
            let mut session = engine.session().expect("open");
            bounded("a hundred changes and a checkpoint", || {
                for _ in 0..100 {
                    let key = any_key(&mut random);
                    if random.below(5) == 0 {
                        let removed = session.remove(&table, &key).expect("room");
                        assert_eq!(removed, model.remove(&key).is_some());
                    } else {
                        let value = random.bytes(20);
                        session.put(&table, &key, &value).expect("room");
                        model.insert(key, value);
                    }
                }
                engine.checkpoint().expect("room");
            });
            if random.below(2) == 0 {
                bounded("a compaction", || {
                    engine.compact(&mut |_| ControlFlow::Continue(())).expect("room");
                });
            }
            assert!(read_table(&mut session, &table).expect("all of it") == model, "{seed}");
            drop((session, table));
            if random.below(2) == 0 {
                engine.close().expect("room");
                engine =
                    Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("it opens");
            }
        }
        let report = engine.verify(&mut |_| Ok(())).expect("it can be read");
        assert!(report.is_clean(), "{report}");
    }
}

/// The largest pages that a table may have, full of the shortest rows.
#[test]
fn largest_pages_take_a_key_of_another_prefix() {
    let storage = MemoryStorage::new();
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("new");
    let pages = TableOptions { leaf_bytes_max: 512 << 10, ..TableOptions::default() };
    let table = engine.create_table("urls", &pages).expect("a table");
    let mut session = engine.session().expect("open");
    let key = |number: u32| format!("{}{number:08}", "u".repeat(150)).into_bytes();
    let mut load = session.bulk(&table).expect("an empty table");
    (0..100_000).for_each(|number| load.insert(&key(number), b"").expect("a row"));
    load.finish().expect("the end");
    for foreign in [&b"a"[..], b"uu", b"v"] {
        session.put(&table, foreign, b"").expect("room");
        engine.checkpoint().expect("room");
    }
    assert_eq!(read_table(&mut session, &table).expect("all of it").len(), 100_003);
    drop((session, table));
    engine.close().expect("room");
    let report = verify_on(Arc::new(storage), NAME, &mut |_| Ok(())).expect("it can be read");
    assert!(report.is_clean(), "{report}");
}

/// A leaf by somebody who means harm: as many rows as its parent counts, all with a prefix that makes them
/// thousands of times the block.
#[test]
fn hostile_prefixes_take_memory_in_proportion() {
    const ROWS: u32 = 3400;
    let storage = MemoryStorage::new();
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options()).expect("new");
    let pages = TableOptions { leaf_bytes_max: 160 << 10, ..TableOptions::default() };
    let table = engine.create_table("eggs", &pages).expect("a table");
    let session = engine.session().expect("open");
    let mut load = session.bulk(&table).expect("an empty table");
    (0..ROWS).for_each(|row| load.insert(&row.to_be_bytes(), &[b'v'; 20]).expect("a row"));
    load.finish().expect("the end");
    drop((session, table));
    engine.close().expect("room");
    let patient = Patient::of(&storage);
    let leaf = patient.nodes.iter().position(|node| node.table.is_some()).expect("a leaf");
    let mut figures = Figures::default();
    for prefix_len in [0, 10, 1200, 1300, 20_000, 50_000] {
        let prefix = vec![b'p'; prefix_len];
        let mut builder = PageBuilder::new(PageKind::Leaf, &prefix, BuilderCapacity::default());
        for row in 0..ROWS {
            builder.push(&[&prefix[..], &row.to_be_bytes()].concat(), Tag::Inline, b"");
        }
        let image = builder.finish();
        let mut edited = patient.clone();
        edited.edit(leaf, |block| block[32..image.len()].copy_from_slice(&image[32..]));
        let (before, hostile) = (figures.right, edited.storage());
        let what = format!("a prefix of {prefix_len} bytes");
        figures.case(&|| what.clone(), edited.bytes.len(), || use_it_all(&hostile));
        let is_right = figures.right > before;
        assert_eq!(is_right, prefix_len <= 1200, "{what}");
    }
    figures.print("hostile prefixes");
}
