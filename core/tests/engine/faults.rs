//! A disk that fails: at each call of a run in its turn, once and from there on, with an I/O error, without
//! space, and half-way.
//!
//! Nothing panics; what failed says so and did not happen; after a failed write or sync every later
//! write says the first failure, and reads go on; a lack of space passes. When the database is opened
//! again on a disk that works, what was acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::{Engine, Session};
use rshelve_core::io::memory::{CallKind, Fault, MemoryStorage};
use rshelve_core::{Error, Result};

use crate::audit::unreached_bytes;
use crate::harness::{NAME, Random, database, open, read_all, scaled, seed, table, value_of};

/// A table, and a key of it.
type Place = (String, Vec<u8>);

/// The value that a key has, or none, in each outcome that may be.
type Possible = BTreeSet<Option<Arc<[u8]>>>;

/// What may be found, by table and key.
type Model = BTreeMap<Place, Possible>;

/// One run on a disk that fails somewhere.
struct Run {
    storage: MemoryStorage,
    engine: Engine,
    session: Session,
    /// What the running engine must show: only what was acknowledged.
    shown: BTreeMap<Place, Arc<[u8]>>,
    /// What may be there after the next open.
    model: Model,
    /// The tables that may be there, and whether they must.
    tables: BTreeMap<String, bool>,
    errors: Vec<Error>,
}

#[test]
fn every_failing_call_is_survived_with_syncs() {
    check(Durability::Sync, true);
}

#[test]
fn every_failing_call_is_survived_with_a_written_log() {
    check(Durability::Process, false);
}

#[test]
fn every_failing_call_is_survived_without_a_log() {
    check(Durability::Checkpoint, false);
}

fn options(durability: Durability, map_log: bool) -> DatabaseOptions {
    DatabaseOptions { map_log, ..database(durability, false) }
}

/// The files to start from: pages on disk, more than the cache holds, and, with a log, something to
/// recover.
fn prepared(options: &DatabaseOptions) -> (MemoryStorage, Model) {
    let storage = MemoryStorage::new();
    let engine = open(&storage, options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let mut model = Model::new();
    let mut put = |key: Vec<u8>, value: Vec<u8>| {
        session.put(&main, &key, &value).expect("a put");
        model.insert(("main".to_owned(), key), [Some(value.into())].into());
    };
    for number in 0..1500_u64 {
        put(key_of(number), value_of(800, number));
    }
    engine.checkpoint().expect("a checkpoint");
    if options.durability != Durability::Checkpoint {
        for number in 0..20 {
            let len = if number % 5 == 0 { 3000 } else { 30 };
            put(key_of(number * 11), value_of(len, number + 7));
        }
    }
    (storage.duplicate(), model)
}

fn key_of(number: u64) -> Vec<u8> {
    format!("k{number:05}").into_bytes()
}

fn check(durability: Durability, map_log: bool) {
    let options = options(durability, map_log);
    let (storage, model) = prepared(&options);
    let mut random = Random::new(seed());
    // Reads are many and alike: in the short form one of so many fails, another one each time.
    let changes = CallKind::ALL.into_iter().filter(|kind| *kind != CallKind::Read).collect();
    for (kinds, step) in [(changes, scaled(3, 1)), (vec![CallKind::Read], scaled(80, 2))] {
        let calls: u64 = {
            let run = storage.duplicate();
            script(&run, &options, &model, &|_| {});
            kinds.iter().map(|kind| run.calls_of(*kind)).sum()
        };
        for nth in (1 + random.below(step)..=calls).step_by(step as usize) {
            for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite, Fault::ShortRead] {
                let forever = random.chance(50);
                let read = if kinds.len() == 1 { "read" } else { "change" };
                let what = format!("{read} {nth} of {calls} fails, {fault:?}, forever: {forever}");
                let storage = storage.duplicate();
                storage.fail_nth_of(&kinds, nth, fault, forever);
                script(&storage, &options, &model, &|outcome| println!("{what}: {outcome}"));
            }
        }
        println!("{durability:?}: {calls} calls of {kinds:?}");
    }
}

/// The run: everything that touches the disk, once.
fn script(storage: &MemoryStorage, options: &DatabaseOptions, model: &Model, say: &dyn Fn(&str)) {
    let opened = Engine::open_on(Arc::new(storage.clone()), NAME, options.clone());
    let mut after = model.clone();
    let mut tables = BTreeMap::from([("main".to_owned(), true)]);
    match opened {
        Err(error) => say(&format!("it does not open: {error}")),
        Ok(engine) => {
            let session = engine.session().expect("a session");
            let only = |possible: &Possible| possible.first().cloned().flatten();
            let shown =
                model.iter().filter_map(|(key, value)| Some((key.clone(), only(value)?))).collect();
            let (storage, model) = (storage.clone(), model.clone());
            let errors = Vec::new();
            let mut run = Run { storage, engine, session, shown, model, tables, errors };
            run.run();
            if let Some(first) = run.errors.first() {
                say(&format!("{first}"));
            }
            // Open sessions do not keep a database from being closed.
            let closed = run.engine.close();
            if closed.is_ok() {
                run.settle();
            }
            (after, tables) = (run.model, run.tables);
        }
    }
    storage.heal();
    check_reopened(storage, options, &after, &tables);
}

impl Run {
    fn run(&mut self) {
        for number in 0..6 {
            self.put("main", number, 40);
        }
        self.put("main", 7, 5000);
        self.put("main", 900, 70);
        self.together("main", 20..26);
        self.get(1300);
        self.get(400);
        self.remove("main", 21);
        self.checkpoint();
        self.put("main", 7, 6000);
        self.create("temp");
        self.put("temp", 1, 4000);
        self.put("temp", 2, 40);
        self.scan(200..260);
        self.sync();
        self.together("main", 1100..1103);
        self.put("main", 7, 10);
        self.drop_table("temp");
        for number in 1500..1540 {
            self.put("main", number, 900);
        }
        self.remove("main", 8);
        self.checkpoint();
        self.create("kept");
        self.put("kept", 1, 10);
        self.put("main", 9, 2000);
        self.get(700);
        self.check_shown();
    }

    /// Whether a lack of space was all that happened so far: it is over as soon as there is room.
    fn note<T>(&mut self, outcome: Result<T>) -> bool {
        let Err(error) = outcome else { return true };
        assert!(!error.to_string().is_empty(), "an error says what it is");
        assert!(!matches!(error, Error::Poisoned { .. }), "{error}");
        self.errors.push(error);
        false
    }

    /// A write happened, or may be found to have happened.
    fn wrote(&mut self, changes: Vec<(Place, Option<Arc<[u8]>>)>, done: bool) {
        for (place, value) in changes {
            let possible = self.model.entry(place.clone()).or_insert_with(|| [None].into());
            if !done {
                possible.insert(value);
                continue;
            }
            match &value {
                Some(value) => drop(self.shown.insert(place, Arc::clone(value))),
                None => drop(self.shown.remove(&place)),
            }
            if self.engine.options().durability != Durability::Checkpoint {
                possible.clear();
            }
            possible.insert(value);
        }
    }

    fn put(&mut self, name: &str, number: u64, len: usize) {
        let Ok(table) = self.engine.table(name) else { return };
        let (key, value) = (key_of(number), value_of(len, number + 1000));
        let outcome = self.session.put(&table, &key, &value);
        self.check_sticky(&outcome);
        let done = self.note(outcome);
        self.wrote(vec![((name.to_owned(), key), Some(value.into()))], done);
    }

    fn remove(&mut self, name: &str, number: u64) {
        let Ok(table) = self.engine.table(name) else { return };
        let key = key_of(number);
        let outcome = self.session.remove(&table, &key);
        let done = self.note(outcome);
        self.wrote(vec![((name.to_owned(), key), None)], done);
    }

    fn together(&mut self, name: &str, numbers: std::ops::Range<u64>) {
        let Ok(table) = self.engine.table(name) else { return };
        self.session.begin().expect("a begin");
        let mut changes = Vec::new();
        for number in numbers {
            let (key, value) = (key_of(number), value_of(1500, number + 2000));
            let outcome = self.session.put(&table, &key, &value);
            if !self.note(outcome) {
                let outcome = self.session.rollback();
                self.note(outcome);
                return;
            }
            changes.push(((name.to_owned(), key), Some(value.into())));
        }
        let outcome = self.session.commit();
        let done = self.note(outcome);
        self.wrote(changes, done);
    }

    fn get(&mut self, number: u64) {
        let table = self.engine.table("main").expect("a table");
        let key = key_of(number);
        match self.session.get(&table, &key, <[u8]>::to_vec) {
            Ok(found) => {
                let shown = self.shown.get(&("main".to_owned(), key)).map(|value| &**value);
                assert!(found.as_deref() == shown, "a read of key {number}");
            }
            Err(error) => drop(self.note::<()>(Err(error))),
        }
    }

    fn scan(&mut self, numbers: std::ops::Range<u64>) {
        let table = self.engine.table("main").expect("a table");
        let mut at = self.session.position();
        let mut found = self.session.seek(&table, &mut at, &key_of(numbers.start)).map(|_| true);
        for _ in numbers {
            if found.is_err() {
                break;
            }
            found = self.session.next(&table, &mut at);
        }
        self.session.release_snapshot();
        self.note(found);
    }

    fn checkpoint(&mut self) {
        let outcome = self.engine.checkpoint();
        if self.note(outcome) {
            self.settle();
        }
    }

    fn sync(&mut self) {
        let outcome = self.engine.sync();
        if self.note(outcome) {
            self.settle();
        }
    }

    /// What is shown was made durable.
    fn settle(&mut self) {
        for (place, possible) in &mut self.model {
            *possible = [self.shown.get(place).cloned()].into();
        }
        let names = self.engine.table_names();
        self.tables.retain(|name, _| names.contains(name));
        self.tables.values_mut().for_each(|must| *must = true);
    }

    fn create(&mut self, name: &str) {
        let outcome = self.engine.create_table(name, &table());
        let done = self.note(outcome);
        let is_logged = self.engine.options().durability != Durability::Checkpoint;
        self.tables.insert(name.to_owned(), done && is_logged);
    }

    fn drop_table(&mut self, name: &str) {
        if self.engine.table(name).is_err() {
            return;
        }
        let outcome = self.engine.drop_table(name);
        let done = self.note(outcome);
        let is_gone = self.engine.table(name).is_err();
        assert!(is_gone || !done, "a table that was dropped is there");
        if is_gone {
            self.shown.retain(|(table, _), _| table != name);
        }
        let is_logged = self.engine.options().durability != Durability::Checkpoint;
        if done && is_logged {
            self.tables.remove(name);
            self.model.retain(|(table, _), _| table != name);
        } else {
            self.tables.insert(name.to_owned(), false);
            let places = self.model.iter_mut().filter(|((table, _), _)| table == name);
            places.for_each(|(_, possible)| {
                possible.insert(None);
            });
        }
    }

    /// After a failed write or sync of a file nothing is written any more, and everybody is told why.
    fn check_sticky<T>(&mut self, outcome: &Result<T>) {
        let is_latched = self.errors.iter().any(|error| matches!(error, Error::Failed { .. }));
        if is_latched {
            let first = self.errors.iter().find_map(|error| match error {
                Error::Failed { first } => Some(first.to_string()),
                _ => None,
            });
            let Err(Error::Failed { first: now }) = outcome else {
                panic!("a write after {first:?} did not fail with it");
            };
            assert_eq!(Some(now.to_string()), first, "the failure that sticks");
        }
    }

    /// Reads go on, and show what was acknowledged; unless the disk cannot be read.
    fn check_shown(&mut self) {
        self.storage.heal();
        let mut found = BTreeMap::new();
        for name in self.engine.table_names() {
            let table = self.engine.table(&name).expect("a table");
            let rows = read_all(&mut self.session, &table, false);
            self.session.release_snapshot();
            assert_eq!(self.session.rows(&table), rows.len() as u64, "the rows of {name}");
            found.extend(rows.into_iter().map(|(key, value)| ((name.clone(), key), value)));
        }
        for (place, value) in &self.shown {
            assert!(found.get(place) == Some(value), "{place:?} after {:?}", self.errors);
        }
        assert_eq!(found.len(), self.shown.len(), "rows after {:?}", self.errors);
    }
}

/// On a disk that works again: every key has a value that it may have, and the database works.
fn check_reopened(
    storage: &MemoryStorage,
    options: &DatabaseOptions,
    model: &Model,
    tables: &BTreeMap<String, bool>,
) {
    let engine = open(storage, options);
    let mut session = engine.session().expect("a session");
    let names = engine.table_names();
    for (name, must) in tables {
        assert!(names.contains(name) || !must, "table {name} is missing");
    }
    for name in &names {
        assert!(tables.contains_key(name), "table {name} should not be there");
        let table = engine.table(name).expect("a table");
        let rows = read_all(&mut session, &table, true);
        session.release_snapshot();
        assert_eq!(session.rows(&table), rows.len() as u64, "the rows of {name}");
        let places = model.iter().filter(|((of, _), _)| of == name);
        for ((_, key), possible) in places {
            let found = rows.get(key).cloned();
            let lens = |value: &Option<Arc<[u8]>>| value.as_ref().map(|value| value.len());
            assert!(
                possible.contains(&found),
                "{name} {:?}: {:?}, may be {:?}",
                String::from_utf8_lossy(key),
                lens(&found),
                possible.iter().map(lens).collect::<Vec<_>>()
            );
        }
        let extra = rows.keys().find(|key| !model.contains_key(&(name.clone(), key.to_vec())));
        assert_eq!(extra, None, "a key of {name} that nobody wrote");
    }
    let main = engine.table("main").expect("a table");
    for number in 0..20 {
        session.put(&main, &key_of(number), &value_of(2000, number)).expect("a put");
    }
    drop((session, main));
    engine.close().expect("a close");
    unreached_bytes(storage);
}

/// Every kind of call that changes the disk fails for good in its turn: the database says so from the
/// next write on, and the kinds that promised nothing yet do not stick.
#[test]
fn failed_writes_and_syncs_stick() {
    for (kind, sticks) in [
        (CallKind::Write, true),
        (CallKind::SyncData, true),
        (CallKind::SetLen, true),
        (CallKind::Allocate, true),
    ] {
        let storage = MemoryStorage::new();
        let options = options(Durability::Sync, false);
        let engine = open(&storage, &options);
        let main = engine.create_table("main", &table()).expect("a table");
        let mut session = engine.session().expect("a session");
        session.put(&main, b"kept", b"value").expect("a put");
        storage.fail_nth_of(&[kind], 1, Fault::Eio, false);
        let mut outcome = Ok(());
        for number in 0..4000 {
            outcome = session.put(&main, &key_of(number), &value_of(2000, number));
            if outcome.is_err() {
                break;
            }
        }
        if storage.faults_hit() == 0 {
            continue;
        }
        let first = outcome.expect_err("a write beside the failure");
        let second = session.put(&main, b"more", b"value").expect_err("a write after the failure");
        assert_eq!(matches!(second, Error::Failed { .. }), sticks, "{kind:?}: {first}; {second}");
        let found = session.get(&main, b"kept", <[u8]>::to_vec).expect("a read goes on");
        assert_eq!(found.as_deref(), Some(&b"value"[..]));
        assert!(engine.close().is_err(), "a close after {first}");
    }
}

/// Without space a write fails, and the next one succeeds when there is room.
#[test]
fn lack_of_space_passes() {
    let storage = MemoryStorage::new();
    let options = options(Durability::Process, true);
    let engine = open(&storage, &options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    let kinds = [CallKind::SetLen, CallKind::Allocate];
    storage.fail_nth_of(&kinds, 1, Fault::Enospc, true);
    let mut written = Vec::new();
    let mut failed = 0;
    for number in 0..2000 {
        match session.put(&main, &key_of(number), &value_of(1500, number)) {
            Ok(()) => written.push(number),
            Err(error) => {
                assert!(
                    matches!(error, Error::Full { .. } | Error::Rollback { .. }),
                    "not for lack of space: {error}"
                );
                failed += 1;
                if failed > 20 {
                    break;
                }
            }
        }
    }
    assert!(failed > 0 && storage.faults_hit() > 0, "there was room for everything");
    storage.heal();
    session.put(&main, b"late", b"value").expect("a write when there is room");
    engine.checkpoint().expect("a checkpoint when there is room");
    let rows = read_all(&mut session, &main, false);
    assert_eq!(rows.len(), written.len() + 1);
    assert!(written.iter().all(|number| rows.contains_key(&key_of(*number))));
    drop((session, main));
    engine.close().expect("a close when there is room");
    unreached_bytes(&storage);
}

/// Each call of a close fails in its turn, and those that grow a file do, for want of space: whatever the
/// close has said, the next open finds every row.
#[test]
fn close_that_fails_anywhere_loses_nothing() {
    for durability in [Durability::Process, Durability::Sync] {
        let calls = close_and_open(durability, &|_| {});
        for nth in 1..=calls {
            for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
                for forever in [false, true] {
                    close_and_open(durability, &|disk| disk.fail_nth(nth, fault, forever));
                }
            }
            let growth = [CallKind::SetLen, CallKind::Allocate];
            close_and_open(durability, &|disk| {
                disk.fail_nth_of(&growth, nth, Fault::Enospc, true);
            });
        }
        println!("{durability:?}: {calls} calls of a close");
    }
}

/// Writes rows, closes on a disk that `fails`, opens on one that works, and looks for the rows. Returns how
/// many calls the close made.
fn close_and_open(durability: Durability, fails: &dyn Fn(&MemoryStorage)) -> u64 {
    const ROWS: u64 = 1000;
    let storage = MemoryStorage::new();
    let options = DatabaseOptions { cache_bytes_max: 16 << 20, ..options(durability, false) };
    let engine = open(&storage, &options);
    let main = engine.create_table("main", &table()).expect("a table");
    let mut session = engine.session().expect("a session");
    // More than the file has room for: the close must grow it.
    for number in 0..ROWS {
        let len = if number % 20 == 0 { 5000 } else { 1500 };
        session.put(&main, &key_of(number), &value_of(len, number)).expect("a put");
    }
    drop((session, main));
    let before = storage.calls();
    fails(&storage);
    let outcome = engine.close();
    let calls = storage.calls() - before;
    drop(engine);
    storage.heal();
    let engine = open(&storage, &options);
    let main = engine.table("main").expect("a table");
    let rows = read_all(&mut engine.session().expect("a session"), &main, false);
    assert_eq!(rows.len() as u64, ROWS, "the close said {outcome:?}");
    drop(main);
    engine.close().expect("a close");
    unreached_bytes(&storage);
    calls
}
