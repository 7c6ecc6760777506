//! What the judge of histories does not look at: sums over whole scans, ranges scanned again and again, and
//! counters that only grow. All at a cache smaller than the table, with checkpoints beside.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rshelve::{Connection, Cursor, Durability, Error, Result, Session};

use crate::database::{Database, TABLE};
use crate::random::{Random, scaled, seed};

const THREADS: u64 = 3;
const ACCOUNTS: u64 = 40;
const BALANCE: u64 = 1000;

fn time() -> Duration {
    scaled(Duration::from_millis(500), Duration::from_secs(20))
}

/// A row among the filler.
fn row(number: u64) -> Vec<u8> {
    format!("{:04}/row{number:04}", number * 37 % 1600).into_bytes()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Runs `work` in a transaction until no other is in the way. None once the end has come.
fn transact<R>(
    session: &Session,
    end: &End,
    mut work: impl FnMut(&mut Cursor<'_>) -> Result<R>,
) -> Option<R> {
    let mut cursor = session.open_cursor(TABLE).expect("a cursor");
    while !end.has_come() {
        session.begin().expect("a begin");
        match work(&mut cursor).and_then(|done| session.commit().map(|()| done)) {
            Ok(done) => return Some(done),
            Err(Error::Rollback { .. }) if session.in_transaction() => {
                session.rollback().expect("a rollback");
            }
            Err(Error::Rollback { .. }) => {}
            Err(error) => panic!("a transaction fails: {error}"),
        }
    }
    None
}

/// When the threads of a test end: by time, or because one of them panicked.
struct End {
    at: Instant,
    panicked: AtomicBool,
}

impl End {
    fn new() -> Self {
        Self { at: Instant::now() + time(), panicked: AtomicBool::new(false) }
    }

    fn has_come(&self) -> bool {
        self.panicked.load(SeqCst) || Instant::now() >= self.at
    }
}

/// Ends everybody when a thread panics, so that the panic is what one sees.
struct EndOnPanic<'e>(&'e End);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, SeqCst);
        }
    }
}

/// Runs `writer` on three threads and `reader` on two, with a session and random numbers each.
fn run(
    connection: &Connection,
    writer: impl Fn(&Session, &mut Random, &End) + Sync,
    reader: impl Fn(&Session, &mut Random, &End) + Sync,
) {
    let (seed, end) = (seed(), End::new());
    let (writer, reader, end) = (&writer, &reader, &end);
    std::thread::scope(|scope| {
        for thread in 0..THREADS + 2 {
            scope.spawn(move || {
                let _end = EndOnPanic(end);
                let session = connection.open_session().expect("a session");
                let mut random = Random::new(seed ^ thread << 40);
                while !end.has_come() {
                    match thread < THREADS {
                        true => writer(&session, &mut random, end),
                        false => reader(&session, &mut random, end),
                    }
                }
            });
        }
    });
}

fn balance(cursor: &mut Cursor<'_>, account: u64) -> Result<u64> {
    assert!(cursor.search(&row(account))?, "account {account}");
    cursor.value().map(number)
}

#[test]
fn sums_over_whole_scans_do_not_change() {
    let database = Database::new(Durability::Process, true);
    let connection = database.connection();
    let table = connection.table(TABLE).expect("a table");
    for account in 0..ACCOUNTS {
        table.insert(&row(account), &BALANCE.to_le_bytes()).expect("an account");
    }
    let sums = AtomicU64::new(0);
    let transfer = |session: &Session, random: &mut Random, end: &End| {
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
        let sum = random.below(50);
        transact(session, end, |cursor| {
            let rich = balance(cursor, from)?;
            cursor.insert(&row(from), &rich.wrapping_sub(sum).to_le_bytes())?;
            let poor = balance(cursor, to)?;
            cursor.insert(&row(to), &poor.wrapping_add(sum).to_le_bytes())
        });
    };
    let sum_up = |session: &Session, random: &mut Random, _: &End| {
        let in_transaction = random.chance(50);
        if in_transaction {
            session.begin().expect("a begin");
        }
        let mut cursor = session.open_cursor(TABLE).expect("a cursor");
        let is_account = |key: &[u8]| key.windows(4).any(|part| part == b"/row");
        let add = |sum: u64, row: Result<(Vec<u8>, Vec<u8>)>| {
            let (key, value) = row.expect("a row");
            if is_account(&key) { sum.wrapping_add(number(&value)) } else { sum }
        };
        let sum = match random.chance(50) {
            true => cursor.range(..).fold(0, add),
            false => cursor.range(..).rev().fold(0, add),
        };
        assert_eq!(sum, ACCOUNTS * BALANCE, "the sum of the accounts");
        sums.fetch_add(1, SeqCst);
        drop(cursor);
        if in_transaction {
            session.commit().expect("a commit");
        }
    };
    database.beside(|| run(&connection, transfer, sum_up));
    assert!(sums.into_inner() > 0, "no sum was taken");
}

#[test]
fn ranges_have_no_phantoms() {
    let database = Database::new(Durability::Process, true);
    let connection = database.connection();
    let scans = AtomicU64::new(0);
    let churn = |session: &Session, random: &mut Random, end: &End| {
        let rows: Vec<u64> = (0..1 + random.below(6)).map(|_| random.below(400)).collect();
        let removes = random.chance(50);
        transact(session, end, |cursor| {
            for number in &rows {
                if removes {
                    cursor.remove_key(&row(*number))?;
                } else {
                    cursor.insert(&row(*number), &[b'v'; 100])?;
                }
            }
            Ok(())
        });
    };
    let scan = |session: &Session, random: &mut Random, _: &End| {
        let start = format!("{:04}", random.below(1400)).into_bytes();
        let stop = format!("{:04}", random.below(1600)).into_bytes();
        session.begin().expect("a begin");
        let mut cursor = session.open_cursor(TABLE).expect("a cursor");
        let rows = session.len(TABLE).expect("a count");
        let mut keys = |backward: bool| -> Vec<Vec<u8>> {
            let bounds = (Bound::Included(&start[..]), Bound::Excluded(&stop[..]));
            let key = |row: Result<(Vec<u8>, Vec<u8>)>| row.expect("a row").0;
            let mut keys: Vec<_> = match backward {
                false => cursor.range(bounds).map(key).collect(),
                true => cursor.range(bounds).rev().map(key).collect(),
            };
            if backward {
                keys.reverse();
            }
            keys
        };
        let first = keys(false);
        assert!(first.is_sorted(), "a range out of order");
        for backward in [true, false] {
            assert!(keys(backward) == first, "phantoms between {start:?} and {stop:?}");
        }
        assert_eq!(session.len(TABLE).expect("a count"), rows, "the count changed");
        scans.fetch_add(1, SeqCst);
        drop(cursor);
        session.commit().expect("a commit");
    };
    database.beside(|| run(&connection, churn, scan));
    assert!(scans.into_inner() > 0, "no range was scanned");
}

#[test]
fn counters_only_grow_and_lose_nothing() {
    const COUNTERS: u64 = 4;
    let database = Database::new(Durability::Process, true);
    let connection = database.connection();
    let done: [AtomicU64; COUNTERS as usize] = Default::default();
    let increment = |session: &Session, random: &mut Random, end: &End| {
        let counter = random.below(COUNTERS);
        let grown = transact(session, end, |cursor| {
            let was = if cursor.search(&row(counter))? { number(cursor.value()?) } else { 0 };
            cursor.insert(&row(counter), &(was + 1).to_le_bytes())
        });
        if grown.is_some() {
            done[counter as usize].fetch_add(1, SeqCst);
        }
    };
    let read = |session: &Session, random: &mut Random, _: &End| {
        let counter = random.below(COUNTERS);
        let mut cursor = session.open_cursor(TABLE).expect("a cursor");
        let mut last = 0;
        for _ in 0..50 {
            let least = done[counter as usize].load(SeqCst);
            // On no record the session sees what is committed now.
            cursor.reset();
            let found = cursor.search(&row(counter)).expect("a search");
            let now = if found { number(cursor.value().expect("a value")) } else { 0 };
            assert!(now >= last && now >= least, "counter {counter}: {now} after {last}, {least}");
            last = now;
        }
    };
    database.beside(|| run(&connection, increment, read));
    let table = connection.table(TABLE).expect("a table");
    for (counter, done) in done.iter().enumerate() {
        let found = table.get_with(&row(counter as u64), number).expect("a get");
        assert_eq!(found.unwrap_or(0), done.load(SeqCst), "counter {counter}");
    }
}
