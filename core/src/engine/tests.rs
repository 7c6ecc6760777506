//! Tests of an engine's parts together, in memory, where unit tests of the parts cannot reach.

use std::time::{Duration, Instant};

use super::compact::move_leaves;
use super::verify_on;
use super::{Engine, Isolation};
use crate::base::error::{Error, RollbackReason};
use crate::base::options::{DatabaseOptions, KEY_BYTES_MAX, OpenMode, TableOptions};
use crate::block::{Destination, Extent};
use crate::btree::{Fold, Landing, Prepared, Target, Writer};
use crate::io::memory::MemoryStorage;
use crate::io::{OpenHow, Storage};
use crate::sync::Arc;

const ROWS: u32 = 2000;
pub(crate) const NAME: &str = "spam";

fn open(storage: &MemoryStorage, mode: OpenMode) -> Engine {
    let options = DatabaseOptions { mode, background: false, ..DatabaseOptions::default() };
    Engine::open_on(Arc::new(storage.clone()), NAME, options).expect("it opens")
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

/// Rows of which three fill a leaf lie three to a leaf, in whichever order they come: a fourth would take a second
/// frame for its few bytes.
#[test]
fn leaves_are_no_larger_than_they_may_be() {
    let table = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let in_order = |number: u32| number.to_be_bytes();
    let shuffled = |number: u32| number.wrapping_mul(0x9E37_79B1).to_be_bytes();
    let orders: [&dyn Fn(u32) -> [u8; 4]; 2] = [&in_order, &shuffled];
    for (key, part_full) in orders.into_iter().zip([0.7, 0.5]) {
        let storage = MemoryStorage::new();
        let engine = open(&storage, OpenMode::Create);
        let table = engine.create_table("main", &table).expect("the table is created");
        let mut session = engine.session().expect("a session opens");
        for number in 0..ROWS {
            session.put(&table, &key(number), &[1; 1010]).expect("the row is stored");
        }
        engine.checkpoint().expect("the checkpoint ends");
        let used_bytes = engine.inner.shared.blocks.space_use().used_bytes as f64;
        let full = f64::from(ROWS) * 1010.0 / used_bytes;
        assert!(full > part_full, "{full} of the space is values");
    }
}

/// A checkpoint in the background rests between its batches. It comes to its end all the same, with a log that
/// may grow for ever too; and who makes a table meanwhile does not wait for its rests.
#[test]
fn background_checkpoint_comes_to_its_end() {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions {
        cache_bytes_max: 64 << 20,
        checkpoint_log_bytes: u64::MAX,
        checkpoint_interval: Duration::from_millis(1),
        ..DatabaseOptions::default()
    };
    let engine = Engine::open_on(Arc::new(storage), NAME, options).expect("it opens");
    let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let main = engine.create_table("main", &small).expect("the table is created");
    let mut session = engine.session().expect("a session opens");
    let start = Instant::now();
    for round in 0.. {
        for number in 0..ROWS {
            session.put(&main, &number.to_be_bytes(), &[1; 900]).expect("the row is stored");
        }
        let name = format!("table {round}");
        engine.create_table(&name, &small).expect("another table is created");
        if engine.stats().checkpoints > 2 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint ends");
    }
    drop((session, main));
    engine.close().expect("it closes");
}

/// A compaction finds pages in one step and copies them in another. Between the two checkpoints may be made,
/// and the pages' space be used again: that it was read all the same was taken for damage.
#[test]
fn pages_to_be_moved_may_have_gone_when_they_are_copied() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, OpenMode::Create);
    let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let main = engine.create_table("main", &small).expect("the table is created");
    let mut session = engine.session().expect("a session opens");
    let mut fill = |fill: u8| {
        for number in 0..ROWS {
            session.put(&main, &number.to_be_bytes(), &[fill; 100]).expect("the row is stored");
        }
        engine.checkpoint().expect("a checkpoint");
    };
    fill(1);
    // A checkpoint's own pages are fresh no more once the next one has begun.
    engine.inner.checkpoint_now().expect("a checkpoint");
    let mut pages = Vec::new();
    let everywhere = Extent { offset: 0, len: 1 << 40 };
    let tree = main.tree();
    tree.pages_within(&[], everywhere, &mut |page| pages.push(page)).expect("pages in memory");
    pages.retain(|page| page.level == 0);
    assert!(pages.len() > 10 && pages.iter().all(|page| tree.is_still_there(page)));
    (2..6).for_each(&mut fill);
    let moved = move_leaves(tree, &pages, Destination::Below).expect("nothing is damaged");
    assert_eq!(moved, 0);
    pages.clear();
    engine.inner.checkpoint_now().expect("a checkpoint");
    tree.pages_within(&[], everywhere, &mut |page| pages.push(page)).expect("pages in memory");
    pages.retain(|page| page.level == 0);
    assert!(move_leaves(tree, &pages, Destination::End).expect("nothing is damaged") > 0);
    assert!(!pages.iter().any(|page| tree.is_still_there(page)), "they were moved");
}

/// Small enough for Miri: leaves that split, a log, eviction and a checkpoint beside two writers, a close.
#[test]
fn rows_of_two_threads_outlive_eviction_and_a_close() {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        log_segment_bytes: 64 << 10,
        background: false,
        ..DatabaseOptions::default()
    };
    let open = || {
        let storage = Arc::new(storage.clone());
        Engine::open_on(storage, NAME, options.clone()).expect("it opens")
    };
    let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let key = |thread: u32, number: u32| (number * 2 + thread).to_be_bytes();
    let engine = open();
    let table = engine.create_table("main", &small).expect("the table is created");
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (engine, table) = (&engine, &table);
            scope.spawn(move || {
                let mut session = engine.session().expect("a session opens");
                for number in 0..6 {
                    session.put(table, &key(thread, number), &[7; 500]).expect("it is stored");
                }
            });
        }
        engine.inner.evict_step().expect("a step of eviction");
        engine.checkpoint().expect("a checkpoint");
        engine.inner.evict_step().expect("a step of eviction");
    });
    drop(table);
    engine.close().expect("it closes");
    let engine = open();
    let table = engine.table("main").expect("the table is there");
    let mut session = engine.session().expect("a session opens");
    assert_eq!(session.rows(&table), 12);
    for (thread, number) in (0..6).flat_map(|number| [(0, number), (1, number)]) {
        let found = session.get(&table, &key(thread, number), <[u8]>::to_vec);
        assert_eq!(found.expect("it is read"), Some(vec![7; 500]));
    }
}

/// Eviction builds a changed leaf again, and what it becomes leaves memory: all of it, or nothing is built.
#[test]
fn leaf_that_is_built_again_for_eviction_leaves() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let small = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    let table = engine.create_table("main", &small).expect("it is created");
    let mut writer = engine.session().expect("a session opens");
    let mut put = |keys: std::ops::Range<u32>| {
        for key in keys {
            writer.put(&table, &key.to_be_bytes(), &[7; 500]).expect("it is stored");
        }
    };
    put(0..6);
    engine.checkpoint().expect("a checkpoint");
    let mut reader = engine.session().expect("a session opens");
    reader.begin().expect("it begins");
    reader.get(&table, b"", |_| ()).expect("it has its snapshot");
    put(6..9);
    let counted = || engine.stats();
    let before = counted();
    let round = || {
        while !engine.inner.evict_step().expect("a step of eviction").went_round {}
    };
    let tree = table.tree();
    let mut pin = tree.shared().new_pin();
    assert!(tree.find_leaf_in_cache(Target::Last, &mut pin));
    let prepared = tree.prepare_leaf(pin, Writer::Eviction, Fold::ToWhole);
    assert!(matches!(prepared, Ok(Prepared::Held)));
    assert_eq!(counted().pages_rebuilt, before.pages_rebuilt, "it has to stay");
    (0..40).for_each(|_| round());
    assert_eq!(
        counted().pages_rebuilt - before.pages_rebuilt,
        1,
        "once, as nothing else can leave"
    );
    reader.rollback().expect("it ends");
    while counted().pages_written_by_eviction == before.pages_written_by_eviction {
        round();
    }
    let after = counted();
    assert_eq!(after.pages_written_by_eviction - before.pages_written_by_eviction, 2);
}

/// Cursors may keep their pages for long. Who reads what is in memory does not wait for that.
#[test]
fn reads_beside_parked_cursors_do_not_sleep() {
    let options = DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        background: false,
        ..DatabaseOptions::default()
    };
    let storage = MemoryStorage::new();
    let engine = Engine::open_on(Arc::new(storage), NAME, options).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut session = engine.session().expect("a session opens");
    for key in 0..ROWS {
        session.put(&table, &key.to_be_bytes(), &[7; 2000]).expect("it is stored");
    }
    let mut parked = Vec::new();
    for key in (0..ROWS).step_by(10) {
        let mut reader = engine.session().expect("a session opens");
        let mut position = reader.position();
        reader.seek(&table, &mut position, &key.to_be_bytes()).expect("a seek");
        parked.push((reader, position));
    }
    let cache = &engine.inner.shared.cache;
    assert!(cache.bytes_used() > cache.bytes_max(), "{}", cache.bytes_used());
    let start = Instant::now();
    for _ in 0..2000 {
        session.get(&table, &0_u32.to_be_bytes(), |_| ()).expect("it is read").expect("a row");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

fn changes(keys: impl Iterator<Item = u32>, value: u8) -> Vec<([u8; 4], Option<[u8; 1]>)> {
    keys.map(|key| (key.to_be_bytes(), Some([value]))).collect()
}

fn read(engine: &Engine, key: u32) -> Option<Vec<u8>> {
    let table = engine.table("main").expect("the table is there");
    let mut session = engine.session().expect("a session opens");
    session.get(&table, &key.to_be_bytes(), <[u8]>::to_vec).expect("it is read")
}

/// A file that is empty, such as a killed creation leaves, is a new database for who would create one
/// anyway; who would open an existing one learns that there is none, and the file stays as it is.
#[test]
fn empty_file_is_a_database_only_for_who_creates() {
    let storage = MemoryStorage::new();
    storage.open(NAME, OpenHow::CreateNew { mode: 0o666 }).expect("an empty file");
    for mode in [OpenMode::Existing, OpenMode::ReadOnly] {
        let options = DatabaseOptions { mode, ..DatabaseOptions::default() };
        let refused = Engine::open_on(Arc::new(storage.clone()), NAME, options).unwrap_err();
        assert!(matches!(refused, Error::Missing { .. }), "{mode:?}: {refused:?}");
        assert!(refused.to_string().contains("the file is empty"), "{refused}");
        let file = storage.open(NAME, OpenHow::ReadOnly).expect("it is there");
        assert_eq!(file.len().expect("its length"), 0, "{mode:?}");
    }
    open(&storage, OpenMode::Create).close().expect("it closes");
    open(&storage, OpenMode::Existing).close().expect("it is one now");
}

/// It once gave up after 64 tries in a row, each on a snapshot that the next write made too old.
#[test]
fn batch_waits_for_a_transaction_and_follows_it() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut first = engine.session().expect("a session opens");
    first.begin().expect("it begins");
    first.put(&table, &7_u32.to_be_bytes(), &[1]).expect("it is written");
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| {
            let mut session = engine.session().expect("a session opens");
            session.apply(&table, &changes(0..10, 2))
        });
        while engine.stats().conflicts == 0 {
            std::thread::yield_now();
        }
        assert_eq!(read(&engine, 0), None, "nothing of the batch shows before its end");
        first.commit().expect("it commits");
        batch.join().expect("no panic").expect("the batch is applied");
    });
    assert_eq!(read(&engine, 0), Some(vec![2]));
    assert_eq!(read(&engine, 7), Some(vec![2]), "the batch came second");
}

#[test]
fn batch_that_waited_too_long_leaves_nothing() {
    let options = DatabaseOptions {
        background: false,
        timeout: Duration::from_millis(20),
        ..DatabaseOptions::default()
    };
    let storage = Arc::new(MemoryStorage::new());
    let engine = Engine::open_on(storage, "spam", options).expect("it opens");
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut first = engine.session().expect("a session opens");
    first.begin().expect("it begins");
    first.put(&table, &7_u32.to_be_bytes(), &[1]).expect("it is written");
    let mut session = engine.session().expect("a session opens");
    let outcome = session.apply(&table, &changes(0..10, 2));
    assert!(
        matches!(outcome, Err(Error::Rollback { reason: RollbackReason::TimedOut(_) })),
        "{outcome:?}"
    );
    first.commit().expect("it commits");
    assert_eq!(session.rows(&table), 1);
    assert_eq!(read(&engine, 0), None);
}

#[test]
fn batch_inside_a_transaction_is_a_part_of_it() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut session = engine.session().expect("a session opens");
    session.begin().expect("it begins");
    session.apply(&table, &changes(0..1000, 1)).expect("it is written");
    let long = vec![0; KEY_BYTES_MAX + 1];
    let refused = session.apply(&table, &[(&b"k"[..], Some(b"v")), (&long, Some(b"v"))]);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!((session.rows(&table), read(&engine, 0)), (1000, None));
    session.commit().expect("nothing of what was refused was done");
    session.begin().expect("it begins");
    session.apply(&table, &changes(500..1500, 2)).expect("it is written");
    session.rollback().expect("it is rolled back");
    assert_eq!((session.rows(&table), read(&engine, 500)), (1000, Some(vec![1])));
}

#[test]
fn batch_that_conflicts_inside_a_transaction_fails_it() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let [mut first, mut second] = [(); 2].map(|()| engine.session().expect("a session opens"));
    first.begin().expect("it begins");
    second.begin().expect("it begins");
    first.put(&table, &7_u32.to_be_bytes(), &[1]).expect("it is written");
    let outcome = second.apply(&table, &changes(0..10, 2));
    assert!(matches!(outcome, Err(Error::Rollback { .. })), "{outcome:?}");
    assert!(second.commit().is_err(), "a part of the batch is no transaction");
    first.commit().expect("it commits");
    assert_eq!((first.rows(&table), read(&engine, 0)), (1, None));
}

#[test]
fn weak_session_applies_no_batch() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut session = engine.session().expect("a session opens");
    session.begin_with(Isolation::ReadCommitted).expect("it begins");
    let refused = session.apply(&table, &changes(0..10, 2));
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    session.rollback().expect("it ends");
}

/// Two batches over the same keys in opposite orders wait for each other; neither may fail.
#[test]
fn batches_in_opposite_orders_all_end() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let apply = |batch: &[([u8; 4], Option<[u8; 1]>)]| {
        let mut session = engine.session().expect("a session opens");
        (0..20).try_for_each(|_| session.apply(&table, batch))
    };
    std::thread::scope(|scope| {
        let up = scope.spawn(|| apply(&changes(0..500, 1)));
        let down = scope.spawn(|| apply(&changes((0..500).rev(), 2)));
        up.join().expect("no panic").expect("all are applied");
        down.join().expect("no panic").expect("all are applied");
    });
    let last = read(&engine, 0);
    assert!((0..500).all(|key| read(&engine, key) == last), "the last batch is whole");
    let session = engine.session().expect("a session opens");
    assert_eq!(session.rows(&table), 500);
}

/// A database whose table "main" had keys 0 and 1, short and long, and lost them again before they were filled
/// in bulk; and whose log is replayed from in front of all that, because a thread had registered a commit and
/// went no further. Killed then, with a row put behind the load: each key's value is 2 then, and 3 that of key 2.
pub(crate) fn killed_behind_a_load() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let engine = open(&storage, OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let mut session = engine.session().expect("a session opens");
    let stalled = engine.inner.committer.log().expect("there is a log").register();
    for (key, len) in [(0_u32, 10), (1, 100_000)] {
        session.put(&table, &key.to_be_bytes(), &vec![1; len]).expect("it is put");
        assert!(session.remove(&table, &key.to_be_bytes()).expect("it is removed"));
    }
    let mut load = session.bulk(&table).expect("it is empty");
    (0_u32..2).for_each(|key| load.insert(&key.to_be_bytes(), &[2]).expect("a row"));
    assert_eq!(load.finish().expect("the rows are durable"), 2);
    session.put(&table, &2_u32.to_be_bytes(), &[3]).expect("it is put");
    let killed = storage.duplicate();
    drop(stalled);
    killed
}

#[test]
fn changes_from_before_a_bulk_load_are_not_replayed_over_it() {
    let killed = killed_behind_a_load();
    let rows = |engine: &Engine| [0, 1, 2].map(|key| read(engine, key));
    let expected = [Some(vec![2]), Some(vec![2]), Some(vec![3])];

    let engine = open(&killed, OpenMode::Existing);
    assert_eq!(rows(&engine), expected, "recovered");
    engine.close().expect("it closes");
    let report = verify_on(Arc::new(killed), NAME, &mut |_| Ok(())).expect("it is verified");
    assert!(report.is_clean() && report.unreached.is_empty(), "{report}");
}

/// Positions of a log that was taken away are used again: what counted from one of them counts from the
/// beginning of the next log.
#[test]
fn changes_behind_a_bulk_load_count_when_its_log_is_gone() {
    let killed = killed_behind_a_load();
    for log in killed.names().iter().filter(|name| name.contains("-wal")) {
        killed.remove(log).expect("it is removed");
    }
    let engine = open(&killed, OpenMode::Existing);
    let table = engine.table("main").expect("the table is there");
    let mut session = engine.session().expect("a session opens");
    session.put(&table, &0_u32.to_be_bytes(), &[4]).expect("it is put");
    let again = killed.duplicate();
    assert_eq!(read(&open(&again, OpenMode::Existing), 0), Some(vec![4]));
}

/// Readers who have to look through a leaf's changes again and again have it folded, by search and by walk;
/// what an open transaction holds back is not tried again with every read.
#[test]
fn leaves_are_folded_for_who_reads_them() {
    let engine = open(&MemoryStorage::new(), OpenMode::Create);
    let table = engine.create_table("main", &TableOptions::default()).expect("it is created");
    let (mut writer, mut reader) = (engine.session().expect("one"), engine.session().expect("two"));
    let mut at = reader.position();
    let mut read_all = |looks: u32| {
        let before = engine.stats().pages_rebuilt;
        for key in (0..looks).map(|number| (number % 10).to_be_bytes()) {
            assert!(reader.get(&table, &key, |_| ()).expect("it is read").is_some());
            assert!(reader.find(&table, &mut at, &key).expect("it is found"));
            assert_eq!(reader.seek(&table, &mut at, &key).expect("it is found"), Landing::Exact);
            assert_eq!(at.key(), Some(&key[..]));
            let has_next = reader.next(&table, &mut at).expect("it goes on");
            assert_eq!(has_next, key != 9_u32.to_be_bytes());
        }
        at.reset();
        reader.release_snapshot();
        engine.stats().pages_rebuilt - before
    };
    (0..10_u32).for_each(|key| writer.put(&table, &key.to_be_bytes(), &[1]).expect("it is put"));
    assert_eq!((read_all(5), read_all(100), read_all(1000)), (0, 1, 0));

    writer.begin().expect("it begins");
    writer.put(&table, &3_u32.to_be_bytes(), &[2]).expect("it is put");
    assert_eq!((read_all(5), read_all(100), read_all(1000)), (0, 1, 0));
    writer.commit().expect("it commits");
    writer.put(&table, &3_u32.to_be_bytes(), &[3]).expect("it is put");
    assert_eq!((read_all(100), read_all(1000)), (1, 0));
    assert_eq!(read(&engine, 3), Some(vec![3]));
}
