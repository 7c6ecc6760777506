//! What a model test does: operations, and how they are drawn.

use proptest::prelude::*;
use rshelve_core::base::options::{Compression, Durability, TableOptions};

use crate::harness::{table, value_of};

/// How many sessions there are.
pub const SESSIONS: usize = 3;
/// How many names of tables there are.
pub const TABLES: usize = 3;

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub durability: Durability,
    pub background: bool,
    pub map_log: bool,
    pub compression: Compression,
}

/// A key: drawn from a small domain, so that operations meet.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    Empty,
    Number(u16),
    /// A number behind a long shared prefix.
    Prefixed(u16),
    /// A key of up to 64 KiB.
    Huge(u8),
}

impl Key {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Number(number) => format!("k{number:04}").into_bytes(),
            Self::Prefixed(number) => {
                let mut key = vec![b'p'; 40];
                key.extend_from_slice(&number.to_be_bytes());
                key
            }
            Self::Huge(number) => {
                let mut key = vec![b'h'; 65536 - usize::from(number % 5) * 9000];
                key[100] = number;
                key
            }
        }
    }
}

/// A value, by its length and what it is filled from.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub len: u32,
    pub fill: u8,
}

impl Value {
    pub fn bytes(self) -> Vec<u8> {
        value_of(self.len as usize, u64::from(self.fill))
    }
}

/// A write to one key.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Put(Value),
    Insert(Value),
    Replace(Value),
    Remove,
    Take,
}

/// A move of a session's cursor.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    Next,
    Prev,
    Find(Key),
    Seek(Key),
    Below(Key),
    Release,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    Write {
        session: usize,
        table: usize,
        key: Key,
        what: What,
    },
    /// So many keys from a number on, each `step` behind the last.
    Fill {
        session: usize,
        table: usize,
        from: u16,
        count: u16,
        step: u16,
        value: Value,
    },
    /// Many rows in one call; those without a value are removed.
    Batch {
        session: usize,
        table: usize,
        rows: Vec<(Key, Option<Value>)>,
    },
    Clear {
        session: usize,
        table: usize,
        from: u16,
        count: u16,
    },
    /// Removes the first or last key.
    Pop {
        session: usize,
        table: usize,
        last: bool,
    },
    Get {
        session: usize,
        table: usize,
        key: Key,
    },
    Scan {
        session: usize,
        table: usize,
        backward: bool,
    },
    Moves {
        session: usize,
        table: usize,
        moves: Vec<Move>,
    },
    Begin {
        session: usize,
    },
    Commit {
        session: usize,
    },
    Rollback {
        session: usize,
    },
    Create {
        table: usize,
        unlogged: bool,
    },
    Drop {
        table: usize,
    },
    Checkpoint,
    /// A compaction, stopped after so many steps.
    Compact {
        steps: usize,
    },
    Sync,
    Reopen {
        sessions_last: bool,
    },
    Crash,
}

/// The options that a table of this number has.
pub fn table_options(number: usize, unlogged: bool, setup: Setup) -> TableOptions {
    let compression = if number == 1 { Compression::Snappy } else { setup.compression };
    TableOptions { compression, logged: !unlogged, ..table() }
}

pub fn setup() -> impl Strategy<Value = Setup> {
    let durability = prop_oneof![
        2 => Just(Durability::Process),
        1 => Just(Durability::Sync),
        1 => Just(Durability::Checkpoint),
    ];
    let compression = prop_oneof![Just(Compression::None), Just(Compression::Snappy)];
    (durability, prop::bool::weighted(0.2), any::<bool>(), compression).prop_map(
        |(durability, background, map_log, compression)| Setup {
            durability,
            background,
            map_log,
            compression,
        },
    )
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        1 => Just(Key::Empty),
        30 => (0..400_u16).prop_map(Key::Number),
        12 => (0..8_u16).prop_map(Key::Number),
        5 => (0..100_u16).prop_map(Key::Prefixed),
        2 => (0..12_u8).prop_map(Key::Huge),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![
        40 => 0..80_u32,
        10 => 80..1024_u32,
        4 => 1020..1030_u32,
        10 => 1030..8000_u32,
        1 => 8000..200_000_u32,
        1 => Just((1 << 20) + 77),
    ];
    (len, any::<u8>()).prop_map(|(len, fill)| Value { len, fill })
}

fn small_value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![6 => 0..60_u32, 2 => 200..900_u32, 1 => 1030..3000_u32];
    (len, any::<u8>()).prop_map(|(len, fill)| Value { len, fill })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        5 => value().prop_map(What::Put),
        2 => value().prop_map(What::Insert),
        2 => value().prop_map(What::Replace),
        3 => Just(What::Remove),
        1 => Just(What::Take),
    ]
}

fn batch() -> impl Strategy<Value = Vec<(Key, Option<Value>)>> {
    prop::collection::vec((key(), prop::option::weighted(0.7, small_value())), 0..60)
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => Just(Move::Next),
        6 => Just(Move::Prev),
        1 => key().prop_map(Move::Find),
        2 => key().prop_map(Move::Seek),
        1 => key().prop_map(Move::Below),
        1 => Just(Move::Release),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let session = || 0..SESSIONS;
    let table = || prop_oneof![4 => Just(0), 1 => Just(1_usize), 1 => Just(2_usize)];
    prop_oneof![
        24 => (session(), table(), key(), what())
            .prop_map(|(session, table, key, what)| Op::Write { session, table, key, what }),
        8 => (session(), table(), 0..400_u16, 1..200_u16, 1..4_u16, small_value()).prop_map(
            |(session, table, from, count, step, value)| Op::Fill {
                session, table, from, count, step, value,
            }
        ),
        8 => (session(), table(), batch())
            .prop_map(|(session, table, rows)| Op::Batch { session, table, rows }),
        5 => (session(), table(), 0..400_u16, 1..300_u16)
            .prop_map(|(session, table, from, count)| Op::Clear { session, table, from, count }),
        2 => (session(), table(), any::<bool>())
            .prop_map(|(session, table, last)| Op::Pop { session, table, last }),
        8 => (session(), table(), key())
            .prop_map(|(session, table, key)| Op::Get { session, table, key }),
        4 => (session(), table(), any::<bool>())
            .prop_map(|(session, table, backward)| Op::Scan { session, table, backward }),
        8 => (session(), table(), prop::collection::vec(step(), 1..12))
            .prop_map(|(session, table, moves)| Op::Moves { session, table, moves }),
        8 => session().prop_map(|session| Op::Begin { session }),
        5 => session().prop_map(|session| Op::Commit { session }),
        4 => session().prop_map(|session| Op::Rollback { session }),
        2 => (0..TABLES, prop::bool::weighted(0.2))
            .prop_map(|(table, unlogged)| Op::Create { table, unlogged }),
        1 => (0..TABLES).prop_map(|table| Op::Drop { table }),
        5 => Just(Op::Checkpoint),
        2 => prop_oneof![Just(usize::MAX), 1..6_usize].prop_map(|steps| Op::Compact { steps }),
        1 => Just(Op::Sync),
        2 => any::<bool>().prop_map(|sessions_last| Op::Reopen { sessions_last }),
        2 => Just(Op::Crash),
    ]
}

/// A run: how the database is opened, and what is done to it.
pub fn run(ops_max: usize) -> impl Strategy<Value = (Setup, Vec<Op>)> {
    (setup(), prop::collection::vec(op(), 1..ops_max))
}
