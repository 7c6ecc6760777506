//! Named checkpoints: what they show, how long they stay, and what they cost.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, OpenMode};
use rshelve_core::engine::{Checkpoint, CheckpointTable, Engine, LATEST_CHECKPOINT, Session};
use rshelve_core::io::memory::MemoryStorage;

use crate::audit::unreached_bytes;
use crate::harness::{
    NAME, Random, Rows, check_rows, database, open, read_all, scaled, seed, table, value_of,
};

/// All rows of a table of a checkpoint, both ways, and by key.
pub fn read_checkpoint(table: &CheckpointTable) -> Rows {
    let mut rows = Rows::new();
    let mut at = table.position();
    while table.next(&mut at).expect("a move") {
        let long_value = OnceCell::new();
        let value = table.value(&at, &long_value).expect("a value").into();
        rows.insert(at.key().expect("a key").to_vec(), value);
    }
    assert_eq!(rows.len() as u64, table.rows(), "the rows that the checkpoint counts");
    for (key, value) in rows.iter().rev() {
        assert!(table.prev(&mut at).expect("a move") && at.key() == Some(key), "backwards");
        let same = table.get(key, |found| found == &**value).expect("a get");
        assert_eq!(same, Some(true));
    }
    rows
}

fn write(engine: &Engine, session: &mut Session, rows: &mut Rows, random: &mut Random) {
    let table = engine.table("t").expect("the table");
    for _ in 0..400 {
        let key = random.below(700).to_be_bytes().to_vec();
        if random.chance(30) {
            session.remove(&table, &key).expect("a removal");
            rows.remove(&key);
            continue;
        }
        let len = if random.chance(6) { 1100 + random.below(9000) } else { random.below(200) };
        let value = value_of(len as usize, random.next());
        session.put(&table, &key, &value).expect("a put");
        rows.insert(key, value.into());
    }
}

fn check_all(engine: &Engine, named: &[(String, Rows)], what: &str) {
    let names: Vec<String> = engine.checkpoints().into_iter().map(|info| info.name).collect();
    assert!(names.iter().eq(named.iter().map(|(name, _)| name)), "{what}: {names:?}");
    for (name, rows) in named {
        let checkpoint = engine.open_checkpoint(name).expect("a checkpoint");
        let table = checkpoint.table("t").expect("the table");
        check_rows(&format!("{what}: {name}"), &read_checkpoint(&table), rows);
    }
}

/// Names, drops, compactions, reopenings and kills in any order, against what was written when.
#[test]
fn named_checkpoints_show_what_was_when_they_were_named() {
    let seed = seed();
    for round in 0..scaled(6, 60) {
        let mut random = Random::new(seed + round);
        let durability =
            if random.chance(50) { Durability::Checkpoint } else { Durability::Process };
        let options = DatabaseOptions { cache_bytes_max: 2 << 20, ..database(durability, false) };
        let mut storage = MemoryStorage::new();
        let mut engine = open(&storage, &options);
        engine.create_table("t", &table()).expect("a table");
        let mut session = engine.session().expect("a session");
        let mut rows = Rows::new();
        let mut named: Vec<(String, Rows)> = Vec::new();
        for step in 0..40 {
            match random.below(10) {
                0..4 => write(&engine, &mut session, &mut rows, &mut random),
                4..6 => {
                    let name = format!("c{}", random.below(5));
                    engine.checkpoint_named(&name).expect("a named checkpoint");
                    named.retain(|(other, _)| *other != name);
                    named.push((name, rows.clone()));
                }
                6 if !named.is_empty() => {
                    let (name, _) = named.remove(random.below(named.len() as u64) as usize);
                    engine.drop_checkpoint(&name).expect("a drop");
                }
                7 => {
                    engine.compact(&mut |_| ControlFlow::Continue(())).expect("a compaction");
                }
                8 => {
                    drop(session);
                    let killed = random.chance(50);
                    if killed {
                        engine.checkpoint().expect("a checkpoint");
                        storage = storage.duplicate();
                    } else {
                        engine.close().expect("a close");
                    }
                    engine = open(&storage, &options);
                    session = engine.session().expect("a session");
                }
                _ => engine.checkpoint().expect("a checkpoint"),
            }
            if random.chance(40) {
                check_all(&engine, &named, &format!("round {round}, step {step}"));
            }
        }
        check_all(&engine, &named, "at the end");
        let table = engine.table("t").expect("the table");
        check_rows("the table", &read_all(&mut session, &table, false), &rows);
    }
}

#[test]
fn dropped_checkpoint_gives_its_space_back() {
    let storage = MemoryStorage::new();
    let options =
        DatabaseOptions { cache_bytes_max: 4 << 20, ..database(Durability::Checkpoint, false) };
    let engine = open(&storage, &options);
    let large = engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..4000_u64 {
        session.put(&large, &number.to_be_bytes(), &value_of(400, number)).expect("a put");
    }
    engine.checkpoint_named("full").expect("a named checkpoint");
    for number in 0..4000_u64 {
        session.remove(&large, &number.to_be_bytes()).expect("a removal");
    }
    let everything = |_: &_| ControlFlow::Continue(());
    let kept = engine.compact(&mut { everything }).expect("a compaction");
    assert!(kept.after_bytes > 4000 * 400, "{kept:?}");
    let full = engine.open_checkpoint("full").expect("the checkpoint").table("t").expect("a table");
    assert!(matches!(engine.drop_checkpoint("full"), Err(Error::Busy { .. })), "it is open");
    assert!(matches!(engine.checkpoint_named("full"), Err(Error::Busy { .. })), "it is open");
    assert_eq!(read_checkpoint(&full).len(), 4000);
    drop(full);
    engine.drop_checkpoint("full").expect("a drop");
    assert!(matches!(engine.open_checkpoint("full"), Err(Error::Missing { .. })));
    let dropped = engine.compact(&mut { everything }).expect("a compaction");
    assert!(dropped.is_complete && dropped.after_bytes < 64 << 10, "{dropped:?}");
    drop((session, large));
    engine.close().expect("a close");
    assert_eq!(unreached_bytes(&storage), 0);
}

/// Rewriting everything again and again beside a named checkpoint keeps one old copy, not all.
/// The file is not cut in front of where its newest superblock says that it ends: what only the dropped
/// checkpoint reached lies there, and is free from that superblock on.
#[test]
fn dropping_a_checkpoint_at_the_end_of_the_file_leaves_one_that_opens() {
    let storage = MemoryStorage::new();
    let options = database(Durability::Process, false);
    let engine = open(&storage, &options);
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    session.put(&eggs, b"gap", &value_of(1 << 20, 1)).expect("room");
    engine.checkpoint().expect("room");
    session.remove(&eggs, b"gap").expect("it is there");
    engine.checkpoint().expect("room");
    // It does not fit into the gap; all else does.
    session.put(&eggs, b"goes", &value_of(4 << 20, 1)).expect("room");
    session.put(&eggs, b"stays", b"1").expect("room");
    engine.checkpoint_named("monday").expect("room");
    session.remove(&eggs, b"goes").expect("it is there");
    engine.checkpoint().expect("room");
    engine.drop_checkpoint("monday").expect("nobody reads it");
    let killed = storage.duplicate();
    drop((session, eggs));
    engine.close().expect("a close");
    for storage in [killed, storage] {
        let engine = open(&storage, &options);
        let eggs = engine.table("eggs").expect("the table");
        let mut session = engine.session().expect("a session");
        session.put(&eggs, b"more", b"1").expect("room");
        assert_eq!(session.rows(&eggs), 2);
        drop((session, eggs));
        engine.close().expect("a close");
        assert_eq!(unreached_bytes(&storage), 0);
        let file_bytes = storage.peek(NAME).expect("the file").len();
        assert!(file_bytes < 2 << 20, "{file_bytes} bytes are left of the file");
    }
}

#[test]
fn named_checkpoint_keeps_only_what_it_reaches() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &database(Durability::Checkpoint, false));
    let rewritten = engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let mut once_bytes = 0;
    for round in 0..12_u64 {
        for number in 0..1000_u64 {
            session.put(&rewritten, &number.to_be_bytes(), &value_of(300, round)).expect("a put");
        }
        engine.checkpoint().expect("a checkpoint");
        if round == 0 {
            engine.checkpoint_named("first").expect("a named checkpoint");
            once_bytes = engine.stats().file_bytes;
        }
    }
    let bytes = engine.stats().file_bytes;
    assert!(bytes < once_bytes * 5, "{bytes} bytes, {once_bytes} after the first round");
}

#[test]
fn latest_checkpoint_can_be_read_while_others_follow() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &database(Durability::Process, false));
    engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let (mut rows, mut random) = (Rows::new(), Random::new(seed()));
    write(&engine, &mut session, &mut rows, &mut random);
    engine.checkpoint().expect("a checkpoint");
    let latest = engine.open_checkpoint(LATEST_CHECKPOINT).expect("the latest checkpoint");
    let old = rows.clone();
    for _ in 0..6 {
        write(&engine, &mut session, &mut rows, &mut random);
        engine.checkpoint().expect("a checkpoint");
        let table = latest.table("t").expect("the table");
        check_rows("the latest as it was", &read_checkpoint(&table), &old);
    }
    let newer = engine.open_checkpoint(LATEST_CHECKPOINT).expect("the latest checkpoint");
    assert!(newer.generation() > latest.generation());
    check_rows("the latest", &read_checkpoint(&newer.table("t").expect("the table")), &rows);
}

#[test]
fn reader_in_another_process_sees_named_checkpoints() {
    let storage = MemoryStorage::new();
    let options = database(Durability::Process, false);
    let engine = open(&storage, &options);
    engine.create_table("t", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let (mut rows, mut random) = (Rows::new(), Random::new(seed()));
    write(&engine, &mut session, &mut rows, &mut random);
    engine.checkpoint_named("old").expect("a named checkpoint");
    let old = rows.clone();
    write(&engine, &mut session, &mut rows, &mut random);
    drop(session);
    engine.close().expect("a close");
    let read_only = DatabaseOptions { mode: OpenMode::ReadOnly, ..options };
    let reader = Engine::open_on(Arc::new(storage.clone()), NAME, read_only).expect("a reader");
    check_all(&reader, &[("old".to_owned(), old)], "a reader");
    assert!(matches!(reader.checkpoint_named("new"), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.drop_checkpoint("old"), Err(Error::ReadOnly { .. })));
}

#[test]
fn checkpoint_names_are_checked() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &database(Durability::Process, false));
    for name in ["", "WiredTigerCheckpoint", "WiredTiger.1", &"x".repeat(2000)] {
        assert!(matches!(engine.checkpoint_named(name), Err(Error::Invalid { .. })), "{name}");
    }
    assert!(matches!(engine.drop_checkpoint("no"), Err(Error::Missing { .. })));
    engine.checkpoint_named("empty").expect("a named checkpoint");
    let empty: Checkpoint = engine.open_checkpoint("empty").expect("the checkpoint");
    assert!(empty.table_names().is_empty());
    assert!(matches!(empty.table("t"), Err(Error::Missing { .. })));
}
