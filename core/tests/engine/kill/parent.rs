//! Who kills, opens and compares.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rshelve_core::base::options::{DatabaseOptions, Durability, OpenMode};
use rshelve_core::engine::{Engine, verify_file};
use rshelve_core::verify::Report;

use super::rounds::{
    self, ORDERS, Orders, SHARED, THREADS, ThreadRows, UNLOGGED, UNLOGGED_EVERY, UNLOGGED_KEYS,
    apply, counter, own_table, unlogged_key,
};
use crate::harness::{Random, Rows, read_all, seed};

/// What an open may take; a log of the default size replays in well under it.
const OPEN_SECONDS_MAX: f64 = 1.0;

/// What the victim said before it died.
#[derive(Default)]
pub struct Heard {
    pid: u64,
    acknowledged: [u64; THREADS],
    /// What a checkpoint or sync covered.
    durable: [u64; THREADS],
    /// What a checkpoint covered.
    checkpoint: [u64; THREADS],
    /// Why it could not go on.
    pub failure: Option<String>,
}

/// How the rounds end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Kill,
    PowerLoss,
}

/// What the database held after the last kill.
pub struct Model {
    seed: u64,
    /// How many rounds of each thread it holds.
    pub done: [u64; THREADS],
    rows: [ThreadRows; THREADS],
    /// The same for the table without a log, which may be behind.
    unlogged: [u64; THREADS],
}

/// Kills a process on one database, `kills` times, and looks after each.
pub fn check(durability: Durability, kills: u64) {
    let seed = seed();
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut folder_number, mut model) = (0, Model::new(seed));
    let (mut slowest, mut rounds) = (0.0_f64, 0);
    for kill in 0..kills {
        // Now and then another database, to be killed while it is made.
        let is_new = kill == 0 || random.below(6) == 0;
        if is_new {
            folder_number += 1;
            model = Model::new(seed ^ folder_number);
            let name = folder.path().join(folder_number.to_string());
            std::fs::create_dir(name).expect("a folder");
        }
        let path = folder.path().join(folder_number.to_string()).join("spam");
        let early = is_new && kill > 0 || random.below(4) == 0;
        let heard = run_and_kill(&path, durability, &model, early, &mut random);
        let what = format!("kill {kill} of {durability:?}, early: {early}, seed {seed}");
        assert_eq!(heard.failure, None, "{what}");
        rounds += heard.acknowledged.iter().sum::<u64>();
        slowest =
            slowest.max(model.look(&path, (durability, End::Kill), &heard, &what, &mut random));
    }
    println!("{durability:?}: {kills} kills, {rounds} rounds, slowest open {slowest:.3} s");
}

/// Lets a process run, for a moment after it is ready or, `early`, after it begins to open.
fn run_and_kill(
    path: &Path,
    durability: Durability,
    model: &Model,
    early: bool,
    random: &mut Random,
) -> Heard {
    let mut victim = Victim::start(Vec::new(), path, durability, model);
    victim.wait_for(if early { "opening" } else { "open" });
    // A random moment of what it does, not a wait for it.
    let most = if early { 4000 } else { 150_000 };
    std::thread::sleep(Duration::from_micros(random.below(most)));
    let status = victim.kill();
    assert!(status.code().is_none(), "the process ended by itself: {status}");
    victim.finish()
}

/// A process that runs rounds until it dies.
pub struct Victim {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    heard: Heard,
}

impl Victim {
    /// Starts it on the database at `path`, by way of the command `wrapper`, if there is one.
    pub fn start(
        mut wrapper: Vec<String>,
        path: &Path,
        durability: Durability,
        model: &Model,
    ) -> Self {
        let path = path.to_str().expect("a path in UTF-8").to_owned();
        let orders = Orders { durability, path, seed: model.seed, done: model.done };
        let program = std::env::current_exe().expect("this program");
        wrapper.push(program.to_str().expect("a path in UTF-8").to_owned());
        let mut child = Command::new(&wrapper[0])
            .args(&wrapper[1..])
            .args(["--exact", "kill::kill_victim", "--nocapture", "--test-threads=1"])
            .env(ORDERS, orders.encode())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let heard = Heard { acknowledged: model.done, ..Heard::default() };
        Self { child, lines, heard }
    }

    /// Listens until it says `word`, or is gone.
    pub fn wait_for(&mut self, word: &str) {
        for line in self.lines.by_ref().map_while(Result::ok) {
            if self.heard.take(&line) == word {
                break;
            }
        }
    }

    pub fn kill(&mut self) -> ExitStatus {
        // The process itself: a wrapper may let it live.
        if self.heard.pid > 0 {
            let _ = Command::new("kill").args(["-9", &self.heard.pid.to_string()]).status();
        }
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end")
    }

    /// What it said until it died.
    pub fn finish(mut self) -> Heard {
        for line in self.lines.map_while(Result::ok) {
            self.heard.take(&line);
        }
        self.heard
    }
}

impl Heard {
    /// Notes what a line says; returns its first word.
    fn take<'l>(&mut self, line: &'l str) -> &'l str {
        // The test harness begins its own line, and the first message continues it.
        let Some((_, line)) = line.split_once('@') else { return "" };
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match word {
            "done" => {
                if let (Some(thread), Some(round)) = (number(), number()) {
                    self.acknowledged[thread as usize] = round;
                }
            }
            "checkpoint" | "synced" => {
                if let (Some(a), Some(b), Some(c)) = (number(), number(), number()) {
                    self.durable = [a, b, c];
                    if word == "checkpoint" {
                        self.checkpoint = [a, b, c];
                    }
                }
            }
            "opening" => self.pid = number().unwrap_or(0),
            "failed:" => self.failure = Some(line.to_owned()),
            _ => {}
        }
        word
    }
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self { seed, done: [0; THREADS], rows: Default::default(), unlogged: [0; THREADS] }
    }

    /// Opens the database and compares it; returns how many seconds the open took.
    pub fn look(
        &mut self,
        path: &Path,
        (durability, end): (Durability, End),
        heard: &Heard,
        what: &str,
        random: &mut Random,
    ) -> f64 {
        // Killed before it had its content, the file is empty; the log may be all that is behind it.
        if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            check_file(path, what);
        }
        let options =
            DatabaseOptions { background: random.chance(50), ..rounds::options(durability) };
        let began = Instant::now();
        let engine = Engine::open(path, options)
            .unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
        let seconds = began.elapsed().as_secs_f64();
        assert!(seconds < OPEN_SECONDS_MAX, "{what}: opening took {seconds} s");
        self.compare_unlogged(&engine, heard, what);
        let found = read(&engine);
        for (thread, found) in found.into_iter().enumerate() {
            self.compare(thread, found, (durability, end), heard, what);
        }
        engine.close().unwrap_or_else(|error| panic!("{what}: it does not close: {error}"));
        let beside: Vec<_> = std::fs::read_dir(path.parent().expect("a folder"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(beside, ["spam"], "{what}");
        let report = check_file(path, what);
        assert!(report.unreached.is_empty(), "{what}: lost space {:?}", report.unreached);
        if random.chance(20) {
            check_reader(path, what);
        }
        seconds
    }

    /// Thread `thread`'s rows must be those after one of its rounds.
    fn compare(
        &mut self,
        thread: usize,
        found: ThreadRows,
        ending: (Durability, End),
        heard: &Heard,
        what: &str,
    ) {
        let number = found.get(&(true, counter(thread)));
        let round =
            number.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_le_bytes);
        let acknowledged = heard.acknowledged[thread];
        let least = match ending {
            (Durability::Checkpoint, _) | (Durability::Process, End::PowerLoss) => {
                heard.durable[thread].max(self.done[thread])
            }
            _ => acknowledged,
        };
        assert!(
            (least..=acknowledged + 1).contains(&round),
            "{what}: thread {thread} is back at round {round}; {least} was promised, \
             {acknowledged} acknowledged"
        );
        for next in self.done[thread] + 1..=round {
            apply(&mut self.rows[thread], self.seed, thread, next);
        }
        self.done[thread] = round;
        let rows = &self.rows[thread];
        for (key, value) in rows {
            let other = found.get(key).map(Vec::len);
            assert_eq!(found.get(key), Some(value), "{what}: round {round}, {key:?}: {other:?}");
        }
        assert_eq!(found.len(), rows.len(), "{what}: rows of thread {thread}");
    }
}

impl Model {
    /// Without a log, a checkpoint is what is promised, and whole transactions.
    fn compare_unlogged(&mut self, engine: &Engine, heard: &Heard, what: &str) {
        // Not there before its first checkpoint, or its record of creation.
        let rows = engine.table(UNLOGGED).map_or_else(
            |_| Rows::new(),
            |table| read_all(&mut engine.session().expect("a session"), &table, false),
        );
        for thread in 0..THREADS {
            let number = |key| {
                let value = rows.get(&unlogged_key(thread, key));
                value.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_le_bytes)
            };
            let found = number(0);
            let whole = (1..UNLOGGED_KEYS).all(|key| number(key) == found);
            assert!(whole, "{what}: half a transaction of thread {thread}");
            let covered = heard.checkpoint[thread];
            // What it wrote since it started; what was lost before that is not written again.
            let last = covered - covered % UNLOGGED_EVERY;
            let least = if last > self.done[thread] { last } else { self.unlogged[thread] };
            let most = heard.acknowledged[thread] + 1;
            assert!(
                (least..=most).contains(&found),
                "{what}: without a log, thread {thread} is at round {found}; {least} was promised, \
                 {most} begun"
            );
            self.unlogged[thread] = found;
        }
    }
}

/// Every thread's rows, from all tables that are there.
fn read(engine: &Engine) -> [ThreadRows; THREADS] {
    let mut rows: [ThreadRows; THREADS] = Default::default();
    let mut session = engine.session().expect("a session");
    let names = engine.table_names();
    for name in &names {
        let table = engine.table(name).expect("a table");
        let found = read_all(&mut session, &table, false);
        assert_eq!(session.rows(&table), found.len() as u64, "rows of {name}");
        let own = (0..THREADS).find(|thread| own_table(*thread) == *name);
        for (key, value) in found {
            let thread = own.or_else(|| (name == SHARED).then(|| owner(&key)));
            if let Some(thread) = thread {
                rows[thread].insert((own.is_none(), key), value.to_vec());
            }
        }
        session.release_snapshot();
    }
    rows
}

/// The thread that writes this key of the shared table.
fn owner(key: &[u8]) -> usize {
    let digit = |at: usize| usize::from(key[at] - b'0');
    if key.starts_with(b"counter-") { digit(8) } else { digit(1) }
}

/// Nothing is damaged, whatever moment the end came.
fn check_file(path: &Path, what: &str) -> Report {
    let report = verify_file(path, &mut |_| Ok(()));
    let report = report.unwrap_or_else(|error| panic!("{what}: it cannot be verified: {error}"));
    assert!(report.is_clean(), "{what}: {report}");
    report
}

/// Whoever only reads sees the same file.
fn check_reader(path: &Path, what: &str) {
    let options = DatabaseOptions { mode: OpenMode::ReadOnly, ..DatabaseOptions::default() };
    let engine = Engine::open(path, options);
    let engine = engine.unwrap_or_else(|error| panic!("{what}: it does not open to read: {error}"));
    read(&engine);
}
