//! Recovery's hands: applies what the log says to the trees of a database that nobody else sees yet.

use hashbrown::HashMap;

use super::catalog::Entry;
use super::{Inner, OpenTable};
use crate::base::error::{Error, Result};
use crate::base::ids::{TableId, TxnId};
use crate::base::options::KEY_BYTES_MAX;
use crate::page::{PinnedLeaf, UpdateKind};
use crate::recovery::Apply;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::txn::{Change, Verb};

/// See the module.
pub(super) struct Replay<'d> {
    inner: &'d Inner,
    pin: PinnedLeaf,
    tables: HashMap<TableId, Option<OpenTable>>,
}

impl<'d> Replay<'d> {
    pub(super) fn new(inner: &'d Inner) -> Self {
        Self { inner, pin: inner.shared.new_pin(), tables: HashMap::new() }
    }
}

impl Apply for Replay<'_> {
    fn change(&mut self, change: Change<'_>) -> Result<()> {
        let inner = self.inner;
        let table = self
            .tables
            .entry(change.table)
            .or_insert_with(|| inner.catalog.get_by_id(change.table));
        let Some(table) = table else { return Ok(()) };
        // No session writes longer ones, and no page has room for any.
        let value_bytes = if let Verb::Put(value) = change.verb { value.len() } else { 0 };
        if change.key.len() > KEY_BYTES_MAX || value_bytes > table.tree().inline_bytes_max() {
            let found = format!("a key of {} bytes, a value of {value_bytes}", change.key.len());
            let what = "change in a log record";
            return Err(Error::corrupt(&inner.label, 0, what, "what fits into a page", found));
        }
        let (kind, bytes) = match change.verb {
            Verb::Put(value) => (UpdateKind::Inline, value),
            Verb::PutOverflow(reference) => {
                inner.shared.replaced.revive(reference);
                (UpdateKind::Overflow, reference)
            }
            Verb::Remove => (UpdateKind::Tombstone, &[][..]),
        };
        let rows = table.tree().write(change.key, &mut self.pin, |latched| {
            let was = latched.newest(change.key).value.is_some();
            let is = kind != UpdateKind::Tombstone;
            if was || is {
                latched.put(change.key, TxnId::VISIBLE, kind, bytes);
            }
            Ok(i64::from(is) - i64::from(was))
        })?;
        self.pin.release();
        let transactions = &inner.shared.transactions;
        let count = transactions.rows(change.table).saturating_add_signed(rows);
        transactions.set_rows(change.table, count);
        inner.make_room(inner.options.timeout)?;
        inner.relieve();
        Ok(())
    }

    fn create(&mut self, payload: &[u8]) -> Result<()> {
        let is_new = |entry: &Entry| {
            entry.root.is_none() && (TableId::FIRST..TableId::CLAIMED_MAX).contains(&entry.id)
        };
        let entry = Entry::decode(payload).filter(is_new).ok_or_else(|| {
            let found = format!("{} bytes", payload.len());
            Error::corrupt(&self.inner.label, 0, "log record of a new table", "a table", found)
        })?;
        let id = entry.id;
        if self.inner.catalog.get_by_id(id).is_none() {
            self.inner.catalog.insert(entry, &self.inner.shared);
        }
        self.tables.remove(&id);
        self.inner.next_table.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
        Ok(())
    }

    fn drop_table(&mut self, id: TableId) -> Result<()> {
        self.tables.remove(&id);
        let Some(table) = self.inner.catalog.get_by_id(id) else { return Ok(()) };
        let name = Arc::<str>::from(table.name());
        drop(table);
        let table = self.inner.catalog.remove(&name)?;
        self.inner.discard(&table)
    }
}
