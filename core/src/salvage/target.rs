//! The new database, as it is filled.

use super::report::{Report, SalvagedTable};
use super::walk::Row;
use crate::base::error::{Error, Result};
use crate::base::options::{DatabaseOptions, Durability};
use crate::engine::{Engine, Entry, OpenTable, Session};
use crate::io::Storage;
use crate::recovery::CountsFrom;
use crate::sync::Arc;

/// See the file.
pub(super) struct Target {
    engine: Engine,
    session: Session,
    /// Of each table that the log has changes of which not all count: see [`Entry::counts_from`].
    pub(super) counts_from: CountsFrom,
}

/// A table of the new database.
#[derive(Clone)]
pub(super) struct NewTable {
    /// Its number in the report.
    pub(super) number: usize,
    table: OpenTable,
}

/// How the new database is written: all at once, by whoever salvages.
pub(super) fn options() -> DatabaseOptions {
    DatabaseOptions { durability: Durability::Checkpoint, ..DatabaseOptions::default() }
}

impl Target {
    pub(super) fn create(
        storage: Arc<dyn Storage>,
        name: &str,
        options: DatabaseOptions,
    ) -> Result<Self> {
        let engine = Engine::open_on(storage, name, options)?;
        let session = engine.session()?;
        Ok(Self { engine, session, counts_from: CountsFrom::default() })
    }

    /// Creates the table that `entry` describes. A name that is taken, which only a file that lies
    /// brings about, gets the id behind it.
    pub(super) fn table(&mut self, entry: &Entry, report: &mut Report) -> Result<NewTable> {
        let mut name = entry.name.clone();
        if report.tables.iter().any(|table| table.name == name) || name.is_empty() {
            name = format!("{name}-{}", entry.id);
        }
        let table = self.engine.create_table(&name, &entry.options)?;
        self.counts_from.insert(entry.id, entry.counts_from);
        report.tables.push(SalvagedTable { name, id: entry.id, ..SalvagedTable::default() });
        Ok(NewTable { number: report.tables.len() - 1, table })
    }

    /// A table that was created, by its number in the report.
    pub(super) fn opened(&self, number: usize, name: &str) -> Option<NewTable> {
        Some(NewTable { number, table: self.engine.table(name).ok()? })
    }

    /// Puts a row, or notes that its long value is lost.
    pub(super) fn put(
        &mut self,
        table: &NewTable,
        row: Row<'_>,
        report: &mut Report,
    ) -> Result<()> {
        let entry = &mut report.tables[table.number];
        let value = match (row.value, row.long_value) {
            (Some(value), _) => value,
            (None, Some(Ok(value))) => &value.to_owned(),
            (None, Some(Err(error))) => {
                entry.lose_value(row.key, error.to_string());
                return Ok(());
            }
            (None, None) => return Ok(()),
        };
        match self.session.put(&table.table, row.key, value) {
            Ok(()) => {
                entry.rows += 1;
                Ok(())
            }
            // A key that no table takes.
            Err(error @ Error::Invalid { .. }) => {
                entry.lose_value(row.key, error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a row, as the log says.
    pub(super) fn remove(&mut self, table: &NewTable, key: &[u8]) -> Result<()> {
        self.session.remove(&table.table, key).map(drop)
    }

    /// Drops a table, as the log says.
    pub(super) fn drop_table(&mut self, table: NewTable, report: &Report) -> Result<()> {
        let name = report.tables[table.number].name.clone();
        drop(table);
        self.engine.drop_table(&name)
    }

    /// Makes all of it durable.
    pub(super) fn close(self, _report: &mut Report) -> Result<()> {
        drop(self.session);
        self.engine.close()
    }
}
