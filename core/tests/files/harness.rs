//! Small databases to be damaged, and what they hold.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rshelve_core::base::options::{
    Compression, DatabaseOptions, Durability, OpenMode, TableOptions,
};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::{Error, Result};

#[path = "../shared/random.rs"]
mod random;

pub use random::{Random, scaled, seed};

/// The database's name in every storage.
pub const NAME: &str = "spam";

/// A table's rows.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every table's rows.
pub type Tables = BTreeMap<String, Rows>;

/// Options for one schedule: nothing in the background, nothing waits.
pub fn database(durability: Durability) -> DatabaseOptions {
    DatabaseOptions {
        durability,
        background: false,
        timeout: Duration::ZERO,
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        ..DatabaseOptions::default()
    }
}

/// Pages that split with few rows.
pub fn small_pages(compression: Compression) -> TableOptions {
    TableOptions {
        leaf_bytes_max: 4 << 10,
        internal_bytes_max: 4 << 10,
        compression,
        ..TableOptions::default()
    }
}

pub fn open(storage: &MemoryStorage, durability: Durability) -> Result<Engine> {
    Engine::open_on(Arc::new(storage.clone()), NAME, database(durability))
}

/// Opens what must be there, and creates nothing.
pub fn open_existing(storage: &MemoryStorage, durability: Durability) -> Result<Engine> {
    let options = DatabaseOptions { mode: OpenMode::Existing, ..database(durability) };
    Engine::open_on(Arc::new(storage.clone()), NAME, options)
}

/// A closed database of a few tables: rows in one leaf, in several levels, long values of one piece and
/// of several, free space.
pub fn sample() -> (MemoryStorage, Tables) {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Checkpoint).expect("a new database");
    let mut tables = Tables::new();
    fill(&engine, &mut tables, "eggs", Compression::None, 3, |_| 20);
    fill(&engine, &mut tables, "ham", Compression::None, 260, |n| [30, 700, 90][n % 3]);
    fill(&engine, &mut tables, "long", Compression::None, 6, |n| {
        [5000, 40, (1 << 20) + 9000][n % 3]
    });
    fill(&engine, &mut tables, "snappy", Compression::Snappy, 120, |n| 60 + n % 5);
    engine.create_table("empty", &small_pages(Compression::None)).expect("a table");
    tables.insert("empty".into(), Rows::new());
    engine.checkpoint().expect("room");
    let ham = engine.table("ham").expect("it is there");
    let mut session = engine.session().expect("open");
    let rows = tables.get_mut("ham").expect("it is there");
    for number in (20..120).chain([3, 250]) {
        let key = key(number);
        assert!(session.remove(&ham, &key).expect("room"));
        rows.remove(&key);
    }
    drop((session, ham));
    engine.close().expect("room");
    (storage, tables)
}

pub fn key(number: usize) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

/// Text that tells by what it is where it comes from.
pub fn value(table: &str, number: usize, len: usize) -> Vec<u8> {
    let text = format!("{table} {number} ");
    text.bytes().cycle().take(len).collect()
}

fn fill(
    engine: &Engine,
    tables: &mut Tables,
    name: &str,
    compression: Compression,
    count: usize,
    len_of: impl Fn(usize) -> usize,
) {
    let table = engine.create_table(name, &small_pages(compression)).expect("a table");
    let mut session = engine.session().expect("open");
    let rows = tables.entry(name.to_owned()).or_default();
    for number in 0..count {
        let (key, value) = (key(number), value(name, number, len_of(number)));
        session.put(&table, &key, &value).expect("room");
        rows.insert(key, value);
    }
}

/// All rows of `table`, or the first error.
pub fn read_table(session: &mut Session, table: &OpenTable) -> Result<Rows> {
    let mut rows = Rows::new();
    let mut at = session.position();
    while session.next(table, &mut at)? {
        let key = at.key().expect("a key after a move").to_vec();
        let long_value = OnceCell::new();
        let value = session.value(table, &at, &long_value)?.to_vec();
        rows.insert(key, value);
    }
    Ok(rows)
}

/// All rows of all tables, or the first error.
pub fn read_everything(engine: &Engine) -> Result<Tables> {
    let mut session = engine.session()?;
    let mut tables = Tables::new();
    for name in engine.table_names() {
        let table = engine.table(&name)?;
        let rows = read_table(&mut session, &table)?;
        let counted = session.rows(&table);
        assert_eq!(counted, rows.len() as u64, "the count of {name:?}");
        tables.insert(name, rows);
    }
    Ok(tables)
}

/// Whether an error is one that a damaged file may give.
pub fn is_about_the_file(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt(_) | Error::Foreign { .. } | Error::Unsupported { .. } | Error::Full { .. }
    )
}
