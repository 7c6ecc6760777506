//! Compaction: how small the file gets, what runs beside it, and what stops it.

use std::ops::ControlFlow;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{CompactReport, Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;

use crate::audit::unreached_bytes;
use crate::harness::{Random, Rows, check_rows, database, open, read_all, seed, value_of};

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
