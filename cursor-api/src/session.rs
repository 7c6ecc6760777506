//! A session: transactions, and the cursors that work in them.

use std::cell::{RefCell, RefMut};

use rshelve_core::engine::Session as CoreSession;

use crate::state::SessionState;
use crate::{Connection, Cursor, CursorOptions, Result, TableOptions, TransactionOptions};

/// Runs one transaction at a time, and the cursors in it. It may move to another thread, but is not
/// shared; a program opens one per thread.
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

    /// Creates table `name`, unless it exists with the same options.
    ///
    /// # Errors
    /// As [`Connection::create_table`](crate::Connection::create_table).
    pub fn create(&self, name: &str, options: &TableOptions) -> Result<()> {
        self.state().create(name, options, false)
    }

    /// Drops table `name`.
    ///
    /// # Errors
    /// As [`Connection::drop_table`](crate::Connection::drop_table).
    pub fn drop_table(&self, name: &str) -> Result<()> {
        self.state().drop_table(name)
    }

    /// A cursor over table `name`, on no record yet.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn open_cursor(&self, name: &str) -> Result<Cursor<'_>> {
        self.open_cursor_with(name, &CursorOptions::default())
    }

    /// A cursor over table `name` that behaves as `options` say.
    ///
    /// # Errors
    /// As [`open_cursor`](Self::open_cursor).
    pub fn open_cursor_with(&self, name: &str, options: &CursorOptions) -> Result<Cursor<'_>> {
        let cursor = self.state().open_cursor(name, options)?;
        Ok(Cursor::new(self, cursor))
    }

    /// Begins a transaction: reads see what is committed now, and its own writes.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside one, [`Error::Closed`](crate::Error::Closed).
    pub fn begin(&self) -> Result<()> {
        self.begin_with(&TransactionOptions::default())
    }

    /// Begins a transaction that runs as `options` say.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&self, options: &TransactionOptions) -> Result<()> {
        self.state().begin(options)
    }

    /// Commits the transaction. Cursors keep their places.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one, or when an operation in it failed: it
    /// is rolled back then. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) when the log
    /// could not be synced.
    pub fn commit(&self) -> Result<()> {
        self.state().commit()
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one; what reading pages gives.
    pub fn rollback(&self) -> Result<()> {
        self.state().rollback()
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.state().in_transaction()
    }

    /// How many rows table `name` has, as the session sees it.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn len(&self, name: &str) -> Result<u64> {
        self.state().rows(name)
    }

    /// As [`Connection::checkpoint`](crate::Connection::checkpoint).
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn checkpoint(&self) -> Result<()> {
        self.state().checkpoint()
    }
}
