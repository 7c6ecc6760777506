//! Recovery's hands: applies what the log says to the trees of a database that nobody else sees yet.
//!
//! Changes wait in a batch until it is full, and are applied in key order: a leaf at a time, all that the
//! batch has for it.

use std::collections::BTreeMap;
use std::iter::Peekable;

use hashbrown::HashSet;

use super::catalog::Entry;
use super::{Inner, OpenTable};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::KEY_BYTES_MAX;
use crate::cache::Charge;
use crate::page::{Latched, PinnedLeaf, UpdateKind};
use crate::recovery::{Apply, Batch};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::txn::{Change, Verb};

/// What part of the cache a batch may take: pages need the rest.
const BATCH_PART: u64 = 4;

/// How many changes a leaf gets before it is built again, and about how many bytes. Many, for a leaf that
/// grows into many is built once for all of them; but what it holds meanwhile is beyond the cache's bound.
const RUN_CHANGES_MAX: usize = 4096;
const RUN_BYTES_MAX: u64 = 128 << 10;

/// See the module.
pub(super) struct Replay<'d> {
    inner: &'d Inner,
    pin: PinnedLeaf,
    tables: BTreeMap<TableId, Option<OpenTable>>,
    batch: Batch,
    run_bytes_max: usize,
    /// Of the batch, from the first to the last.
    _charge: Charge,
}

impl<'d> Replay<'d> {
    /// For a log of so many bytes.
    pub(super) fn new(inner: &'d Inner, log_bytes: u64) -> Self {
        let cache = &inner.shared.cache;
        let batch = Batch::new((cache.bytes_max() / BATCH_PART).min(log_bytes) as usize);
        Self {
            inner,
            pin: inner.shared.new_pin(),
            tables: BTreeMap::new(),
            _charge: Charge::new(cache, batch.bytes_max() as u64),
            batch,
            run_bytes_max: cache.batch_bytes().min(RUN_BYTES_MAX) as usize,
        }
    }

    /// Applies what waits.
    fn flush(&mut self) -> Result<()> {
        let Self { inner, pin, tables, batch, run_bytes_max, .. } = self;
        let mut changes = batch.sorted().peekable();
        while let Some(Change { table: id, key, .. }) = changes.peek().copied() {
            let Some(Some(table)) = tables.get(&id) else {
                unreachable!("a change to a table that is not there was kept")
            };
            let rows = table.tree().write(key, pin, |latched| {
                Ok(apply_run(inner, id, latched, &mut changes, *run_bytes_max))
            })?;
            pin.release();
            let transactions = &inner.shared.transactions;
            transactions.set_rows(id, transactions.rows(id).saturating_add_signed(rows));
            inner.make_room(inner.options.timeout)?;
            inner.relieve();
        }
        drop(changes);
        batch.clear();
        Ok(())
    }
}

/// Applies the next of `changes`, which belongs to the latched leaf of `table`, and those behind it that do,
/// up to a bound. Returns by how many the rows grew.
fn apply_run<'c>(
    inner: &Inner,
    table: TableId,
    latched: &mut Latched<'_>,
    changes: &mut Peekable<impl Iterator<Item = Change<'c>>>,
    run_bytes_max: usize,
) -> i64 {
    let leaf = latched.leaf();
    let before = leaf.entry_count();
    let (mut rows, mut count, mut bytes_left) = (0, 0, run_bytes_max);
    let mut next = changes.next();
    while let Some(Change { key, verb, .. }) = next {
        let (kind, bytes) = match verb {
            Verb::Put(value) => (UpdateKind::Inline, value),
            Verb::PutOverflow(reference) => {
                inner.shared.replaced.revive(reference);
                (UpdateKind::Overflow, reference)
            }
            Verb::Remove => (UpdateKind::Tombstone, &[][..]),
        };
        let was_there = latched.put_ascending(before, key, kind, bytes);
        rows += i64::from(kind != UpdateKind::Tombstone) - i64::from(was_there);
        count += 1;
        bytes_left = bytes_left.saturating_sub(key.len() + bytes.len());
        if count == RUN_CHANGES_MAX || bytes_left == 0 {
            break;
        }
        next = changes.next_if(|change| change.table == table && leaf.covers(change.key));
    }
    rows
}

/// Of a change to a table that was dropped later, the checkpoint may know nothing any more; then only the log
/// names the long value that came with it.
fn free_stray(inner: &Inner, change: Change<'_>) -> Result<()> {
    let Verb::PutOverflow(reference) = change.verb else { return Ok(()) };
    inner.catalog.tree().free_long_values(HashSet::from([reference.to_vec()]))
}

impl Apply for Replay<'_> {
    fn change(&mut self, change: Change<'_>) -> Result<()> {
        let inner = self.inner;
        let table = self
            .tables
            .entry(change.table)
            .or_insert_with(|| inner.catalog.get_by_id(change.table));
        let Some(table) = table else { return free_stray(inner, change) };
        // No session writes longer ones, and no page has room for any.
        let value_bytes = if let Verb::Put(value) = change.verb { value.len() } else { 0 };
        if change.key.len() > KEY_BYTES_MAX || value_bytes > table.tree().inline_bytes_max() {
            let found = format!("a key of {} bytes, a value of {value_bytes}", change.key.len());
            let what = "change in a log record";
            return Err(Error::corrupt(&inner.label, 0, what, "what fits into a page", found));
        }
        if self.batch.is_full() {
            self.flush()?;
        }
        self.batch.push(change);
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
            // It was looked for and not there: nothing waits for it.
            self.tables.remove(&id);
        }
        self.inner.next_table.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
        Ok(())
    }

    fn drop_table(&mut self, id: TableId) -> Result<()> {
        self.flush()?;
        self.tables.remove(&id);
        let Some(table) = self.inner.catalog.get_by_id(id) else { return Ok(()) };
        let name = Arc::<str>::from(table.name());
        drop(table);
        let table = self.inner.catalog.remove(&name)?;
        self.inner.discard(&table)
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()
    }
}
