//! The operations that are counted, each on a database of its own that fits its cache.

use std::path::Path;

use rshelve::{
    Connection, Cursor, CursorOptions, DatabaseOptions, OpenMode, Session, Table, TableOptions,
};

use crate::data::{Random, Rows, belongs};
use crate::store::Outcome;

/// Rows that are there beforehand.
const ROWS: u64 = 20_000;
/// Rows that a step of a scan visits.
const SCAN_ROWS: u64 = 10;
const TABLE: &str = "rows";

/// Every operation that is counted.
pub const NAMES: [&str; 13] = [
    "get, in cache",
    "get, no such key",
    "insert, autocommit",
    "overwrite, autocommit",
    "remove, autocommit",
    "cursor: search",
    "cursor: next, 10 rows",
    "cursor: search_near and 10 rows",
    "commit of one row, unsynced",
    "commit of one row, synced",
    "bulk insert of a row",
    "checkpoint of one page",
    "open",
];

/// How often `name` is done, of which the count is the average; `None` when it is none of them.
pub fn times(name: &str) -> Option<u64> {
    match name {
        "open" => Some(3),
        "checkpoint of one page" => Some(10),
        "commit of one row, synced" => Some(100),
        _ => NAMES.contains(&name).then_some(1000),
    }
}

/// Does one operation as often as [`times`] says, inside [`rshelve_bench_counted`].
///
/// # Errors
/// The engine's, a row that was not what it must be, a name that is none of [`NAMES`].
pub fn run(name: &str, folder: &Path) -> Outcome<()> {
    let times = times(name).ok_or_else(|| format!("no operation {name}; there are {NAMES:?}"))?;
    let path = folder.join(format!("counts-{}", std::process::id()));
    let field = Field::new(&path)?;
    let counted = |step: &mut dyn FnMut(u64) -> Outcome<()>| {
        step(0)?; // What the first one pays for all is not counted.
        rshelve_bench_counted(times, step)
    };
    match name {
        "open" => {
            let Field { connection, table, .. } = field;
            drop(table);
            connection.close()?;
            let mut open = None;
            counted(&mut |_| {
                drop(open.take()); // The one before has to let go of the file.
                open = Some(Connection::open(&path, options(OpenMode::Existing))?);
                Ok(())
            })?;
            drop(open);
        }
        _ if name.starts_with("cursor: ") || name.starts_with("commit") => {
            field.by_session(name, &counted)?;
            field.connection.close()?;
        }
        _ => {
            field.by_table(name, &counted)?;
            field.connection.close()?;
        }
    }
    Ok(std::fs::remove_file(path)?)
}

/// Runs the steps from 1 on; callgrind counts in here alone, and knows the function by its name.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(improper_ctypes_definitions, reason = "it is called from here alone")]
extern "C" fn rshelve_bench_counted(
    times: u64,
    step: &mut dyn FnMut(u64) -> Outcome<()>,
) -> Outcome<()> {
    (1..=times).try_for_each(step)
}

type Counted<'c> = &'c dyn Fn(&mut dyn FnMut(u64) -> Outcome<()>) -> Outcome<()>;

struct Field {
    connection: Connection,
    table: Table,
    rows: Rows,
}

fn options(mode: OpenMode) -> DatabaseOptions {
    DatabaseOptions { mode, cache_bytes_max: 256 << 20, ..DatabaseOptions::default() }
}

impl Field {
    /// A database whose rows came in random order and are in its file as well as in its cache.
    fn new(path: &Path) -> Outcome<Self> {
        let connection = Connection::open(path, options(OpenMode::Replace))?;
        let table = connection.create_table(TABLE, &TableOptions::default())?;
        let field = Self { connection, table, rows: Rows { seed: 1 } };
        for index in 0..ROWS {
            field.insert(index)?;
        }
        field.connection.checkpoint()?;
        Ok(field)
    }

    fn insert(&self, index: u64) -> Outcome<()> {
        let key = self.rows.key(index);
        Ok(self.table.insert(&key, &self.rows.value(&key))?)
    }

    /// Any of the rows, another one each time.
    fn any(step: u64) -> u64 {
        Random(step).below(ROWS)
    }

    fn by_table(&self, name: &str, counted: Counted<'_>) -> Outcome<()> {
        match name {
            "get, in cache" => counted(&mut |step| self.get(Self::any(step), true)),
            "get, no such key" => counted(&mut |step| self.get(ROWS + step, false)),
            "insert, autocommit" => counted(&mut |step| self.insert(ROWS + step)),
            "overwrite, autocommit" => counted(&mut |step| self.insert(Self::any(step))),
            "remove, autocommit" => counted(&mut |step| {
                let removed = self.table.remove(&self.rows.key(step))?;
                if removed { Ok(()) } else { Err(format!("row {step} is missing").into()) }
            }),
            "checkpoint of one page" => counted(&mut |step| {
                self.insert(Self::any(step))?;
                Ok(self.connection.checkpoint()?)
            }),
            "bulk insert of a row" => self.bulk(counted),
            _ => Err(format!("nothing does {name}").into()),
        }
    }

    fn get(&self, index: u64, there: bool) -> Outcome<()> {
        let key = self.rows.key(index);
        let found = self.table.get_with(&key, |value| belongs(&key, value))?;
        if found == there.then_some(true) { Ok(()) } else { Err(format!("row {index}").into()) }
    }

    fn bulk(&self, counted: Counted<'_>) -> Outcome<()> {
        let session = self.connection.open_session()?;
        session.create("bulk", &TableOptions::default())?;
        let mut cursor = session.open_cursor_with("bulk", &CursorOptions::new().bulk(true))?;
        counted(&mut |step| {
            let key = self.rows.sorted_key(step);
            Ok(cursor.insert(&key, &self.rows.value(&key))?)
        })?;
        Ok(cursor.close()?)
    }

    fn by_session(&self, name: &str, counted: Counted<'_>) -> Outcome<()> {
        let session = self.connection.open_session()?;
        let mut cursor = session.open_cursor(TABLE)?;
        match name {
            "commit of one row, unsynced" => {
                counted(&mut |step| self.commit(&session, &mut cursor, step, false))
            }
            "commit of one row, synced" => {
                counted(&mut |step| self.commit(&session, &mut cursor, step, true))
            }
            "cursor: search" => counted(&mut |step| {
                let key = self.rows.key(Self::any(step));
                let sound = cursor.search(&key)? && belongs(&key, cursor.value()?);
                if sound { Ok(()) } else { Err("a row is missing or wrong".into()) }
            }),
            "cursor: next, 10 rows" => {
                cursor.search_near(b"")?;
                counted(&mut |_| walk(&mut cursor, true))
            }
            "cursor: search_near and 10 rows" => counted(&mut |step| {
                // Not from the last rows on, behind which there are not ten.
                let mut key = self.rows.key(Self::any(step));
                key[0] &= 0x7f;
                cursor.search_near(&key)?;
                walk(&mut cursor, false)
            }),
            _ => Err(format!("nothing does {name}").into()),
        }
    }

    fn commit(
        &self,
        session: &Session,
        cursor: &mut Cursor<'_>,
        step: u64,
        synced: bool,
    ) -> Outcome<()> {
        let key = self.rows.key(ROWS + step);
        session.begin()?;
        cursor.insert(&key, &self.rows.value(&key))?;
        if synced { Ok(session.commit_with(true)?) } else { Ok(session.commit()?) }
    }
}

/// Reads ten rows; from the next one on, or from this one.
fn walk(cursor: &mut Cursor<'_>, from_next: bool) -> Outcome<()> {
    for row in 0..SCAN_ROWS {
        if (from_next || row > 0) && !cursor.next()? {
            return Err("the rows came to their end".into());
        }
        if !belongs(cursor.key()?, cursor.value()?) {
            return Err("a row is wrong".into());
        }
    }
    Ok(())
}
