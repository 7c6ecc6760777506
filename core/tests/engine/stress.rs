//! Many threads at once, at a cache that is too small for them: writers, transfers between accounts,
//! scanners, a thread that fills and clears ranges, checkpoints, tables that come and go, and copies of
//! the files as a killed process would leave them.
//!
//! What each schedule must keep: sums and scans within one snapshot, order and completeness of scans,
//! what each writer wrote, and in every copy what was acknowledged before it was made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};

use crate::audit::unreached_bytes;
use crate::harness::{
    Random, Rows, check_rows, database, is_long, open, read_all, scaled, seed, table, value_of,
};

const ACCOUNTS: u64 = 60;
const BALANCE: u64 = 1000;
const FIXED: u64 = 150;
const WRITERS: usize = 2;

/// What all threads share.
struct Arena {
    engine: Engine,
    storage: MemoryStorage,
    end: Instant,
    stop: AtomicBool,
    /// Of each writer, how many of its rounds were acknowledged.
    acknowledged: [AtomicU64; WRITERS],
    seed: u64,
}

impl Arena {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end && !self.stop.load(SeqCst)
    }

    fn table(&self, name: &str) -> OpenTable {
        self.engine.table(name).expect("a table")
    }

    fn session(&self) -> Session {
        self.engine.session().expect("a session")
    }

    fn random(&self, thread: u64) -> Random {
        Random::new(self.seed ^ thread << 40)
    }
}

/// Ends everybody when a thread panics, so that the panic is what one sees.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

#[test]
fn stress_with_background_threads() {
    check(Durability::Process, true, seed());
}

#[test]
fn stress_without_background_threads() {
    check(Durability::Process, false, seed());
}

#[test]
fn stress_with_syncs_and_without_a_log() {
    let seed = seed();
    check(Durability::Sync, true, seed);
    check(Durability::Checkpoint, true, seed);
}

fn check(durability: Durability, background: bool, seed: u64) {
    let storage = MemoryStorage::new();
    let options = DatabaseOptions {
        cache_bytes_max: 2 << 20,
        timeout: Duration::from_secs(2),
        checkpoint_log_bytes: 1 << 20,
        log_sync_interval: Duration::from_millis(20),
        ..database(durability, background)
    };
    let engine = open(&storage, &options);
    set_up(&engine);
    let arena = Arena {
        engine,
        storage,
        end: Instant::now() + Duration::from_millis(scaled(1500, 60_000)),
        stop: AtomicBool::new(false),
        acknowledged: [const { AtomicU64::new(0) }; WRITERS],
        seed,
    };
    let models = run(&arena);
    compare(&arena, &models);
    let Arena { engine, storage, .. } = arena;
    engine.close().expect("a close");
    drop(engine);
    assert_eq!(unreached_bytes(&storage), 0, "bytes are in use and not reached");
    let engine = open(&storage, &options);
    let mut session = engine.session().expect("a session");
    for (writer, model) in models.iter().enumerate() {
        let rows =
            read_all(&mut session, &engine.table(&writer_name(writer)).expect("a table"), true);
        check_rows("a writer's table after a reopen", &rows, model);
    }
}

fn writer_name(writer: usize) -> String {
    format!("writer{writer}")
}

fn account(number: u64) -> Vec<u8> {
    format!("account{number:04}").into_bytes()
}

fn fixed(number: u64) -> Vec<u8> {
    format!("c{:05}", number * 37).into_bytes()
}

fn set_up(engine: &Engine) {
    let mut session = engine.session().expect("a session");
    let bank = engine.create_table("bank", &table()).expect("a table");
    let churn = engine.create_table("churn", &table()).expect("a table");
    for number in 0..ACCOUNTS {
        session.put(&bank, &account(number), &balance(BALANCE)).expect("a put");
    }
    for number in 0..FIXED {
        session.put(&churn, &fixed(number), b"fixed").expect("a put");
    }
    for writer in 0..WRITERS {
        engine.create_table(&writer_name(writer), &table()).expect("a table");
    }
    engine.checkpoint().expect("a checkpoint");
}

/// A balance, with padding so that accounts fill several pages.
fn balance(amount: u64) -> Vec<u8> {
    let mut bytes = amount.to_le_bytes().to_vec();
    bytes.resize(300, 0);
    bytes
}

fn amount(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn run(arena: &Arena) -> Vec<Rows> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| scope.spawn(move || guarded(arena, || write(arena, number))))
            .collect();
        let spawn = |work: fn(&Arena, u64), thread: u64| {
            scope.spawn(move || guarded(arena, || work(arena, thread)));
        };
        spawn(transfer, 10);
        spawn(transfer, 11);
        spawn(sum_up, 20);
        spawn(sum_up, 21);
        spawn(fill_and_clear, 30);
        spawn(scan_churn, 40);
        spawn(wander, 41);
        spawn(keep, 50);
        spawn(create_and_drop, 60);
        spawn(copy_and_open, 70);
        writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
    })
}

fn guarded<R>(arena: &Arena, work: impl FnOnce() -> R) -> R {
    let _stop = StopOnPanic(&arena.stop);
    work()
}

/// Whether the operation is to be tried again: somebody was in the way, or the cache was full.
fn again<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(done) => Some(done),
        Err(Error::Rollback { .. }) => None,
        Err(error) => panic!("an operation fails: {error}"),
    }
}

/// Writes to a table of its own, alone and in transactions, and keeps a model.
fn write(arena: &Arena, writer: usize) -> Rows {
    let mut random = arena.random(writer as u64);
    let mut session = arena.session();
    let table = arena.table(&writer_name(writer));
    let mut model = Rows::new();
    let mut round = 0_u64;
    while arena.goes_on() {
        round += 1;
        let mut changes: BTreeMap<Vec<u8>, Option<Arc<[u8]>>> = BTreeMap::new();
        let count = if random.chance(70) { 1 } else { 1 + random.below(40) };
        for _ in 0..count {
            let key = format!("k{:05}", random.below(3000)).into_bytes();
            let len = if random.chance(4) { 1025 + random.below(9000) } else { random.below(500) };
            let value = value_of(len as usize, random.next()).into();
            changes.insert(key, (!random.chance(30)).then_some(value));
        }
        let counter: Arc<[u8]> = round.to_le_bytes().as_slice().into();
        changes.insert(b"round".to_vec(), Some(counter));
        let keep = !random.chance(15);
        if apply(&mut session, &table, &changes, keep).is_none() {
            continue;
        }
        arena.acknowledged[writer].store(round, SeqCst);
        for (key, value) in changes {
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
        }
        let rows = session.rows(&table);
        assert_eq!(rows, model.len() as u64, "rows of writer {writer}");
        let key = format!("k{:05}", random.below(3000)).into_bytes();
        let found = session.get(&table, &key, |value| Arc::<[u8]>::from(value)).expect("a get");
        assert!(found.as_ref() == model.get(&key), "what writer {writer} reads back");
    }
    model
}

/// One transaction with these changes; none when it was rolled back.
fn apply(
    session: &mut Session,
    table: &OpenTable,
    changes: &BTreeMap<Vec<u8>, Option<Arc<[u8]>>>,
    keep: bool,
) -> Option<()> {
    session.begin().expect("a begin");
    for (key, value) in changes {
        let outcome = match value {
            Some(value) => session.put(table, key, value),
            None => session.remove(table, key).map(drop),
        };
        if again(outcome).is_none() {
            session.rollback().expect("a rollback");
            return None;
        }
    }
    if keep {
        session.commit().expect("a commit");
        return Some(());
    }
    session.rollback().expect("a rollback");
    None
}

/// Moves money between accounts.
fn transfer(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    let bank = arena.table("bank");
    while arena.goes_on() {
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
        if from == to {
            continue;
        }
        session.begin().expect("a begin");
        let moved = move_money(&mut session, &bank, from, to, random.below(50));
        match moved {
            Some(true) if !random.chance(10) => {
                let _ = again(session.commit());
            }
            _ => session.rollback().expect("a rollback"),
        }
    }
}

fn move_money(
    session: &mut Session,
    bank: &OpenTable,
    from: u64,
    to: u64,
    sum: u64,
) -> Option<bool> {
    let of = |session: &mut Session, number| {
        session.get(bank, &account(number), amount).expect("a get").expect("an account")
    };
    let (rich, poor) = (of(session, from), of(session, to));
    if rich < sum {
        return Some(false);
    }
    again(session.put(bank, &account(from), &balance(rich - sum)))?;
    // Twice, so that chains have versions of one transaction.
    again(session.put(bank, &account(to), &balance(poor)))?;
    again(session.put(bank, &account(to), &balance(poor + sum)))?;
    Some(true)
}

/// Adds the accounts up, twice within one snapshot and once without a transaction.
fn sum_up(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    let bank = arena.table("bank");
    while arena.goes_on() {
        let in_transaction = random.chance(50);
        if in_transaction {
            session.begin().expect("a begin");
        }
        let first = read_all(&mut session, &bank, random.chance(50));
        check_sum("a scan", &first);
        let second = read_all(&mut session, &bank, random.chance(50));
        check_rows("a scan within one snapshot", &second, &first);
        if in_transaction {
            for _ in 0..5 {
                let key = account(random.below(ACCOUNTS));
                let found = session.get(&bank, &key, |value| Arc::from(value)).expect("a get");
                assert!(found.as_ref() == first.get(&key), "a get differs from the scan before");
            }
            session.commit().expect("a commit");
        }
        session.release_snapshot();
    }
}

fn check_sum(what: &str, rows: &Rows) {
    assert_eq!(rows.len() as u64, ACCOUNTS, "{what}: the accounts");
    let sum: u64 = rows.values().map(|value| amount(value)).sum();
    assert_eq!(sum, ACCOUNTS * BALANCE, "{what}: the sum of the accounts");
}

/// Fills ranges of keys between those that stay, and clears them.
fn fill_and_clear(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    let churn = arena.table("churn");
    while arena.goes_on() {
        let from = random.below(FIXED * 37);
        let count = 100 + random.below(600);
        let len = random.below(300) as usize;
        for number in (from..from + count).filter(|number| number % 37 != 0) {
            let key = format!("c{number:05}").into_bytes();
            let _ = again(session.put(&churn, &key, &value_of(len, number)));
        }
        for number in (from..from + count).filter(|number| number % 37 != 0) {
            let key = format!("c{number:05}").into_bytes();
            while again(session.remove(&churn, &key)).is_none() && arena.goes_on() {}
        }
    }
}

/// Scans the table that is filled and cleared: what stays is always there.
fn scan_churn(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    let churn = arena.table("churn");
    while arena.goes_on() {
        let rows = read_all(&mut session, &churn, random.chance(50));
        session.release_snapshot();
        for number in 0..FIXED {
            let value = rows.get(&fixed(number)).map(|value| &**value);
            assert_eq!(value, Some(&b"fixed"[..]), "key {number} of those that stay");
        }
    }
}

/// Steps about in the same table with a cursor that it keeps: between neighbours that stay nothing that
/// stays may be missed.
fn wander(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    let churn = arena.table("churn");
    let mut at = session.position();
    while arena.goes_on() {
        session.release_snapshot();
        let number = 1 + random.below(FIXED - 2);
        assert!(session.find(&churn, &mut at, &fixed(number)).expect("a search"));
        if random.chance(50) {
            session.release_snapshot();
        }
        let forward = random.chance(50);
        let goal = fixed(if forward { number + 1 } else { number - 1 });
        loop {
            let moved =
                if forward { session.next(&churn, &mut at) } else { session.prev(&churn, &mut at) };
            assert!(moved.expect("a move"), "the end of the table before {goal:?}");
            let key = at.key().expect("a key");
            if key == goal {
                break;
            }
            assert!(forward == (key < goal.as_slice()), "{key:?} behind {goal:?}");
        }
        if random.chance(20) {
            at.reset();
            let moved = session.prev(&churn, &mut at).expect("a move");
            assert!(moved && at.key() >= Some(fixed(FIXED - 1).as_slice()), "the last key");
        }
    }
}

/// Takes checkpoints, syncs and compacts.
fn keep(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    while arena.goes_on() {
        if random.chance(10) {
            let outcome = arena.engine.compact(&mut |_| ControlFlow::Continue(()));
            // With a cache this small there may be no room for long enough.
            assert!(matches!(outcome, Ok(_) | Err(Error::Rollback { .. })), "{outcome:?}");
        } else if random.chance(60) {
            arena.engine.checkpoint().expect("a checkpoint");
        } else {
            arena.engine.sync().expect("a sync");
        }
        std::thread::yield_now();
    }
}

/// Makes tables, writes to them and drops them.
fn create_and_drop(arena: &Arena, thread: u64) {
    let mut random = arena.random(thread);
    let mut session = arena.session();
    while arena.goes_on() {
        let name = format!("passing{}", random.below(3));
        let passing = arena.engine.create_table(&name, &table()).expect("a table");
        for _ in 0..random.below(200) {
            let key = random.below(1000).to_be_bytes();
            let len = if random.chance(10) { 3000 } else { 100 };
            let _ = again(session.put(&passing, &key, &value_of(len, 1)));
        }
        drop(passing);
        arena.engine.drop_table(&name).expect("a drop");
    }
}

/// Copies the files as they are, as a killed process leaves them, and opens the copy.
fn copy_and_open(arena: &Arena, _thread: u64) {
    let options = DatabaseOptions {
        background: false,
        cache_bytes_max: 16 << 20,
        ..arena.engine.options().clone()
    };
    while arena.goes_on() {
        let acknowledged: Vec<u64> =
            arena.acknowledged.iter().map(|count| count.load(SeqCst)).collect();
        let copy = arena.storage.duplicate();
        let engine = open(&copy, &options);
        let mut session = engine.session().expect("a session");
        check_sum(
            "a copy",
            &read_all(&mut session, &engine.table("bank").expect("a table"), false),
        );
        let churn = read_all(&mut session, &engine.table("churn").expect("a table"), true);
        let stay = (0..FIXED).filter(|number| churn.contains_key(&fixed(*number))).count();
        assert_eq!(stay as u64, FIXED, "keys that stay, in a copy");
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let table = engine.table(&writer_name(writer)).expect("a table");
            let rows = read_all(&mut session, &table, false);
            let round = rows.get(&b"round"[..]).map_or(0, |value| amount(value));
            if options.durability != Durability::Checkpoint {
                assert!(
                    round >= *acknowledged,
                    "writer {writer}: {round} of {acknowledged} rounds"
                );
            }
            session.release_snapshot();
            assert_eq!(
                session.rows(&table),
                rows.len() as u64,
                "rows of writer {writer} in a copy"
            );
        }
        drop(session);
        engine.close().expect("a close");
        drop(engine);
        unreached_bytes(&copy);
    }
}

/// Everything as it must be in the end.
fn compare(arena: &Arena, models: &[Rows]) {
    let mut session = arena.session();
    for (writer, model) in models.iter().enumerate() {
        let table = arena.table(&writer_name(writer));
        check_rows("a writer's table", &read_all(&mut session, &table, false), model);
    }
    check_sum("the end", &read_all(&mut session, &arena.table("bank"), false));
    let churn = read_all(&mut session, &arena.table("churn"), false);
    let left = churn.keys().filter(|key| !is_fixed(key)).count();
    assert!(churn.len() as u64 >= FIXED && left < 700, "{left} keys were not cleared");
    if is_long() {
        println!("{:?}", arena.engine.stats());
    }
}

fn is_fixed(key: &[u8]) -> bool {
    let number = std::str::from_utf8(&key[1..]).ok().and_then(|text| text.parse::<u64>().ok());
    number.is_some_and(|number| number % 37 == 0)
}
