//! A session's work on whole tables.

use std::ops::Bound;

use rshelve_core::engine::OpenTable;

use super::SessionState;
use crate::state::CursorState;
use crate::state::cursor::note_failure;
use crate::{Error, Result, TableOptions};

impl SessionState {
    /// Creates table `name`, unless it exists with the same options.
    ///
    #[doc = state_example!(r#"session.create("guests", &Default::default(), false)?;
let again = session.create("guests", &Default::default(), true);
assert!(matches!(again, Err(Error::Exists { .. })));"#)]
    ///
    /// # Errors
    /// [`Error::Exists`] when it exists and `exclusive` is set; [`Error::Invalid`] when it exists with
    /// other options; what writing gives.
    pub fn create(&mut self, name: &str, options: &TableOptions, exclusive: bool) -> Result<()> {
        let created = self.try_create(name, options, exclusive);
        created.inspect_err(|error| note_failure(self, error))
    }

    fn try_create(&mut self, name: &str, options: &TableOptions, exclusive: bool) -> Result<()> {
        let is_there = self.engine.table(name).is_ok();
        if exclusive && is_there {
            return Err(Error::Exists { what: format!("table {name:?}") });
        }
        self.engine.create_table(name, options)?;
        if !is_there {
            self.schema_changed();
        }
        Ok(())
    }

    /// Drops table `name` and all that is in it.
    ///
    #[doc = state_example!(r#"session.create("guests", &Default::default(), false)?;
session.drop_table("guests")?;
assert!(matches!(session.drop_table("guests"), Err(Error::Missing { .. })));"#)]
    ///
    /// # Errors
    /// [`Error::Busy`] while a cursor or handle on it is open, [`Error::Missing`]; what reading and
    /// writing gives.
    pub fn drop_table(&mut self, name: &str) -> Result<()> {
        self.engine.drop_table(name).inspect_err(|_| self.note_failure())?;
        self.schema_changed();
        Ok(())
    }

    /// Removes every row from the key of `start` to that of `stop`, both included; without one, from
    /// the first, or to the last. The keys need not be there. The cursors are on no record afterwards.
    ///
    #[doc = state_example!(r#"let mut stop = session.open_cursor("stock", &CursorOptions::new())?;
stop.set_key(b"b");
session.truncate(None, Some(&mut stop))?;
assert_eq!(stock.len()?, 1);
stop.close(&mut session)?;"#)]
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
    #[doc = state_example!(r#"session.truncate_table("stock")?;
assert!(stock.is_empty()?);"#)]
    ///
    /// # Errors
    /// [`Error::Missing`]; as [`truncate`](Self::truncate).
    pub fn truncate_table(&mut self, name: &str) -> Result<()> {
        self.truncate_keys(name, Bound::Unbounded, Bound::Unbounded)
    }

    /// Removes every row of table `name` between two keys.
    ///
    #[doc = state_example!(r#"session.truncate_keys("stock", Bound::Excluded(b"a".to_vec()), Bound::Unbounded)?;
assert_eq!(stock.len()?, 1);"#)]
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
    #[doc = state_example!(r#"assert_eq!(session.rows("stock")?, 3);"#)]
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Closed`].
    pub fn rows(&self, name: &str) -> Result<u64> {
        Ok(self.core.rows(&self.engine.table(name)?))
    }
}
