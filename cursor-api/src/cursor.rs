//! A cursor: a place in a table.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::OpenTable;

use crate::{Error, Range, Result, Session};

/// A place in a table, moved and written through by one session.
///
/// Outside a transaction, writes commit at once and reads see one snapshot for as long as any cursor of
/// the session is on a record. The key and the value are borrowed from the cursor until it moves.
///
/// ```compile_fail
/// # fn f(session: &rshelve::Session) -> rshelve::Result<()> {
/// let mut cursor = session.open_cursor("stock")?;
/// let key = cursor.key()?;
/// cursor.next()?; // the key is still borrowed
/// assert_eq!(key, b"eggs");
/// # Ok(()) }
/// ```
pub struct Cursor<'s> {
    session: &'s Session,
    table: OpenTable,
    position: Position,
    /// The session's count of rollbacks when the place was taken.
    rollbacks: u64,
    /// Counted in the session as being on a record.
    placed: bool,
    /// The key was deleted under the cursor: it stays, the value does not.
    deleted: bool,
    long_value: OnceCell<Vec<u8>>,
}

impl<'s> Cursor<'s> {
    pub(crate) fn new(session: &'s Session, table: OpenTable) -> Self {
        let position = session.core().position();
        Self {
            session,
            table,
            position,
            rollbacks: session.rollbacks(),
            placed: false,
            deleted: false,
            long_value: OnceCell::new(),
        }
    }

    /// Runs one move; what a rollback did to the cursor happens first.
    fn moved<R>(
        &mut self,
        go: impl FnOnce(&mut rshelve_core::engine::Session, &OpenTable, &mut Position) -> Result<R>,
    ) -> Result<R> {
        self.catch_up();
        self.deleted = false;
        self.long_value.take();
        let outcome = go(&mut self.session.core(), &self.table, &mut self.position);
        if outcome.is_err() {
            self.position.reset();
        }
        self.count();
        outcome
    }

    fn catch_up(&mut self) {
        if self.rollbacks != self.session.rollbacks() {
            self.rollbacks = self.session.rollbacks();
            self.placed = false;
            self.deleted = false;
            self.position.reset();
        }
    }

    /// Tells the session whether the cursor is on a record.
    fn count(&mut self) {
        match (self.placed, self.position.is_set()) {
            (false, true) => self.session.cursor_placed(),
            (true, false) => self.session.cursor_left(),
            _ => {}
        }
        self.placed = self.position.is_set();
    }

    /// Goes to `key`; false, and on no record, if it is not there.
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading gives.
    pub fn search(&mut self, key: &[u8]) -> Result<bool> {
        self.moved(|session, table, at| session.find(table, at, key))
    }

    /// Goes to the smallest key that is not below `key`, or else to the largest one. Says where it
    /// landed relative to `key`; none, and on no record, in an empty table.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_near(&mut self, key: &[u8]) -> Result<Option<Ordering>> {
        self.moved(|session, table, at| match session.seek(table, at, key)? {
            Landing::Exact => Ok(Some(Ordering::Equal)),
            Landing::Above => Ok(Some(Ordering::Greater)),
            Landing::End => Ok(session.prev(table, at)?.then_some(Ordering::Less)),
        })
    }

    /// Goes to the next record; from no record, to the first. False, and on no record, at the end.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<bool> {
        self.moved(|session, table, at| session.next(table, at))
    }

    /// Goes to the previous record; from no record, to the last. False, and on no record, at the
    /// beginning.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn prev(&mut self) -> Result<bool> {
        self.moved(|session, table, at| session.prev(table, at))
    }

    /// The key of the record that the cursor is on.
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record.
    pub fn key(&self) -> Result<&[u8]> {
        let current = self.rollbacks == self.session.rollbacks();
        let key = self.position.key().filter(|_| current);
        key.ok_or_else(|| Error::invalid("the cursor is on no record; search or move it first"))
    }

    /// The value of the record that the cursor is on.
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record, or on one that was removed through this cursor; what reading a
    /// long value gives.
    pub fn value(&self) -> Result<&[u8]> {
        self.key()?;
        if self.deleted {
            return Err(Error::invalid("the record was removed; move the cursor first"));
        }
        self.session.core().value(&self.table, &self.position, &self.long_value)
    }

    /// Gives `key` this value, whether or not it has one. The cursor is on no record afterwards.
    ///
    /// # Errors
    /// [`Error::Rollback`] when another transaction was first; as
    /// [`Table::insert`](crate::Table::insert).
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.reset();
        self.session.core().put(&self.table, key, value)
    }

    /// Gives `key` this value if it has none; false if it has one. The cursor is on no record
    /// afterwards.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_new(&mut self, key: &[u8], value: &[u8]) -> Result<bool> {
        self.reset();
        self.session.core().insert(&self.table, key, value)
    }

    /// Gives the record that the cursor is on another value, and stays on it.
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record; as [`insert`](Self::insert).
    pub fn update(&mut self, value: &[u8]) -> Result<()> {
        let key = self.key()?.to_vec();
        self.session.core().put(&self.table, &key, value)?;
        self.search(&key).map(|_| ())
    }

    /// Removes the record that the cursor is on; false if it is gone already. The cursor keeps its
    /// place, so that `next` and `prev` go on from there.
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record; as [`insert`](Self::insert).
    pub fn remove(&mut self) -> Result<bool> {
        let key = self.key()?.to_vec();
        let removed = self.session.core().remove(&self.table, &key)?;
        self.deleted = true;
        Ok(removed)
    }

    /// Removes the record of `key`; false if there is none. The cursor is on no record afterwards.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove_key(&mut self, key: &[u8]) -> Result<bool> {
        self.reset();
        self.session.core().remove(&self.table, key)
    }

    /// Goes to no record, and lets go of the page.
    pub fn reset(&mut self) {
        self.catch_up();
        self.deleted = false;
        self.position.reset();
        self.count();
    }

    /// Iterates over the records of a range of keys, from both ends.
    ///
    /// ```
    /// # use rshelve::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let table = connection.create_table("stock", &Default::default())?;
    /// for key in [b"a", b"b", b"c"] {
    ///     table.insert(key, b"1")?;
    /// }
    /// let session = connection.open_session()?;
    /// let mut cursor = session.open_cursor("stock")?;
    /// let keys = |row: Result<(Vec<u8>, Vec<u8>)>| row.map(|(key, _)| key);
    /// let up: Vec<_> = cursor.range(&b"b"[..]..).map(keys).collect::<Result<_>>()?;
    /// assert_eq!(up, [b"b", b"c"]);
    /// let down: Vec<_> = cursor.range(..&b"c"[..]).rev().map(keys).collect::<Result<_>>()?;
    /// assert_eq!(down, [b"b", b"a"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range<'k>(&mut self, keys: impl RangeBounds<&'k [u8]>) -> Range<'_, 's> {
        self.reset();
        let owned = |bound: Bound<&&[u8]>| bound.map(|key| key.to_vec());
        Range::new(self, owned(keys.start_bound()), owned(keys.end_bound()))
    }

    pub(crate) fn session(&self) -> &'s Session {
        self.session
    }

    pub(crate) fn table(&self) -> &OpenTable {
        &self.table
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.reset();
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("table", &self.table.name()).finish_non_exhaustive()
    }
}
