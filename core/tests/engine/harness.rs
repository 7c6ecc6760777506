//! What all suites share: seeds, random numbers, options for small trees, reading a whole table.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rshelve_core::base::options::{DatabaseOptions, Durability, TableOptions};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::io::memory::MemoryStorage;

#[path = "../shared/hooked.rs"]
mod hooked;
#[path = "../shared/random.rs"]
mod random;

pub use hooked::{Hook, Hooked};
pub use random::{Random, is_long, scaled, seed};

/// The database's name in every storage.
pub const NAME: &str = "spam";

/// A table's rows.
pub type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// A value of `len` bytes that tells its `fill` and length, and that compresses a little.
pub fn value_of(len: usize, fill: u64) -> Vec<u8> {
    let mut random = Random::new(fill ^ (len as u64) << 32);
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
        bytes.extend_from_slice(b"eggs and");
    }
    bytes.truncate(len);
    bytes
}

/// Options for a database in memory: the smallest cache, nothing that waits for long, and nothing that
/// happens by itself but what `background` brings.
pub fn database(durability: Durability, background: bool) -> DatabaseOptions {
    DatabaseOptions {
        cache_bytes_max: DatabaseOptions::CACHE_BYTES_LEAST,
        durability,
        background,
        timeout: Duration::from_millis(if background { 2 } else { 0 }),
        ..DatabaseOptions::default()
    }
}

/// Options for a table whose pages split, and grow internal levels, with few rows.
pub fn table() -> TableOptions {
    TableOptions { leaf_bytes_max: 4 << 10, internal_bytes_max: 4 << 10, ..TableOptions::default() }
}

/// Opens the database in `storage`.
pub fn open(storage: &MemoryStorage, options: &DatabaseOptions) -> Engine {
    Engine::open_on(Arc::new(storage.clone()), NAME, options.clone())
        .unwrap_or_else(|error| panic!("the database does not open: {error}"))
}

/// All rows of `table` as a scan by `session` finds them; the order and `rows` are checked too.
pub fn read_all(session: &mut Session, table: &OpenTable, backward: bool) -> Rows {
    let mut rows = Rows::new();
    let mut at = session.position();
    let mut last: Option<Vec<u8>> = None;
    loop {
        let moved =
            if backward { session.prev(table, &mut at) } else { session.next(table, &mut at) };
        if !moved.unwrap_or_else(|error| panic!("a scan fails: {error}")) {
            break;
        }
        let key = at.key().expect("a key after a move").to_vec();
        if let Some(last) = &last {
            assert!(if backward { key < *last } else { key > *last }, "{key:?} after {last:?}");
        }
        let long_value = OnceCell::new();
        let value = session
            .value(table, &at, &long_value)
            .unwrap_or_else(|error| panic!("the value of {key:?} cannot be read: {error}"));
        rows.insert(key.clone(), value.into());
        last = Some(key);
    }
    rows
}

/// A table's rows for messages: keys and lengths, shortened.
pub fn brief(rows: &Rows) -> String {
    let one = |(key, value): (&Vec<u8>, &Arc<[u8]>)| {
        format!("{}={}B", String::from_utf8_lossy(&key[..key.len().min(12)]), value.len())
    };
    rows.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Complains about the first difference between what was found and what was expected.
pub fn check_rows(what: &str, found: &Rows, expected: &Rows) {
    if found == expected {
        return;
    }
    for (key, value) in expected {
        match found.get(key) {
            None => panic!("{what}: {} is missing; found {}", show(key), brief(found)),
            Some(other) if other != value => panic!(
                "{what}: {} has {} bytes, expected {}; or their content differs",
                show(key),
                other.len(),
                value.len()
            ),
            Some(_) => {}
        }
    }
    let extra = found.keys().find(|key| !expected.contains_key(*key));
    panic!("{what}: {:?} should not be there", extra.map(|key| show(key)));
}

/// A key for messages.
pub fn show(key: &[u8]) -> String {
    format!("{:?} ({} bytes)", String::from_utf8_lossy(&key[..key.len().min(24)]), key.len())
}
