//! Compaction: how small the file gets, what runs beside it, and what stops it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, OpenMode, TableOptions};
use rshelve_core::engine::{CompactReport, Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;

use crate::audit::unreached_bytes;
use crate::harness::{
    NAME, Random, Rows, check_rows, database, open, read_all, scaled, seed, table, value_of,
};

fn random_bytes(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn options() -> DatabaseOptions {
    DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Checkpoint, false) }
}

fn compact(engine: &Engine) -> CompactReport {
    engine.compact(&mut |_| ControlFlow::Continue(())).expect("a compaction")
}

/// Puts `count` rows with random keys of 24 bytes and random values of 150; says how many bytes
/// they have.
fn fill(session: &mut Session, table: &OpenTable, count: u64, random: &mut Random) -> u64 {
    for _ in 0..count {
        let (key, value) = (random_bytes(random, 24), random_bytes(random, 150));
        session.put(table, &key, &value).expect("a put");
    }
    count * 174
}

#[test]
fn compact_leaves_little_but_the_rows() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options());
    let table = engine.create_table("t", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let mut random = Random::new(seed());
    let raw_bytes = fill(&mut session, &table, 60_000, &mut random);
    let before = read_all(&mut session, &table, false);
    session.release_snapshot();
    let report = compact(&engine);
    let ratio = report.after_bytes as f64 / raw_bytes as f64;
    println!("{report:?}: {ratio:.3} x raw");
    assert!(report.is_complete && report.leaves_merged > 100, "{report:?}");
    assert!(ratio <= 1.08, "{ratio:.3} times the raw bytes after {report:?}");
    check_rows("after a compaction", &read_all(&mut session, &table, false), &before);
    drop((session, table));
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
    let engine = open(&storage, &options());
    let bytes = engine.stats().file_bytes;
    assert!(bytes as f64 <= raw_bytes as f64 * 1.08, "{bytes} bytes after a close");
    let table = engine.table("t").expect("the table");
    let mut session = engine.session().expect("a session");
    check_rows("after a reopening", &read_all(&mut session, &table, false), &before);
}

#[test]
fn compact_stopped_after_any_step_loses_nothing() {
    let mut random = Random::new(seed());
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options());
    let churned = engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    churn(&engine, &mut session, &churned, &mut random);
    let before = read_all(&mut session, &churned, false);
    drop((session, churned));
    engine.close().expect("a close");
    for steps in 1.. {
        let storage = storage.duplicate();
        let engine = open(&storage, &options());
        let mut left = steps;
        let report = engine.compact(&mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.expect("a compaction");
        // As a killed process leaves it, and as a close does.
        let killed = storage.duplicate();
        engine.close().expect("a close");
        for storage in [&storage, &killed] {
            let engine = open(storage, &options());
            let churned = engine.table("t").expect("the table");
            let mut session = engine.session().expect("a session");
            let found = read_all(&mut session, &churned, false);
            check_rows(&format!("after {steps} steps"), &found, &before);
            drop((session, churned));
            engine.close().expect("a close");
        }
        // A kill loses the space of long values that were replaced and not freed yet.
        assert_eq!(unreached_bytes(&storage), 0, "after {steps} steps");
        if report.is_complete {
            assert!(steps > 8, "only {steps} steps in {report:?}");
            break;
        }
    }
}

/// Rows of all sizes, most of them overwritten or removed, with checkpoints in between.
fn churn(engine: &Engine, session: &mut Session, table: &OpenTable, random: &mut Random) {
    for round in 0..6 {
        for number in 0..3000_u64 {
            let key = random.below(6000).to_be_bytes();
            if round > 0 && random.chance(60) {
                session.remove(table, &key).expect("a removal");
                continue;
            }
            let len = if random.chance(3) { 1500 + random.below(9000) } else { random.below(300) };
            session.put(table, &key, &value_of(len as usize, number)).expect("a put");
        }
        engine.checkpoint().expect("a checkpoint");
    }
}

#[test]
fn compact_moves_long_values_too() {
    let mut random = Random::new(seed());
    let storage = MemoryStorage::new();
    let options = database(Durability::Process, false);
    let engine = open(&storage, &options);
    let long = engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..60_u64 {
        let len = if number == 50 { 3 << 20 } else { 20_000 + random.below(90_000) };
        session.put(&long, &number.to_be_bytes(), &value_of(len as usize, number)).expect("a put");
    }
    engine.checkpoint().expect("a checkpoint");
    for number in (0..45_u64).chain(51..58) {
        session.remove(&long, &number.to_be_bytes()).expect("a removal");
    }
    let before = read_all(&mut session, &long, false);
    session.release_snapshot();
    let raw_bytes: usize = before.values().map(|value| value.len()).sum();
    let report = compact(&engine);
    println!("{report:?}, {raw_bytes} bytes of values");
    assert!(report.is_complete);
    assert!(report.after_bytes <= raw_bytes as u64 + (100 << 10), "{report:?} for {raw_bytes}");
    check_rows("after a compaction", &read_all(&mut session, &long, false), &before);
    // What the log says of the moves is replayed like any other write.
    let killed = storage.duplicate();
    drop((session, long));
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
    for storage in [storage, killed] {
        let engine = open(&storage, &options);
        let long = engine.table("t").expect("the table");
        let mut session = engine.session().expect("a session");
        check_rows("opened again", &read_all(&mut session, &long, false), &before);
    }
}

#[test]
fn compact_of_what_another_process_reads_stops_and_says_so() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options());
    let table = engine.create_table("t", &TableOptions::default()).expect("a table");
    let mut session = engine.session().expect("a session");
    let mut random = Random::new(seed());
    fill(&mut session, &table, 40_000, &mut random);
    let before = read_all(&mut session, &table, false);
    session.release_snapshot();
    engine.checkpoint().expect("a checkpoint");
    let reader = MemoryStorage::clone(&storage);
    let read_only = DatabaseOptions { mode: OpenMode::ReadOnly, ..options() };
    let reader = Engine::open_on(Arc::new(reader), NAME, read_only);
    let Ok(reader) = reader else { return };
    let report = compact(&engine);
    assert!(!report.is_complete, "{report:?}");
    let old = reader.table("t").expect("the table");
    let mut old_session = reader.session().expect("a session");
    check_rows("what the reader sees", &read_all(&mut old_session, &old, false), &before);
}

#[test]
fn compact_runs_alone() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options());
    let other = engine.clone();
    let mut refused = None;
    let outcome = engine.compact(&mut |_| {
        refused = Some(other.compact(&mut |_| ControlFlow::Continue(())));
        other.close().expect("a close");
        ControlFlow::Continue(())
    });
    assert!(matches!(refused, Some(Err(Error::Busy { .. }))), "{refused:?}");
    assert!(matches!(outcome, Err(Error::Closed { .. })), "{outcome:?}");
}

/// Writers whose rows lie side by side, and a reader that scans, while one compaction follows the other.
#[test]
fn compact_beside_readers_and_writers_loses_nothing() {
    let seed = seed();
    let storage = MemoryStorage::new();
    let options = DatabaseOptions {
        cache_bytes_max: 16 << 20,
        timeout: Duration::from_secs(10),
        ..database(Durability::Process, true)
    };
    let engine = open(&storage, &options);
    engine.create_table("t", &table()).expect("a table");
    let done = AtomicBool::new(false);
    let (models, compactions) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u8)
            .map(|writer| {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || write_until(engine, writer, seed, done))
            })
            .collect();
        let reader = scope.spawn(|| {
            let table = engine.table("t").expect("the table");
            let mut session = engine.session().expect("a session");
            while !done.load(Relaxed) {
                read_all(&mut session, &table, false);
                session.release_snapshot();
            }
        });
        let end = Instant::now() + Duration::from_secs(scaled(2, 30));
        let mut compactions = 0;
        let mut outcome = Ok(CompactReport::default());
        while Instant::now() < end
            && outcome.is_ok()
            && !writers.iter().any(|writer| writer.is_finished())
        {
            outcome = engine.compact(&mut |_| ControlFlow::Continue(()));
            compactions += 1;
        }
        // The others end before a panic of ours waits for them.
        done.store(true, Relaxed);
        outcome.expect("a compaction");
        reader.join().expect("the reader");
        let models = writers.into_iter().map(|writer| writer.join().expect("a writer"));
        (models.collect::<Vec<Rows>>(), compactions)
    });
    println!("{compactions} compactions");
    let expected: Rows = models.into_iter().flatten().collect();
    let table = engine.table("t").expect("the table");
    let mut session = engine.session().expect("a session");
    check_rows("beside compactions", &read_all(&mut session, &table, false), &expected);
    session.release_snapshot();
    compact(&engine);
    check_rows("after the last one", &read_all(&mut session, &table, true), &expected);
}

/// Writes rows of its own between those of the others until it is told to stop; says what is there.
fn write_until(engine: &Engine, writer: u8, seed: u64, done: &AtomicBool) -> Rows {
    let mut random = Random::new(seed ^ u64::from(writer));
    let table = engine.table("t").expect("the table");
    let mut session = engine.session().expect("a session");
    let mut rows = Rows::new();
    while !done.load(Relaxed) {
        let mut key = random.below(1500).to_be_bytes().to_vec();
        key.push(writer);
        if random.chance(45) {
            let removed = session.remove(&table, &key).expect("a removal");
            assert_eq!(removed, rows.remove(&key).is_some(), "a row came or went");
            continue;
        }
        let len = if random.chance(1) { 1500 } else { random.below(120) };
        let value = value_of(len as usize, random.next());
        session.put(&table, &key, &value).expect("a put");
        rows.insert(key, value.into());
    }
    rows
}
