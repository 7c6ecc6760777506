//! What the process does that is killed: rounds, each a function of the seed, the thread and its number.
//!
//! A round is one commit. It writes its number under the thread's counter, and for most numbers more
//! rows, in the thread's own table and in one that all threads share. Whoever knows the counter knows
//! every row.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, OpenTable, Session};

use crate::harness::{Random, value_of};

pub const THREADS: usize = 3;

/// Of one thread: its rows by table and key. The table is its own, or the shared one.
pub type ThreadRows = BTreeMap<(bool, Vec<u8>), Vec<u8>>;

/// What the parent tells the victim, in one environment variable.
pub struct Orders {
    pub durability: Durability,
    pub path: String,
    pub seed: u64,
    /// The rounds that each thread goes on behind.
    pub done: [u64; THREADS],
}

pub const ORDERS: &str = "RSHELVE_KILL_ORDERS";

impl Orders {
    pub fn encode(&self) -> String {
        let done = self.done.map(|round| round.to_string()).join(" ");
        format!("{:?} {} {done} {}", self.durability, self.seed, self.path)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3 + THREADS, ' ');
        let durability = match parts.next()? {
            "Sync" => Durability::Sync,
            "Process" => Durability::Process,
            _ => Durability::Checkpoint,
        };
        let seed = parts.next()?.parse().ok()?;
        let mut done = [0; THREADS];
        for round in &mut done {
            *round = parts.next()?.parse().ok()?;
        }
        Some(Self { durability, seed, done, path: parts.next()?.to_owned() })
    }
}

/// A cache and a log that are too small, so that pages are evicted, checkpoints taken, and log files
/// used again while it runs.
pub fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions {
        durability,
        cache_bytes_max: 2 << 20,
        log_segment_bytes: 256 << 10,
        checkpoint_log_bytes: 1 << 20,
        ..DatabaseOptions::default()
    }
}

fn table_options() -> TableOptions {
    TableOptions { leaf_bytes_max: 8 << 10, ..TableOptions::default() }
}

pub fn own_table(thread: usize) -> String {
    format!("own-{thread}")
}

pub const SHARED: &str = "shared";

/// The table without a log: a checkpoint is all that keeps it.
pub const UNLOGGED: &str = "unlogged";

/// Every so many rounds a thread writes the round's number under all of its keys there, at once.
pub const UNLOGGED_EVERY: u64 = 3;

pub const UNLOGGED_KEYS: u8 = 4;

pub fn unlogged_key(thread: usize, number: u8) -> Vec<u8> {
    vec![b'u', thread as u8, number]
}

pub fn counter(thread: usize) -> Vec<u8> {
    format!("counter-{thread}").into_bytes()
}

/// The changes of a round: shared or not, key, value or removal. The first is the counter's.
pub fn changes(seed: u64, thread: usize, round: u64) -> Vec<(bool, Vec<u8>, Option<Vec<u8>>)> {
    let mut random = Random::new(seed ^ (thread as u64) << 56 ^ round);
    let mut number = round.to_le_bytes().to_vec();
    number.extend(value_of(random.below(60) as usize, round));
    let mut changes = vec![(true, counter(thread), Some(number))];
    let count = match random.below(100) {
        0..40 => 0,
        // Large enough to be spilled to the log in chunks before it commits.
        99 => 300,
        _ => 1 + random.below(8),
    };
    for _ in 0..count {
        let shared = random.chance(30);
        let key = format!("t{thread}-{:04}", random.below(400)).into_bytes();
        let len = if random.chance(8) { 4000 } else { random.below(1500) } as usize;
        let value = (!random.chance(25)).then(|| value_of(len, random.next()));
        changes.push((shared, key, value));
    }
    changes
}

pub fn apply(rows: &mut ThreadRows, seed: u64, thread: usize, round: u64) {
    for (shared, key, value) in changes(seed, thread, round) {
        match value {
            Some(value) => drop(rows.insert((shared, key), value)),
            None => drop(rows.remove(&(shared, key))),
        }
    }
}

/// Says something to the parent, in one write.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone; then nobody wants to know.
    let _ = out.write_all(format!("@{line}\n").as_bytes());
    let _ = out.flush();
}

pub fn run_as_victim() {
    let Some(orders) = std::env::var(ORDERS).ok().and_then(|text| Orders::decode(&text)) else {
        return;
    };
    loop {
        say(&format!("opening {}", std::process::id()));
        let engine = Engine::open(Path::new(&orders.path), options(orders.durability));
        let engine = engine.unwrap_or_else(|error| fail(&error));
        let tables: Vec<OpenTable> = (0..THREADS)
            .map(own_table)
            .chain([SHARED.to_owned()])
            .map(|name| engine.create_table(&name, &table_options()))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| fail(&error));
        let unlogged = TableOptions { logged: false, ..table_options() };
        let unlogged = engine.create_table(UNLOGGED, &unlogged);
        let unlogged = unlogged.unwrap_or_else(|error| fail(&error));
        say("open");
        let rounds = orders.done.map(AtomicU64::new);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (orders, rounds, engine) = (&orders, &rounds, &engine);
                let (tables, unlogged) = (&tables, &unlogged);
                scope.spawn(move || work(orders, thread, rounds, engine, tables, unlogged));
            }
            scope.spawn(|| keep(orders.durability, &rounds, &engine));
        });
    }
}

/// One thread's rounds, for as long as the process lives.
fn work(
    orders: &Orders,
    thread: usize,
    rounds: &[AtomicU64; THREADS],
    engine: &Engine,
    tables: &[OpenTable],
    unlogged: &OpenTable,
) {
    let mut session = engine.session().unwrap_or_else(|error| fail(&error));
    for round in orders.done[thread] + 1.. {
        until_done(&mut session, |session| commit(session, orders.seed, thread, round, tables));
        if round.is_multiple_of(UNLOGGED_EVERY) {
            until_done(&mut session, |session| commit_unlogged(session, thread, round, unlogged));
        }
        rounds[thread].store(round, SeqCst);
        say(&format!("done {thread} {round}"));
    }
}

/// Again for as long as there is no room in the cache beside the others.
fn until_done(session: &mut Session, run: impl Fn(&mut Session) -> Result<(), Error>) {
    loop {
        match run(session) {
            Ok(()) => return,
            Err(Error::Rollback { .. }) => {
                if session.in_transaction() {
                    session.rollback().unwrap_or_else(|error| fail(&error));
                }
            }
            Err(error) => fail(&error),
        }
    }
}

fn commit_unlogged(
    session: &mut Session,
    thread: usize,
    round: u64,
    table: &OpenTable,
) -> Result<(), Error> {
    session.begin()?;
    for number in 0..UNLOGGED_KEYS {
        session.put(table, &unlogged_key(thread, number), &round.to_le_bytes())?;
    }
    session.commit()
}

fn commit(
    session: &mut Session,
    seed: u64,
    thread: usize,
    round: u64,
    tables: &[OpenTable],
) -> Result<(), Error> {
    let changes = changes(seed, thread, round);
    let together = changes.len() > 1;
    if together {
        session.begin()?;
    }
    for (shared, key, value) in changes {
        let table = &tables[if shared { THREADS } else { thread }];
        match value {
            Some(value) => session.put(table, &key, &value)?,
            None => drop(session.remove(table, &key)?),
        }
    }
    if together { session.commit() } else { Ok(()) }
}

/// Checkpoints, syncs, and tables that come and go.
fn keep(durability: Durability, rounds: &[AtomicU64; THREADS], engine: &Engine) {
    for number in 0.. {
        let covered: Vec<String> =
            rounds.iter().map(|round| round.load(SeqCst).to_string()).collect();
        let syncs = durability != Durability::Checkpoint && number % 2 == 1;
        let outcome = if syncs { engine.sync() } else { engine.checkpoint() };
        outcome.unwrap_or_else(|error| fail(&error));
        let word = if syncs { "synced" } else { "checkpoint" };
        say(&format!("{word} {}", covered.join(" ")));
        let name = format!("passing-{}", number % 3);
        let table = engine.create_table(&name, &table_options());
        let table = table.unwrap_or_else(|error| fail(&error));
        let mut session = engine.session().unwrap_or_else(|error| fail(&error));
        for key in 0..20_u32 {
            let written = session.put(&table, &key.to_be_bytes(), &value_of(3000, 1));
            written.unwrap_or_else(|error| fail(&error));
        }
        drop(table);
        if number % 4 < 2 {
            engine.drop_table(&name).unwrap_or_else(|error| fail(&error));
        }
    }
}

fn fail(error: &Error) -> ! {
    say(&format!("failed: {error}"));
    // Killed it will be; until then it does no more.
    loop {
        std::thread::park();
    }
}
