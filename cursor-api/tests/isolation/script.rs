//! Scripts of several sessions, played step by step, each in many settings.
//!
//! A line is one step of one session: `T1 put 1 11`. What it must come to stands behind an arrow:
//!
//! | step | meaning |
//! |---|---|
//! | `T1 begin`, `T1 commit`, `T1 rollback` | ends and beginnings of its transaction |
//! | `T1 put 1 11`, `T1 remove 2` | a write, `-> conflict` if it must be refused |
//! | `T1 reserve 1` | claims a row that it has read, `-> conflict` the same |
//! | `T1 get 1 -> 10` | a read of one row; `none` when it is not there |
//! | `T1 scan -> 1=10 2=20` | a read of all rows |
//! | `T1 scan %3 -> none` | of those whose value is divisible by 3 |
//! | `after -> 1=11 2=21` | what a new session reads in the end |
//!
//! The rows are 1 and 2, with 10 and 20 in them, on leaves of their own among filler that no step
//! changes; each scan checks that the filler is complete and in order.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rshelve::{
    Connection, Cursor, DatabaseOptions, Error, Result, RollbackReason, Session, TableOptions,
};
use rshelve_core::io::memory::MemoryStorage;

/// What happens beside the steps of a script, and how they read.
#[derive(Clone, Copy, Debug)]
struct Setting {
    name: &'static str,
    /// After every step, every page that can leave memory does.
    evicts: bool,
    /// After every step there is a checkpoint.
    checkpoints: bool,
    /// Values are so long that they lie in blocks of their own.
    long_values: bool,
    reads: Reads,
}

/// How a step finds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Search,
    SearchNear,
    /// Walking from the first row on.
    Next,
    /// Walking from the last row back.
    Prev,
}

const PLAIN: Setting = Setting {
    name: "plain",
    evicts: false,
    checkpoints: false,
    long_values: false,
    reads: Reads::Search,
};
const BOTH: Setting =
    Setting { name: "evict and checkpoint", evicts: true, checkpoints: true, ..PLAIN };

const SETTINGS: [Setting; 12] = [
    PLAIN,
    Setting { name: "evict", evicts: true, ..PLAIN },
    Setting { name: "checkpoint", checkpoints: true, ..PLAIN },
    BOTH,
    Setting { name: "long values", long_values: true, ..PLAIN },
    Setting { name: "long values, evict and checkpoint", long_values: true, ..BOTH },
    Setting { name: "search_near", reads: Reads::SearchNear, ..PLAIN },
    Setting { name: "search_near, evict and checkpoint", reads: Reads::SearchNear, ..BOTH },
    Setting { name: "next", reads: Reads::Next, ..PLAIN },
    Setting { name: "next, evict and checkpoint", reads: Reads::Next, ..BOTH },
    Setting { name: "prev", reads: Reads::Prev, ..PLAIN },
    Setting { name: "prev, evict and checkpoint", reads: Reads::Prev, ..BOTH },
];

/// How many sessions a script may have.
const SESSIONS: usize = 3;
/// Rows of filler before, between and after the rows that steps work with.
const FILLER: u64 = 24;
/// The length of a value that lies in a block of its own.
const LONG_BYTES: usize = 6000;

/// A row that steps work with: its number and its value's.
type Row = (u64, u64);

/// Plays `script` in every setting; the first step that comes to anything else than it says fails.
pub fn check(script: &str) {
    for setting in SETTINGS {
        let storage = MemoryStorage::new();
        let connection = connect(&storage);
        fill(&connection, setting);
        play(&connection, setting, script);
        connection.close().expect("a close");
        // What a commit has made is there after a reopen, too.
        let connection = connect(&storage);
        let last = script.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        play(&connection, setting, last);
    }
}

fn connect(storage: &MemoryStorage) -> Connection {
    let options = DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        background: false,
        timeout: Duration::ZERO,
        ..DatabaseOptions::default()
    };
    Connection::open_on(Arc::new(storage.clone()), "spam", options).expect("a database")
}

fn key_of(row: u64) -> Vec<u8> {
    format!("row{row:02}").into_bytes()
}

fn value_of(value: u64, setting: Setting) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    if setting.long_values {
        bytes.resize(LONG_BYTES, b' ');
    }
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).expect("text");
    text.trim_end().parse().expect("a number")
}

fn fill(connection: &Connection, setting: Setting) {
    let options = TableOptions {
        leaf_bytes_max: 4 << 10,
        internal_bytes_max: 4 << 10,
        ..TableOptions::default()
    };
    let table = connection.create_table("test", &options).expect("a table");
    for row in [0, 1, 2, 3] {
        for filler in 0..FILLER {
            let key = format!("row{row:02}/{filler:03}");
            table.insert(key.as_bytes(), &[b'f'; 200]).expect("filler");
        }
    }
    for (row, value) in [(1, 10), (2, 20)] {
        table.insert(&key_of(row), &value_of(value, setting)).expect("a row");
    }
    connection.checkpoint().expect("a checkpoint");
}

fn play(connection: &Connection, setting: Setting, script: &str) {
    let sessions: [Session; SESSIONS] =
        std::array::from_fn(|_| connection.open_session().expect("a session"));
    let mut cursors = sessions.each_ref().map(|session| session.open_cursor("test").expect("one"));
    let mut evicted = 0;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, wanted) = line.split_once("->").unwrap_or((line, "done"));
        let words: Vec<&str> = step.split_whitespace().collect();
        let came_to = match words.as_slice() {
            ["after"] => {
                let session = connection.open_session().expect("a session");
                let mut cursor = session.open_cursor("test").expect("a cursor");
                run(&session, &mut cursor, setting, &["scan"])
            }
            [session, words @ ..] => {
                let number: usize = session.trim_start_matches('T').parse().expect("a session");
                run(&sessions[number - 1], &mut cursors[number - 1], setting, words)
            }
            [] => panic!("a line without a step: {line:?}"),
        };
        let came_to = came_to.unwrap_or_else(|error| match error {
            Error::Rollback { reason: RollbackReason::Conflict } => "conflict".into(),
            other => format!("an error: {other}"),
        });
        assert_eq!(came_to, wanted.trim(), "{:?}, step {line:?} of\n{script}", setting.name);
        evicted += disturb(connection, setting);
    }
    assert!(evicted > 0 || !setting.evicts, "no page was evicted in {:?}", setting.name);
}

/// What happens between two steps. Returns how many pages were evicted.
fn disturb(connection: &Connection, setting: Setting) -> usize {
    if setting.checkpoints {
        connection.checkpoint().expect("a checkpoint");
    }
    if setting.evicts { connection.evict_all().expect("an eviction") } else { 0 }
}

/// Runs one step, and says what it came to.
fn run(
    session: &Session,
    cursor: &mut Cursor<'_>,
    setting: Setting,
    words: &[&str],
) -> Result<String> {
    let row = |text: &str| key_of(text.parse().expect("a row"));
    match words {
        ["begin"] => session.begin()?,
        ["commit"] => session.commit()?,
        ["rollback"] => session.rollback()?,
        ["put", key, value] => {
            cursor.insert(&row(key), &value_of(value.parse().expect("a value"), setting))?;
        }
        ["remove", key] => assert!(cursor.remove_key(&row(key))?, "a row to remove"),
        ["reserve", key] => reserve(cursor, &row(key))?,
        ["get", key] => return Ok(show(get(cursor, setting.reads, &row(key))?)),
        ["scan"] => return Ok(show_rows(&scan(cursor, setting.reads)?)),
        ["scan", divisor] => {
            let divisor: u64 = divisor.trim_start_matches('%').parse().expect("a divisor");
            let rows = scan(cursor, setting.reads)?;
            let chosen: Vec<Row> =
                rows.into_iter().filter(|(_, value)| value % divisor == 0).collect();
            return Ok(show_rows(&chosen));
        }
        other => panic!("there is no step {other:?}"),
    }
    Ok("done".into())
}

/// Claims the row, as a write would, and leaves its value alone.
fn reserve(cursor: &mut Cursor<'_>, key: &[u8]) -> Result<()> {
    assert!(cursor.search(key)?, "a row to reserve");
    let value = cursor.value()?.to_vec();
    cursor.update(&value)
}

fn get(cursor: &mut Cursor<'_>, reads: Reads, key: &[u8]) -> Result<Option<u64>> {
    let found = match reads {
        Reads::Search => cursor.search(key)?,
        Reads::SearchNear => cursor.search_near(key)? == Some(Ordering::Equal),
        Reads::Next | Reads::Prev => {
            cursor.reset();
            let forward = reads == Reads::Next;
            loop {
                if !(if forward { cursor.next()? } else { cursor.prev()? }) {
                    break false;
                }
                match cursor.key()?.cmp(key) {
                    Ordering::Equal => break true,
                    past if (past == Ordering::Greater) == forward => break false,
                    _ => {}
                }
            }
        }
    };
    if found { Ok(Some(number(cursor.value()?))) } else { Ok(None) }
}

/// All rows that steps work with; the filler is checked on the way.
fn scan(cursor: &mut Cursor<'_>, reads: Reads) -> Result<Vec<Row>> {
    let (mut rows, mut filler) = (Vec::new(), 0);
    let mut last: Option<Vec<u8>> = None;
    let backward = reads == Reads::Prev;
    cursor.reset();
    let mut more = match reads {
        Reads::Prev => cursor.prev()?,
        Reads::SearchNear => cursor.search_near(b"")?.is_some(),
        Reads::Search | Reads::Next => cursor.next()?,
    };
    while more {
        let key = cursor.key()?.to_vec();
        assert!(last.is_none_or(|last| (key < last) == backward), "{key:?} out of order");
        if key.contains(&b'/') {
            assert_eq!(cursor.value()?, [b'f'; 200], "filler");
            filler += 1;
        } else {
            rows.push((number(&key[3..]), number(cursor.value()?)));
        }
        last = Some(key);
        more = if backward { cursor.prev()? } else { cursor.next()? };
    }
    assert_eq!(filler, 4 * FILLER, "rows of filler");
    rows.sort_unstable();
    Ok(rows)
}

fn show(value: Option<u64>) -> String {
    value.map_or("none".into(), |value| value.to_string())
}

fn show_rows(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "none".into();
    }
    let one = |(row, value): &Row| format!("{row}={value}");
    rows.iter().map(one).collect::<Vec<_>>().join(" ")
}
