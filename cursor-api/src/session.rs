//! A session: transactions, and the cursors that work in them.

use std::cell::{Cell, RefCell, RefMut};
use std::marker::PhantomData;

use rshelve_core::engine::{Engine, Session as CoreSession};

use crate::{Cursor, Result, TableOptions};

/// Runs one transaction at a time, and the cursors in it. It may move to another thread, but is not
/// shared; a program opens one per thread.
///
/// ```
/// # fn assert<T: Send>() {}
/// assert::<rshelve::Session>();
/// ```
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    core: RefCell<CoreSession>,
    /// How many cursors are on a record: while any is, reads outside a transaction see one
    /// snapshot.
    placed: Cell<usize>,
    /// Raised by each rollback, which resets every cursor.
    rollbacks: Cell<u64>,
    _not_sync: PhantomData<Cell<()>>,
}

impl Session {
    pub(crate) fn new(engine: Engine) -> Result<Self> {
        let core = RefCell::new(engine.session()?);
        let (placed, rollbacks) = (Cell::new(0), Cell::new(0));
        Ok(Self { engine, core, placed, rollbacks, _not_sync: PhantomData })
    }

    pub(crate) fn core(&self) -> RefMut<'_, CoreSession> {
        self.core.borrow_mut()
    }

    pub(crate) fn rollbacks(&self) -> u64 {
        self.rollbacks.get()
    }

    /// A cursor came to be on a record.
    pub(crate) fn cursor_placed(&self) {
        self.placed.set(self.placed.get() + 1);
    }

    /// A cursor is on no record any more.
    pub(crate) fn cursor_left(&self) {
        self.placed.set(self.placed.get() - 1);
        if self.placed.get() == 0 {
            self.core().release_snapshot();
        }
    }

    /// Creates table `name`, unless it exists with the same options.
    ///
    /// # Errors
    /// As [`Connection::create_table`](crate::Connection::create_table).
    pub fn create(&self, name: &str, options: &TableOptions) -> Result<()> {
        self.engine.create_table(name, options).map(|_| ())
    }

    /// Drops table `name`.
    ///
    /// # Errors
    /// As [`Connection::drop_table`](crate::Connection::drop_table).
    pub fn drop_table(&self, name: &str) -> Result<()> {
        self.engine.drop_table(name)
    }

    /// A cursor over table `name`, on no record yet.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn open_cursor(&self, name: &str) -> Result<Cursor<'_>> {
        Ok(Cursor::new(self, self.engine.table(name)?))
    }

    /// Begins a transaction: reads see what is committed now, and its own writes.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside one, [`Error::Closed`](crate::Error::Closed).
    pub fn begin(&self) -> Result<()> {
        self.core().begin()
    }

    /// Commits the transaction. Cursors keep their places.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one, or when an operation in it failed: it
    /// is rolled back then. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) when the log
    /// could not be synced.
    pub fn commit(&self) -> Result<()> {
        self.core().commit()
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) without one; what reading pages gives.
    pub fn rollback(&self) -> Result<()> {
        self.rollbacks.set(self.rollbacks.get() + 1);
        self.placed.set(0);
        self.core().rollback()
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.core().in_transaction()
    }

    /// How many rows table `name` has, as the session sees it.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing), [`Error::Closed`](crate::Error::Closed).
    pub fn len(&self, name: &str) -> Result<u64> {
        let table = self.engine.table(name)?;
        Ok(self.core().rows(&table))
    }

    /// As [`Connection::checkpoint`](crate::Connection::checkpoint).
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn checkpoint(&self) -> Result<()> {
        if self.in_transaction() {
            return Err(crate::Error::invalid(
                "a checkpoint inside a transaction; commit it or roll it back first",
            ));
        }
        self.engine.checkpoint()
    }
}
