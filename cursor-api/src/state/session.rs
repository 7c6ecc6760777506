//! A session as a value.

use std::cell::Cell;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use std::ops::ControlFlow;

use rshelve_core::engine::{CompactReport, Engine, OpenTable, Session as CoreSession};

use super::CursorState;
use super::cursor::note_failure;
use super::source::Source;
use super::sources::{metadata_rows, statistics_rows};
use super::uri::Uri;
use crate::config::{Method, Settings, isolation};
use crate::{
    CheckpointInfo, Connection, CursorOptions, Error, Isolation, Result, TableOptions,
    TransactionOptions, VerifyReport,
};

/// One transaction at a time, and what its cursors share. See the [module](super).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # connection.create_table("stock", &Default::default())?;
/// use rshelve::state::SessionState;
/// use rshelve::{CursorOptions, TransactionOptions};
/// let mut session = SessionState::open(&connection)?;
/// session.begin(&TransactionOptions::new())?;
/// let mut cursor = session.open_cursor("stock", &CursorOptions::new())?;
/// cursor.insert_row(&mut session, b"eggs", b"12")?;
/// cursor.close(&mut session)?;
/// session.commit()?;
/// assert_eq!(session.rows("stock")?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SessionState {
    pub(super) engine: Engine,
    pub(crate) core: CoreSession,
    /// How many cursors are on a record: while any is, reads outside a transaction see one snapshot.
    placed: usize,
    /// Raised by what resets every cursor: a rollback, `reset`.
    /// Relaxed: only who holds the session works on its cursors.
    pub(super) resets: Arc<AtomicU64>,
    isolation: Isolation,
    timeout: Option<Duration>,
    /// What the transaction's commit is to do.
    sync: Option<bool>,
    /// An operation failed since the transaction began.
    failed: Cell<bool>,
}

impl SessionState {
    /// A session of an open database.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn open(connection: &Connection) -> Result<Self> {
        let engine = connection.engine().clone();
        let core = engine.session()?;
        Ok(Self {
            engine,
            core,
            placed: 0,
            resets: Arc::default(),
            isolation: Isolation::default(),
            timeout: None,
            sync: None,
            failed: Cell::new(false),
        })
    }

    // Cursors.

    /// A cursor over table `name`, on no record yet.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`]; [`Error::Unsupported`] for options that are not built.
    pub fn open_cursor(&mut self, name: &str, options: &CursorOptions) -> Result<CursorState> {
        let source = self.source(name, options)?;
        CursorState::new(self, source, options)
    }

    /// What a cursor over table `name` reads.
    fn source(&self, name: &str, options: &CursorOptions) -> Result<Source> {
        match &options.checkpoint {
            Some(checkpoint) => {
                Ok(Source::Past(self.engine.open_checkpoint(checkpoint)?.table(name)?))
            }
            None => Ok(Source::Live(self.engine.table(name)?)),
        }
    }

    /// Opens what `uri` names: a table, the metadata of all tables, or the statistics.
    ///
    /// # Errors
    /// As [`Uri::parse`] and [`open_cursor`](Self::open_cursor); [`Error::Invalid`] for a bulk or
    /// random cursor over what is not a table.
    pub fn open_uri(&mut self, uri: &str, options: &CursorOptions) -> Result<CursorState> {
        let rows = match Uri::parse(uri)? {
            Uri::Table(name) => return self.open_cursor(&name, options),
            Uri::Metadata => metadata_rows(&self.engine)?,
            Uri::Statistics => statistics_rows(&self.engine.stats())?,
        };
        if options.bulk || options.next_random || options.checkpoint.is_some() {
            return Err(Error::invalid(format!("{uri} has no bulk, random or checkpoint cursors")));
        }
        Ok(self.open_rows(uri, rows))
    }

    /// A cursor over rows that are made now, such as a binding makes of metadata or statistics. It only
    /// reads.
    pub fn open_rows(&mut self, name: &str, rows: Vec<(Vec<u8>, Vec<u8>)>) -> CursorState {
        CursorState::over_rows(self, name, rows)
    }

    /// A second cursor where `cursor` is, or with its key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has no key; [`Error::Missing`] when there is no record at its key;
    /// [`Error::Unsupported`] of a cursor without a table; [`Error::Busy`] of a bulk cursor.
    pub fn duplicate(
        &mut self,
        cursor: &CursorState,
        options: &CursorOptions,
    ) -> Result<CursorState> {
        cursor.check_duplicates()?;
        let key = cursor.key(self)?.to_vec();
        let mut twin = CursorState::new(self, cursor.source()?.clone(), options)?;
        twin.set_key(&key);
        match twin.search(self) {
            Ok(()) => Ok(twin),
            Err(error) => {
                twin.close(self)?;
                Err(match error {
                    Error::NotFound => Error::Missing { what: "record to duplicate".to_owned() },
                    other => other,
                })
            }
        }
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
        self.resets.fetch_add(1, Relaxed);
        self.placed = 0;
        self.core.release_snapshot();
    }

    /// An operation failed: a transaction that wrote cannot be committed any more.
    pub(super) fn note_failure(&self) {
        self.failed.set(true);
    }

    /// Tells the connection's event handler of a failure that no caller gets.
    pub fn report(&self, what: &str, error: &Error) {
        self.engine.report(what, error);
    }

    /// A cursor came to be on a record.
    pub(crate) fn cursor_placed(&mut self) {
        self.placed += 1;
    }

    /// A cursor looked for a record and came to none. The snapshot that it looked in is not kept for
    /// it: the next read sees what is committed then.
    pub(crate) fn nothing_found(&mut self) {
        if self.placed == 0 && self.core.has_snapshot() {
            self.core.release_snapshot();
        }
    }

    /// A cursor is on no record any more.
    pub(crate) fn cursor_left(&mut self) {
        self.placed -= 1;
        if self.placed == 0 {
            self.core.release_snapshot();
        }
    }

    // Transactions.

    /// Begins a transaction. Cursors keep their places.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside one, [`Error::Closed`].
    pub fn begin(&mut self, options: &TransactionOptions) -> Result<()> {
        let begun = self.core.begin_with(options.isolation.unwrap_or(self.isolation));
        self.failed.set(begun.is_err());
        begun?;
        self.sync = options.sync;
        if options.operation_timeout.is_some() {
            self.core.set_timeout(options.operation_timeout);
        }
        Ok(())
    }

    /// Commits the transaction, as it was begun. Cursors keep their places.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one, or when an operation in it failed after it had written: it is
    /// rolled back then. [`Error::OutcomeUnknown`] when the log could not be synced.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_with(None)
    }

    /// The same; `sync`, if it is given, takes the place of what
    /// [`TransactionOptions::sync`] said.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Unsupported`], and the transaction stays open, when `sync`
    /// is false in a database whose commits are all synced.
    pub fn commit_with(&mut self, sync: Option<bool>) -> Result<()> {
        if self.failed.get() {
            self.core.fail();
        }
        let was_open = self.in_transaction();
        let outcome = self.core.commit_with(sync.or(self.sync));
        if !self.in_transaction() {
            self.core.set_timeout(self.timeout);
        }
        if was_open && outcome.is_err() && !self.in_transaction() {
            // It was rolled back.
            self.reset_cursors();
        }
        outcome
    }

    /// The transaction sees what is committed now, from here on; outside one, the session's cursors do.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in a transaction with weaker isolation, or in one that
    /// has written.
    pub fn reset_snapshot(&mut self) -> Result<()> {
        self.core.refuse_weak()?;
        if self.in_transaction() {
            return self.core.reset_snapshot();
        }
        self.core.retake_snapshot();
        Ok(())
    }

    /// The isolation of transactions that are begun without one, and of what is done outside one.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction.
    pub fn set_isolation(&mut self, isolation: Isolation) -> Result<()> {
        self.outside_transaction("a change of the isolation")?;
        self.isolation = isolation;
        self.core.set_isolation(isolation);
        Ok(())
    }

    /// Changes the options that `config` gives, and no others, and resets the session's cursors; see
    /// `Session.reconfigure` in [`METHODS`](crate::config::METHODS).
    ///
    /// # Errors
    /// As [`Settings::read`] and [`set_isolation`](Self::set_isolation); nothing is changed then.
    pub fn reconfigure(&mut self, config: &str) -> Result<()> {
        self.outside_transaction("a change of options")?;
        let settings = Settings::read(Method::SessionReconfigure, config)
            .inspect_err(|error| note_failure(self, error))?;
        match isolation(&settings.text("isolation")) {
            Some(isolation) if settings.is_given("isolation") => self.set_isolation(isolation)?,
            _ => {}
        }
        self.reset_cursors();
        Ok(())
    }

    /// How long an operation may wait for another transaction, or for room in the cache; none is the
    /// database's time-out.
    pub fn set_operation_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
        self.core.set_timeout(timeout);
    }

    /// Rolls the transaction back, and resets every cursor.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one; what reading pages gives.
    pub fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return self.core.rollback();
        }
        let outcome = self.core.rollback();
        self.core.set_timeout(self.timeout);
        self.reset_cursors();
        outcome
    }

    /// Notes that an operation failed above this layer: an open transaction that has written cannot be
    /// committed any more.
    pub fn fail(&mut self) {
        self.core.fail();
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
        let created = self.try_create(name, options, exclusive);
        created.inspect_err(|error| note_failure(self, error))
    }

    fn try_create(&self, name: &str, options: &TableOptions, exclusive: bool) -> Result<()> {
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
        self.engine.drop_table(name).inspect_err(|_| self.note_failure())
    }

    /// Removes every row from the key of `start` to that of `stop`, both included; without one, from
    /// the first, or to the last. The keys need not be there. The cursors are on no record afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no cursor, one has no key, they are of different tables, or
    /// `start` is behind `stop`; as [`CursorState::remove`].
    pub fn truncate(
        &mut self,
        start: Option<&mut CursorState>,
        stop: Option<&mut CursorState>,
    ) -> Result<()> {
        let outcome = self.truncate_between(start.as_deref(), stop.as_deref());
        if let Some(cursor) = start {
            cursor.leave(self);
        }
        if let Some(cursor) = stop {
            cursor.leave(self);
        }
        outcome.inspect_err(|error| note_failure(self, error))
    }

    fn truncate_between(
        &mut self,
        start: Option<&CursorState>,
        stop: Option<&CursorState>,
    ) -> Result<()> {
        let Some(first) = start.or(stop) else {
            return Err(Error::invalid("the truncate method should be passed a URI or a cursor"));
        };
        let table = first.table()?.clone();
        let mut keys = [None, None];
        for (cursor, key) in [start, stop].into_iter().zip(&mut keys) {
            let Some(cursor) = cursor else { continue };
            cursor.check_truncates()?;
            if cursor.table()?.id() != table.id() {
                return Err(Error::invalid(
                    "truncate method cursors must reference the same object",
                ));
            }
            *key = Some(cursor.key(self)?.to_vec());
        }
        let [start, stop] = &keys;
        if let (Some(start), Some(stop)) = (start, stop)
            && start > stop
        {
            return Err(Error::invalid(
                "the start cursor position is after the stop cursor position",
            ));
        }
        let bound = |key: &Option<Vec<u8>>| match key {
            Some(key) => Bound::Included(key.clone()),
            None => Bound::Unbounded,
        };
        self.remove_range(&table, bound(start), bound(stop))
    }

    /// Removes every row of table `name`.
    ///
    /// # Errors
    /// [`Error::Missing`]; as [`truncate`](Self::truncate).
    pub fn truncate_table(&mut self, name: &str) -> Result<()> {
        self.truncate_keys(name, Bound::Unbounded, Bound::Unbounded)
    }

    /// Removes every row of table `name` between two keys.
    ///
    /// # Errors
    /// As [`truncate_table`](Self::truncate_table).
    pub fn truncate_keys(
        &mut self,
        name: &str,
        start: Bound<Vec<u8>>,
        stop: Bound<Vec<u8>>,
    ) -> Result<()> {
        let table = self.engine.table(name).inspect_err(|_| self.note_failure())?;
        let outcome = self.remove_range(&table, start, stop);
        outcome.inspect_err(|error| note_failure(self, error))
    }

    fn remove_range(
        &mut self,
        table: &OpenTable,
        start: Bound<Vec<u8>>,
        stop: Bound<Vec<u8>>,
    ) -> Result<()> {
        let start = start.as_ref().map(Vec::as_slice);
        let outcome = self.core.remove_range(table, start, stop.as_ref().map(Vec::as_slice));
        if self.placed == 0 && !self.in_transaction() {
            self.core.release_snapshot();
        }
        outcome
    }

    /// How many rows table `name` has, as the session sees it.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`].
    pub fn rows(&self, name: &str) -> Result<u64> {
        Ok(self.core.rows(&self.engine.table(name)?))
    }

    /// Brings the one file up to date, durably, and resets the session's cursors.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as
    /// [`Connection::checkpoint`](crate::Connection::checkpoint).
    pub fn checkpoint(&mut self) -> Result<()> {
        self.outside_transaction("a checkpoint")?;
        self.reset_cursors();
        self.engine.checkpoint()
    }

    /// The same, and afterwards the checkpoint is kept under `name`, if one is given, in place of any of
    /// that name; those in `drop` are dropped, all of them or none.
    ///
    /// # Errors
    /// [`Error::Busy`] when a cursor reads one that is to go; [`Error::Missing`]; [`Error::Invalid`]
    /// for a name that cannot be one; as [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_with(&mut self, name: Option<&str>, drop: &[&str]) -> Result<()> {
        self.outside_transaction("a checkpoint")?;
        self.reset_cursors();
        if !drop.is_empty() {
            self.engine.drop_checkpoints(drop)?;
        }
        match name {
            Some(name) => self.engine.checkpoint_named(name),
            None if drop.is_empty() => self.engine.checkpoint(),
            None => Ok(()),
        }
    }

    /// The named checkpoints, in the order in which they were taken.
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.engine.checkpoints()
    }

    /// Takes a checkpoint, and verifies all that it reaches. What is damaged is in the report, by table.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as [`checkpoint`](Self::checkpoint) and
    /// [`Connection::verify`](crate::Connection::verify).
    pub fn verify(&mut self) -> Result<VerifyReport> {
        self.outside_transaction("a verification")?;
        self.engine.checkpoint()?;
        self.engine.verify(&mut |_| Ok(()))
    }

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// As [`Connection::sync`](crate::Connection::sync).
    pub fn log_flush(&mut self) -> Result<()> {
        self.engine.sync()
    }

    /// Compacts the whole database, which is one file.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside a transaction; as [`Connection::compact`](crate::Connection::compact).
    pub fn compact(&mut self) -> Result<CompactReport> {
        self.outside_transaction("a compaction")?;
        self.engine.compact(&mut |_| ControlFlow::Continue(()))
    }

    fn outside_transaction(&self, what: &str) -> Result<()> {
        if self.in_transaction() {
            self.note_failure();
            return Err(Error::invalid(format!(
                "{what} inside a transaction; commit it or roll it back first"
            )));
        }
        Ok(())
    }
}
