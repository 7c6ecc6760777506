//! What the log has behind the checkpoint, as far as it can be read.

use hashbrown::{HashMap, HashSet};

use super::report::Report;
use super::target::{NewTable, Target};
use super::walk::Row;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId};
use crate::block::Damaged;
use crate::block::overflow::{OverflowRef, read_value};
use crate::engine::Entry;
use crate::io::Storage;
use crate::recovery::{Origin, counts, visit_records};
use crate::txn::{Payload, Verb, kind};
use crate::wal::Record;

/// Applies the log, if there is one and a superblock says where it starts.
pub(super) fn apply(
    storage: &dyn Storage,
    name: &str,
    damaged: &Damaged,
    target: &mut Target,
    report: &mut Report,
) -> Result<()> {
    let Some(superblock) = damaged.superblock else {
        report.remark("without a superblock nobody knows where the log starts".into());
        return Ok(());
    };
    let origin = Origin {
        storage,
        name,
        id: damaged.blocks.id(),
        from: superblock.root.log_start,
        epoch: superblock.root.log_epoch,
        through: superblock.root.log_through,
    };
    let mut committed = HashSet::new();
    let surveyed = visit_records(origin, &mut |record| {
        if record.kind == kind::COMMIT
            && let Some(first) = Payload::new(record.payload).and_then(|head| head.first_chunk)
        {
            committed.insert(first);
        }
        Ok(())
    });
    if let Err(error) = surveyed {
        match error {
            Error::Corrupt(_) | Error::Io { .. } | Error::Unsupported { .. } => {
                report.remark(format!("the log goes no further: {error}"));
            }
            other => return Err(other),
        }
    }
    let mut replay = Replay { damaged, target, report, committed, tables: HashMap::new() };
    replay.tables = replay.tables_so_far();
    match visit_records(origin, &mut |record| replay.record(record)) {
        // It was remarked on.
        Err(Error::Corrupt(_) | Error::Io { .. } | Error::Unsupported { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

struct Replay<'r> {
    damaged: &'r Damaged,
    target: &'r mut Target,
    report: &'r mut Report,
    committed: HashSet<Lsn>,
    tables: HashMap<TableId, NewTable>,
}

impl Replay<'_> {
    fn tables_so_far(&self) -> HashMap<TableId, NewTable> {
        let tables = self.report.tables.iter().enumerate();
        let opened = tables.filter_map(|(number, table)| {
            Some((table.id, self.target.opened(number, &table.name)?))
        });
        opened.collect()
    }

    fn record(&mut self, record: &Record<'_>) -> Result<()> {
        match record.kind {
            kind::CREATE => {
                if let Some(entry) = Entry::decode(record.payload)
                    && !self.tables.contains_key(&entry.id)
                {
                    let table = self.target.table(&entry, self.report)?;
                    self.tables.insert(entry.id, table);
                }
            }
            kind::DROP => {
                let table = Reader::new(record.payload).u32().map(TableId);
                if let Some(table) = table.and_then(|id| self.tables.remove(&id)) {
                    self.target.drop_table(table, self.report)?;
                }
            }
            kind::COMMIT => self.changes(record)?,
            _ => {
                let head = Payload::new(record.payload);
                let first = head.and_then(|head| head.first_chunk).unwrap_or(record.position);
                if self.committed.contains(&first) {
                    self.changes(record)?;
                }
            }
        }
        self.report.log_records += 1;
        Ok(())
    }

    fn changes(&mut self, record: &Record<'_>) -> Result<()> {
        let Some(mut payload) = Payload::new(record.payload) else { return Ok(()) };
        while let Ok(Some(change)) = payload.next_change() {
            if !counts(&self.target.counts_from, change.table, record.position) {
                continue;
            }
            let Some(table) = self.tables.get(&change.table).cloned() else { continue };
            let (value, long_value) = match change.verb {
                Verb::Remove => {
                    self.target.remove(&table, change.key)?;
                    continue;
                }
                Verb::Put(value) => (Some(value), None),
                Verb::PutOverflow(reference) => (None, Some(self.long_value(reference))),
            };
            // Below `through` a value that is gone was replaced, mostly; the row may have another.
            let row = Row { key: change.key, value, long_value };
            let rows = self.report.tables[table.number].rows;
            self.target.put(&table, row, self.report)?;
            self.report.tables[table.number].rows = rows;
        }
        Ok(())
    }

    fn long_value(&self, reference: &[u8]) -> Result<Vec<u8>> {
        let blocks = &self.damaged.blocks;
        let value = OverflowRef::decode(&mut Reader::new(reference)).ok_or_else(|| {
            let what = "reference of a long value";
            Error::corrupt(blocks.label(), 0, what, "a length and an address", "neither")
        })?;
        read_value(blocks, &value)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::engine::Engine;
    use crate::engine::tests::{NAME, killed_behind_a_load};
    use crate::io::Storage;
    use crate::io::memory::MemoryStorage;
    use crate::salvage::salvage_on;
    use crate::sync::Arc;

    #[test]
    fn changes_from_before_a_bulk_load_are_not_salvaged_over_it() {
        let old: Arc<dyn Storage> = Arc::new(killed_behind_a_load());
        let new: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        salvage_on(&old, NAME, &new, NAME, &mut |_| Ok(())).expect("it is salvaged");
        let engine = Engine::open_on(new, NAME, Default::default()).expect("it opens");
        let table = engine.table("main").expect("the table is there");
        let mut session = engine.session().expect("a session opens");
        for (key, value) in [(0_u32, 2), (1, 2), (2, 3)] {
            let found = session.get(&table, &key.to_be_bytes(), <[u8]>::to_vec);
            assert_eq!(found.expect("it is read"), Some(vec![value]), "{key}");
        }
    }
}
