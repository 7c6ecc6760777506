//! Salvage: every record in every leaf that can still be read, and a report of what is lost.

use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::{Compression, DatabaseOptions, Durability};
use rshelve_core::block::BlockKind;
use rshelve_core::engine::{Engine, verify_on};
use rshelve_core::io::Storage;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::salvage::{Report, salvage_on};

use crate::exercise::Figures;
use crate::harness::{
    NAME, Random, Tables, database, key, open_existing, read_everything, sample, scaled, seed,
    small_pages, value,
};
use crate::surgery::Patient;

/// Salvages what is in `storage`: the report, and what the new database holds.
fn salvaged(storage: &MemoryStorage) -> rshelve_core::Result<(Report, Tables)> {
    let new = MemoryStorage::new();
    let (old, to): (Arc<dyn Storage>, Arc<dyn Storage>) =
        (Arc::new(storage.clone()), Arc::new(new.clone()));
    let before = storage.peek(NAME);
    let report = salvage_on(&old, NAME, &to, NAME, &mut |_| Ok(()))?;
    assert_eq!(storage.peek(NAME), before, "the damaged file was changed");
    let verified = verify_on(to, NAME, &mut |_| Ok(()))?;
    assert!(verified.is_clean() && verified.unreached_bytes() == 0, "{verified}");
    assert_eq!(new.names(), [NAME], "sidecars of the new database");
    let engine = open_existing(&new, Durability::Checkpoint)?;
    Ok((report, read_everything(&engine)?))
}

fn whole(storage: &MemoryStorage) -> (Report, Tables) {
    salvaged(storage).unwrap_or_else(|error| panic!("nothing is salvaged: {error}"))
}

/// Every row that was found was there, and how many were not found.
fn missing(found: &Tables, expected: &Tables, report: &Report) -> u64 {
    let mut missing = 0;
    for (name, rows) in expected {
        let Some(found) = found.get(name) else {
            missing += rows.len() as u64;
            continue;
        };
        for (key, value) in rows {
            match found.get(key) {
                Some(there) => assert!(there == value, "{name}: a value that never was\n{report}"),
                None => missing += 1,
            }
        }
    }
    missing
}

/// Rows that were found and should not be there: deleted ones that came back.
fn ghosts(found: &Tables, expected: &Tables) -> usize {
    let extra = |(name, rows): (&String, &crate::harness::Rows)| {
        let expected = expected.get(name);
        rows.keys().filter(|key| expected.is_none_or(|rows| !rows.contains_key(*key))).count()
    };
    found.iter().map(extra).sum()
}

#[test]
fn salvage_of_a_whole_database_is_all_of_it() {
    let (storage, tables) = sample();
    let (report, found) = whole(&storage);
    assert!(report.is_whole(), "{report}");
    assert_eq!(found, tables);
    let rows: u64 = tables.values().map(|rows| rows.len() as u64).sum();
    assert_eq!((report.rows(), report.rows_lost()), (rows, 0));
}

#[test]
fn salvage_refuses_what_is_in_its_way() {
    let (storage, _) = sample();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let there = salvage_on(&storage, NAME, &storage, NAME, &mut |_| Ok(()));
    assert!(matches!(there, Err(Error::Exists { .. })), "{there:?}");
    let foreign = MemoryStorage::new();
    foreign.plant(NAME, b"SQLite format 3\0 and so on");
    assert!(matches!(salvaged(&foreign), Err(Error::Foreign { .. })));
    let engine = Engine::open_on(Arc::clone(&storage), NAME, database(Durability::Checkpoint));
    let engine = engine.expect("it opens");
    let new: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let busy = salvage_on(&storage, NAME, &new, NAME, &mut |_| Ok(()));
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    engine.close().expect("room");
}

/// Each block in turn is lost: at most the rows of that block are, and the report says how many.
#[test]
fn salvage_loses_no_more_than_what_is_damaged() {
    let (storage, tables) = sample();
    let patient = Patient::of(&storage);
    let mut lost_in_all = 0;
    for node in &patient.nodes {
        let mut damaged = patient.clone();
        damaged.bytes[node.range().start + 33] ^= 0xff;
        let (report, found) = whole(&damaged.storage());
        let missing = missing(&found, &tables, &report);
        lost_in_all += missing;
        match node.kind {
            BlockKind::FreeList | BlockKind::CheckpointList => {
                assert_eq!((missing, ghosts(&found, &tables)), (0, 0))
            }
            // All leaves are still there.
            BlockKind::Internal => {
                assert_eq!((missing, ghosts(&found, &tables)), (0, 0), "{node:?}\n{report}");
                assert!(!report.is_whole(), "{report}");
            }
            BlockKind::Leaf if node.table.is_none() => {
                // The catalog's only leaf: names may be lost, rows not.
                assert!(!report.remarks.is_empty(), "{report}");
            }
            BlockKind::Leaf | BlockKind::Overflow | BlockKind::OverflowList => {
                assert!(!report.is_whole(), "{node:?}\n{report}");
                let stale: u64 = report.tables.iter().map(|table| table.rows_stale).sum();
                assert!(missing <= report.rows_lost(), "{node:?}\n{report}");
                assert!(ghosts(&found, &tables) as u64 <= stale, "{node:?}\n{report}");
                if stale == 0 {
                    assert_eq!(report.rows_lost(), missing, "{node:?}\n{report}");
                }
            }
        }
    }
    assert!(lost_in_all > 0, "some rows must have been lost");
}

#[test]
fn salvage_does_without_superblocks_and_catalog() {
    let (storage, tables) = sample();
    let mut bytes = storage.peek(NAME).expect("it is there");
    // Both slots.
    bytes[4096..8704].fill(0);
    let headless = MemoryStorage::new();
    headless.plant(NAME, &bytes);
    let (report, found) = whole(&headless);
    println!("{report}");
    assert_eq!(missing(&found, &tables, &report), 0, "{report}");
    // And every leaf of the catalog.
    let patient = Patient::of(&storage);
    for node in patient.nodes.iter().filter(|node| node.table.is_none()) {
        bytes[node.range()].fill(0);
    }
    headless.plant(NAME, &bytes);
    let (report, found) = whole(&headless);
    println!("{report}");
    // An older catalog's leaf may be left; otherwise the tables have lost their names.
    let rows: usize = found.values().map(|rows| rows.len()).sum();
    let expected: usize = tables.values().map(|rows| rows.len()).sum();
    assert!(rows >= expected, "{rows} of {expected}\n{report}");
}

#[test]
fn salvage_prefers_what_is_newer() {
    // Many versions of the same leaves lie in the file.
    let storage = MemoryStorage::new();
    let engine = Engine::open_on(
        Arc::new(storage.clone()),
        NAME,
        DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Checkpoint) },
    )
    .expect("a new database");
    let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for round in 0..5 {
        for number in 0..200 {
            let value = value("eggs", number + 1000 * round, 80);
            session.put(&table, &key(number), &value).expect("room");
        }
        engine.checkpoint().expect("room");
    }
    let expected = read_everything(&engine).expect("all of it");
    drop((session, table));
    engine.close().expect("room");
    let mut patient = Patient::of(&storage);
    let root = patient.of_kind(BlockKind::Internal)[0];
    let start = patient.nodes[root].range().start;
    patient.bytes[start + 40] ^= 1;
    let (report, found) = whole(&patient.storage());
    assert_eq!(found, expected, "{report}");
    assert_eq!(report.tables[0].rows_found, 200, "{report}");
}

#[test]
fn salvage_applies_the_log() {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions { cache_bytes_max: 8 << 20, ..database(Durability::Process) };
    let engine = Engine::open_on(Arc::new(storage.clone()), NAME, options).expect("new");
    let eggs = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
    let mut session = engine.session().expect("open");
    for number in 0..100 {
        session.put(&eggs, &key(number), &value("eggs", number, 60)).expect("room");
    }
    engine.checkpoint().expect("room");
    let ham = engine.create_table("ham", &small_pages(Compression::None)).expect("a table");
    session.put(&ham, b"long", &value("ham", 1, 9000)).expect("room");
    session.put(&eggs, &key(3), b"new").expect("room");
    session.remove(&eggs, &key(4)).expect("room");
    session.begin().expect("a begin");
    for number in 1000..1300 {
        session.put(&eggs, &key(number), &value("eggs", number, 1000)).expect("room");
    }
    session.commit().expect("room");
    let expected = read_everything(&engine).expect("all of it");
    // A transaction that is under way does not count.
    session.begin().expect("a begin");
    for number in 2000..2300 {
        session.put(&eggs, &key(number), &value("eggs", number, 1000)).expect("room");
    }
    let killed = storage.duplicate();
    let (report, found) = whole(&killed);
    assert_eq!(found, expected, "{report}");
    assert!(report.is_whole() && report.log_records > 4, "{report}");
    session.rollback().expect("a rollback");
}

/// Files damaged in many places: what comes out is clean, and every row of it was there once.
#[test]
fn salvage_of_ruins_makes_no_rows_up() {
    let (storage, tables) = sample();
    let bytes = storage.peek(NAME).expect("it is there");
    let mut random = Random::new(seed());
    let mut figures = Figures::default();
    let (mut saved, mut rows) = (0, 0);
    for round in 0..scaled(60, 3000) {
        let mut ruin = bytes.clone();
        for _ in 0..1 << (round % 8) {
            let at = random.index(ruin.len());
            let len = [1, 16, 512, 4096][random.index(4)].min(ruin.len() - at);
            let noise = random.bytes(len);
            ruin[at..at + len].copy_from_slice(&noise);
        }
        let cut = if random.index(4) == 0 { random.index(ruin.len()) } else { ruin.len() };
        ruin.truncate(cut.max(600));
        let damaged = MemoryStorage::new();
        damaged.plant(NAME, &ruin);
        figures.case(&|| format!("ruin {round}"), bytes.len(), || {
            let (report, found) = salvaged(&damaged)?;
            let named: Tables = found.into_iter().filter(|(n, _)| tables.contains_key(n)).collect();
            saved += named.values().map(|rows| rows.len()).sum::<usize>();
            missing(&named, &tables, &report);
            Ok(())
        });
        rows += tables.values().map(|rows| rows.len()).sum::<usize>();
    }
    figures.print("ruins");
    println!("{saved} of {rows} rows saved");
    assert!(saved * 3 > rows, "most of what is left is saved: {saved} of {rows}");
}
