//! A cursor as a value: where it is, what is set in it, and how it moves.

use std::cell::OnceCell;
use std::cmp::Ordering;

use rshelve_core::btree::{Landing, Position};
use rshelve_core::engine::OpenTable;

use super::SessionState;
use crate::{CursorOptions, Error, Result};

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
pub struct CursorState {
    pub(super) table: OpenTable,
    pub(super) options: CursorOptions,
    pub(super) position: Position,
    pub(super) key: Vec<u8>,
    pub(super) key_is: Held,
    pub(super) value: Vec<u8>,
    pub(super) value_is: Held,
    /// The value that the position is on, if it is a long one and was asked for.
    long_value: OnceCell<Vec<u8>>,
    /// The session's count of resets when the cursor was last used.
    resets: u64,
    /// Counted in the session as being on a record.
    placed: bool,
}

impl CursorState {
    pub(super) fn new(
        session: &SessionState,
        table: OpenTable,
        options: &CursorOptions,
    ) -> Result<Self> {
        let unbuilt = [
            (options.bulk, "a bulk cursor"),
            (options.next_random, "a random cursor"),
            (options.checkpoint.is_some(), "a checkpoint cursor"),
        ];
        if let Some((_, what)) = unbuilt.iter().find(|(wanted, _)| *wanted) {
            return Err(Error::Unsupported { what: (*what).to_owned() });
        }
        Ok(Self {
            table,
            options: options.clone(),
            position: session.core.position(),
            key: Vec::new(),
            key_is: Held::No,
            value: Vec::new(),
            value_is: Held::No,
            long_value: OnceCell::new(),
            resets: session.resets(),
            placed: false,
        })
    }

    /// The name of its table.
    pub fn table_name(&self) -> &str {
        self.table.name()
    }

    /// How it was opened.
    pub fn options(&self) -> &CursorOptions {
        &self.options
    }

    pub(crate) fn table(&self) -> &OpenTable {
        &self.table
    }

    // What is set.

    /// Sets the key for the next operation.
    pub fn set_key(&mut self, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.key_is = Held::Set;
    }

    /// Sets the value for the next operation.
    pub fn set_value(&mut self, value: &[u8]) {
        self.value.clear();
        self.value.extend_from_slice(value);
        self.value_is = Held::Set;
    }

    /// The key that is set, or that the cursor is on. Valid until the cursor's next operation.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    pub fn key<'c>(&'c self, session: &SessionState) -> Result<&'c [u8]> {
        let key = match self.key_is {
            Held::Set => Some(self.key.as_slice()),
            Held::There if self.resets == session.resets() => self.position.key(),
            Held::There | Held::No => None,
        };
        key.ok_or_else(|| requires("key"))
    }

    /// The value that is set, or that the cursor is on. Valid until the cursor's next operation.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none; what reading a long value gives.
    pub fn value<'c>(&'c self, session: &SessionState) -> Result<&'c [u8]> {
        match self.value_is {
            Held::Set => Ok(&self.value),
            Held::There if self.resets == session.resets() => {
                session.core.value(&self.table, &self.position, &self.long_value)
            }
            Held::There | Held::No => Err(requires("value")),
        }
    }

    /// Compares its key with that of another cursor of the same table.
    ///
    /// # Errors
    /// [`Error::Invalid`] when either has no key, or their tables differ.
    pub fn compare(&self, other: &Self, session: &SessionState) -> Result<Ordering> {
        if self.table.id() != other.table.id() {
            return Err(Error::invalid("cursors must reference the same object"));
        }
        Ok(self.key(session)?.cmp(other.key(session)?))
    }

    // Moving.

    /// Goes to the next record; from no record, to the first.
    ///
    /// # Errors
    /// [`Error::NotFound`], and on no record, at the end; [`Error::Closed`]; what reading gives.
    pub fn next(&mut self, session: &mut SessionState) -> Result<()> {
        self.walk(session, true)
    }

    /// Goes to the previous record; from no record, to the last.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn prev(&mut self, session: &mut SessionState) -> Result<()> {
        self.walk(session, false)
    }

    fn walk(&mut self, session: &mut SessionState, forward: bool) -> Result<()> {
        self.catch_up(session);
        self.long_value.take();
        let (core, at) = (&mut session.core, &mut self.position);
        let moved = if forward { core.next(&self.table, at) } else { core.prev(&self.table, at) };
        if !matches!(moved, Ok(true)) {
            self.position.reset();
            (self.key_is, self.value_is) = (Held::No, Held::No);
        }
        self.arrived(session, moved)
    }

    /// Goes to the key that is set.
    ///
    /// # Errors
    /// [`Error::NotFound`], with the key kept and on no record, when it is not there;
    /// [`Error::Invalid`] when no key is set; as [`next`](Self::next).
    pub fn search(&mut self, session: &mut SessionState) -> Result<()> {
        let key = self.take_key(session)?;
        let outcome = self.search_for(session, &key);
        self.give_back_key(key);
        outcome
    }

    /// Goes to `key`; the key is not kept when it is not there.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_for(&mut self, session: &mut SessionState, key: &[u8]) -> Result<()> {
        self.catch_up(session);
        self.long_value.take();
        let found = session.core.find(&self.table, &mut self.position, key);
        self.arrived(session, found)
    }

    /// Goes to the key that is set; if it is not there, to the smallest key above, else to the largest
    /// one below. Says where it landed relative to the key.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no record at all; as [`search`](Self::search).
    pub fn search_near(&mut self, session: &mut SessionState) -> Result<Ordering> {
        let key = self.take_key(session)?;
        let outcome = self.search_near_for(session, &key);
        self.give_back_key(key);
        outcome
    }

    /// The same for `key`, which is not kept.
    ///
    /// # Errors
    /// As [`search_near`](Self::search_near).
    pub fn search_near_for(&mut self, session: &mut SessionState, key: &[u8]) -> Result<Ordering> {
        self.catch_up(session);
        self.long_value.take();
        let landed = self.land_near(session, key);
        let found = landed.as_ref().map(Option::is_some).map_err(Clone::clone);
        self.arrived(session, found)?;
        landed?.ok_or(Error::NotFound)
    }

    fn land_near(&mut self, session: &mut SessionState, key: &[u8]) -> Result<Option<Ordering>> {
        let (core, at) = (&mut session.core, &mut self.position);
        match core.seek(&self.table, at, key)? {
            Landing::Exact => Ok(Some(Ordering::Equal)),
            Landing::Above => Ok(Some(Ordering::Greater)),
            Landing::End => Ok(core.prev(&self.table, at)?.then_some(Ordering::Less)),
        }
    }

    /// Finds the largest key, and sets it; the cursor is on no record.
    ///
    /// # Errors
    /// [`Error::NotFound`] in an empty table; as [`next`](Self::next).
    pub fn largest_key(&mut self, session: &mut SessionState) -> Result<()> {
        self.reset_place(session);
        self.walk(session, false)?;
        let key = self.take_key(session)?;
        self.reset_place(session);
        self.give_back_key(key);
        Ok(())
    }

    /// Goes to no record, and lets go of the page, the key and the value.
    pub fn reset(&mut self, session: &mut SessionState) {
        self.reset_place(session);
    }

    /// The cursor's end. A cursor that is dropped without it keeps its session's snapshot.
    pub fn close(mut self, session: &mut SessionState) {
        self.reset_place(session);
    }

    /// Goes to no record, without key and value.
    pub(super) fn reset_place(&mut self, session: &mut SessionState) {
        self.catch_up(session);
        self.long_value.take();
        self.position.reset();
        (self.key_is, self.value_is) = (Held::No, Held::No);
        self.count(session);
    }

    // What operations have in common.

    /// What a rollback or a reset of the session did to the cursor happens now.
    pub(super) fn catch_up(&mut self, session: &SessionState) {
        if self.resets != session.resets() {
            self.resets = session.resets();
            self.placed = false;
            self.position.reset();
            let keep = |held: &mut Held| {
                if *held == Held::There {
                    *held = Held::No;
                }
            };
            keep(&mut self.key_is);
            keep(&mut self.value_is);
        }
    }

    /// Tells the session whether the cursor is on a record.
    pub(super) fn count(&mut self, session: &mut SessionState) {
        match (self.placed, self.position.is_set()) {
            (false, true) => session.cursor_placed(),
            (true, false) => session.cursor_left(),
            _ => {}
        }
        self.placed = self.position.is_set();
    }

    /// A move ended on a record, or on none.
    fn arrived(&mut self, session: &mut SessionState, found: Result<bool>) -> Result<()> {
        let outcome = match found {
            Ok(true) => {
                (self.key_is, self.value_is) = (Held::There, Held::There);
                Ok(())
            }
            Ok(false) => {
                self.value_is = Held::No;
                Err(Error::NotFound)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.position.reset();
            if self.key_is == Held::There {
                self.key_is = Held::No;
            }
            if self.value_is == Held::There {
                self.value_is = Held::No;
            }
            note_failure(session, error);
        }
        self.count(session);
        outcome
    }

    /// Takes the key out, for an operation that needs one and gives it back.
    pub(super) fn take_key(&mut self, session: &mut SessionState) -> Result<Vec<u8>> {
        self.catch_up(session);
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
pub(super) fn note_failure(session: &mut SessionState, error: &Error) {
    if !matches!(error, Error::NotFound | Error::DuplicateKey) {
        session.core.fail();
    }
}

/// What is said when a key or a value is missing.
pub(super) fn requires(what: &str) -> Error {
    Error::invalid(format!("requires {what} be set"))
}

impl std::fmt::Debug for CursorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorState").field("table", &self.table.name()).finish_non_exhaustive()
    }
}
