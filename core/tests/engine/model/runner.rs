//! Does each operation to the engine and to the model, and compares.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use rshelve_core::base::error::RollbackReason;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};

use super::ops::{Key, Move, Op, SESSIONS, Setup, TABLES, Value, What, table_options};
use super::world::{Expected, Named, Wants, World};
use crate::audit::unreached_bytes;
use crate::harness::{Rows, check_rows, database, open, read_all, show};

/// A database under test, and its model.
pub struct Runner {
    setup: Setup,
    options: DatabaseOptions,
    storage: MemoryStorage,
    engine: Engine,
    sessions: Vec<(Session, Position)>,
    world: World,
    /// A crash, or a close under sessions, may leave space that nobody reaches: that of long values
    /// which a transaction had not committed, or which a snapshot could still see.
    may_have_lost_space: bool,
}

impl Runner {
    pub fn new(setup: Setup) -> Self {
        let storage = MemoryStorage::new();
        let mut options = database(setup.durability, setup.background);
        options.map_log = setup.map_log;
        // No checkpoint but those of the run, so that the model knows which was the last.
        options.checkpoint_log_bytes = 1 << 40;
        let engine = open(&storage, &options);
        let mut runner = Self {
            setup,
            options,
            storage,
            sessions: sessions(&engine),
            engine,
            world: World::new(SESSIONS),
            may_have_lost_space: false,
        };
        runner.run(&Op::Create { table: 0, unlogged: false });
        runner
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Write { session, table, key, what } => {
                self.write(*session, *table, &key.bytes(), *what);
            }
            Op::Fill { session, table, from, count, step, value } => {
                for number in 0..*count {
                    let number = from + number * step;
                    let key = super::ops::Key::Number(number).bytes();
                    let fill = value.fill.wrapping_add(number as u8);
                    let value = Value { fill, ..*value };
                    self.write(*session, *table, &key, What::Put(value));
                }
            }
            Op::Batch { session, table, rows } => self.batch(*session, *table, rows),
            Op::Clear { session, table, from, count } => {
                for number in *from..from + count {
                    let key = super::ops::Key::Number(number).bytes();
                    self.write(*session, *table, &key, What::Remove);
                }
            }
            Op::Pop { session, table, last } => self.pop(*session, *table, *last),
            Op::Get { session, table, key } => self.get(*session, *table, &key.bytes()),
            Op::Scan { session, table, backward } => self.scan(*session, *table, *backward),
            Op::Moves { session, table, moves } => self.moves(*session, *table, moves),
            Op::Begin { session } => self.begin(*session),
            Op::Commit { session } => self.commit(*session),
            Op::Rollback { session } => self.rollback(*session),
            Op::Create { table, unlogged } => self.create(*table, *unlogged),
            Op::Drop { table } => self.drop_table(*table),
            Op::Checkpoint => {
                self.engine.checkpoint().expect("a checkpoint");
                self.world.checkpoint();
            }
            Op::Compact { steps } => self.compact(*steps),
            Op::Sync => {
                self.engine.sync().expect("a sync");
                if self.setup.durability == Durability::Checkpoint {
                    self.world.checkpoint();
                }
            }
            Op::Reopen { sessions_last } => self.reopen(*sessions_last),
            Op::Crash => self.crash(),
        }
    }

    /// Compares everything, closes, opens again, compares again, and looks at the file's space.
    pub fn finish(mut self) {
        self.compare();
        self.reopen(false);
        self.sessions.clear();
        self.engine.close().expect("a close");
        let lost = unreached_bytes(&self.storage);
        assert!(
            self.may_have_lost_space || lost == 0,
            "{lost} bytes of the file are in use and not reached"
        );
    }

    fn open_table(&self, table: usize) -> Option<(OpenTable, Named)> {
        let found = self.engine.table(&name(table));
        match self.world.tables.get(&table) {
            Some(named) => Some((found.expect("the table exists"), named.clone())),
            None => {
                assert!(matches!(found, Err(Error::Missing { .. })), "{found:?}");
                None
            }
        }
    }

    fn write(&mut self, session: usize, table: usize, key: &[u8], what: What) {
        let Some((table, named)) = self.open_table(table) else { return };
        let (wants, value) = match what {
            What::Put(value) => (Wants::Either, Some(value.bytes())),
            What::Insert(value) => (Wants::Absent, Some(value.bytes())),
            What::Replace(value) => (Wants::Present, Some(value.bytes())),
            What::Remove | What::Take => (Wants::Present, None),
        };
        let expected = self.world.expect(session, &named, key, wants);
        let engine = &mut self.sessions[session].0;
        let bytes = value.as_deref().unwrap_or_default();
        let outcome = match what {
            What::Put(_) => engine.put(&table, key, bytes).map(|()| true),
            What::Insert(_) => engine.insert(&table, key, bytes),
            What::Replace(_) => engine.replace(&table, key, bytes),
            What::Remove => engine.remove(&table, key),
            What::Take => engine.take(&table, key).map(|taken| {
                if let Expected::Done(was) = &expected {
                    assert_eq!(taken.as_deref(), was.as_deref(), "took from {}", show(key));
                }
                taken.is_some()
            }),
        };
        if cache_is_full(&outcome) {
            if let Some(own) = &mut self.world.sessions[session].transaction {
                own.failed = true;
            }
            return;
        }
        match (&expected, &outcome) {
            (Expected::Done(_), Ok(true)) | (Expected::Unwanted, Ok(false)) => {}
            (Expected::Conflict, Err(Error::Rollback { .. })) => {}
            (Expected::Refused, Err(Error::Invalid { .. })) => {}
            _ => panic!("{what:?} of {} came to {outcome:?}, expected {expected:?}", show(key)),
        }
        self.world.wrote(session, &named, key, value.map(Into::into), &expected);
        self.count(session, &table, &named);
    }

    fn batch(&mut self, session: usize, table: usize, rows: &[(Key, Option<Value>)]) {
        let Some((table, named)) = self.open_table(table) else { return };
        let wants =
            |value: &Option<_>| if value.is_some() { Wants::Either } else { Wants::Present };
        let rows: Vec<(Vec<u8>, Option<Vec<u8>>)> =
            rows.iter().map(|(key, value)| (key.bytes(), value.map(Value::bytes))).collect();
        let outcome = self.sessions[session].0.apply(&table, &rows);
        let is_inside = self.world.sessions[session].transaction.is_some();
        if cache_is_full(&outcome) {
            // How far it came is not known, and the transaction cannot be committed.
            return if is_inside {
                self.rollback(session)
            };
        }
        let expect = |world: &World, (key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            world.expect(session, &named, key, wants(value))
        };
        let conflicts = |row| matches!(expect(&self.world, row), Expected::Conflict);
        if !is_inside && rows.iter().any(conflicts) {
            assert!(matches!(outcome, Err(Error::Rollback { .. })), "{outcome:?}");
            return self.count(session, &table, &named);
        }
        let mut expected_outcome = Expected::Unwanted;
        for row in &rows {
            expected_outcome = expect(&self.world, row);
            let value = row.1.as_deref().map(Into::into);
            self.world.wrote(session, &named, &row.0, value, &expected_outcome);
            if matches!(expected_outcome, Expected::Conflict | Expected::Refused) {
                break;
            }
        }
        match (&expected_outcome, &outcome) {
            (Expected::Conflict, Err(Error::Rollback { .. })) => {}
            (Expected::Refused, Err(Error::Invalid { .. })) => {}
            (Expected::Done(_) | Expected::Unwanted, Ok(())) => {}
            _ => panic!("a batch came to {outcome:?}, expected {expected_outcome:?}"),
        }
        if !is_inside {
            self.world.sessions[session].snapshot = None;
        }
        self.count(session, &table, &named);
    }

    /// `rows` is exact, always.
    fn count(&self, session: usize, table: &OpenTable, named: &Named) {
        let rows = self.sessions[session].0.rows(table);
        let expected = self.world.view(session, named.instance).len() as u64;
        assert_eq!(rows, expected, "the rows that session {session} counts");
    }

    fn get(&mut self, session: usize, table: usize, key: &[u8]) {
        let Some((table, named)) = self.open_table(table) else { return };
        let found = self.sessions[session].0.get(&table, key, <[u8]>::to_vec).expect("a get");
        let view = self.world.view(session, named.instance);
        assert!(found.as_deref() == view.get(key).map(|value| &**value), "{}", show(key));
    }

    fn pop(&mut self, session: usize, table: usize, last: bool) {
        let Some((open_table, named)) = self.open_table(table) else { return };
        // A cursor of its own, under whatever view cursors of this session have.
        let view = self.world.cursor_view(session, named.instance);
        let engine = &mut self.sessions[session].0;
        let mut at = engine.position();
        let moved = if last {
            engine.prev(&open_table, &mut at)
        } else {
            engine.next(&open_table, &mut at)
        };
        assert_eq!(moved.expect("a move"), !view.is_empty());
        let expected = if last { view.keys().next_back() } else { view.keys().next() };
        assert_eq!(at.key(), expected.map(Vec::as_slice));
        if let Some(key) = at.key().map(<[u8]>::to_vec) {
            self.write(session, table, &key, What::Take);
        }
    }

    fn scan(&mut self, session: usize, table: usize, backward: bool) {
        let Some((table, named)) = self.open_table(table) else { return };
        let expected = self.world.cursor_view(session, named.instance);
        let found = read_all(&mut self.sessions[session].0, &table, backward);
        check_rows("a scan", &found, &expected);
        self.count(session, &table, &named);
    }

    fn moves(&mut self, session: usize, table: usize, moves: &[Move]) {
        let Some((table, named)) = self.open_table(table) else { return };
        if self.world.sessions[session].cursor.as_ref().is_none_or(|at| at.0 != named.instance) {
            self.sessions[session].1.reset();
            self.world.sessions[session].cursor = Some((named.instance, None));
        }
        for step in moves {
            if let Move::Release = step {
                self.sessions[session].0.release_snapshot();
                self.world.sessions[session].snapshot = None;
                continue;
            }
            let view = self.world.cursor_view(session, named.instance);
            let cursor = &mut self.world.sessions[session].cursor;
            let Some((_, at_model)) = cursor else { unreachable!("the cursor was set") };
            let target = target(step, at_model.as_deref(), &view);
            *at_model = target.clone();
            self.check_move(session, &table, step, target.as_deref(), &view);
        }
    }

    fn check_move(
        &mut self,
        session: usize,
        table: &OpenTable,
        step: &Move,
        target: Option<&[u8]>,
        view: &Rows,
    ) {
        let (engine, at) = &mut self.sessions[session];
        let moved = match step {
            Move::Next => engine.next(table, at),
            Move::Prev => engine.prev(table, at),
            Move::Find(key) => engine.find(table, at, &key.bytes()),
            Move::Below(key) => engine.seek_below(table, at, &key.bytes()),
            Move::Seek(key) => engine.seek(table, at, &key.bytes()).map(|landing| {
                let is_exact = target == Some(key.bytes().as_slice());
                assert_eq!(landing == Landing::Exact, is_exact, "{landing:?}");
                landing != Landing::End
            }),
            Move::Release => unreachable!("a release is no move"),
        };
        let moved = moved.unwrap_or_else(|error| panic!("{step:?} fails: {error}"));
        assert_eq!(moved, target.is_some(), "{step:?} to {:?}", target.map(show));
        assert_eq!(at.key().map(show), target.map(show), "{step:?}");
        if let Some(key) = target {
            let long_value = OnceCell::new();
            let value = engine.value(table, at, &long_value).expect("a value");
            assert!(value == &*view[key], "the value of {} at a cursor", show(key));
        }
    }

    fn begin(&mut self, session: usize) {
        let outcome = self.sessions[session].0.begin();
        if self.world.sessions[session].transaction.is_some() {
            assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
            return;
        }
        outcome.expect("a begin");
        self.world.begin(session);
    }

    fn commit(&mut self, session: usize) {
        let outcome = self.sessions[session].0.commit();
        match &self.world.sessions[session].transaction {
            None => assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}"),
            Some(own) if own.failed && own.has_written => {
                assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
                self.world.end(session, false);
            }
            Some(_) => {
                outcome.expect("a commit");
                self.world.end(session, true);
            }
        }
    }

    fn rollback(&mut self, session: usize) {
        let outcome = self.sessions[session].0.rollback();
        if self.world.sessions[session].transaction.is_none() {
            assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
            return;
        }
        outcome.expect("a rollback");
        self.world.end(session, false);
    }

    fn create(&mut self, table: usize, unlogged: bool) {
        let options = table_options(table, unlogged, self.setup);
        let outcome = self.engine.create_table(&name(table), &options);
        match self.world.tables.get(&table) {
            Some(named) if named.options != options => {
                assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
            }
            Some(_) => drop(outcome.expect("a table")),
            None => {
                outcome.expect("a new table");
                self.world.create(table, &options);
            }
        }
    }

    fn drop_table(&mut self, table: usize) {
        // A cursor that stands in it keeps no table open: handles do.
        let outcome = self.engine.drop_table(&name(table));
        match self.world.tables.get(&table) {
            None => assert!(matches!(outcome, Err(Error::Missing { .. })), "{outcome:?}"),
            Some(named) if self.world.is_enlisted(named.instance) => {
                assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
            }
            Some(_) => {
                outcome.expect("a drop");
                self.world.drop_table(table);
            }
        }
    }

    fn compact(&mut self, steps: usize) {
        let mut left = steps;
        let outcome = self.engine.compact(&mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match outcome {
            Ok(report) => assert!(report.is_complete || left == 0, "{report:?}"),
            // Transactions may hold so much that nothing can be read in beside them.
            outcome => assert!(cache_is_full(&outcome), "{outcome:?}"),
        }
        // Each step is a checkpoint, the first comes before everything.
        self.world.checkpoint();
    }

    fn reopen(&mut self, sessions_last: bool) {
        if sessions_last {
            self.may_have_lost_space = true;
        } else {
            self.sessions.clear();
        }
        self.engine.close().expect("a close");
        assert_eq!(self.storage.names(), [crate::harness::NAME], "what a close leaves");
        self.engine = open(&self.storage, &self.options);
        self.start();
    }

    /// The process dies: the files are as they are, and whatever was in memory is gone.
    fn crash(&mut self) {
        let storage = self.storage.duplicate();
        let engine = open(&storage, &self.options);
        self.sessions.clear();
        // The old one is closed by this, and finds its own files as it left them.
        self.engine = engine;
        self.storage = storage;
        self.may_have_lost_space = true;
        self.world.crash(self.setup.durability != Durability::Checkpoint);
        self.start();
    }

    fn start(&mut self) {
        self.sessions = sessions(&self.engine);
        self.world.forget_sessions(SESSIONS);
        self.world.checkpoint();
        self.compare();
    }

    /// Every table as every session sees it, both ways.
    fn compare(&mut self) {
        let names: Vec<String> = self.world.tables.keys().map(|table| name(*table)).collect();
        assert_eq!(self.engine.table_names(), names);
        for session in 0..SESSIONS {
            for table in 0..TABLES {
                self.scan(session, table, session == 1);
            }
        }
    }
}

fn sessions(engine: &Engine) -> Vec<(Session, Position)> {
    let session = || engine.session().expect("a session");
    (0..SESSIONS)
        .map(|_| {
            let session = session();
            let position = session.position();
            (session, position)
        })
        .collect()
}

fn name(table: usize) -> String {
    format!("table{table}")
}

fn cache_is_full<T>(outcome: &Result<T>) -> bool {
    let full = |reason: &RollbackReason| matches!(reason, RollbackReason::CacheFull { .. });
    matches!(outcome, Err(Error::Rollback { reason }) if full(reason))
}

/// Where a move must land.
fn target(step: &Move, at: Option<&[u8]>, view: &Rows) -> Option<Vec<u8>> {
    let above = |key: &[u8]| view.keys().find(|other| other.as_slice() > key);
    let below = |key: &[u8]| view.keys().rev().find(|other| other.as_slice() < key);
    let target = match step {
        Move::Next => at.map_or_else(|| view.keys().next(), above),
        Move::Prev => at.map_or_else(|| view.keys().next_back(), below),
        Move::Find(key) => view.get_key_value(&key.bytes()).map(|(key, _)| key),
        Move::Seek(key) => view.range(key.bytes()..).next().map(|(key, _)| key),
        Move::Below(key) => below(&key.bytes()),
        Move::Release => None,
    };
    target.cloned()
}
