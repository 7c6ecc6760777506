//! A crash while a database is made, another while what it left is opened, and a third in the opening
//! after that: the file opens as a new one, never as a damaged one, and nothing is left beside it.

use std::sync::Arc;

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;
use rshelve_core::io::memory::{Choice, MemoryStorage};

use crate::harness::{NAME, Random, database, scaled, seed};

/// Opens the database, which must be empty, and closes it or leaves it.
fn open_new(storage: &MemoryStorage, options: &DatabaseOptions, close: bool, what: &str) {
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options.clone());
    let engine = engine.unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
    assert_eq!(engine.table_names(), [""; 0], "{what}");
    if close {
        engine.close().unwrap_or_else(|error| panic!("{what}: it does not close: {error}"));
        assert_eq!(storage.names(), [NAME], "{what}");
    }
}

/// Crashes the opening of `storage` at each step, or at some, `depth` deep; returns how many images.
fn crash(
    storage: &MemoryStorage,
    options: &DatabaseOptions,
    depth: u32,
    random: &mut Random,
    what: &str,
) -> u64 {
    storage.record(true);
    open_new(storage, options, true, what);
    storage.record(false);
    let history = storage.history();
    let mut images = 0;
    let mut walk = history.walk();
    loop {
        let mut crashed: Vec<(String, MemoryStorage)> =
            vec![(format!("{what}, killed at {}", walk.at()), walk.killed())];
        let subsets = (0..1_u64 << walk.pending().min(7)).map(Choice::Subset);
        for choice in subsets.chain((0..3).map(|_| Choice::Sampled(random.next()))) {
            crashed.push((format!("{what}, {choice:?} at {}", walk.at()), walk.image(choice)));
        }
        for (what, image) in crashed {
            images += 1;
            // All of the outermost, and some of what is nested.
            if depth > 1 && random.below(if depth == 3 { scaled(3, 1) } else { 40 }) == 0 {
                images += crash(&image, options, depth - 1, random, &what);
            } else {
                open_new(&image, options, true, &what);
            }
        }
        if walk.advance().is_none() {
            return images;
        }
    }
}

#[test]
fn crash_while_it_is_made_leaves_a_new_database() {
    let seed = seed();
    for durability in [Durability::Sync, Durability::Process, Durability::Checkpoint] {
        let options = database(durability, false);
        let storage = MemoryStorage::new();
        let what = format!("{durability:?}, seed {seed}");
        let images = crash(&storage, &options, 3, &mut Random::new(seed), &what);
        println!("{durability:?}: {images} images");
    }
}
