//! The database that scenarios work on: a table of accounts whose sum never changes, and one of rows
//! that come and go, on pages so small that a few rows split them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};
use shuttle::rand::{Rng, thread_rng};

use crate::Kept;

/// How many accounts there are.
pub const ACCOUNTS: u64 = 6;
/// What each has in the beginning.
pub const BALANCE: u64 = 100;
/// How many rows the other table has that nobody changes: the even ones.
pub const FIXED: u64 = 6;
/// So few values fill a leaf.
const VALUE_BYTES: usize = 900;

/// The rows of a table.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Options under which nothing happens by itself, and nothing ends by time.
pub fn options(durability: Durability) -> DatabaseOptions {
    DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        durability,
        background: false,
        timeout: Duration::MAX,
        checkpoint_interval: Duration::MAX,
        log_sync_interval: Duration::MAX,
        ..DatabaseOptions::default()
    }
}

fn template() -> &'static OnceLock<MemoryStorage> {
    static TEMPLATE: OnceLock<MemoryStorage> = OnceLock::new();
    &TEMPLATE
}

/// Makes the database that every schedule begins with: in an execution of its own, because each must
/// take the same steps.
pub fn prepare() {
    if template().get().is_none() {
        crate::once(make);
    }
}

fn make() {
    let storage = MemoryStorage::new();
    let engine = open(&storage, &options(Durability::Process));
    let small = TableOptions {
        leaf_bytes_max: 4 << 10,
        internal_bytes_max: 4 << 10,
        ..TableOptions::default()
    };
    let bank = engine.create_table("bank", &small).expect("a table");
    let rows = engine.create_table("rows", &small).expect("a table");
    let mut session = engine.session().expect("a session");
    for number in 0..ACCOUNTS {
        session.put(&bank, &account(number), &value(BALANCE)).expect("a put");
    }
    for number in 0..FIXED {
        session.put(&rows, &row(2 * number), &value(number)).expect("a put");
    }
    drop((session, bank, rows));
    engine.close().expect("a close");
    let _ = template().set(storage);
}

/// Opens a copy of the database, as every schedule does in the beginning.
pub fn start(durability: Durability) -> (Kept<Engine>, MemoryStorage) {
    start_with(&options(durability))
}

/// The same with other options.
pub fn start_with(options: &DatabaseOptions) -> (Kept<Engine>, MemoryStorage) {
    let storage = template().get().expect("prepared").duplicate();
    (open(&storage, options), storage)
}

/// Opens the database in `storage`.
pub fn open(storage: &MemoryStorage, options: &DatabaseOptions) -> Kept<Engine> {
    let opened = Engine::open_on(Arc::new(storage.clone()), "spam", options.clone());
    Kept::new(opened.unwrap_or_else(|error| panic!("the database does not open: {error}")))
}

/// The key of an account.
pub fn account(number: u64) -> Vec<u8> {
    format!("account{number:04}").into_bytes()
}

/// The key of a row: even ones are fixed.
pub fn row(number: u64) -> Vec<u8> {
    format!("row{number:04}").into_bytes()
}

/// A value that says `number`, and fills a quarter of a leaf.
pub fn value(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(VALUE_BYTES, b'v');
    bytes
}

/// The same, so long that it lies in blocks of its own.
pub fn long_value(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(6 * VALUE_BYTES, b'l');
    bytes
}

/// The number that a value says.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A number below `end`, chosen by the schedule.
pub fn below(end: u64) -> u64 {
    thread_rng().gen_range(0..end)
}

/// A session and the tables, for one thread.
pub struct Client {
    /// The session.
    pub session: Kept<Session>,
    /// The accounts.
    pub bank: OpenTable,
    /// The rows.
    pub rows: OpenTable,
}

impl Client {
    /// A new one.
    pub fn new(engine: &Engine) -> Self {
        let table = |name| engine.table(name).expect("a table");
        let session = Kept::new(engine.session().expect("a session"));
        Self { session, bank: table("bank"), rows: table("rows") }
    }

    /// Moves `sum` between two accounts that the schedule chooses, in one transaction. False if
    /// another was in the way.
    pub fn transfer(&mut self, sum: u64) -> bool {
        let from = below(ACCOUNTS);
        let to = (from + 1 + below(ACCOUNTS - 1)) % ACCOUNTS;
        self.session.begin().expect("a begin");
        match self.move_money(from, to, sum) {
            Ok(()) => self.session.commit().map(|()| true).expect("a commit"),
            Err(Error::Rollback { .. }) => {
                self.session.rollback().expect("a rollback");
                false
            }
            Err(error) => panic!("a transfer fails: {error}"),
        }
    }

    fn move_money(&mut self, from: u64, to: u64, sum: u64) -> Result<()> {
        let rich = self.balance(from);
        self.session.put(&self.bank, &account(from), &value(rich.wrapping_sub(sum)))?;
        let poor = self.balance(to);
        self.session.put(&self.bank, &account(to), &value(poor.wrapping_add(sum)))
    }

    /// What an account has.
    pub fn balance(&mut self, account_number: u64) -> u64 {
        let found = self.session.get(&self.bank, &account(account_number), number);
        found.expect("a get").expect("an account")
    }

    /// All rows of a table, forwards or backwards; their order and number are checked.
    pub fn scan(&mut self, which: Which, backward: bool) -> Rows {
        let Self { session, bank, rows } = self;
        let table = if which == Which::Bank { bank } else { rows };
        scan(session, table, backward)
    }

    /// Scans the accounts, and checks their sum.
    pub fn audit(&mut self, backward: bool) -> Rows {
        let rows = self.scan(Which::Bank, backward);
        check_sum(&rows);
        rows
    }
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The accounts.
    Bank,
    /// The rows.
    Rows,
}

fn scan(session: &mut Session, table: &OpenTable, backward: bool) -> Rows {
    let mut rows = Rows::new();
    let mut at = session.position();
    let mut last: Option<Vec<u8>> = None;
    loop {
        let moved =
            if backward { session.prev(table, &mut at) } else { session.next(table, &mut at) };
        if !moved.expect("a move") {
            break;
        }
        let key = at.key().expect("a key").to_vec();
        assert!(last.is_none_or(|last| (key < last) == backward), "{key:?} out of order");
        let long = OnceCell::new();
        let value = session.value(table, &at, &long).expect("a value").to_vec();
        last = Some(key.clone());
        rows.insert(key, value);
    }
    rows
}

/// Fails unless the accounts are all there, with the sum that they always have.
pub fn check_sum(rows: &Rows) {
    assert_eq!(rows.len() as u64, ACCOUNTS, "the accounts");
    let sum = rows.values().fold(0_u64, |sum, value| sum.wrapping_add(number(value)));
    assert_eq!(sum, ACCOUNTS * BALANCE, "the sum of the accounts");
}

/// Fails unless the rows that nobody changes are all there.
pub fn check_fixed(rows: &Rows) {
    for fixed in 0..FIXED {
        let found = rows.get(&row(2 * fixed));
        assert!(found == Some(&value(fixed)), "fixed row {fixed}");
    }
}

/// What the two tables have to be in the end.
pub fn check_end(engine: &Engine, storage: &MemoryStorage, expected: &Rows) {
    check_content(engine, expected, "in memory");
    // As a killed process leaves it.
    let copy = storage.duplicate();
    let recovered = open(&copy, engine.options());
    if engine.options().durability != Durability::Checkpoint {
        check_content(&recovered, expected, "after a kill");
    }
    recovered.close().expect("a close");
    engine.close().expect("a close");
    let closed = open(storage, &options(Durability::Process));
    check_content(&closed, expected, "after a close");
    closed.close().expect("a close");
}

/// Fails unless `rows` is `expected` and the accounts' sum is right.
pub fn check_content(engine: &Engine, expected: &Rows, when: &str) {
    let mut client = Client::new(engine);
    client.audit(false);
    let found = client.scan(Which::Rows, false);
    client.session.release_snapshot();
    let keys = |rows: &Rows| -> Vec<String> {
        rows.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    };
    assert_eq!(keys(&found), keys(expected), "the rows {when}");
    assert!(found == *expected, "the values of the rows {when}");
    assert_eq!(client.session.rows(&client.rows), expected.len() as u64, "the count {when}");
}

/// The rows that every schedule begins with.
pub fn fixed_rows() -> Rows {
    (0..FIXED).map(|number| (row(2 * number), value(number))).collect()
}
