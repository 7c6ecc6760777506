//! Writing through a cursor.

use super::SessionState;
use super::cursor::{CursorState, Held, note_failure, requires};
use crate::{Error, Result};

impl CursorState {
    /// Gives the key that is set the value that is set. The cursor is on no record afterwards, and has
    /// neither key nor value.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`] without `overwrite` when the key has a value; inside a transaction the
    /// cursor is on that record then. [`Error::Invalid`] when key or value are not set;
    /// [`Error::Rollback`] when another transaction was first; as
    /// [`Table::insert`](crate::Table::insert).
    pub fn insert(&mut self, session: &mut SessionState) -> Result<()> {
        let key = self.take_key(session)?;
        let outcome = self
            .with_value(session, |cursor, session, value| cursor.insert_row(session, &key, value));
        self.give_back_key(key);
        match &outcome {
            Ok(()) => self.reset_place(session),
            Err(Error::DuplicateKey) if session.in_transaction() => {
                self.search(session)?;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Gives `key` this value, without a look at what is set.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_row(
        &mut self,
        session: &mut SessionState,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        self.check_writable()?;
        if self.options.overwrite {
            return session.core.put(&self.table, key, value);
        }
        match session.core.insert(&self.table, key, value)? {
            true => Ok(()),
            false => Err(Error::DuplicateKey),
        }
    }

    /// Gives the key that is set, or that the cursor is on, the value that is set. The cursor is on
    /// that record afterwards.
    ///
    /// # Errors
    /// [`Error::NotFound`] without `overwrite` when the key has no value; as [`insert`](Self::insert).
    pub fn update(&mut self, session: &mut SessionState) -> Result<()> {
        let key = self.take_key(session)?;
        let outcome = self
            .with_value(session, |cursor, session, value| cursor.update_row(session, &key, value));
        if outcome.is_ok() {
            self.position.place_at(&key);
            (self.key_is, self.value_is) = (Held::There, Held::Set);
            self.count(session);
        }
        self.give_back_key(key);
        outcome
    }

    fn update_row(&mut self, session: &mut SessionState, key: &[u8], value: &[u8]) -> Result<()> {
        self.check_writable()?;
        if self.options.overwrite {
            return session.core.put(&self.table, key, value);
        }
        match session.core.replace(&self.table, key, value)? {
            true => Ok(()),
            false => Err(Error::NotFound),
        }
    }

    /// Deletes the key that is set; the cursor has neither key nor place afterwards. Or the record that
    /// the cursor is on; it keeps place and key then, and has no value.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such record, with the key kept; as
    /// [`insert`](Self::insert).
    pub fn remove(&mut self, session: &mut SessionState) -> Result<()> {
        let key = self.take_key(session)?;
        let outcome = self.remove_row(session, &key);
        self.give_back_key(key);
        if let Err(error) = &outcome {
            note_failure(session, error);
        } else if self.key_is == Held::There {
            self.value_is = Held::No;
        } else {
            self.reset_place(session);
        }
        outcome
    }

    /// Deletes `key`, without a look at what is set.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn remove_row(&mut self, session: &mut SessionState, key: &[u8]) -> Result<()> {
        self.check_writable()?;
        match session.core.remove(&self.table, key)? {
            true => Ok(()),
            false => Err(Error::NotFound),
        }
    }

    /// Gives `key` this value if it has none; false if it has one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), but for duplicates.
    pub fn insert_new_row(
        &mut self,
        session: &mut SessionState,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool> {
        self.check_writable()?;
        session.core.insert(&self.table, key, value)
    }

    fn check_writable(&self) -> Result<()> {
        if self.options.readonly {
            return Err(Error::Unsupported {
                what: "a write through a cursor that is read-only".into(),
            });
        }
        Ok(())
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
        if let Err(error) = &outcome {
            note_failure(session, error);
        }
        outcome
    }
}
