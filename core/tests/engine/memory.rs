//! Little memory: the smallest cache, what is larger than it, and a limit by the system on top. Where the
//! bound cannot be kept the answer is an error, never the end of the process.

use std::process::Command;
use std::time::Duration;

use rshelve_core::Error;
use rshelve_core::base::error::RollbackReason;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::Engine;

use crate::harness::{check_rows, read_all, scaled, table, value_of};

/// Address space for the program, its threads' stacks and what it maps; the cache is 1 MiB of it.
const ADDRESS_SPACE_BYTES: u64 = 192 << 20;

const HELD: &str = "RSHELVE_MEMORY_HELD";

/// Runs the test of this `name` again, in a process of its own under the limit.
fn under_limit(name: &str) {
    let program = std::env::current_exe().expect("this program");
    let limit = format!("--as={ADDRESS_SPACE_BYTES}");
    let outcome = Command::new("prlimit")
        .arg(limit)
        .arg(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(HELD, "1")
        // An arena per thread would take 64 MiB of address space each.
        .env("MALLOC_ARENA_MAX", "1")
        .output();
    let Ok(outcome) = outcome else { return println!("skipped: there is no prlimit") };
    let said = String::from_utf8_lossy(&outcome.stdout);
    let cried = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{}: {said}{cried}", outcome.status);
}

/// Runs the test of this `name` again, in a process of its own, whose memory is nobody else's.
fn alone(name: &str) {
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new(program);
    again.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(HELD, "1");
    let outcome = again.output().expect("it starts");
    let said = String::from_utf8_lossy(&outcome.stdout);
    let cried = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{}: {said}{cried}", outcome.status);
}

/// Resident memory of this process that is no file's, in bytes; none where the system does not say.
fn anonymous_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn is_held() -> bool {
    std::env::var(HELD).is_ok()
}

fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions {
        durability,
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        log_segment_bytes: 1 << 20,
        timeout: Duration::from_millis(200),
        ..DatabaseOptions::default()
    }
}

#[test]
fn transaction_larger_than_the_cache_is_refused_and_rolled_back() {
    if !is_held() {
        return under_limit("memory::transaction_larger_than_the_cache_is_refused_and_rolled_back");
    }
    for durability in [Durability::Sync, Durability::Process, Durability::Checkpoint] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spam");
        let engine = Engine::open(&path, options(durability)).expect("it opens");
        let eggs = engine.create_table("eggs", &table()).expect("a table");
        let mut session = engine.session().expect("a session");
        session.put(&eggs, b"before", b"there").expect("a put");
        session.begin().expect("a begin");
        let refused = (0..1_000_000_u32)
            .find_map(|key| session.put(&eggs, &key.to_be_bytes(), &value_of(900, 1)).err());
        let Some(Error::Rollback { reason: RollbackReason::CacheFull { .. } }) = refused else {
            panic!("{durability:?}: {refused:?}");
        };
        session.rollback().expect("a rollback");
        session.put(&eggs, b"after", b"there").expect("room after the rollback");
        let found = read_all(&mut session, &eggs, false);
        assert_eq!(found.len(), 2, "{durability:?}");
        drop((session, eggs));
        engine.close().expect("a close");
    }
}

#[test]
fn value_larger_than_the_cache_works() {
    if !is_held() {
        return under_limit("memory::value_larger_than_the_cache_works");
    }
    for durability in [Durability::Sync, Durability::Checkpoint] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spam");
        let engine = Engine::open(&path, options(durability)).expect("it opens");
        let eggs = engine.create_table("eggs", &table()).expect("a table");
        let mut session = engine.session().expect("a session");
        for (key, mebibytes) in [(b"a", 3), (b"b", 20), (b"a", 9)] {
            let value = value_of(mebibytes << 20, 5);
            session.put(&eggs, key, &value).expect("a value beyond the cache");
            let same = session.get(&eggs, key, |found| found == value).expect("a read");
            assert_eq!(same, Some(true), "{durability:?}: {mebibytes} MiB");
        }
        drop((session, eggs));
        engine.close().expect("a close");
        let engine = Engine::open(&path, options(durability)).expect("it opens");
        let eggs = engine.table("eggs").expect("a table");
        let mut session = engine.session().expect("a session");
        let len = session.get(&eggs, b"a", <[u8]>::len).expect("a read");
        assert_eq!(len, Some(9 << 20), "{durability:?}");
    }
}

/// More memory than the system gives, asked for by a value: an error of the call that wanted it.
#[test]
fn value_larger_than_memory_is_an_error() {
    if !is_held() {
        return under_limit("memory::value_larger_than_memory_is_an_error");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let engine = Engine::open(&path, options(Durability::Process)).expect("it opens");
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let value = value_of(70 << 20, 5);
    session.put(&eggs, b"large", &value).expect("it is written in pieces");
    session.put(&eggs, b"small", b"there").expect("a put");
    // With this and the value there is no room for a copy of it.
    let taken = value_of(60 << 20, 1);
    let read = session.get(&eggs, b"large", |found| found == value);
    println!("{read:?}, {} bytes beside it", taken.len());
    assert!(read.is_err(), "it fits: {read:?}");
    let small = session.get(&eggs, b"small", <[u8]>::to_vec).expect("reads go on");
    assert_eq!(small, Some(b"there".to_vec()));
    drop(taken);
    let read = session.get(&eggs, b"large", |found| found == value).expect("there is room again");
    assert_eq!(read, Some(true));
}

/// A fill many times the cache, read back, in little memory.
#[test]
fn table_larger_than_memory_is_filled_and_read() {
    if !is_held() {
        return under_limit("memory::table_larger_than_memory_is_filled_and_read");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let engine = Engine::open(&path, options(Durability::Process)).expect("it opens");
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let mut expected = crate::harness::Rows::new();
    for number in 0..25_000_u32 {
        let key = (number.wrapping_mul(2_654_435_761)).to_be_bytes();
        session.put(&eggs, &key, &value_of(900, u64::from(number))).expect("a put");
        if number % 50 == 0 {
            expected.insert(key.to_vec(), value_of(900, u64::from(number)).into());
        }
    }
    assert_eq!(session.rows(&eggs), 25_000);
    let mut found = crate::harness::Rows::new();
    for key in expected.keys() {
        let value = session.get(&eggs, key, <[u8]>::to_vec).expect("a read").expect("a row");
        found.insert(key.clone(), value.into());
    }
    check_rows("25,000 rows", &found, &expected);
    let used = engine.stats().cache_bytes;
    assert!(used <= DatabaseOptions::CACHE_BYTES_LEAST * 11 / 10, "{used} bytes in the cache");
}

/// Random reads fill the heap with references, a scan then page memory with leaves: the process must not hold both.
/// In the long form the references are a third of the cache; the short one only runs the same way.
#[test]
fn what_indexes_leave_in_the_heap_goes_back() {
    if !is_held() {
        return alone("memory::what_indexes_leave_in_the_heap_goes_back");
    }
    const CACHE_BYTES: u64 = 80 << 20;
    let rows: u32 = scaled(60_000, 800_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let open = || {
        let options = DatabaseOptions { cache_bytes_max: CACHE_BYTES, ..Default::default() };
        Engine::open(&path, options).expect("it opens")
    };
    let key = |row: u32| row.wrapping_mul(2_654_435_761).to_be_bytes();
    let engine = open();
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for row in 0..rows {
        session.put(&eggs, &key(row), &[7; 1000]).expect("a put");
    }
    drop((session, eggs));
    engine.close().expect("it closes");
    drop(engine);
    let engine = open();
    let eggs = engine.table("eggs").expect("a table");
    let mut session = engine.session().expect("a session");
    let mut most_bytes = 0;
    let mut sample = |row: u32| {
        if row.is_multiple_of(1000) {
            most_bytes = most_bytes.max(anonymous_bytes().unwrap_or_default());
        }
    };
    for row in 0..rows / 4 {
        sample(row);
        session.get(&eggs, &key(row), |value| assert_eq!(value.len(), 1000)).expect("a read");
    }
    let (mut position, mut seen) = (session.position(), 0);
    while session.next(&eggs, &mut position).expect("a step") {
        sample(seen);
        seen += 1;
    }
    assert_eq!(seen, rows);
    println!("{} MiB", most_bytes >> 20);
    // What the README promises: without the trimming the long form is above it.
    assert!(most_bytes <= CACHE_BYTES * 12 / 10 + (64 << 20), "{most_bytes} bytes are resident");
}
