//! A session: transactions, and the cursors that work in them.

mod maintenance;
mod transactions;

use std::cell::{RefCell, RefMut};
use std::ops::{Bound, RangeBounds};

use rshelve_core::engine::Session as CoreSession;

use crate::state::SessionState;
use crate::{Connection, Cursor, CursorOptions, Result, Table, TableOptions};

/// Runs one transaction at a time, and the cursors in it. It may move to another thread, but is not
/// shared; a program opens one per thread.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// use rshelve::TableOptions;
/// let session = connection.open_session()?;
/// session.create("stock", &TableOptions::default())?;
/// session.begin()?;
/// let mut cursor = session.open_cursor("stock")?;
/// cursor.insert(b"eggs", b"12")?;
/// cursor.insert(b"ham", b"3")?;
/// assert!(session.in_transaction());
/// session.commit()?;
/// assert_eq!(session.len("stock")?, 2);
/// assert!(cursor.search(b"ham")?);
/// assert_eq!(cursor.value()?, b"3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// # fn assert<T: Send>() {}
/// assert::<rshelve::Session>();
/// ```
#[derive(Debug)]
pub struct Session {
    state: RefCell<SessionState>,
}

impl Session {
    pub(crate) fn new(connection: &Connection) -> Result<Self> {
        Ok(Self { state: RefCell::new(SessionState::open(connection)?) })
    }

    pub(crate) fn state(&self) -> RefMut<'_, SessionState> {
        self.state.borrow_mut()
    }

    pub(crate) fn core(&self) -> RefMut<'_, CoreSession> {
        RefMut::map(self.state(), |state| &mut state.core)
    }

    pub(crate) fn has_conflicted(&self) -> bool {
        self.core().has_conflicted()
    }

    /// Creates table `name`, unless it exists with the same options.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let session = connection.open_session()?;
    /// session.create("stock", &Default::default())?;
    /// assert_eq!(connection.tables()?, ["stock"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::create_table`](crate::Connection::create_table).
    pub fn create(&self, name: &str, options: &TableOptions) -> Result<()> {
        self.state().create(name, options, false)
    }

    /// Drops table `name`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let session = connection.open_session()?;
    /// session.create("stock", &Default::default())?;
    /// session.drop_table("stock")?;
    /// assert!(session.open_cursor("stock").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::drop_table`](crate::Connection::drop_table).
    pub fn drop_table(&self, name: &str) -> Result<()> {
        self.state().drop_table(name)
    }

    /// Applies every change of `batch` to `table`, in order: no value deletes the key. In the session's transaction
    /// it comes to the same as one write for each, but takes less time; outside one the batch is a transaction of its own, as
    /// through [`Table::apply`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// session.apply(&stock, &[("ham", Some("3")), ("eggs", Some("12"))])?;
    /// session.apply(&stock, &[("ham", None::<&str>)])?;
    /// session.commit()?;
    /// assert_eq!(stock.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::apply`]; in a transaction as [`Transaction::apply`](crate::Transaction::apply).
    pub fn apply<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        table: &Table,
        batch: &[(K, Option<V>)],
    ) -> Result<()> {
        self.core().apply(table.handle(), batch)
    }

    /// A cursor over table `name`, on no record yet.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// let mut cursor = session.open_cursor("stock")?;
    /// while cursor.next()? {
    ///     println!("{:?}: {:?}", cursor.key()?, cursor.value()?);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn open_cursor(&self, name: &str) -> Result<Cursor<'_>> {
        self.open_cursor_with(name, &CursorOptions::default())
    }

    /// A cursor over table `name` that behaves as `options` say.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// use rshelve::{CursorOptions, Error};
    /// let mut cursor = session.open_cursor_with("stock", &CursorOptions::new().overwrite(false))?;
    /// cursor.insert(b"eggs", b"12")?;
    /// assert!(matches!(cursor.insert(b"eggs", b"3"), Err(Error::DuplicateKey)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open_cursor`](Self::open_cursor).
    pub fn open_cursor_with(&self, name: &str, options: &CursorOptions) -> Result<Cursor<'_>> {
        let cursor = self.state().open_cursor(name, options)?;
        Ok(Cursor::new(self, cursor))
    }

    /// How many rows table `name` has, as the session sees it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// session.begin()?;
    /// session.open_cursor("stock")?.insert(b"ham", b"3")?;
    /// assert_eq!((session.len("stock")?, stock.len()?), (2, 1));
    /// session.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn len(&self, name: &str) -> Result<u64> {
        self.state().rows(name)
    }

    /// Removes the rows of a range of keys of table `name`, in the transaction, or in one of its own.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// for key in [b"a", b"b", b"c"] {
    ///     stock.insert(key, b"1")?;
    /// }
    /// session.truncate("stock", &b"b"[..]..)?;
    /// assert_eq!(stock.len()?, 1);
    /// session.truncate("stock", ..)?;
    /// assert!(stock.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing); [`Error::Rollback`](crate::Error::Rollback) when
    /// another transaction was first, or there are more rows than the cache can hold the removal of.
    pub fn truncate<'k>(&self, name: &str, keys: impl RangeBounds<&'k [u8]>) -> Result<()> {
        let owned = |bound: Bound<&&[u8]>| bound.map(|key| key.to_vec());
        let (start, stop) = (owned(keys.start_bound()), owned(keys.end_bound()));
        self.state().truncate_keys(name, start, stop)
    }

    /// Resets every cursor, and lets the snapshot of reads outside a transaction go.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// let mut cursor = session.open_cursor("stock")?;
    /// assert!(cursor.next()?);
    /// session.reset()?;
    /// assert!(cursor.key().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction.
    pub fn reset(&self) -> Result<()> {
        self.state().reset()
    }

    /// Opens what a URI names: `table:NAME`, `metadata:` (each table's URI and how it was created) or
    /// `statistics:` (the engine's counters). Keys and values of the last two are packed, `S` to `S`
    /// and `i` to `SSq`: see [`packing`](crate::packing).
    ///
    /// ```
    /// use rshelve::packing::{Format, Value};
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// connection.create_table("stock", &Default::default())?;
    /// let session = connection.open_session()?;
    /// let mut cursor = session.open_uri("metadata:", &Default::default())?;
    /// assert!(cursor.next()?);
    /// assert_eq!("S".parse::<Format>()?.unpack(cursor.key()?)?, [Value::Text("table:stock")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for other URIs; as
    /// [`open_cursor_with`](Self::open_cursor_with).
    pub fn open_uri(&self, uri: &str, options: &CursorOptions) -> Result<Cursor<'_>> {
        let cursor = self.state().open_uri(uri, options)?;
        Ok(Cursor::new(self, cursor))
    }
}
