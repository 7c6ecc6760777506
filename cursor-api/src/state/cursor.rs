//! A cursor as a value: where it is, what is set in it, and how it moves.

mod walk;

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rshelve_core::btree::Position;
use rshelve_core::engine::OpenTable;

use super::SessionState;
use super::bounds::Bounds;
use super::bulk::Bulk;
use super::mode::{Mode, Op};
use super::random::Dice;
use super::rows::Rows;
use super::source::Source;
use crate::config::CursorSettings;
use crate::{Error, Result, TableOptions};

/// Where a cursor's key, or value, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// There is none.
    No,
    /// In the cursor's own buffer.
    Set,
    /// Where the cursor is.
    There,
}

/// A place in a table, and a key and a value to work with. See the [module](super).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # connection.create_table("stock", &Default::default())?;
/// use rshelve::state::SessionState;
/// use rshelve::{CursorOptions, Error};
/// let mut session = SessionState::open(&connection)?;
/// let mut cursor = session.open_cursor("stock", &CursorOptions::new())?;
/// cursor.set_key(b"eggs");
/// assert!(matches!(cursor.search(&mut session), Err(Error::NotFound)));
/// cursor.set_value(b"12"); // the key is kept
/// cursor.update(&mut session)?;
/// assert_eq!(cursor.value(&session)?, b"12");
/// cursor.close(&mut session)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CursorState {
    /// None for rows that are not a table's.
    pub(super) table: Option<Source>,
    name: String,
    pub(super) mode: Mode,
    pub(super) settings: CursorSettings,
    pub(super) position: Position,
    pub(super) key: Vec<u8>,
    pub(super) key_is: Held,
    pub(super) value: Vec<u8>,
    pub(super) value_is: Held,
    pub(super) bounds: Bounds,
    /// The value that the position is on, if it is a long one and was asked for.
    long_value: OnceCell<Vec<u8>>,
    /// The session's count of resets when the cursor was last used.
    resets: u64,
    /// That count as it is now.
    session_resets: Arc<AtomicU64>,
    /// Counted in the session as being on a record.
    placed: bool,
    dice: Dice,
    pub(super) bulk: Bulk,
    rows: Rows,
}

impl CursorState {
    pub(super) fn new(
        session: &SessionState,
        table: Source,
        settings: CursorSettings,
    ) -> Result<Self> {
        let mode = Mode::of(&settings)?;
        let bulk = match mode {
            Mode::Bulk => match table.live() {
                Ok(table) => Bulk::begin(session, table)?,
                Err(_) => {
                    return Err(Error::invalid(
                        "bulk-load is only supported on newly created objects",
                    ));
                }
            },
            Mode::Table | Mode::Random | Mode::Rows => Bulk::default(),
        };
        let name = table.name().to_owned();
        Ok(Self { bulk, ..Self::empty(session, Some(table), name, mode, settings) })
    }

    /// A cursor over rows that no table has.
    pub(super) fn over_rows(
        session: &SessionState,
        name: &str,
        rows: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Self {
        let settings = CursorSettings { readonly: true, ..CursorSettings::default() };
        let empty = Self::empty(session, None, name.to_owned(), Mode::Rows, settings);
        Self { rows: Rows::new(rows), ..empty }
    }

    fn empty(
        session: &SessionState,
        table: Option<Source>,
        name: String,
        mode: Mode,
        settings: CursorSettings,
    ) -> Self {
        let core = &session.core;
        Self {
            table,
            name,
            mode,
            position: if settings.read_once {
                core.position_reading_once()
            } else {
                core.position()
            },
            key: Vec::new(),
            key_is: Held::No,
            value: Vec::new(),
            value_is: Held::No,
            bounds: Bounds::default(),
            long_value: OnceCell::new(),
            resets: session.resets.load(Relaxed),
            session_resets: Arc::clone(&session.resets),
            placed: false,
            dice: Dice::new(settings.random_seed),
            settings,
            bulk: Bulk::default(),
            rows: Rows::default(),
        }
    }

    /// The name of its table, or of its rows.
    ///
    #[doc = state_example!(r#"assert_eq!(cursor.name(), "stock");"#)]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was opened.
    ///
    #[doc = state_example!(r#"assert!(cursor.settings().overwrite && !cursor.settings().readonly);"#)]
    pub fn settings(&self) -> &CursorSettings {
        &self.settings
    }

    /// Changes [`CursorSettings::overwrite`] from here on.
    ///
    #[doc = state_example!(r#"cursor.set_overwrite(false);
cursor.set_key(b"a");
cursor.set_value(b"2");
assert!(matches!(cursor.insert(&mut session), Err(Error::DuplicateKey)));"#)]
    pub fn set_overwrite(&mut self, overwrite: bool) {
        self.settings.overwrite = overwrite;
    }

    /// The options of its table, if it has one.
    ///
    #[doc = state_example!(r#"assert!(cursor.table_options().is_some_and(|options| options.logged));"#)]
    pub fn table_options(&self) -> Option<&TableOptions> {
        self.table.as_ref().map(Source::options)
    }

    /// Whether it is on a record.
    ///
    #[doc = state_example!(r#"assert!(!cursor.is_placed());
cursor.next(&mut session)?;
assert!(cursor.is_placed());"#)]
    pub fn is_placed(&self) -> bool {
        self.position.is_set() || self.rows.row().is_some()
    }

    pub(crate) fn table(&self) -> Result<&OpenTable> {
        self.source()?.live()
    }

    /// Its table, which must not be a checkpoint's, and its place there.
    pub(super) fn table_and_place(&mut self) -> Result<(&OpenTable, &mut Position)> {
        let table = self.table.as_ref().ok_or_else(|| no_table(&self.name))?.live()?;
        Ok((table, &mut self.position))
    }

    #[inline]
    pub(super) fn source(&self) -> Result<&Source> {
        self.table.as_ref().ok_or_else(|| no_table(&self.name))
    }

    // What is set.

    /// Sets the key for the next operation.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"b");
cursor.search(&mut session)?;
assert!(cursor.is_placed());"#)]
    pub fn set_key(&mut self, key: &[u8]) {
        self.catch_up();
        self.key.clear();
        self.key.extend_from_slice(key);
        self.key_is = Held::Set;
    }

    /// Sets the value for the next operation.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"b");
cursor.set_value(b"2");
cursor.update(&mut session)?;
assert_eq!(stock.get(b"b")?.as_deref(), Some(&b"2"[..]));"#)]
    pub fn set_value(&mut self, value: &[u8]) {
        self.catch_up();
        self.value.clear();
        self.value.extend_from_slice(value);
        self.value_is = Held::Set;
    }

    /// The key that is set, or that the cursor is on. Valid until the cursor's next operation.
    ///
    #[doc = state_example!(r#"assert!(matches!(cursor.key(&session), Err(Error::Invalid { .. })));
cursor.set_key(b"b");
assert_eq!(cursor.key(&session)?, b"b");"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    pub fn key<'c>(&'c self, session: &SessionState) -> Result<&'c [u8]> {
        self.held_key().inspect_err(|error| note_failure(session, error))
    }

    /// The value that is set, or that the cursor is on. Valid until the cursor's next operation.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
assert_eq!(cursor.value(&session)?, b"1");"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none; what reading a long value gives.
    pub fn value<'c>(&'c self, session: &SessionState) -> Result<&'c [u8]> {
        self.held_value(session).inspect_err(|error| note_failure(session, error))
    }

    /// As [`key`](Self::key), for who only asks whether there is one.
    #[inline]
    pub(crate) fn held_key(&self) -> Result<&[u8]> {
        let key = match self.key_is {
            _ if self.was_reset() => None,
            Held::Set => Some(self.key.as_slice()),
            Held::There => self.position.key(),
            Held::No => None,
        };
        key.ok_or_else(|| requires("key"))
    }

    /// As [`value`](Self::value), for who only asks whether there is one.
    #[inline]
    pub(crate) fn held_value<'c>(&'c self, session: &SessionState) -> Result<&'c [u8]> {
        match self.value_is {
            _ if self.was_reset() => Err(requires("value")),
            Held::Set => Ok(&self.value),
            Held::There => self.source()?.value(&session.core, &self.position, &self.long_value),
            Held::No => Err(requires("value")),
        }
    }

    /// Whether it reads a checkpoint: no transaction's end, and nothing that its session does, moves it.
    #[inline]
    fn is_past(&self) -> bool {
        matches!(self.table, Some(Source::Past(_)))
    }

    /// Whether a rollback or a reset of the session took the cursor from its record. It takes what was
    /// set with it; a cursor without a place keeps that.
    #[inline]
    fn was_reset(&self) -> bool {
        self.resets != self.session_resets.load(Relaxed)
            && (self.position.is_set() || self.key_is == Held::There)
            && !self.is_past()
    }

    /// What it is over, for who compares keys of cursors of different sessions: equal for cursors of the
    /// same table, or of the same table in the same checkpoint.
    ///
    #[doc = state_example!(r#"let other = session.open_cursor("stock", &CursorOptions::new())?;
assert!(cursor.object() == other.object());
other.close(&mut session)?;"#)]
    pub fn object(&self) -> impl PartialEq + Send + use<> {
        (self.name.clone(), self.table.as_ref().map(Source::id))
    }

    /// Compares its key with that of another cursor of the same table.
    ///
    #[doc = state_example!(r#"let mut other = session.open_cursor("stock", &CursorOptions::new())?;
cursor.next(&mut session)?;
other.set_key(b"b");
assert_eq!(cursor.compare(&other, &session)?, Ordering::Less);
other.close(&mut session)?;"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] when either has no key, or their tables differ.
    pub fn compare(&self, other: &Self, session: &SessionState) -> Result<Ordering> {
        let order = self.compare_held(other);
        order.inspect_err(|error| note_failure(session, error))
    }

    /// Whether its key is that of another cursor of the same table. Cursors that cannot be compared can
    /// be asked this.
    ///
    #[doc = state_example!(r#"let mut other = session.open_cursor("stock", &CursorOptions::new())?;
cursor.next(&mut session)?;
other.set_key(b"b");
assert!(!cursor.equals(&other, &session)?);
other.close(&mut session)?;"#)]
    ///
    /// # Errors
    /// As [`compare`](Self::compare).
    pub fn equals(&self, other: &Self, session: &SessionState) -> Result<bool> {
        let order = self.compare_keys(other);
        Ok(order.inspect_err(|error| note_failure(session, error))?.is_eq())
    }

    fn compare_held(&self, other: &Self) -> Result<Ordering> {
        self.mode.check(Op::Compare)?;
        self.compare_keys(other)
    }

    fn compare_keys(&self, other: &Self) -> Result<Ordering> {
        if self.table.as_ref().map(Source::id) != other.table.as_ref().map(Source::id)
            || self.name != other.name
        {
            return Err(Error::invalid("comparison method cursors must reference the same object"));
        }
        Ok(self.held_key()?.cmp(other.held_key()?))
    }

    // Leaving.

    /// Goes to no record, and lets go of the page, the key, the value and the bounds.
    /// A bulk cursor is never on one, and keeps what is set.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
cursor.reset(&mut session);
assert!(!cursor.is_placed() && cursor.key(&session).is_err());"#)]
    pub fn reset(&mut self, session: &mut SessionState) {
        if self.mode == Mode::Bulk {
            return;
        }
        self.bounds = Bounds::default();
        self.leave(session);
    }

    /// The cursor's end. A cursor that is dropped without it keeps its session's snapshot.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
cursor.close(&mut session)?; // the session's snapshot goes with its last cursor on a record
# let mut cursor = session.open_cursor("stock", &CursorOptions::new())?;"#)]
    ///
    /// # Errors
    /// Those of a bulk cursor: what writing its last rows and the checkpoint give.
    pub fn close(mut self, session: &mut SessionState) -> Result<()> {
        self.finish(session)
    }

    /// What [`close`](Self::close) does, for who cannot give the cursor away.
    pub(crate) fn finish(&mut self, session: &mut SessionState) -> Result<()> {
        self.leave(session);
        match &self.table {
            Some(_) if self.mode == Mode::Bulk => {
                let finished = self.bulk.finish();
                session.schema_changed();
                finished
            }
            _ => Ok(()),
        }
    }

    /// Goes to no record, without key and value; the bounds stay.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
cursor.leave(&mut session);
assert!(!cursor.is_placed() && cursor.key(&session).is_err());"#)]
    pub fn leave(&mut self, session: &mut SessionState) {
        self.catch_up();
        self.long_value.take();
        session.core.leave(&mut self.position);
        self.rows.reset();
        (self.key_is, self.value_is) = (Held::No, Held::No);
        self.count(session);
    }

    // What operations have in common.

    /// What a rollback or a reset of the session did to the cursor happens now.
    #[inline]
    pub(super) fn catch_up(&mut self) {
        if self.was_reset() {
            self.position.reset();
            (self.key_is, self.value_is) = (Held::No, Held::No);
        }
        let resets = self.session_resets.load(Relaxed);
        if self.resets != resets {
            self.resets = resets;
            self.placed = false;
        }
    }

    /// Tells the session whether the cursor is on a record.
    pub(super) fn count(&mut self, session: &mut SessionState) {
        if self.is_past() {
            // It needs no snapshot.
            return;
        }
        match (self.placed, self.position.is_set()) {
            (false, true) => session.cursor_placed(),
            (true, false) => session.cursor_left(),
            (false, false) => session.nothing_found(),
            (true, true) => {}
        }
        self.placed = self.position.is_set();
    }

    /// Refuses what a cursor of this kind does not do.
    pub(super) fn allow(&self, session: &mut SessionState, op: Op) -> Result<()> {
        let allowed = self.mode.check(op).and_then(|()| match op {
            Op::Insert | Op::Write => self.check_writes(),
            Op::Next | Op::Move | Op::Table | Op::Ends | Op::Compare => Ok(()),
        });
        allowed.inspect_err(|error| note_failure(session, error))
    }

    /// Refuses a cursor that there can be no second one beside.
    pub(super) fn check_duplicates(&self) -> Result<()> {
        if self.mode == Mode::Bulk {
            let holder = "a bulk cursor".to_owned();
            return Err(Error::Busy { path: self.name.clone().into(), holder });
        }
        Ok(())
    }

    /// Refuses what a cursor cannot be a truncation's end for.
    pub(super) fn check_truncates(&self) -> Result<()> {
        self.mode.check(Op::Ends)
    }

    fn refuse(&self, session: &mut SessionState, op: Op) -> Result<()> {
        self.allow(session, op)
    }

    /// Takes the key out, for an operation that needs one and gives it back.
    pub(super) fn take_key(&mut self, session: &mut SessionState) -> Result<Vec<u8>> {
        self.catch_up();
        match (self.key_is, self.position.key()) {
            (Held::Set, _) => Ok(std::mem::take(&mut self.key)),
            (Held::There, Some(key)) => {
                let mut buffer = std::mem::take(&mut self.key);
                buffer.clear();
                buffer.extend_from_slice(key);
                Ok(buffer)
            }
            _ => {
                let error = requires("key");
                note_failure(session, &error);
                Err(error)
            }
        }
    }

    /// The key that [`take_key`](Self::take_key) took is the cursor's again, unless it is on a record.
    pub(super) fn give_back_key(&mut self, key: Vec<u8>) {
        self.key = key;
        if self.key_is != Held::There {
            self.key_is = Held::Set;
        }
    }
}

/// An operation failed: an open transaction that wrote cannot be committed any more.
pub(super) fn note_failure(session: &SessionState, error: &Error) {
    if !matches!(error, Error::NotFound | Error::DuplicateKey | Error::Unsupported { .. }) {
        session.note_failure();
    }
}

fn no_table(name: &str) -> Error {
    Error::Unsupported { what: format!("this on {name}, which is not a table,") }
}

/// What is said when a key or a value is missing.
pub(super) fn requires(what: &str) -> Error {
    Error::invalid(format!("requires {what} be set"))
}

impl std::fmt::Debug for CursorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorState").field("name", &self.name).finish_non_exhaustive()
    }
}
