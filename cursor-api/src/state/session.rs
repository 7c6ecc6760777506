//! A session as a value.

mod maintenance;
mod tables;
mod transactions;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rshelve_core::engine::{Engine, Session as CoreSession};

use super::CursorState;
use super::source::Source;
use super::sources::{metadata_rows, statistics_rows};
use super::uri::Uri;
use crate::config::CursorSettings;
use crate::{Connection, CursorOptions, Error, Isolation, Result};

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
    #[doc = state_example!(r#"let mut another = SessionState::open(&connection)?;
another.begin(&TransactionOptions::new())?;
assert!(another.in_transaction() && !session.in_transaction());"#)]
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
    #[doc = state_example!(r#"let mut past = session.open_cursor("none", &CursorOptions::new());
assert!(matches!(past, Err(Error::Missing { .. })));
session.open_cursor("stock", &CursorOptions::new().readonly(true))?.close(&mut session)?;"#)]
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`]; [`Error::Unsupported`] for options that are not built.
    pub fn open_cursor(&mut self, name: &str, options: &CursorOptions) -> Result<CursorState> {
        let settings = options.settings()?;
        let source = self.source(name, &settings)?;
        CursorState::new(self, source, settings)
    }

    /// What a cursor over table `name` reads.
    fn source(&self, name: &str, settings: &CursorSettings) -> Result<Source> {
        match &settings.checkpoint {
            Some(checkpoint) => {
                Ok(Source::Past(self.engine.open_checkpoint(checkpoint)?.table(name)?))
            }
            None => Ok(Source::Live(self.engine.table(name)?)),
        }
    }

    /// Opens what `uri` names: a table, the metadata of all tables, or the statistics.
    ///
    #[doc = state_example!(r#"let mut tables = session.open_uri("metadata:", &CursorOptions::new())?;
tables.next(&mut session)?;
assert_eq!(tables.key(&session)?, b"table:stock\0");
tables.close(&mut session)?;"#)]
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
        let settings = options.settings()?;
        if settings.bulk || settings.next_random || settings.checkpoint.is_some() {
            return Err(Error::invalid(format!("{uri} has no bulk, random or checkpoint cursors")));
        }
        Ok(self.open_rows(uri, rows))
    }

    /// A cursor over rows that are made now, such as a binding makes of metadata or statistics. It only
    /// reads.
    ///
    #[doc = state_example!(r#"let rows = vec![(b"x".to_vec(), b"1".to_vec()), (b"y".to_vec(), b"2".to_vec())];
let mut made = session.open_rows("made:", rows);
made.search_for(&mut session, b"y")?;
assert_eq!(made.value(&session)?, b"2");
made.close(&mut session)?;"#)]
    pub fn open_rows(&mut self, name: &str, rows: Vec<(Vec<u8>, Vec<u8>)>) -> CursorState {
        CursorState::over_rows(self, name, rows)
    }

    /// A second cursor where `cursor` is, or with its key.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
let twin = session.duplicate(&cursor, &CursorOptions::new())?;
assert_eq!(twin.key(&session)?, b"a");
twin.close(&mut session)?;"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has no key; [`Error::Missing`] when there is no record at its key;
    /// [`Error::Unsupported`] of a cursor without a table; [`Error::Busy`] of a bulk cursor.
    pub fn duplicate(
        &mut self,
        cursor: &CursorState,
        options: &CursorOptions,
    ) -> Result<CursorState> {
        self.duplicate_as(cursor, options.settings()?)
    }

    /// The same, for who knows what the options come to.
    pub(crate) fn duplicate_as(
        &mut self,
        cursor: &CursorState,
        settings: CursorSettings,
    ) -> Result<CursorState> {
        cursor.check_duplicates()?;
        let key = cursor.key(self)?.to_vec();
        let mut twin = CursorState::new(self, cursor.source()?.clone(), settings)?;
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
    #[doc = state_example!(r#"cursor.next(&mut session)?;
session.reset()?;
assert!(cursor.key(&session).is_err(), "it is on no record any more");"#)]
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
    ///
    #[doc = state_example!(r#"// A cursor was dropped, and its close failed: nobody else is told.
session.report("closing a cursor", &Error::NotFound);"#)]
    pub fn report(&self, what: &str, error: &Error) {
        self.engine.report(what, error);
    }

    /// A cursor came to be on a record.
    pub(crate) fn cursor_placed(&mut self) {
        self.placed += 1;
    }

    /// The session created, filled or dropped a table: outside a transaction, what its cursors see is what is
    /// committed when one of them moves next.
    pub(crate) fn schema_changed(&mut self) {
        if !self.in_transaction() {
            self.core.release_snapshot();
        }
    }

    /// A write was refused because the isolation only reads. It was an operation all the same: cursors that
    /// are on records go on with what was committed when it came.
    pub(crate) fn write_refused(&mut self) {
        if self.placed > 0 && self.core.refuse_weak().is_err() {
            self.core.hold_view();
        }
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
