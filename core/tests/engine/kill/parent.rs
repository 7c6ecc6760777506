//! Who kills, opens and compares.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rshelve_core::base::options::{DatabaseOptions, Durability, OpenMode};
use rshelve_core::engine::Engine;

use super::rounds::{self, ORDERS, Orders, SHARED, THREADS, ThreadRows, apply, counter, own_table};
use crate::harness::{Random, read_all, seed};

/// What an open may take; a log of the default size replays in well under it.
const OPEN_SECONDS_MAX: f64 = 1.0;

/// What the victim said before it died.
#[derive(Default)]
struct Heard {
    acknowledged: [u64; THREADS],
    checkpoint: [u64; THREADS],
}

/// What the database held after the last kill.
struct Model {
    seed: u64,
    done: [u64; THREADS],
    rows: [ThreadRows; THREADS],
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
        rounds += heard.acknowledged.iter().sum::<u64>();
        slowest = slowest.max(model.look(&path, durability, &heard, &what, &mut random));
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
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    let orders = Orders { durability, path, seed: model.seed, done: model.done };
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::kill_victim", "--nocapture", "--test-threads=1"])
        .env(ORDERS, orders.encode())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(victim.stdout.take().expect("a pipe")).lines();
    let mut heard = Heard { acknowledged: model.done, ..Heard::default() };
    let signal = if early { "opening" } else { "open" };
    for line in lines.by_ref().map_while(Result::ok) {
        if heard.take(&line) == signal {
            break;
        }
    }
    // A random moment of what it does, not a wait for it.
    let most = if early { 4000 } else { 150_000 };
    std::thread::sleep(Duration::from_micros(random.below(most)));
    kill(&mut victim);
    for line in lines.map_while(Result::ok) {
        heard.take(&line);
    }
    heard
}

fn kill(victim: &mut Child) {
    victim.kill().expect("a signal");
    let status = victim.wait().expect("an end");
    assert!(status.code().is_none(), "the process ended by itself: {status}");
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
            "checkpoint" => {
                if let (Some(a), Some(b), Some(c)) = (number(), number(), number()) {
                    self.checkpoint = [a, b, c];
                }
            }
            "failed:" => panic!("the process failed: {line}"),
            _ => {}
        }
        word
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        Self { seed, done: [0; THREADS], rows: Default::default() }
    }

    /// Opens the database and compares it; returns how many seconds the open took.
    fn look(
        &mut self,
        path: &Path,
        durability: Durability,
        heard: &Heard,
        what: &str,
        random: &mut Random,
    ) -> f64 {
        let options =
            DatabaseOptions { background: random.chance(50), ..rounds::options(durability) };
        let began = Instant::now();
        let engine = Engine::open(path, options)
            .unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
        let seconds = began.elapsed().as_secs_f64();
        assert!(seconds < OPEN_SECONDS_MAX, "{what}: opening took {seconds} s");
        let found = read(&engine);
        for (thread, found) in found.into_iter().enumerate() {
            self.compare(thread, found, durability, heard, what);
        }
        engine.close().unwrap_or_else(|error| panic!("{what}: it does not close: {error}"));
        let beside: Vec<_> = std::fs::read_dir(path.parent().expect("a folder"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(beside, ["spam"], "{what}");
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
        durability: Durability,
        heard: &Heard,
        what: &str,
    ) {
        let number = found.get(&(true, counter(thread)));
        let round =
            number.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_le_bytes);
        let acknowledged = heard.acknowledged[thread];
        let least = match durability {
            Durability::Checkpoint => heard.checkpoint[thread].max(self.done[thread]),
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

/// Whoever only reads sees the same file.
fn check_reader(path: &Path, what: &str) {
    let options = DatabaseOptions { mode: OpenMode::ReadOnly, ..DatabaseOptions::default() };
    let engine = Engine::open(path, options);
    let engine = engine.unwrap_or_else(|error| panic!("{what}: it does not open to read: {error}"));
    read(&engine);
}
