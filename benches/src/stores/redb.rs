//! redb: a copy-on-write B-tree in Rust, one writer.
//!
//! Tuned as its own benchmark does: the cache's size, nothing else. Without sync its commits stay
//! in the process (`Durability::None`): a killed process loses them. One a second is durable, as its
//! documentation asks for: space is only given back by those.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable};
use ::redb::{ReadableTableMetadata, Table, TableDefinition};

use crate::machine;
use crate::store::{Access, Commit, End, Engine, Outcome, Reader, Setup, Store, Visit, Writer};

/// redb under test.
pub const ENGINE: Engine = Engine { name: "redb", version, by_default: true, open };

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// How often a commit is durable where none needs to be.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

struct Redb {
    database: Database,
    /// When a commit was durable last.
    durable: Mutex<Instant>,
}

impl Redb {
    /// What a commit has to be now.
    fn durability(&self, commit: Commit) -> Durability {
        let mut last = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if commit == Commit::Unsynced && last.elapsed() < DURABLE_EVERY {
            return Durability::None;
        }
        *last = Instant::now();
        Durability::Immediate
    }
}

fn version() -> String {
    machine::version("redb").to_owned()
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let database = Database::builder()
        .set_cache_size(usize::try_from(setup.cache_bytes)?)
        .create(setup.folder.join("redb"))?;
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    Ok(Box::new(Redb { database, durable: Mutex::new(Instant::now()) }))
}

impl Store for Redb {
    fn write(
        &self,
        commit: Commit,
        _access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability(commit))?;
        body(&mut transaction.open_table(TABLE)?)?;
        Ok(transaction.commit()?)
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        body(&mut self.database.begin_read()?.open_table(TABLE)?)
    }

    fn len(&self) -> Outcome<u64> {
        Ok(self.database.begin_read()?.open_table(TABLE)?.len()?)
    }

    fn sync(&self) -> Outcome<()> {
        // An empty durable commit carries the ones before it.
        Ok(self.database.begin_write()?.commit()?)
    }

    fn compact(&mut self) -> Outcome<bool> {
        self.database.compact()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.database.close()?)
    }
}

impl Writer for Table<'_, &'static [u8], &'static [u8]> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Table::insert(self, key, value)?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        Table::remove(self, key)?;
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        let row = match end {
            End::First => self.pop_first()?,
            End::Last => self.pop_last()?,
        };
        Ok(row.map(|(key, value)| visit(key.value(), value.value())).is_some())
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        Ok(Table::retain(self, |key, value| keep(key, value))?)
    }
}

impl Reader for ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = ReadableTable::get(self, key)?;
        Ok(value.map(|value| visit(value.value())).is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        for row in ReadableTable::range(self, start..)?.take(usize::try_from(rows_max)?) {
            let (key, value) = row?;
            visit(key.value(), value.value());
        }
        Ok(())
    }
}
