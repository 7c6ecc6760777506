//! RocksDB: a log-structured merge tree in C++.
//!
//! Tuned as its guide says: one block cache that the write buffers are charged to, bloom filters,
//! index and filters in the cache, as many background jobs as cores, sorted loads through an
//! ingested table file. Writes that read nothing go through a batch, the others through its
//! optimistic transaction. Without sync the log's record reaches the operating system.

use ::rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRawIteratorWithThreadMode, Direction,
    IngestExternalFileOptions, IteratorMode, OptimisticTransactionDB, OptimisticTransactionOptions,
    Options, ReadOptions, SnapshotWithThreadMode, SstFileWriter, Transaction,
    WaitForCompactOptions, WriteBatchWithTransaction, WriteBufferManager, WriteOptions,
};
use std::path::PathBuf;
use std::thread;

use crate::machine;
use crate::store::{
    Access, Client, Commit, End, Engine, Feed, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// RocksDB under test, blocks as they are.
pub const PLAIN: Engine = Engine { name: "rocksdb", version, by_default: true, open: open_plain };
/// RocksDB under test, blocks compressed with Snappy.
pub const SNAPPY: Engine =
    Engine { name: "rocksdb-snappy", version, by_default: false, open: open_snappy };

type Db = OptimisticTransactionDB;

struct Rocks {
    db: Db,
    options: Options,
    folder: PathBuf,
}

fn version() -> String {
    // The package's version ends in the library's.
    let version = machine::version("librocksdb-sys");
    version.rsplit('+').next().unwrap_or(version).to_owned()
}

fn open_plain(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    open(setup, DBCompressionType::None)
}

fn open_snappy(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    open(setup, DBCompressionType::Snappy)
}

fn open(setup: Setup<'_>, compression: DBCompressionType) -> Outcome<Box<dyn Store>> {
    let cache_bytes = usize::try_from(setup.cache_bytes)?;
    let cache = Cache::new_lru_cache(cache_bytes);
    let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
        cache_bytes / 2,
        false,
        cache.clone(),
    );

    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&cache);
    blocks.set_format_version(6);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_optimize_filters_for_memory(true);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(compression);
    options.set_write_buffer_manager(&buffers);
    options.set_write_buffer_size((cache_bytes / 16).clamp(4 << 20, 256 << 20));
    options.increase_parallelism(i32::try_from(thread::available_parallelism()?.get())?);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_bytes_per_sync(1 << 20);

    let folder = setup.folder.join("rocksdb");
    let db = Db::open(&options, &folder)?;
    Ok(Box::new(Rocks { db, options, folder }))
}

fn write_options(commit: Commit) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(commit == Commit::Synced);
    options
}

impl Store for Rocks {
    fn write(
        &self,
        commit: Commit,
        access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let options = write_options(commit);
        if access == Access::Blind {
            let mut batch = WriteBatchWithTransaction::<true>::default();
            body(&mut batch)?;
            return Ok(self.db.write_opt(batch, &options)?);
        }
        let mut transaction =
            self.db.transaction_opt(&options, &OptimisticTransactionOptions::default());
        body(&mut transaction)?;
        Ok(transaction.commit()?)
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        let snapshot = self.db.snapshot();
        let rows = self.db.raw_iterator_opt(read_options(&snapshot));
        body(&mut View { db: &self.db, options: read_options(&snapshot), rows })
    }

    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        body(&mut Served { db: &self.db, synced: write_options(Commit::Synced) })
    }

    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        let file = self.folder.with_extension("sst");
        let mut writer = SstFileWriter::create(&self.options);
        writer.open(&file)?;
        body(&mut |key, value| Ok(writer.put(key, value)?))?;
        writer.finish()?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        Ok(self.db.ingest_external_file_opts(&options, vec![file])?)
    }

    fn len(&self) -> Outcome<u64> {
        let mut count = 0;
        for row in self.db.iterator(IteratorMode::From(b"", Direction::Forward)) {
            row?;
            count += 1;
        }
        Ok(count)
    }

    fn sync(&self) -> Outcome<()> {
        Ok(self.db.flush_wal(true)?)
    }

    fn compact(&mut self) -> Outcome<bool> {
        self.db.flush()?;
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        self.db.wait_for_compact(&WaitForCompactOptions::default())?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.db.flush()?;
        self.sync()
    }
}

fn read_options(snapshot: &SnapshotWithThreadMode<'_, Db>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_snapshot(snapshot);
    options
}

impl Writer for WriteBatchWithTransaction<true> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.put(key, value);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        self.delete(key);
        Ok(())
    }

    fn pop(&mut self, _end: End, _visit: Visit<'_>) -> Outcome<bool> {
        Err("a batch does not read".into())
    }

    fn retain(&mut self, _keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        Err("a batch does not read".into())
    }
}

impl Writer for Transaction<'_, Db> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Ok(self.put(key, value)?)
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        Ok(self.delete(key)?)
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        let mut rows = self.raw_iterator();
        match end {
            End::First => rows.seek_to_first(),
            End::Last => rows.seek_to_last(),
        }
        let Some((key, value)) = rows.item() else {
            rows.status()?;
            return Ok(false);
        };
        visit(key, value);
        self.delete(key)?;
        Ok(true)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        // Its documentation forbids changing a transaction's batch under an open iterator.
        let mut doomed = Vec::new();
        for row in self.iterator(IteratorMode::Start) {
            let (key, value) = row?;
            if !keep(&key, &value) {
                doomed.push(key);
            }
        }
        for key in doomed {
            self.delete(key)?;
        }
        Ok(())
    }
}

struct View<'s> {
    db: &'s Db,
    options: ReadOptions,
    rows: DBRawIteratorWithThreadMode<'s, Db>,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = self.db.get_pinned_opt(key, &self.options)?;
        Ok(value.map(|value| visit(&value)).is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        self.rows.seek(start);
        for _ in 0..rows_max {
            let Some((key, value)) = self.rows.item() else { break };
            visit(key, value);
            self.rows.next();
        }
        Ok(self.rows.status()?)
    }
}

struct Served<'s> {
    db: &'s Db,
    synced: WriteOptions,
}

impl Client for Served<'_> {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let value = self.db.get_pinned(key)?;
        Ok(value.map(|value| visit(&value)).is_some())
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        match commit {
            Commit::Synced => Ok(self.db.put_opt(key, value, &self.synced)?),
            Commit::Unsynced => Ok(self.db.put(key, value)?),
        }
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let mut rows = self.db.raw_iterator();
        rows.seek(start);
        for _ in 0..rows_max {
            let Some((key, value)) = rows.item() else { break };
            visit(key, value);
            rows.next();
        }
        Ok(rows.status()?)
    }
}
