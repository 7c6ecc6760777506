//! A cursor: a place in a table.

mod walk;
mod write;

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use rshelve_core::engine::OpenTable;

use crate::state::CursorState;
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
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// # let session = connection.open_session()?;
/// let mut cursor = session.open_cursor("stock")?;
/// cursor.insert(b"eggs", b"12")?;
/// cursor.insert(b"ham", b"3")?;
/// assert!(cursor.next()?);
/// assert_eq!((cursor.key()?, cursor.value()?), (&b"eggs"[..], &b"12"[..]));
/// cursor.update(b"11")?;
/// assert!(cursor.next()? && !cursor.next()?);
/// assert!(cursor.remove_key(b"ham")?);
/// cursor.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cursor<'s> {
    session: &'s Session,
    state: CursorState,
}

impl<'s> Cursor<'s> {
    pub(crate) fn new(session: &'s Session, state: CursorState) -> Self {
        Self { session, state }
    }

    /// Goes to `key`; false, and on no record, if it is not there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.search(b"b")?);
    /// assert_eq!(cursor.value()?, b"1");
    /// assert!(!cursor.search(b"bb")?);
    /// assert!(cursor.key().is_err(), "on no record");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`]; what reading gives.
    pub fn search(&mut self, key: &[u8]) -> Result<bool> {
        found(self.state.search_for(&mut self.session.state(), key))
    }

    /// Goes to the smallest key that is not below `key`, or else to the largest one. Says where it
    /// landed relative to `key`; none, and on no record, in an empty table.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// use std::cmp::Ordering;
    /// assert_eq!(cursor.search_near(b"bb")?, Some(Ordering::Greater));
    /// assert_eq!(cursor.key()?, b"c");
    /// assert_eq!(cursor.search_near(b"d")?, Some(Ordering::Less));
    /// assert_eq!(cursor.key()?, b"c");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_near(&mut self, key: &[u8]) -> Result<Option<Ordering>> {
        match self.state.search_near_for(&mut self.session.state(), key) {
            Ok(landed) => Ok(Some(landed)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Goes to the next record; from no record, to the first. False, and on no record, at the end.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// let mut keys = Vec::new();
    /// while cursor.next()? {
    ///     keys.push(cursor.key()?.to_vec());
    /// }
    /// assert_eq!(keys, [b"a", b"b", b"c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`search`](Self::search).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<bool> {
        found(self.state.next(&mut self.session.state()))
    }

    /// Goes to the previous record; from no record, to the last. False, and on no record, at the
    /// beginning.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.prev()?);
    /// assert_eq!(cursor.key()?, b"c");
    /// assert!(cursor.prev()?);
    /// assert_eq!(cursor.key()?, b"b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn prev(&mut self) -> Result<bool> {
        found(self.state.prev(&mut self.session.state()))
    }

    /// The key of the record that the cursor is on.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.key().is_err());
    /// cursor.next()?;
    /// assert_eq!(cursor.key()?, b"a");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record.
    pub fn key(&self) -> Result<&[u8]> {
        self.state.held_key()
    }

    /// The value of the record that the cursor is on.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.search(b"b")?);
    /// assert_eq!(cursor.value()?, b"1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record, or on one that was removed through this cursor; what reading a
    /// long value gives.
    pub fn value(&self) -> Result<&[u8]> {
        self.state.held_value(&self.session.state())
    }

    /// Holds the cursor to a range of keys, until it is [`reset`](Self::reset): walks end at its ends,
    /// and what lies outside is not found. The cursor is on no record afterwards.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// cursor.set_bounds(&b"b"[..]..)?;
    /// assert!(cursor.next()?);
    /// assert_eq!(cursor.key()?, b"b");
    /// assert!(!cursor.search(b"a")?);
    /// cursor.reset();
    /// assert!(cursor.search(b"a")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when no key fits between the bounds; the bounds are then as they were.
    pub fn set_bounds<'k>(&mut self, keys: impl RangeBounds<&'k [u8]>) -> Result<()> {
        let session = &mut self.session.state();
        self.state.leave(session);
        let owned = |bound: Bound<&&[u8]>| bound.map(|key| key.to_vec());
        self.state.replace_bounds(owned(keys.start_bound()), owned(keys.end_bound()))
    }

    /// The largest key that is there; the cursor is on no record afterwards.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert_eq!(cursor.largest_key()?.as_deref(), Some(&b"c"[..]));
    /// assert!(cursor.key().is_err(), "on no record");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] with bounds; as [`search`](Self::search).
    pub fn largest_key(&mut self) -> Result<Option<Vec<u8>>> {
        let session = &mut self.session.state();
        if !found(self.state.largest_key(session))? {
            return Ok(None);
        }
        let key = self.state.key(session)?.to_vec();
        self.state.leave(session);
        Ok(Some(key))
    }

    /// Compares the keys of two cursors over one table.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// use std::cmp::Ordering;
    /// let mut other = session.open_cursor("stock")?;
    /// assert!(cursor.search(b"a")? && other.search(b"c")?);
    /// assert_eq!(cursor.compare(&other)?, Ordering::Less);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] when one is on no record, or their tables differ.
    pub fn compare(&self, other: &Cursor<'_>) -> Result<Ordering> {
        other.key()?;
        self.state.compare(&other.state, &self.session.state())
    }

    /// A second cursor on the same record.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.search(b"b")?);
    /// let mut twin = cursor.duplicate()?;
    /// assert!(twin.next()?);
    /// assert_eq!((cursor.key()?, twin.key()?), (&b"b"[..], &b"c"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] on no record; [`Error::Missing`] when it was removed.
    pub fn duplicate(&self) -> Result<Self> {
        let settings = self.state.settings().clone();
        let twin = self.session.state().duplicate_as(&self.state, settings)?;
        Ok(Self::new(self.session, twin))
    }

    /// Closes the cursor. Dropping it does the same, but a bulk cursor's rows are written and made
    /// durable here, and only here can that fail.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// use rshelve::CursorOptions;
    /// connection.create_table("stock", &Default::default())?;
    /// let session = connection.open_session()?;
    /// let mut cursor = session.open_cursor_with("stock", &CursorOptions::new().bulk(true))?;
    /// for key in [b"a", b"b", b"c"] {
    ///     cursor.insert(key, b"1")?;
    /// }
    /// cursor.close()?;
    /// assert_eq!(session.len("stock")?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of a bulk cursor: what writing its last rows and the checkpoint give.
    pub fn close(mut self) -> Result<()> {
        self.state.finish(&mut self.session.state())
    }

    /// Goes to no record, and lets go of the page and the bounds.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// # for key in [b"a", b"b", b"c"] {
    /// #     stock.insert(key, b"1")?;
    /// # }
    /// # let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.search(b"c")?);
    /// cursor.reset();
    /// assert!(cursor.next()?);
    /// assert_eq!(cursor.key()?, b"a");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&mut self) {
        self.state.reset(&mut self.session.state());
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

    pub(crate) fn table(&self) -> Result<&OpenTable> {
        self.state.table()
    }
}

/// Not found is an answer here, not an error.
fn found(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        let session = &mut self.session.state();
        if let Err(error) = self.state.finish(session) {
            let what = format!("closing a dropped bulk cursor over {:?}", self.state.name());
            session.report(&what, &error);
        }
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("name", &self.state.name()).finish_non_exhaustive()
    }
}
