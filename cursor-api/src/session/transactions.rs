//! A session's transactions.

use std::time::Duration;

use super::Session;
use crate::{Isolation, Result, TransactionOptions};

impl Session {
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
}
