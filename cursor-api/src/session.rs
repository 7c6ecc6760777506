//! A session: transactions, and the cursors that work in them.

use std::cell::{RefCell, RefMut};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use rshelve_core::engine::{CompactReport, Session as CoreSession};

use crate::state::SessionState;
use crate::{
    CheckpointInfo, Connection, Cursor, CursorOptions, Isolation, Result, TableOptions,
    TransactionOptions, VerifyReport,
};

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

    /// Begins a transaction: reads see what is committed now, and its own writes.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// stock.insert(b"eggs", b"12")?; // another transaction
    /// assert!(!session.open_cursor("stock")?.search(b"eggs")?);
    /// session.commit()?;
    /// assert!(session.open_cursor("stock")?.search(b"eggs")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside one, [`Error::Closed`](crate::Error::Closed).
    pub fn begin(&self) -> Result<()> {
        self.begin_with(&TransactionOptions::default())
    }

    /// Begins a transaction that runs as `options` say.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// use rshelve::{Isolation, TransactionOptions};
    /// session.begin_with(&TransactionOptions::new().isolation(Isolation::ReadCommitted))?;
    /// stock.insert(b"eggs", b"12")?; // another transaction
    /// assert!(session.open_cursor("stock")?.search(b"eggs")?);
    /// session.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&self, options: &TransactionOptions) -> Result<()> {
        self.state().begin(options)
    }

    /// Commits the transaction. Cursors keep their places.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// session.open_cursor("stock")?.insert(b"eggs", b"12")?;
    /// assert!(!stock.contains(b"eggs")?);
    /// session.commit()?;
    /// assert!(stock.contains(b"eggs")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one, or when an operation in it failed: it
    /// is rolled back then. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) when the log
    /// could not be synced.
    pub fn commit(&self) -> Result<()> {
        self.state().commit()
    }

    /// Commits the transaction; with `sync`, it is on stable storage afterwards.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// session.open_cursor("stock")?.insert(b"eggs", b"12")?;
    /// session.commit_with(true)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Unsupported`](crate::Error::Unsupported), and the
    /// transaction stays open, without `sync` in a database whose commits are all synced.
    pub fn commit_with(&self, sync: bool) -> Result<()> {
        self.state().commit_with(Some(sync))
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// let mut cursor = session.open_cursor("stock")?;
    /// cursor.insert(b"eggs", b"12")?;
    /// session.rollback()?;
    /// assert!(!cursor.search(b"eggs")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one; what reading pages gives.
    pub fn rollback(&self) -> Result<()> {
        self.state().rollback()
    }

    /// Whether a transaction is open.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// assert!(session.in_transaction());
    /// session.rollback()?;
    /// assert!(!session.in_transaction());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_transaction(&self) -> bool {
        self.state().in_transaction()
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

    /// As [`Connection::checkpoint`](crate::Connection::checkpoint).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// session.checkpoint()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn checkpoint(&self) -> Result<()> {
        self.state().checkpoint()
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

    /// The transaction sees what is committed now, from here on. Outside a transaction there is nothing
    /// to do.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.begin()?;
    /// stock.insert(b"eggs", b"12")?; // another transaction
    /// let mut cursor = session.open_cursor("stock")?;
    /// assert!(!cursor.search(b"eggs")?);
    /// session.reset_snapshot()?;
    /// assert!(cursor.search(b"eggs")?);
    /// session.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) in a transaction without snapshot isolation, or
    /// that has written.
    pub fn reset_snapshot(&self) -> Result<()> {
        self.state().reset_snapshot()
    }

    /// The isolation of transactions that are begun without one.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.set_isolation(rshelve::Isolation::ReadCommitted)?;
    /// session.begin()?;
    /// stock.insert(b"eggs", b"12")?; // another transaction
    /// assert!(session.open_cursor("stock")?.search(b"eggs")?);
    /// session.commit()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction.
    pub fn set_isolation(&self, isolation: Isolation) -> Result<()> {
        self.state().set_isolation(isolation)
    }

    /// Changes the options that a configuration string gives, and no others. What it may hold is
    /// listed under `Session.reconfigure` in `docs/configuration.md`; what applies has a method with
    /// types too: [`set_isolation`](Self::set_isolation).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let session = connection.open_session()?;
    /// session.reconfigure("isolation=read-committed")?;
    /// let error = session.reconfigure("isolation=perfect").unwrap_err();
    /// assert!(error.to_string().contains("isolation"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Settings::read`](crate::config::Settings::read) and
    /// [`set_isolation`](Self::set_isolation); nothing is changed then.
    pub fn reconfigure(&self, config: &str) -> Result<()> {
        self.state().reconfigure(config)
    }

    /// How long an operation may wait for another transaction, or for room in the cache; none is the
    /// database's time-out.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// use std::time::Duration;
    /// session.set_operation_timeout(Some(Duration::from_millis(50)));
    /// session.open_cursor("stock")?.insert(b"eggs", b"12")?;
    /// session.set_operation_timeout(None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_operation_timeout(&self, timeout: Option<Duration>) {
        self.state().set_operation_timeout(timeout);
    }

    /// Takes a checkpoint that is kept under `name`, in place of any of that name, until it is
    /// [dropped](Self::drop_checkpoints). Cursors opened with [`CursorOptions::checkpoint`] read it.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// let session = connection.open_session()?;
    /// session.checkpoint_named("monday")?;
    /// stock.insert(b"eggs", b"3")?;
    /// let options = CursorOptions::new().checkpoint("monday");
    /// let mut monday = session.open_cursor_with("stock", &options)?;
    /// assert!(monday.search(b"eggs")?);
    /// assert_eq!(monday.value()?, b"12");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) when a cursor reads the one that is to be replaced;
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that cannot be one, and inside a
    /// transaction; as [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_named(&self, name: &str) -> Result<()> {
        self.state().checkpoint_with(Some(name), &[])
    }

    /// Drops named checkpoints: all of these, or none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.checkpoint_named("monday")?;
    /// session.drop_checkpoints(&["monday"])?;
    /// assert!(session.checkpoints().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) while a cursor reads one;
    /// [`Error::Missing`](crate::Error::Missing); as [`checkpoint`](Self::checkpoint).
    pub fn drop_checkpoints(&self, names: &[&str]) -> Result<()> {
        self.state().checkpoint_with(None, names)
    }

    /// The named checkpoints, in the order in which they were taken.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.checkpoint_named("tuesday")?;
    /// session.checkpoint_named("monday")?;
    /// let names: Vec<_> = session.checkpoints().into_iter().map(|info| info.name).collect();
    /// assert_eq!(names, ["tuesday", "monday"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.state().checkpoints()
    }

    /// Verifies the database, as [`Connection::verify`](crate::Connection::verify) does, the last
    /// checkpoint taken first, so that what was committed is in it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// let report = session.verify()?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as
    /// [`checkpoint`](Self::checkpoint) and there.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.state().verify()
    }

    /// Makes everything committed so far durable.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// session.log_flush()?; // from here on a power cut does not lose it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::sync`](crate::Connection::sync).
    pub fn log_flush(&self) -> Result<()> {
        self.state().log_flush()
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

    /// Compacts the whole database, which is one file, as
    /// [`Connection::compact`](crate::Connection::compact) does.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.clear()?;
    /// let report = session.compact()?;
    /// assert!(report.is_complete);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn compact(&self) -> Result<CompactReport> {
        self.state().compact()
    }
}
