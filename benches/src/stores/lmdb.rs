//! LMDB through `heed`: a memory map instead of a cache, one writer, readers that never wait.
//!
//! Tuned as its documentation says: a map larger than the data, sorted loads with `MDB_APPEND`,
//! read-ahead off where the rows do not fit in memory. Without sync it runs under
//! `MDB_NOSYNC`: a killed process loses nothing, a power loss may damage the file.

use std::fs;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use heed::types::Bytes;
use heed::{CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, PutFlags};
use heed::{RoTxn, RwTxn, WithTls};

use crate::store::{
    Access, Commit, End, Engine, Feed, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// LMDB under test.
pub const ENGINE: Engine = Engine { name: "lmdb", version, by_default: true, open };

/// Far above any run's data; the file grows as it is written.
const MAP_BYTES: usize = 256 << 30;

fn version() -> String {
    let version = heed::lmdb_version();
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}

type Table = Database<Bytes, Bytes>;

struct Lmdb {
    env: Env<WithTls>,
    table: Table,
    folder: PathBuf,
    /// Whether commits are synced now; changed between phases, while no transaction is open.
    synced: AtomicBool,
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(256);
    if setup.memory_is_short {
        // SAFETY: the flag changes what the kernel is advised, and nothing else.
        unsafe { options.flags(EnvFlags::NO_READ_AHEAD) };
    }
    // SAFETY: the folder is this run's own; no other process or handle maps the file.
    let env = unsafe { options.open(setup.folder) }?;
    let mut transaction = env.write_txn()?;
    let table = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok(Box::new(Lmdb {
        env,
        table,
        folder: setup.folder.to_owned(),
        synced: AtomicBool::new(true),
    }))
}

impl Lmdb {
    fn set_synced(&self, synced: bool) -> Outcome<()> {
        if self.synced.swap(synced, Ordering::Relaxed) == synced {
            return Ok(());
        }
        let mode = if synced { FlagSetMode::Disable } else { FlagSetMode::Enable };
        // SAFETY: no transaction is open on any thread: workloads switch between phases.
        unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode) }?;
        Ok(())
    }
}

impl Store for Lmdb {
    fn write(
        &self,
        commit: Commit,
        _access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        self.set_synced(commit == Commit::Synced)?;
        let mut writer = LmdbWriter { table: self.table, transaction: self.env.write_txn()? };
        body(&mut writer)?;
        Ok(writer.transaction.commit()?)
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        body(&mut LmdbReader { table: self.table, transaction: self.env.read_txn()? })
    }

    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        self.set_synced(true)?;
        let mut transaction = self.env.write_txn()?;
        body(&mut |key, value| {
            Ok(self.table.put_with_flags(&mut transaction, PutFlags::APPEND, key, value)?)
        })?;
        Ok(transaction.commit()?)
    }

    fn len(&self) -> Outcome<u64> {
        Ok(self.table.len(&*self.env.read_txn()?)?)
    }

    fn sync(&self) -> Outcome<()> {
        Ok(self.env.force_sync()?)
    }

    fn compact(&mut self) -> Outcome<bool> {
        // Its way is a compacted copy, renamed over the file by whoever closes the environment.
        let copy = self.folder.join("compacted");
        self.env.copy_to_path(&copy, CompactionOption::Enabled)?.sync_all()?;
        fs::rename(copy, self.folder.join("data.mdb"))?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

struct LmdbWriter<'e> {
    table: Table,
    transaction: RwTxn<'e>,
}

impl Writer for LmdbWriter<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Ok(self.table.put(&mut self.transaction, key, value)?)
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.table.delete(&mut self.transaction, key)?;
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        if end == End::First {
            let mut rows = self.table.iter_mut(&mut self.transaction)?;
            let Some((key, value)) = rows.next().transpose()? else { return Ok(false) };
            visit(key, value);
            // SAFETY: the row is not used behind its removal.
            Ok(unsafe { rows.del_current() }?)
        } else {
            let mut rows = self.table.rev_iter_mut(&mut self.transaction)?;
            let Some((key, value)) = rows.next().transpose()? else { return Ok(false) };
            visit(key, value);
            // SAFETY: the row is not used behind its removal.
            Ok(unsafe { rows.del_current() }?)
        }
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        let mut rows = self.table.iter_mut(&mut self.transaction)?;
        while let Some((key, value)) = rows.next().transpose()? {
            if !keep(key, value) {
                // SAFETY: the row is not used behind its removal.
                unsafe { rows.del_current() }?;
            }
        }
        Ok(())
    }
}

struct LmdbReader<'e> {
    table: Table,
    transaction: RoTxn<'e, WithTls>,
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = self.table.get(&self.transaction, key)?;
        Ok(value.map(visit).is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let rows =
            self.table.range(&self.transaction, &(Bound::Included(start), Bound::Unbounded))?;
        for row in rows.take(usize::try_from(rows_max)?) {
            let (key, value) = row?;
            visit(key, value);
        }
        Ok(())
    }
}
