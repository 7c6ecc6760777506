//! Our own engine, through its Rust face as any program would use it.
//!
//! The cache's size is set and nothing else. Commits run under the default durability: a killed
//! process loses nothing; where a commit must be on stable storage, it waits for the disk.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow};
use std::sync::{Mutex, PoisonError};

use rshelve::{Connection, Cursor, CursorOptions, DatabaseOptions, Session, Table, TableOptions};

use super::OURS;
use crate::store::{
    Access, Client, Commit, End, Engine, Feed, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// Our engine under test.
pub const ENGINE: Engine = Engine { name: OURS, version, by_default: true, open };

const TABLE: &str = "rows";

struct Ours {
    connection: Connection,
    table: Table,
    /// The session that writes; one transaction at a time, as for every peer.
    writer: Mutex<Session>,
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let options =
        DatabaseOptions { cache_bytes_max: setup.cache_bytes, ..DatabaseOptions::default() };
    let connection = Connection::open(setup.folder.join("rshelve"), options)?;
    let mut table = TableOptions::default();
    table.leaf_bytes_max = setup.leaf_bytes.unwrap_or(table.leaf_bytes_max);
    let table = connection.create_table(TABLE, &table)?;
    let writer = Mutex::new(connection.open_session()?);
    Ok(Box::new(Ours { connection, table, writer }))
}

impl Store for Ours {
    fn write(
        &self,
        commit: Commit,
        access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let session = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        session.begin()?;
        let outcome = match access {
            Access::Blind => {
                let mut batch = Batch::new(&session, &self.table);
                body(&mut batch).and_then(|()| batch.flush())
            }
            Access::ReadWrite => session
                .open_cursor(TABLE)
                .map_err(Into::into)
                .and_then(|mut cursor| body(&mut cursor)),
        };
        if let Err(error) = outcome {
            session.rollback()?;
            return Err(error);
        }
        match commit {
            Commit::Synced => session.commit_with(true)?,
            Commit::Unsynced => session.commit()?,
        }
        Ok(())
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        let session = self.connection.open_session()?;
        session.begin()?;
        let outcome =
            session.open_cursor(TABLE).map_err(Into::into).and_then(|mut cursor| body(&mut cursor));
        session.rollback()?;
        outcome
    }

    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        let session = self.connection.open_session()?;
        body(&mut Served { table: self.table.clone(), session })
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Ok(self.table.insert(key, value)?)
    }

    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        let session = self.connection.open_session()?;
        let options = CursorOptions::new().bulk(true);
        let mut cursor = session.open_cursor_with(TABLE, &options)?;
        body(&mut |key, value| Ok(cursor.insert(key, value)?))?;
        // Its rows are durable then.
        Ok(cursor.close()?)
    }

    fn len(&self) -> Outcome<u64> {
        Ok(self.table.len()?)
    }

    fn sync(&self) -> Outcome<()> {
        Ok(self.connection.sync()?)
    }

    fn checkpoint(&self) -> Outcome<bool> {
        self.connection.checkpoint()?;
        Ok(true)
    }

    fn compact(&mut self) -> Outcome<bool> {
        let report = self.connection.compact(&mut |_| ControlFlow::Continue(()))?;
        Ok(report.is_complete)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let Self { connection, table, writer } = *self;
        drop((table, writer));
        Ok(connection.close()?)
    }
}

/// Rows of a batch that are applied together.
const BATCH_ROWS: usize = 256;

/// Writes of one transaction, handed over some at a time.
struct Batch<'t> {
    session: &'t Session,
    table: &'t Table,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// Where each row's key ends, and its value if it has one.
    ends: Vec<(usize, Option<usize>)>,
}

impl<'t> Batch<'t> {
    fn new(session: &'t Session, table: &'t Table) -> Self {
        Self { session, table, bytes: Vec::new(), ends: Vec::new() }
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push((key_end, value.map(|_| self.bytes.len())));
        if self.ends.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Outcome<()> {
        let mut start = 0;
        let rows: Vec<_> = (self.ends.iter())
            .map(|(key_end, end)| {
                let row = (&self.bytes[start..*key_end], end.map(|end| &self.bytes[*key_end..end]));
                start = end.unwrap_or(*key_end);
                row
            })
            .collect();
        self.session.apply(self.table, &rows)?;
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

impl Writer for Batch<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.add(key, Some(value))
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.add(key, None)
    }

    fn pop(&mut self, _end: End, _visit: Visit<'_>) -> Outcome<bool> {
        Err("a batch does not read".into())
    }

    fn retain(&mut self, _keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        Err("a batch does not read".into())
    }
}

impl Writer for Cursor<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Cursor::insert(self, key, value)?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.remove_key(key)?;
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        self.reset();
        let there = match end {
            End::First => self.next()?,
            End::Last => self.prev()?,
        };
        if there {
            visit(self.key()?, self.value()?);
            Cursor::remove(self)?;
        }
        Ok(there)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        self.reset();
        Cursor::retain(self, keep)?;
        Ok(())
    }
}

impl Reader for Cursor<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let there = self.search(key)?;
        if there {
            visit(self.value()?);
        }
        Ok(there)
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let mut left = rows_max;
        let mut take = |key: &[u8], value: &[u8]| {
            visit(key, value);
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let goes_on = match self.search_near(start)? {
            None => return Ok(()),
            Some(Ordering::Less) => true,
            Some(_) => rows_max > 0 && take(self.key()?, self.value()?).is_continue(),
        };
        if goes_on {
            self.walk(take)?;
        }
        Ok(())
    }
}

/// The table for what commits by itself, and a session for commits that wait for the disk.
struct Served {
    table: Table,
    session: Session,
}

impl Client for Served {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        Ok(self.table.get_with(key, visit)?.is_some())
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        if commit == Commit::Unsynced {
            return Ok(self.table.insert(key, value)?);
        }
        self.session.begin()?;
        self.session.open_cursor(TABLE)?.insert(key, value)?;
        Ok(self.session.commit_with(true)?)
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let keys = (Bound::Included(start), Bound::Unbounded);
        Ok(self.table.scan_with(keys.0, keys.1, false, usize::try_from(rows_max)?, 0, visit)?)
    }
}
