//! A session as a value.

use rshelve_core::engine::{Engine, Session as CoreSession};

use super::CursorState;
use crate::{Connection, CursorOptions, Error, Result, TableOptions, TransactionOptions};

/// One transaction at a time, and what its cursors share. See the [module](super).
#[derive(Debug)]
pub struct SessionState {
    pub(super) engine: Engine,
    pub(crate) core: CoreSession,
    /// How many cursors are on a record: while any is, reads outside a transaction see one snapshot.
    placed: usize,
    /// Raised by what resets every cursor: a rollback, `reset`.
    resets: u64,
}

impl SessionState {
    /// A session of an open database.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn open(connection: &Connection) -> Result<Self> {
        let engine = connection.engine().clone();
        let core = engine.session()?;
        Ok(Self { engine, core, placed: 0, resets: 0 })
    }

    // Cursors.

    /// A cursor over table `name`, on no record yet.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`]; [`Error::Unsupported`] for options that are not built.
    pub fn open_cursor(&mut self, name: &str, options: &CursorOptions) -> Result<CursorState> {
        let table = self.engine.table(name)?;
        CursorState::new(self, table, options)
    }

    /// A second cursor where `cursor` is, or with its key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has no key; [`Error::NotFound`] when there is no record at its key.
    pub fn duplicate(
        &mut self,
        cursor: &CursorState,
        options: &CursorOptions,
    ) -> Result<CursorState> {
        let key = cursor.key(self)?.to_vec();
        let mut twin = CursorState::new(self, cursor.table().clone(), options)?;
        twin.set_key(&key);
        twin.search(self)?;
        Ok(twin)
    }

    /// Resets every cursor of the session, and lets its snapshot go.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction.
    pub fn reset(&mut self) -> Result<()> {
        self.outside_transaction("a reset of the session")?;
        self.reset_cursors();
        Ok(())
    }

    fn reset_cursors(&mut self) {
        self.resets += 1;
        self.placed = 0;
        self.core.release_snapshot();
    }

    pub(super) fn resets(&self) -> u64 {
        self.resets
    }

    /// A cursor came to be on a record.
    pub(crate) fn cursor_placed(&mut self) {
        self.placed += 1;
    }

    /// A cursor is on no record any more.
    pub(crate) fn cursor_left(&mut self) {
        self.placed -= 1;
        if self.placed == 0 {
            self.core.release_snapshot();
        }
    }

    // Transactions.

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside one, [`Error::Closed`].
    pub fn begin(&mut self, options: &TransactionOptions) -> Result<()> {
        self.core.begin_with(options.isolation.unwrap_or_default())
    }

    /// Commits the transaction. Cursors keep their places.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one, or when an operation in it failed after it had written: it is
    /// rolled back then. [`Error::OutcomeUnknown`] when the log could not be synced.
    pub fn commit(&mut self) -> Result<()> {
        self.core.commit()
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one; what reading pages gives.
    pub fn rollback(&mut self) -> Result<()> {
        let outcome = self.core.rollback();
        self.reset_cursors();
        outcome
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.core.in_transaction()
    }

    // Tables.

    /// Creates table `name`, unless it exists with the same options.
    ///
    /// # Errors
    /// [`Error::Exists`] when it exists and `exclusive` is set; [`Error::Invalid`] when it exists with
    /// other options; what writing gives.
    pub fn create(&mut self, name: &str, options: &TableOptions, exclusive: bool) -> Result<()> {
        if exclusive && self.engine.table(name).is_ok() {
            return Err(Error::Exists { what: format!("table {name:?}") });
        }
        self.engine.create_table(name, options).map(|_| ())
    }

    /// Drops table `name` and all that is in it.
    ///
    /// # Errors
    /// [`Error::Busy`] while a cursor or handle on it is open, [`Error::Missing`]; what reading and
    /// writing gives.
    pub fn drop_table(&mut self, name: &str) -> Result<()> {
        self.engine.drop_table(name)
    }

    /// How many rows table `name` has, as the session sees it.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`].
    pub fn rows(&self, name: &str) -> Result<u64> {
        Ok(self.core.rows(&self.engine.table(name)?))
    }

    /// Brings the one file up to date, durably.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as
    /// [`Connection::checkpoint`](crate::Connection::checkpoint).
    pub fn checkpoint(&mut self) -> Result<()> {
        self.outside_transaction("a checkpoint")?;
        self.engine.checkpoint()
    }

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// As [`Connection::sync`](crate::Connection::sync).
    pub fn log_flush(&mut self) -> Result<()> {
        self.engine.sync()
    }

    fn outside_transaction(&self, what: &str) -> Result<()> {
        if self.in_transaction() {
            return Err(Error::invalid(format!(
                "{what} inside a transaction; commit it or roll it back first"
            )));
        }
        Ok(())
    }
}
