//! A history to crash in: what was done, which state each commit led to, and what was promised when.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{CompactProgress, Engine, Session};
use rshelve_core::io::memory::{Fault, History, MemoryStorage};

use crate::harness::{Random, Rows, database, open, value_of};

/// Every table by its name; and every table of a named checkpoint by [`named`].
pub type State = BTreeMap<String, Rows>;

/// The name in a [`State`] of a table of a named checkpoint. No table's name begins like that.
pub fn named(checkpoint: &str, table: &str) -> String {
    format!("{NAMED}{checkpoint}/{table}")
}

/// What [`named`] begins with.
pub const NAMED: char = '@';

/// A recorded run.
pub struct Recorded {
    pub options: DatabaseOptions,
    pub history: History,
    /// The states in the order of the commits; the first is that of a database without tables.
    pub states: Vec<State>,
    /// At so many steps so many commits had begun.
    begun: Vec<(usize, usize)>,
    /// At so many steps so many had been acknowledged.
    acknowledged: Vec<(usize, usize)>,
    /// At so many steps so many had been made durable by a call that returned.
    durable: Vec<(usize, usize)>,
}

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    pub durability: Durability,
    pub map_log: bool,
    /// The size of the log's files.
    pub log_segment_bytes: u64,
    pub ops: u64,
    /// So many commits in a hundred have long values.
    pub long_percent: u64,
    /// So many operations in a hundred are parts of large transactions, which stay open beside the
    /// others.
    pub large_percent: u64,
    /// So many operations in a hundred close the database and open it again, or kill the process and
    /// recover it.
    pub reopen_percent: u64,
    pub seed: u64,
}

/// What a process that was killed, or lost its power, at some step must have left.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    Kill,
    PowerLoss,
}

impl Recorded {
    /// The numbers of commits that may be there after a crash at `step`: at least, and at most.
    pub fn bounds(&self, step: usize, crash: Crash) -> (usize, usize) {
        let at = |marks: &[(usize, usize)]| {
            let index = marks.partition_point(|(at, _)| *at <= step);
            index.checked_sub(1).map_or(0, |index| marks[index].1)
        };
        let durable = at(&self.durable);
        let least = match (crash, self.options.durability) {
            (_, Durability::Checkpoint) | (Crash::PowerLoss, Durability::Process) => durable,
            _ => durable.max(at(&self.acknowledged)),
        };
        (least, at(&self.begun).max(least))
    }
}

struct Recorder {
    storage: MemoryStorage,
    /// None only between a close and the open after it.
    engine: Option<Engine>,
    random: Random,
    script: Script,
    state: State,
    recorded: Recorded,
}

/// Does what `script` says on a new database, from its creation to its close, and records it.
pub fn record(script: Script) -> Recorded {
    let mut recorder = start(script);
    recorder.run();
    recorder.recorded
}

/// Commits beside a large transaction, a checkpoint, and nothing after it: replay starts at the large
/// transaction, before commits that the checkpoint holds. The rest of `script` does not matter.
pub fn record_overlap(script: Script) -> Recorded {
    let mut recorder = start(script);
    recorder.run_overlap();
    recorder.recorded
}

/// A database that is full of holes, compacted, and closed: from the compaction on it is recorded, and
/// all of it is one state.
pub fn record_compaction(script: Script) -> Recorded {
    let mut recorder = start(script);
    recorder.storage.record(false);
    recorder.create("main");
    let mut session = recorder.engine().session().expect("a session");
    let table = recorder.engine().table("main").expect("a table");
    for round in 0..2 {
        for number in 0..900_u32 {
            let key = format!("k{:03}", recorder.random.below(1000)).into_bytes();
            if round == 1 && recorder.random.chance(60) {
                session.remove(&table, &key).expect("a removal");
                apply(&mut recorder.state, ("main".to_owned(), key, None));
                continue;
            }
            let len = if recorder.random.chance(2) { 9000 } else { recorder.random.below(700) };
            let value = value_of(len as usize, u64::from(number));
            session.put(&table, &key, &value).expect("a put");
            apply(&mut recorder.state, ("main".to_owned(), key, Some(value)));
        }
        recorder.engine().checkpoint().expect("a checkpoint");
    }
    drop((session, table));
    recorder.storage.record(true);
    let report =
        recorder.engine().compact(&mut |_| ControlFlow::Continue(())).expect("a compaction");
    assert!(report.is_complete && report.after_bytes < report.before_bytes, "{report:?}");
    recorder.engine().close().expect("a close");
    recorder.storage.record(false);
    recorder.recorded.history = recorder.storage.history();
    recorder.recorded.states = vec![recorder.state];
    recorder.recorded.begun.clear();
    recorder.recorded.acknowledged.clear();
    recorder.recorded.durable.clear();
    recorder.recorded
}

/// A new database, recorded from before its creation.
fn start(script: Script) -> Recorder {
    let storage = MemoryStorage::new();
    storage.record(true);
    let mut options = database(script.durability, false);
    options.map_log = script.map_log;
    options.log_segment_bytes = script.log_segment_bytes;
    options.cache_bytes_max = 2 << 20;
    let engine = open(&storage, &options);
    let recorded = Recorded {
        options,
        history: History::default(),
        states: vec![State::new()],
        begun: Vec::new(),
        acknowledged: Vec::new(),
        durable: Vec::new(),
    };
    let engine = Some(engine);
    let random = Random::new(script.seed);
    let state = State::new();
    Recorder { storage, engine, random, script, state, recorded }
}

impl Recorder {
    fn run(&mut self) {
        self.create("main");
        self.create("other");
        let (mut session, mut large) = self.sessions();
        let mut pending = Rows::new();
        for _ in 0..self.script.ops {
            if self.random.chance(self.script.reopen_percent) {
                drop((session, large));
                pending.clear();
                if self.random.chance(50) {
                    self.reopen()
                } else {
                    self.kill()
                }
                (session, large) = self.sessions();
            }
            match self.random.below(100) {
                0..50 => self.write_alone(&mut session),
                50..75 => self.write_together(&mut session),
                75..80 => {
                    self.engine().checkpoint().expect("a checkpoint");
                    self.mark_durable();
                }
                80..86 => {
                    self.engine().sync().expect("a sync");
                    self.mark_durable();
                }
                86..87 => self.compact(),
                87 => self.create("third"),
                88 => self.drop_table("third"),
                89 => self.name_or_drop(),
                op if op >= 100 - self.script.large_percent => {
                    self.go_on_with(&mut large, &mut pending);
                }
                _ => self.write_alone(&mut session),
            }
        }
        drop((session, large));
        self.close();
        self.storage.record(false);
        self.recorded.history = self.storage.history();
    }

    fn run_overlap(&mut self) {
        self.create("main");
        let (mut session, mut large) = self.sessions();
        self.engine().sync().expect("a sync");
        self.mark_durable();
        large.begin().expect("a begin");
        let table = self.engine().table("main").expect("a table");
        for number in 0..160_u32 {
            large.put(&table, &number.to_be_bytes(), &value_of(1800, 1)).expect("a put");
        }
        for round in 0..12_u64 {
            let key = [b'k', (round % 2) as u8];
            let value = value_of(40, round);
            self.commit(
                |state| apply(state, ("main".to_owned(), key.to_vec(), Some(value.clone()))),
                |_| session.put(&table, &key, &value).expect("a put"),
            );
        }
        self.engine().checkpoint().expect("a checkpoint");
        self.mark_durable();
        self.recorded.history = self.storage.history();
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an open database")
    }

    fn sessions(&self) -> (Session, Session) {
        let session = || self.engine().session().expect("a session");
        (session(), session())
    }

    fn close(&mut self) {
        self.engine.take().expect("an open database").close().expect("a close");
        self.mark_durable();
    }

    /// Opens the database; what recovery found is durable then.
    fn open(&mut self) {
        self.engine = Some(open(&self.storage, &self.recorded.options));
        self.mark_durable();
    }

    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Leaves the files as a killed process does, and recovers them. Without a log the state goes back
    /// to the last checkpoint.
    fn kill(&mut self) {
        self.storage.fail_nth(1, Fault::Eio, true);
        drop(self.engine.take());
        self.storage.heal();
        if self.script.durability == Durability::Checkpoint {
            let durable = self.recorded.durable.last().map_or(0, |(_, commits)| *commits);
            let state = self.recorded.states[durable].clone();
            self.commit_state(state);
        }
        self.open();
        self.create("main");
        self.create("other");
    }

    /// Enters a state to which no call of the engine leads.
    fn commit_state(&mut self, state: State) {
        self.state = state;
        let number = self.recorded.states.len();
        self.recorded.begun.push((self.steps(), number));
        self.recorded.states.push(self.state.clone());
    }

    /// A compaction, sometimes stopped half-way: it changes nothing, and each of its steps is a
    /// checkpoint.
    fn compact(&mut self) {
        let mut left = 1 + self.random.below(8);
        let mut tell = |_: &CompactProgress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.engine().compact(&mut tell).expect("a compaction");
        self.mark_durable();
    }

    /// Names a checkpoint, anew if there is one of that name, or drops it. Either is a step from one
    /// state to the next.
    fn name_or_drop(&mut self) {
        let name = if self.random.chance(50) { "monday" } else { "friday" };
        let is_its = |key: &String| key.starts_with(&named(name, ""));
        if self.state.keys().any(is_its) && self.random.chance(40) {
            self.commit(
                |state| state.retain(|key, _| !is_its(key)),
                |engine| engine.drop_checkpoint(name).expect("a drop"),
            );
        } else {
            self.commit(
                |state| {
                    state.retain(|key, _| !is_its(key));
                    let tables = state.iter().filter(|(table, _)| !table.starts_with(NAMED));
                    let copies: Vec<_> =
                        tables.map(|(table, rows)| (named(name, table), rows.clone())).collect();
                    state.extend(copies);
                },
                |engine| engine.checkpoint_named(name).expect("a named checkpoint"),
            );
        }
        self.mark_durable();
    }

    fn steps(&self) -> usize {
        self.storage.history().len()
    }

    /// Runs a commit that leads to the state that `change` makes.
    fn commit(&mut self, change: impl FnOnce(&mut State), run: impl FnOnce(&Engine)) {
        change(&mut self.state);
        self.recorded.begun.push((self.steps(), self.recorded.states.len()));
        self.recorded.states.push(self.state.clone());
        run(self.engine());
        self.recorded.acknowledged.push((self.steps(), self.recorded.states.len() - 1));
    }

    fn mark_durable(&mut self) {
        self.recorded.durable.push((self.steps(), self.recorded.states.len() - 1));
    }

    fn create(&mut self, name: &str) {
        if self.state.contains_key(name) {
            return;
        }
        let options = TableOptions {
            leaf_bytes_max: 8 << 10,
            internal_bytes_max: 4096,
            ..Default::default()
        };
        self.commit(
            |state| drop(state.insert(name.to_owned(), Rows::new())),
            |engine| drop(engine.create_table(name, &options).expect("a table")),
        );
    }

    fn drop_table(&mut self, name: &str) {
        if self.state.contains_key(name) {
            self.commit(
                |state| drop(state.remove(name)),
                |engine| engine.drop_table(name).expect("a drop"),
            );
        }
    }

    /// A change: a table, a key, and a value or none.
    fn draw(&mut self) -> (String, Vec<u8>, Option<Vec<u8>>) {
        let third = self.state.contains_key("third");
        let table = match self.random.below(10) {
            0..6 => "main",
            6..8 => "other",
            _ if third => "third",
            _ => "main",
        };
        let key = format!("k{:03}", self.random.below(60)).into_bytes();
        if self.random.chance(25) {
            return (table.to_owned(), key, None);
        }
        let len = match self.random.below(100) {
            long if long < self.script.long_percent => 2049 + self.random.below(5000),
            short => short,
        };
        (table.to_owned(), key, Some(value_of(len as usize, self.random.next())))
    }

    fn write_alone(&mut self, session: &mut Session) {
        let (name, key, value) = self.draw();
        let change = (name.clone(), key.clone(), value.clone());
        self.commit(
            |state| apply(state, change),
            |engine| {
                let table = engine.table(&name).expect("a table");
                match value {
                    Some(value) => session.put(&table, &key, &value).expect("a put"),
                    None => drop(session.remove(&table, &key).expect("a removal")),
                }
            },
        );
    }

    fn write_together(&mut self, session: &mut Session) {
        let count = 2 + self.random.below(8);
        let changes: Vec<_> = (0..count).map(|_| self.draw()).collect();
        session.begin().expect("a begin");
        for (name, key, value) in &changes {
            let table = self.engine().table(name).expect("a table");
            match value {
                Some(value) => session.put(&table, key, value).expect("a put"),
                None => drop(session.remove(&table, key).expect("a removal")),
            }
        }
        if self.random.chance(20) {
            return session.rollback().expect("a rollback");
        }
        // Whatever the setting: what such a commit returned from is there after a power loss, and all before it,
        // if it wrote anything. A removal may find nothing.
        let puts = changes.iter().any(|(.., value)| value.is_some());
        let synced = self.random.chance(25) && puts;
        self.commit(
            |state| changes.into_iter().for_each(|change| apply(state, change)),
            |_| session.commit_with(synced.then_some(true)).expect("a commit"),
        );
        if synced {
            self.mark_durable();
        }
    }

    /// Writes a part of a large transaction, or ends it. Its keys are nobody else's.
    fn go_on_with(&mut self, session: &mut Session, pending: &mut Rows) {
        if !session.in_transaction() {
            session.begin().expect("a begin");
        }
        let table = self.engine().table("main").expect("a table");
        for _ in 0..60 {
            let key = format!("x{:03}", self.random.below(200)).into_bytes();
            let len = if self.random.chance(self.script.long_percent) { 2500 } else { 1800 };
            let value = value_of(len, self.random.next());
            session.put(&table, &key, &value).expect("a put");
            pending.insert(key, value.into());
        }
        let written = std::mem::take(pending);
        match self.random.below(6) {
            0 => session.rollback().expect("a rollback"),
            1 | 2 => self.commit(
                |state| state.get_mut("main").expect("a table").extend(written),
                |_| session.commit().expect("a commit"),
            ),
            _ => *pending = written,
        }
    }
}

fn apply(state: &mut State, (name, key, value): (String, Vec<u8>, Option<Vec<u8>>)) {
    let rows = state.get_mut(&name).expect("a table");
    match value {
        Some(value) => drop(rows.insert(key, value.into())),
        None => drop(rows.remove(&key)),
    }
}
