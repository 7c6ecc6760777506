//! fjall: a log-structured merge tree in Rust.
//!
//! Tuned as its documentation says: the cache's size, a buffer for writes of a quarter of that at most, blocks hinted for point reads that hit,
//! sorted loads through its ingestion. Writes that read nothing go through a batch, the others
//! through its single-writer transaction. Values are random, so compression is off. Without sync
//! commits reach the operating system (`PersistMode::Buffer`).

use ::fjall::config::CompressionPolicy;
use ::fjall::{
    CompressionType, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Snapshot,
};
use ::fjall::{SingleWriterTxDatabase, SingleWriterTxKeyspace, SingleWriterWriteTx};

use crate::machine;
use crate::store::{
    Access, Client, Commit, End, Engine, Feed, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// fjall under test.
pub const ENGINE: Engine = Engine { name: "fjall", version, by_default: true, open };

struct Fjall {
    database: SingleWriterTxDatabase,
    keyspace: SingleWriterTxKeyspace,
}

fn version() -> String {
    machine::version("fjall").to_owned()
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    // What is not yet in a tree is no part of its cache, and would be up to 64 MiB and more.
    let buffer_bytes = (setup.cache_bytes / 4).clamp(1 << 20, 64 << 20);
    let database =
        SingleWriterTxDatabase::builder(setup.folder).cache_size(setup.cache_bytes).open()?;
    let keyspace = database.keyspace("rows", || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(buffer_bytes)
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            .expect_point_read_hits(true)
    })?;
    Ok(Box::new(Fjall { database, keyspace }))
}

fn persist_mode(commit: Commit) -> PersistMode {
    match commit {
        Commit::Synced => PersistMode::SyncData,
        Commit::Unsynced => PersistMode::Buffer,
    }
}

impl Store for Fjall {
    fn write(
        &self,
        commit: Commit,
        access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let mode = Some(persist_mode(commit));
        if access == Access::Blind {
            let mut writer =
                Batch { keyspace: &self.keyspace, batch: self.database.inner().batch() };
            body(&mut writer)?;
            return Ok(writer.batch.durability(mode).commit()?);
        }
        let transaction = self.database.write_tx().durability(mode);
        let mut writer = Transaction { keyspace: &self.keyspace, transaction };
        body(&mut writer)?;
        Ok(writer.transaction.commit()?)
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        body(&mut View { keyspace: &self.keyspace, snapshot: self.database.read_tx() })
    }

    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        body(&mut Served(self))
    }

    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        let mut ingestion = self.keyspace.inner().start_ingestion()?;
        body(&mut |key, value| Ok(ingestion.write(key, value)?))?;
        ingestion.finish()?;
        self.sync()
    }

    fn len(&self) -> Outcome<u64> {
        Ok(self.keyspace.inner().len()? as u64)
    }

    fn sync(&self) -> Outcome<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn compact(&mut self) -> Outcome<bool> {
        self.keyspace.inner().rotate_memtable_and_wait()?;
        self.keyspace.inner().major_compact()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.sync()
    }
}

struct Batch<'s> {
    keyspace: &'s SingleWriterTxKeyspace,
    batch: OwnedWriteBatch,
}

impl Writer for Batch<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.batch.insert(self.keyspace.inner(), key, value);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.batch.remove(self.keyspace.inner(), key);
        Ok(())
    }

    fn pop(&mut self, _end: End, _visit: Visit<'_>) -> Outcome<bool> {
        Err("a batch does not read".into())
    }

    fn retain(&mut self, _keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        Err("a batch does not read".into())
    }
}

struct Transaction<'s> {
    keyspace: &'s SingleWriterTxKeyspace,
    transaction: SingleWriterWriteTx<'s>,
}

impl Writer for Transaction<'_> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.transaction.insert(self.keyspace, key, value);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.transaction.remove(self.keyspace, key);
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        let row = match end {
            End::First => self.transaction.first_key_value(self.keyspace),
            End::Last => self.transaction.last_key_value(self.keyspace),
        };
        let Some(row) = row else { return Ok(false) };
        let (key, value) = row.into_inner()?;
        visit(&key, &value);
        self.transaction.remove(self.keyspace, key);
        Ok(true)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        let mut doomed = Vec::new();
        for row in self.transaction.iter(self.keyspace) {
            let (key, value) = row.into_inner()?;
            if !keep(&key, &value) {
                doomed.push(key);
            }
        }
        for key in doomed {
            self.transaction.remove(self.keyspace, key);
        }
        Ok(())
    }
}

struct View<'s> {
    keyspace: &'s SingleWriterTxKeyspace,
    snapshot: Snapshot,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = self.snapshot.get(self.keyspace, key)?;
        Ok(value.map(|value| visit(&value)).is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        for row in self.snapshot.range(self.keyspace, start..).take(usize::try_from(rows_max)?) {
            let (key, value) = row.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }
}

struct Served<'s>(&'s Fjall);

impl Client for Served<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = self.0.keyspace.inner().get(key)?;
        Ok(value.map(|value| visit(&value)).is_some())
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        if commit == Commit::Unsynced {
            return Ok(self.0.keyspace.inner().insert(key, value)?);
        }
        let mut batch = self.0.database.inner().batch();
        batch.insert(self.0.keyspace.inner(), key, value);
        Ok(batch.durability(Some(persist_mode(commit))).commit()?)
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        for row in self.0.keyspace.inner().range(start..).take(usize::try_from(rows_max)?) {
            let (key, value) = row.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }
}
