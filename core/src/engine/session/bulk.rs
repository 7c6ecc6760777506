//! Filling an empty table with rows in key order, past log and transactions.

use super::{Session, check_lengths};
use crate::base::error::{Error, Result};
use crate::base::ids::Lsn;
use crate::btree::BulkLoad;
use crate::engine::{Inner, OpenTable};
use crate::sync::Arc;

/// Rows on their way into an empty table. Nobody sees them before [`finish`](Self::finish); dropped
/// without it, they are gone.
pub struct Bulk {
    inner: Arc<Inner>,
    table: OpenTable,
    load: BulkLoad,
    /// A page could not be written, so rows are missing.
    failed: bool,
}

impl Session {
    /// Begins to fill `table`, which must be empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it has rows, or inside a transaction; [`Error::ReadOnly`];
    /// [`Error::Failed`]; [`Error::Closed`].
    pub fn bulk(&self, table: &OpenTable) -> Result<Bulk> {
        self.inner.check_writable("load rows")?;
        if self.in_transaction() {
            return Err(Error::invalid("a bulk load is not transactional; end the transaction"));
        }
        if self.rows(table) > 0 {
            return Err(Error::invalid(format!(
                "bulk-load is only supported on newly created, empty tables, and {:?} has rows",
                table.name()
            )));
        }
        let (inner, table) = (Arc::clone(&self.inner), table.clone());
        Ok(Bulk { inner, table, load: BulkLoad::default(), failed: false })
    }
}

impl Bulk {
    /// Adds a row behind the others.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is not above the one before, or key or value is too long; what
    /// writing gives, after which the load cannot go on.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_lengths(key, Some(value))?;
        self.check_whole()?;
        let _gate = self.inner.enter()?;
        let pushed = self.load.push(self.table.tree(), key, value);
        self.failed = matches!(&pushed, Err(error) if !matches!(error, Error::Invalid { .. }));
        pushed
    }

    fn check_whole(&self) -> Result<()> {
        if self.failed {
            return Err(Error::invalid("a write of this bulk load has failed; begin it again"));
        }
        Ok(())
    }

    /// Puts the rows into the table, visible to everybody, and takes a checkpoint, so that they are
    /// durable. Returns how many they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the table got rows meanwhile; what writing gives. When it is the
    /// checkpoint that fails, for want of space too, the rows are seen and not durable: the database
    /// then is read-only with that error, and opened again it is as before the load.
    pub fn finish(mut self) -> Result<u64> {
        self.check_whole()?;
        let rows = self.load.row_count();
        let inner = Arc::clone(&self.inner);
        {
            let _gate = inner.enter()?;
            // A checkpoint counts rows before it looks at pages.
            let mut count = inner.turn.take();
            let table = &self.table;
            table.tree().adopt(&mut self.load, || {
                // The log's end, while nobody can write to the table: what it has of it so far came to
                // nothing, and must not be replayed over rows that it does not know.
                table.set_counts_from(inner.committer.log().map_or(Lsn(0), |log| log.end()));
            })?;
            let transactions = &inner.shared.transactions;
            let id = transactions.begin_write();
            transactions.commit(id, &[(self.table.id(), rows as i64)]);
            if let Err(error) = inner.take_checkpoint(&mut count) {
                // The rows are seen, and no log has them: nobody may go on from what a kill takes back.
                return Err(inner.failure.latch(error));
            }
        }
        Ok(rows)
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        let Ok(_gate) = self.inner.enter() else { return };
        if let Err(error) = self.load.give_back(self.table.tree()) {
            tracing::warn!(%error, "the space of an unfinished bulk load could not be freed");
        }
    }
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulk").field("table", &self.table.name()).finish_non_exhaustive()
    }
}
