//! SQLite through `rusqlite`, its bundled build.
//!
//! Tuned as its documentation says for a table of blobs: `WITHOUT ROWID`, write-ahead log, page
//! cache of the given size for the writer, readers through the memory map that they share, prepared
//! statements. With sync it runs `synchronous=FULL`; without, `NORMAL`: a killed process loses
//! nothing, a power loss what came after the last checkpoint.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::store::{
    Access, Client, Commit, End, Engine, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// SQLite under test.
pub const ENGINE: Engine = Engine { name: "sqlite", version, by_default: true, open };

/// Pages mapped instead of copied, in bytes: its documented way to faster reads.
/// Not where memory is short: each page fault then reads far more than a page.
const MAP_BYTES: u64 = 2 << 30;
/// Each reading connection has a cache of its own; what is mapped does not go through it.
const READER_CACHE_BYTES: u64 = 64 << 20;

struct Sqlite {
    writer: Mutex<(Connection, Commit)>,
    path: PathBuf,
    /// What each connection maps, in bytes.
    map_bytes: u64,
}

fn version() -> String {
    rusqlite::version().to_owned()
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let path = setup.folder.join("sqlite");
    let map_bytes = if setup.memory_is_short { 0 } else { MAP_BYTES };
    let connection = connect(&path, setup.cache_bytes, map_bytes)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    )?;
    let writer = Mutex::new((connection, Commit::Synced));
    Ok(Box::new(Sqlite { writer, path, map_bytes }))
}

fn connect(path: &Path, cache_bytes: u64, map_bytes: u64) -> Outcome<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -i64::try_from(cache_bytes >> 10)?)?;
    connection.pragma_update(None, "mmap_size", i64::try_from(map_bytes)?)?;
    Ok(connection)
}

impl Sqlite {
    /// The one connection that writes, set to what commits have to be.
    fn writer(&self, commit: Commit) -> Outcome<MutexGuard<'_, (Connection, Commit)>> {
        let mut guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.1 != commit {
            let level = if commit == Commit::Synced { "FULL" } else { "NORMAL" };
            guard.0.pragma_update(None, "synchronous", level)?;
            guard.1 = commit;
        }
        Ok(guard)
    }
}

impl Store for Sqlite {
    fn write(
        &self,
        commit: Commit,
        _access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let guard = self.writer(commit)?;
        let connection = &guard.0;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        body(&mut SqliteWriter {
            insert: connection.prepare_cached("INSERT OR REPLACE INTO rows VALUES (?, ?)")?,
            remove: connection.prepare_cached("DELETE FROM rows WHERE key = ?")?,
            connection,
        })?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        let connection = connect(&self.path, READER_CACHE_BYTES, self.map_bytes)?;
        connection.execute_batch("BEGIN")?;
        body(&mut SqliteReader::new(&connection)?)
    }

    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        let connection = connect(&self.path, READER_CACHE_BYTES, self.map_bytes)?;
        let reader = SqliteReader::new(&connection)?;
        body(&mut Served { store: self, reader })
    }

    fn len(&self) -> Outcome<u64> {
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let count: i64 = guard.0.query_row("SELECT count(*) FROM rows", [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    }

    fn sync(&self) -> Outcome<()> {
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn compact(&mut self) -> Outcome<bool> {
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.execute_batch("VACUUM")?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let (connection, _) = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, error)| error.into())
    }
}

struct SqliteWriter<'c> {
    connection: &'c Connection,
    insert: CachedStatement<'c>,
    remove: CachedStatement<'c>,
}

impl Writer for SqliteWriter<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.insert.execute(params![key, value])?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.remove.execute([key])?;
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        let mut statement = self.connection.prepare_cached(match end {
            End::First => {
                "DELETE FROM rows WHERE key = (SELECT min(key) FROM rows) RETURNING key, value"
            }
            End::Last => {
                "DELETE FROM rows WHERE key = (SELECT max(key) FROM rows) RETURNING key, value"
            }
        })?;
        let row = statement.query_row([], |row| {
            visit(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
            Ok(())
        });
        Ok(row.optional()?.is_some())
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        let mut doomed = Vec::new();
        let mut statement = self.connection.prepare_cached("SELECT key, value FROM rows")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
            if !keep(key, value) {
                doomed.push(key.to_vec());
            }
        }
        for key in doomed {
            self.remove.execute([key])?;
        }
        Ok(())
    }
}

struct SqliteReader<'c> {
    get: CachedStatement<'c>,
    range: CachedStatement<'c>,
}

impl<'c> SqliteReader<'c> {
    fn new(connection: &'c Connection) -> Outcome<Self> {
        Ok(Self {
            get: connection.prepare_cached("SELECT value FROM rows WHERE key = ?")?,
            range: connection.prepare_cached(
                "SELECT key, value FROM rows WHERE key >= ? ORDER BY key LIMIT ?",
            )?,
        })
    }
}

impl Reader for SqliteReader<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let row = self.get.query_row([key], |row| {
            visit(row.get_ref(0)?.as_blob()?);
            Ok(())
        });
        Ok(row.optional()?.is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut rows = self.range.query(params![start, limit])?;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }
}

/// A thread's own connection for reads; writes take turns at the one connection that writes, since
/// waiting for SQLite's own lock means to sleep and to try again.
struct Served<'s> {
    store: &'s Sqlite,
    reader: SqliteReader<'s>,
}

impl Client for Served<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        Reader::get(&mut self.reader, key, visit)
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        let guard = self.store.writer(commit)?;
        let mut insert = guard.0.prepare_cached("INSERT OR REPLACE INTO rows VALUES (?, ?)")?;
        insert.execute(params![key, value])?;
        Ok(())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        Reader::range(&mut self.reader, start, rows_max, visit)
    }
}
