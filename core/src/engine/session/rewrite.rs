//! Writes that build on what is there: reserve, modify; and removing a range.

use std::ops::Bound;

use super::Session;
use crate::base::error::{Error, Result};
use crate::btree::{Landing, Position};
use crate::engine::OpenTable;
use crate::txn::Existing;

impl Session {
    /// Gives `key` the value that `change` makes of the one that the transaction sees, and returns it;
    /// none if it sees none. An unchanged value is written too: whoever writes the key beside
    /// this transaction conflicts with it, as with any write.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a transaction; as [`put`](Session::put).
    pub fn rewrite(
        &mut self,
        table: &OpenTable,
        key: &[u8],
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<Option<Vec<u8>>> {
        if !self.in_transaction() {
            return Err(Error::invalid("this needs a transaction; begin one"));
        }
        let read = match self.weak() {
            // Refused below, as every write of such a transaction.
            Some(_) => None,
            None => self.get(table, key, <[u8]>::to_vec)?,
        };
        // Without a value there is nothing to write to, but there may be a conflict: with a value
        // that the transaction does not see.
        let value = read.map(change);
        let written = value.as_deref().unwrap_or_default();
        let wrote = self.write(table, key, Some(written), Existing::Required, &mut |_| {})?;
        Ok(value.filter(|_| wrote))
    }

    /// Removes every row between `start` and `stop` that the session sees. Outside a transaction this
    /// is one of its own, which waits for others that are in its way, and rows that come meanwhile
    /// stay.
    ///
    /// # Errors
    /// As [`put`](Session::put): in particular [`Error::Rollback`] when there are more rows than the
    /// cache can hold the removal of.
    pub fn remove_range(
        &mut self,
        table: &OpenTable,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
    ) -> Result<()> {
        self.refuse_weak()?;
        if self.in_transaction() {
            return self.remove_range_in_transaction(table, start, stop);
        }
        let mut keys = Vec::new();
        let mut at = self.position();
        let mut more = self.enter(table, &mut at, start)?;
        while more && let Some(key) = key_within(&at, stop) {
            keys.push((key.to_vec(), None::<&[u8]>));
            more = self.next(table, &mut at)?;
        }
        drop(at);
        self.apply(table, &keys)
    }

    fn remove_range_in_transaction(
        &mut self,
        table: &OpenTable,
        start: Bound<&[u8]>,
        stop: Bound<&[u8]>,
    ) -> Result<()> {
        let mut at = self.position();
        let mut more = self.enter(table, &mut at, start)?;
        let mut key = Vec::new();
        while more && let Some(here) = key_within(&at, stop) {
            key.clear();
            key.extend_from_slice(here);
            self.remove_at(table, &mut at, &key)?;
            more = self.next(table, &mut at)?;
        }
        Ok(())
    }

    /// Goes to the first row that is not in front of `start`.
    fn enter(&mut self, table: &OpenTable, at: &mut Position, start: Bound<&[u8]>) -> Result<bool> {
        match start {
            Bound::Unbounded => self.next(table, at),
            Bound::Included(start) => Ok(self.seek(table, at, start)? != Landing::End),
            Bound::Excluded(start) => match self.seek(table, at, start)? {
                Landing::Exact => self.next(table, at),
                Landing::Above => Ok(true),
                Landing::End => Ok(false),
            },
        }
    }
}

/// The key that `at` is on, unless it is behind `stop`.
fn key_within<'a>(at: &'a Position, stop: Bound<&[u8]>) -> Option<&'a [u8]> {
    at.key().filter(|key| match stop {
        Bound::Unbounded => true,
        Bound::Included(stop) => *key <= stop,
        Bound::Excluded(stop) => *key < stop,
    })
}
