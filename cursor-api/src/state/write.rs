//! Writing through a cursor.

use std::cell::OnceCell;

use super::SessionState;
use super::cursor::{CursorState, Held, note_failure, requires};
use super::mode::{Mode, Op};
use super::modify::{Modify, Padding, apply};
use crate::{Error, Result};

impl CursorState {
    /// Gives the key that is set the value that is set. The cursor is on no record afterwards, and has
    /// neither key nor value.
    ///
    #[doc = state_example!(r#"cursor.set_key(b"d");
cursor.set_value(b"4");
cursor.insert(&mut session)?;
assert_eq!(stock.get(b"d")?.as_deref(), Some(&b"4"[..]));
assert!(!cursor.is_placed() && cursor.key(&session).is_err());"#)]
    ///
    /// # Errors
    /// [`Error::DuplicateKey`] without `overwrite` when the key has a value; inside a transaction that
    /// value is set then. [`Error::NotFound`] outside the bounds; [`Error::Invalid`] when
    /// key or value are not set; [`Error::Unsupported`] through a cursor that is read-only;
    /// [`Error::Rollback`] when another transaction was first; as
    /// [`Table::insert`](crate::Table::insert).
    pub fn insert(&mut self, session: &mut SessionState) -> Result<()> {
        self.allow(session, Op::Insert)?;
        let key = self.take_key(session)?;
        let outcome = self
            .with_value(session, |cursor, session, value| cursor.insert_row(session, &key, value));
        self.give_back_key(key);
        match &outcome {
            // A bulk cursor goes on with what is set.
            Ok(()) if self.mode == Mode::Bulk => {}
            Ok(()) => self.leave(session),
            Err(Error::DuplicateKey) if session.in_transaction() => self.show_existing(session)?,
            Err(_) => {}
        }
        outcome
    }

    /// Sets the value that the key has.
    fn show_existing(&mut self, session: &mut SessionState) -> Result<()> {
        let table = self.table()?;
        let (mut at, long_value) = (session.core.position(), OnceCell::new());
        if session.core.find(table, &mut at, &self.key)? {
            let value = session.core.value(table, &at, &long_value)?.to_vec();
            self.set_value(&value);
        }
        Ok(())
    }

    /// Gives `key` this value, without a look at what is set.
    ///
    #[doc = state_example!(r#"cursor.insert_row(&mut session, b"d", b"4")?;
assert_eq!(stock.len()?, 4);"#)]
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_row(
        &mut self,
        session: &mut SessionState,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        self.check_write(key)?;
        let table = self.table()?;
        if self.mode == Mode::Bulk {
            return self.bulk.insert(key, value);
        }
        if self.settings.overwrite {
            return session.core.put(table, key, value);
        }
        // What the transaction sees counts before what others wrote meanwhile.
        if session.in_transaction() && self.sees(session, key)? {
            return Err(Error::DuplicateKey);
        }
        match session.core.insert(table, key, value)? {
            true => Ok(()),
            false => Err(Error::DuplicateKey),
        }
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    #[doc = state_example!(r#"assert!(cursor.insert_new_row(&mut session, b"d", b"4")?);
assert!(!cursor.insert_new_row(&mut session, b"d", b"5")?);"#)]
    ///
    /// # Errors
    /// As [`insert`](Self::insert), but for duplicates.
    pub fn insert_new_row(
        &mut self,
        session: &mut SessionState,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool> {
        self.mode.check(Op::Write)?;
        self.check_write(key)?;
        session.core.insert(self.table()?, key, value)
    }

    /// Gives the key that is set, or that the cursor is on, the value that is set. The cursor is on
    /// that record afterwards.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
cursor.set_value(b"2"); // of the record that it is on
cursor.update(&mut session)?;
assert_eq!((cursor.key(&session)?, cursor.value(&session)?), (&b"a"[..], &b"2"[..]));"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`] without `overwrite` when the key has no value; as
    /// [`insert`](Self::insert).
    pub fn update(&mut self, session: &mut SessionState) -> Result<()> {
        self.allow(session, Op::Write)?;
        let key = self.take_key(session)?;
        let outcome = self
            .with_value(session, |cursor, session, value| cursor.update_row(session, &key, value));
        if outcome.is_ok() {
            self.stand_on(session, &key);
        }
        self.give_back_key(key);
        outcome
    }

    fn update_row(&mut self, session: &mut SessionState, key: &[u8], value: &[u8]) -> Result<()> {
        self.check_write(key)?;
        let table = self.table()?;
        if self.settings.overwrite {
            return session.core.put(table, key, value);
        }
        match session.core.replace(table, key, value)? {
            true => Ok(()),
            false => Err(Error::NotFound),
        }
    }

    /// Deletes the key that is set; the cursor has neither key nor place afterwards. Or the record that
    /// the cursor is on; it keeps place and key then, and has no value.
    ///
    #[doc = state_example!(r#"cursor.next(&mut session)?;
cursor.remove(&mut session)?;
cursor.next(&mut session)?;
assert_eq!(cursor.key(&session)?, b"b", "it went on from its place");"#)]
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such record, with the key kept; as
    /// [`insert`](Self::insert).
    pub fn remove(&mut self, session: &mut SessionState) -> Result<()> {
        self.allow(session, Op::Write)?;
        let key = self.take_key(session)?;
        let outcome = match self.key_is {
            Held::There => self.remove_here(session, &key),
            _ => self.remove_row(session, &key),
        };
        self.give_back_key(key);
        note_refusal(session, &outcome);
        match &outcome {
            // It was on the record, and stays where that was.
            Ok(()) if self.key_is == Held::There => self.value_is = Held::No,
            Ok(()) => self.leave(session),
            // Where it was there is nothing any more.
            Err(Error::NotFound) if self.key_is == Held::There => self.leave(session),
            Err(error) => {
                note_failure(session, error);
                self.lose_place(session);
            }
        }
        outcome
    }

    /// Deletes `key`, without a look at what is set.
    ///
    #[doc = state_example!(r#"cursor.remove_row(&mut session, b"b")?;
assert!(matches!(cursor.remove_row(&mut session, b"b"), Err(Error::NotFound)));"#)]
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn remove_row(&mut self, session: &mut SessionState, key: &[u8]) -> Result<()> {
        self.mode.check(Op::Write)?;
        self.check_write(key)?;
        match session.core.remove(self.table()?, key)? {
            true => Ok(()),
            false => Err(Error::NotFound),
        }
    }

    /// Deletes `key`, which the cursor is on.
    fn remove_here(&mut self, session: &mut SessionState, key: &[u8]) -> Result<()> {
        self.check_write(key)?;
        let (table, place) = self.table_and_place()?;
        match session.core.remove_at(table, place, key)? {
            true => Ok(()),
            false => Err(Error::NotFound),
        }
    }

    /// Deletes those of `keys` that are there, without a look at what is set; how many those were.
    pub(crate) fn remove_rows<'k>(
        &self,
        session: &mut SessionState,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<u64> {
        self.mode.check(Op::Write)?;
        self.check_writes()?;
        let keys = keys.into_iter().filter(|key| self.bounds.place(key).is_eq());
        session.core.remove_all(self.table()?, keys)
    }

    /// Makes every transaction that writes the record beside this one conflict with it. The cursor is
    /// on the record afterwards.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.set_key(b"a");
cursor.reserve(&mut session)?;
assert!(matches!(stock.remove(b"a"), Err(Error::Rollback { .. })), "it is this transaction's");
session.rollback()?;"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; [`Error::NotFound`] when there is no such record; as
    /// [`insert`](Self::insert).
    pub fn reserve(&mut self, session: &mut SessionState) -> Result<()> {
        self.rewrite(session, |value| value)
    }

    /// Changes parts of the record's value, one after the other. The cursor is on the record
    /// afterwards, with the new value.
    ///
    #[doc = state_example!(r#"session.begin(&TransactionOptions::new())?;
cursor.set_key(b"a");
let change = Modify { data: b"23".to_vec(), offset: 1, size: 0 };
cursor.modify(&mut session, &[change], Padding::Nul)?;
session.commit()?;
assert_eq!(stock.get(b"a")?.as_deref(), Some(&b"123"[..]));"#)]
    ///
    /// # Errors
    /// [`Error::Invalid`] without changes; as [`reserve`](Self::reserve).
    pub fn modify(
        &mut self,
        session: &mut SessionState,
        changes: &[Modify],
        padding: Padding,
    ) -> Result<()> {
        if changes.is_empty() {
            let error = Error::invalid("a modify needs at least one change");
            note_failure(session, &error);
            return Err(error);
        }
        self.allow(session, Op::Write)?;
        session.core.refuse_weak()?;
        if session.in_transaction() && self.sees_nothing(session)? {
            // What the transaction does not see is not there, whatever others wrote meanwhile.
            session.core.refuse_weak()?;
            return Err(Error::NotFound);
        }
        self.rewrite(session, |value| apply(value, changes, padding))
    }

    /// Whether `key` has a value where the session's reads look.
    fn sees(&self, session: &mut SessionState, key: &[u8]) -> Result<bool> {
        let mut at = session.core.position();
        let found = session.core.find(self.table()?, &mut at, key);
        drop(at);
        session.nothing_found();
        found
    }

    /// Whether the key that the cursor has is within its bounds, and has no value that the session
    /// sees.
    fn sees_nothing(&mut self, session: &mut SessionState) -> Result<bool> {
        self.catch_up();
        let Ok(key) = self.key(session).map(<[u8]>::to_vec) else { return Ok(false) };
        Ok(self.bounds.place(&key).is_eq() && !self.sees(session, &key)?)
    }

    fn rewrite(
        &mut self,
        session: &mut SessionState,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<()> {
        self.allow(session, Op::Write)?;
        if !session.in_transaction() {
            return Err(Error::invalid("only permitted in a running transaction; begin one"));
        }
        let key = self.take_key(session)?;
        let rewritten = self.check_write(&key).and_then(|()| {
            session.core.rewrite(self.table()?, &key, change)?.ok_or(Error::NotFound)
        });
        let outcome = rewritten.map(|value| {
            self.value = value;
            self.stand_on(session, &key);
        });
        self.give_back_key(key);
        note_refusal(session, &outcome);
        outcome.inspect_err(|error| note_failure(session, error))
    }

    /// The cursor is on no record after a failure; what was set is kept.
    fn lose_place(&mut self, session: &mut SessionState) {
        self.position.reset();
        if self.value_is == Held::There {
            self.value_is = Held::No;
        }
        self.count(session);
    }

    /// The cursor is on `key`, which has the value that is set.
    fn stand_on(&mut self, session: &mut SessionState, key: &[u8]) {
        self.position.place_at(key);
        (self.key_is, self.value_is) = (Held::There, Held::Set);
        self.count(session);
    }

    /// Refuses a cursor that only reads.
    #[inline]
    pub(super) fn check_writes(&self) -> Result<()> {
        if self.settings.readonly {
            let what = "a write through a cursor that is read-only".to_owned();
            return Err(Error::Unsupported { what });
        }
        match &self.table {
            Some(source) => source.live().map(drop),
            None => Ok(()),
        }
    }

    #[inline]
    fn check_write(&self, key: &[u8]) -> Result<()> {
        self.check_writes()?;
        if self.bounds.place(key).is_eq() { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Runs a write with the value that is set, or that the cursor is on.
    fn with_value(
        &mut self,
        session: &mut SessionState,
        write: impl FnOnce(&mut Self, &mut SessionState, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if self.value_is == Held::There {
            let value = self.value(session)?.to_vec();
            self.set_value(&value);
        }
        let outcome = if self.value_is == Held::Set {
            let value = std::mem::take(&mut self.value);
            let outcome = write(self, session, &value);
            self.value = value;
            outcome
        } else {
            Err(requires("value"))
        };
        note_refusal(session, &outcome);
        outcome.inspect_err(|error| note_failure(session, error))
    }
}

/// A write that the isolation refused was an operation of the session all the same.
fn note_refusal(session: &mut SessionState, outcome: &Result<()>) {
    if matches!(outcome, Err(Error::Unsupported { .. })) {
        session.write_refused();
    }
}
