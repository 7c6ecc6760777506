//! Databases larger than their cache, on real files: everything is found again, and what the engine
//! says that it holds stays within the cache's bound.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Cached, Engine, OpenTable};

use crate::harness::{Random, scaled, seed, value_of};

const CACHE_BYTES: u64 = 4 << 20;
const VALUE_BYTES: usize = 400;

fn options(background: bool) -> DatabaseOptions {
    DatabaseOptions {
        cache_bytes_max: CACHE_BYTES,
        background,
        durability: Durability::Process,
        checkpoint_log_bytes: 4 << 20,
        ..DatabaseOptions::default()
    }
}

#[test]
fn fill_larger_than_the_cache_with_background_threads() {
    check(true, 2);
}

#[test]
fn fill_larger_than_the_cache_without_background_threads() {
    check(false, 1);
}

/// The data file is read through a map, that much is seen in the process's list of maps; it grows under
/// the map, is cut by a compaction, and opened for reading only.
#[test]
fn mapped_data_file_is_read_while_it_grows_and_shrinks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let with_map = DatabaseOptions { map_data: true, ..options(true) };
    let count = 3 * CACHE_BYTES / (VALUE_BYTES as u64 + 20);
    let engine = Engine::open(&path, with_map.clone()).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    for key in keys(seed(), count) {
        session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key)).expect("a put");
    }
    read_back(&engine, &table, keys(1, count).into_iter());
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a list of maps");
    assert!(maps.lines().any(|map| map.ends_with("/spam")), "the file is not mapped");
    for key in 0..count / 2 {
        session.remove(&table, &key.to_be_bytes()).expect("a removal");
    }
    let report =
        engine.compact(&mut |_| std::ops::ControlFlow::Continue(())).expect("a compaction");
    assert!(report.after_bytes < report.before_bytes, "{report:?}");
    read_back(&engine, &table, count / 2..count);
    drop((session, table));
    engine.close().expect("a close");
    let mode = rshelve_core::base::options::OpenMode::ReadOnly;
    let engine = Engine::open(&path, DatabaseOptions { mode, ..with_map }).expect("it opens");
    let table = engine.table("main").expect("a table");
    read_back(&engine, &table, count / 2..count);
}

/// A cache that pages go through holds pages: not room that others have left, and that is not free to go. The
/// leaves are of many sizes, as splits leave them.
#[test]
fn cache_that_is_full_holds_rows() {
    const CACHE: u64 = 64 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let wide =
        DatabaseOptions { cache_bytes_max: CACHE, checkpoint_log_bytes: CACHE, ..options(true) };
    let engine = Engine::open(&path, wide).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let (value, seed) = (value_of(1000, 1), seed());
    let count = 2 * CACHE / value.len() as u64;
    for key in keys(seed, count) {
        session.put(&table, &key.to_be_bytes(), &value).expect("a put");
    }
    // As many reads again as there are rows, so that what the writes left behind is gone.
    for key in keys(seed + 1, count) {
        session.get(&table, &key.to_be_bytes(), |_| ()).expect("a get").expect("a row");
    }
    let mut is_here = |key: &u64| {
        let found = session.get_cached(&table, &key.to_be_bytes(), |_| ()).expect("a look");
        matches!(found, Cached::Found(()))
    };
    let rows_here = (0..count).filter(&mut is_here).count() as u64;
    let bytes_here = rows_here * value.len() as u64;
    assert!(bytes_here > CACHE / 8 * 5, "{} KiB of rows are in the cache", bytes_here >> 10);
}

/// Tables whose pages have other sizes come and go: what one table's pages leave behind is of no use to the
/// next one's, and counts all the same.
#[test]
fn leaf_sizes_that_change_keep_the_bound() {
    const CACHE: u64 = 64 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let wide =
        DatabaseOptions { cache_bytes_max: CACHE, checkpoint_log_bytes: CACHE, ..options(true) };
    let engine = Engine::open(&folder.path().join("spam"), wide).expect("it opens");
    let (seed, value) = (seed(), value_of(VALUE_BYTES, 1));
    watched(&engine, 1, |_| {
        let mut session = engine.session().expect("a session");
        for leaf_kib in [16, 4, 32, 8, 64] {
            let sized = TableOptions::default().leaf_bytes_max(leaf_kib << 10);
            let table = engine.create_table(&leaf_kib.to_string(), &sized).expect("a table");
            let count = scaled(1, 2) * CACHE / VALUE_BYTES as u64;
            for key in keys(seed ^ u64::from(leaf_kib), count) {
                session.put(&table, &key.to_be_bytes(), &value).expect("a put");
            }
        }
    });
}

/// A snapshot holds what was written since, until the cache is full of that: an error then, within the bound, and the
/// snapshot still reads what it saw. When it ends, writes go on.
#[test]
fn snapshot_that_fills_the_cache_keeps_the_bound() {
    const CACHE: u64 = 64 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let wide = DatabaseOptions {
        cache_bytes_max: CACHE,
        timeout: Duration::from_millis(50),
        ..options(true)
    };
    let engine = Engine::open(&folder.path().join("spam"), wide).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let (seed, count) = (seed(), CACHE / 2 / VALUE_BYTES as u64);
    let mut session = engine.session().expect("a session");
    for key in keys(seed, count) {
        session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key)).expect("a put");
    }
    let mut reader = engine.session().expect("a session");
    reader.begin().expect("a begin");
    let is_old = |key: u64| move |value: &[u8]| value == value_of(VALUE_BYTES, key);
    assert_eq!(reader.get(&table, &0_u64.to_be_bytes(), is_old(0)).expect("a get"), Some(true));
    watched(&engine, 1, |_| {
        let mut session = engine.session().expect("a session");
        let newer = value_of(VALUE_BYTES, count);
        let refused = (0..20)
            .flat_map(|round| keys(seed + round, count))
            .find_map(|key| session.put(&table, &key.to_be_bytes(), &newer).err());
        let reason = refused.expect("the cache is full at last").to_string();
        assert!(reason.contains("cache"), "{reason}");
    });
    for key in (0..count).step_by(16) {
        let found = reader.get(&table, &key.to_be_bytes(), is_old(key)).expect("a get");
        assert_eq!(found, Some(true), "key {key}");
        let held = engine.stats().cache_bytes;
        assert!(held <= CACHE / 10 * 11, "the cache holds {held} bytes beside a reader");
    }
    reader.rollback().expect("a rollback");
    session.put(&table, b"after", b"it").expect("a put");
}

/// One row of each leaf is read again and again: the rows fit the cache, and their leaves are five times as much. They are
/// read from memory, and when they change or go, that is what is read.
#[test]
fn rows_that_are_read_stay_and_their_leaves_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(&folder.path().join("spam"), options(false)).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let count = 6 * CACHE_BYTES / VALUE_BYTES as u64;
    for key in 0..count {
        session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key)).expect("a put");
    }
    let (seed, wanted): (u64, Vec<u64>) = (seed(), (0..count).step_by(30).collect());
    let mut blocks_read = 0;
    for round in 0..8 {
        let before = engine.stats();
        read_back(
            &engine,
            &table,
            keys(seed + round, wanted.len() as u64).into_iter().map(|at| wanted[at as usize]),
        );
        let after = engine.stats();
        blocks_read = after.blocks_read - before.blocks_read;
    }
    assert!(
        blocks_read < wanted.len() as u64 / 20,
        "{blocks_read} blocks were read for {} rows",
        wanted.len()
    );
    assert!(engine.stats().remnant_reads > 0);
    let (changed, gone) = (wanted.iter().step_by(3), wanted.iter().skip(1).step_by(3));
    for key in changed.clone() {
        session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key + 1)).expect("a put");
    }
    for key in gone.clone() {
        assert!(session.remove(&table, &key.to_be_bytes()).expect("a removal"));
    }
    for _ in 0..4 {
        for (at, key) in wanted.iter().enumerate() {
            let value = session.get(&table, &key.to_be_bytes(), <[u8]>::to_vec).expect("a get");
            let expected = match at % 3 {
                0 => Some(value_of(VALUE_BYTES, key + 1)),
                1 => None,
                _ => Some(value_of(VALUE_BYTES, *key)),
            };
            assert!(value == expected, "key {key}");
        }
    }
}

/// Where rows are read alone, since some are read again and again, who reads one after the other reads their leaf twice at
/// most: for the first row, then for the others.
#[test]
fn rows_that_are_read_in_order_bring_their_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(&folder.path().join("spam"), options(false)).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let count = 6 * CACHE_BYTES / VALUE_BYTES as u64;
    for key in 0..count {
        session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key)).expect("a put");
    }
    let hot: Vec<u64> = (0..count).step_by(300).collect();
    let mut random = Random::new(seed());
    let before = engine.stats();
    let mut reads = 0;
    while engine.stats().rows_read_alone < count / 20 {
        let is_hot = random.below(4) > 0;
        let key =
            if is_hot { hot[random.below(hot.len() as u64) as usize] } else { random.below(count) };
        let value = session.get(&table, &key.to_be_bytes(), <[u8]>::to_vec).expect("a get");
        assert!(value == Some(value_of(VALUE_BYTES, key)), "key {key}");
        reads += 1;
        assert!(reads < 20 * count, "rows are not read alone");
    }
    let after = engine.stats();
    assert!(after.rows_read_alone < after.blocks_read - before.blocks_read);
    read_back(&engine, &table, 0..count);
    let blocks_read = engine.stats().blocks_read - after.blocks_read;
    assert!(blocks_read < count / 20, "{blocks_read} blocks were read for {count} rows in order");
}

/// The keys of one thread in an order that looks random: each of `0..count` once.
fn keys(seed: u64, count: u64) -> Vec<u64> {
    let mut keys: Vec<u64> = (0..count).collect();
    let mut random = Random::new(seed);
    for index in (1..keys.len()).rev() {
        keys.swap(index, random.below(index as u64 + 1) as usize);
    }
    keys
}

fn check(background: bool, threads: u64) {
    let seed = seed();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    // At least five times the cache, many times in the long form.
    let count = scaled(6, 40) * CACHE_BYTES / (VALUE_BYTES as u64 + 20) / threads;
    fill(&path, background, threads, seed, count);
    let engine = Engine::open(&path, options(background)).expect("it opens");
    let table = engine.table("main").expect("a table");
    let bytes = std::fs::metadata(&path).expect("a file").len();
    assert!(bytes > 5 * CACHE_BYTES, "{bytes} bytes are not larger than the cache");
    watched(&engine, threads, |thread| {
        let order = keys(seed.rotate_left(7) ^ thread, count);
        read_back(&engine, &table, order.into_iter().map(|key| key * threads + thread));
    });
    let rows = engine.session().expect("a session").rows(&table);
    assert_eq!(rows, count * threads);
    drop(table);
    engine.close().expect("a close");
}

fn fill(path: &Path, background: bool, threads: u64, seed: u64, count: u64) {
    let engine = Engine::open(path, options(background)).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("a table");
    watched(&engine, threads, |thread| {
        let mut session = engine.session().expect("a session");
        for key in keys(seed ^ thread, count) {
            let key = key * threads + thread;
            session.put(&table, &key.to_be_bytes(), &value_of(VALUE_BYTES, key)).expect("a put");
        }
    });
    drop(table);
    engine.close().expect("a close");
}

/// Reads every key.
fn read_back(engine: &Engine, table: &OpenTable, keys: impl Iterator<Item = u64>) {
    let mut session = engine.session().expect("a session");
    for key in keys {
        let is_right = |value: &[u8]| value == value_of(VALUE_BYTES, key);
        let found = session.get(table, &key.to_be_bytes(), is_right).expect("a get");
        assert_eq!(found, Some(true), "key {key}");
    }
}

/// Runs `work` on so many threads, and looks at the cache all the while.
fn watched(engine: &Engine, threads: u64, work: impl Fn(u64) + Sync) {
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !done.load(SeqCst) {
                most = most.max(engine.stats().cache_bytes);
                std::thread::yield_now();
            }
            most
        });
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || work(thread))
            })
            .collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, SeqCst);
        outcomes.into_iter().for_each(|outcome| outcome.expect("a worker"));
        watcher.join().expect("the watcher")
    });
    let size = engine.tuning().cache_bytes_max;
    eprintln!("the cache of {size} bytes held {most} at most");
    let bound = size + size / 10;
    assert!(most <= bound, "the cache held {most} bytes, and may hold {bound}");
    assert!(most > size / 2, "the cache held only {most} bytes: too little was done");
}
