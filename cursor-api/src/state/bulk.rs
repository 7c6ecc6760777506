//! Filling an empty table with ascending keys, fast.
//!
//! Rows are gathered and written many at a time, past the log; they are durable when the cursor is
//! closed, which takes a checkpoint.

use rshelve_core::engine::OpenTable;

use super::SessionState;
use crate::{Error, Result};

/// Rows are written when there are so many bytes of them.
const BATCH_BYTES: usize = 256 << 10;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
    last_key: Option<Vec<u8>>,
    /// Something was written that no checkpoint has yet.
    loaded: bool,
}

impl Bulk {
    /// Begins to fill `table`.
    pub(super) fn begin(session: &SessionState, table: &OpenTable) -> Result<Self> {
        if session.in_transaction() {
            return Err(Error::invalid("a bulk cursor is not transactional; end the transaction"));
        }
        if session.core.rows(table) > 0 {
            let name = table.name();
            return Err(Error::invalid(format!(
                "bulk-load is only supported on newly created, empty tables, and {name:?} has rows"
            )));
        }
        Ok(Self::default())
    }

    pub(super) fn insert(
        &mut self,
        session: &mut SessionState,
        table: &OpenTable,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if self.last_key.as_deref().is_some_and(|last| key <= last) {
            return Err(Error::invalid(
                "bulk-load presented with out-of-order keys: each must be above the one before it",
            ));
        }
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        self.rows.push((key.to_vec(), Some(value.to_vec())));
        self.bytes += key.len() + value.len();
        if self.bytes >= BATCH_BYTES { self.flush(session, table) } else { Ok(()) }
    }

    fn flush(&mut self, session: &mut SessionState, table: &OpenTable) -> Result<()> {
        session.core.load(table, &self.rows)?;
        self.rows.clear();
        (self.bytes, self.loaded) = (0, true);
        Ok(())
    }

    /// Writes what is left, and makes all of it durable.
    pub(super) fn finish(&mut self, session: &mut SessionState, table: &OpenTable) -> Result<()> {
        if !self.rows.is_empty() {
            self.flush(session, table)?;
        }
        if std::mem::take(&mut self.loaded) { session.engine.checkpoint() } else { Ok(()) }
    }
}
