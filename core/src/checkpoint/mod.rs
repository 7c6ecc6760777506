//! Checkpoints: a consistent image of every table in the data file, beside readers and writers.
//!
//! One function, [`take`], reads as the list of steps. The image is what one snapshot sees, so the
//! database is whole without a log; with one, replay starts at a position before every commit that the
//! snapshot does not hold. Pages are reconciled bottom-up, under their own short locks, and written
//! under none.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::base::error::Result;
use crate::base::ids::{Lsn, TableId};
use crate::block::{Blocks, CheckpointRoot};
use crate::btree::{Fold, LeafWriteBack, Prepared, Target, Tree, Writer};
use crate::evict::write_leaves;
use crate::io::SyncPoint;
use crate::mvcc::Transactions;
use crate::page::Home;
use crate::sync::Arc;
use crate::txn::Committer;

/// How many leaves are written at once; fewer where they are large beside the cache.
const BATCH_LEAVES: usize = 64;

/// A tree as a checkpoint has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeRoot {
    /// The root's place on disk; no address when there are no rows.
    pub home: Home,
    /// The levels of pages below the root.
    pub level: u8,
}

/// What a checkpoint needs of an open database.
pub struct Parts<'d> {
    /// The data file.
    pub blocks: &'d Blocks,
    /// Who commits.
    pub transactions: &'d Arc<Transactions>,
    /// The log, and what must be durable before it.
    pub committer: &'d Committer,
    /// This checkpoint's number, greater than any before since the database was opened.
    pub number: u32,
    /// The log's epoch, for the superblock.
    pub log_epoch: u32,
    /// Where replay starts if there is no log.
    pub log_end: Lsn,
    /// The catalog's tree.
    pub catalog: &'d Tree,
    /// The id that the next table will get.
    pub next_table: &'d dyn Fn() -> TableId,
    /// Writes the catalog's entries: called with the function that writes a tree, and the rows that
    /// the snapshot counts in each table.
    pub write_tables: &'d WriteTables<'d>,
    /// Called after each batch of leaves with the time that it took, and with no lock but what keeps checkpoints
    /// apart: whoever is in no hurry rests.
    pub pace: &'d dyn Fn(Duration),
}

/// Writes every table, given how, and the rows that the snapshot counts in each.
pub type WriteTables<'w> = dyn Fn(&mut WriteTree<'_>, &[(TableId, u64)]) -> Result<()> + 'w;

/// Writes a tree, and says where its root is.
pub type WriteTree<'w> = dyn FnMut(&Tree) -> Result<TreeRoot> + 'w;

/// Takes a checkpoint. Only one at a time.
///
/// # Errors
/// [`crate::Error::Full`], after which another may be tried; anything else sticks. The last
/// checkpoint stands then.
pub fn take(parts: &Parts<'_>) -> Result<()> {
    // 1. What was freed until now this checkpoint releases; what is freed from now on, the next.
    parts.blocks.begin_checkpoint()?;
    // 2. First the position, then the snapshot: a commit that the snapshot misses is registered at
    //    or behind the position.
    let log = parts.committer.log();
    //    What step 1 releases was named by records before the log's end as it is now.
    let log_start = log.map_or(parts.log_end, |log| log.lowest_registered());
    let log_through = log.map_or(parts.log_end, |log| log.end());
    let (snapshot, counts) = Transactions::snapshot_with_counts(parts.transactions);
    let writer = Writer::Checkpoint { snapshot: snapshot.snapshot(), number: parts.number };
    // 3. Every table's pages, bottom-up, and what the catalog says of it.
    let pace = parts.pace;
    let write_tree = |tree: &Tree| Walk { tree, writer, pace }.write_tree();
    (parts.write_tables)(&mut |tree| write_tree(tree), &counts)?;
    let next_table = (parts.next_table)();
    // 4. The catalog. Its versions are visible to everybody, so the snapshot sees what step 3 wrote.
    let catalog = write_tree(parts.catalog)?;
    drop(snapshot);
    // 5. The log through the snapshot's last commit: replay must not stop in front of a commit that
    //    the image holds, or it would end with an older value.
    parts.committer.sync(SyncPoint::CheckpointLog)?;
    // 6. The free lists, the data, the superblock, its twin; then what was replaced is free.
    parts.blocks.finish_checkpoint(CheckpointRoot {
        catalog_root: catalog.home.address,
        catalog_rows: catalog.home.rows,
        log_start,
        log_epoch: parts.log_epoch,
        next_table,
        catalog_level: u32::from(catalog.level),
        log_through,
    })?;
    // 7. Log segments that no replay needs.
    log.map_or(Ok(()), |log| log.release(log_start))
}

/// The walk of a checkpoint over a tree.
struct Walk<'w> {
    tree: &'w Tree,
    writer: Writer<'w>,
    pace: &'w dyn Fn(Duration),
}

impl Walk<'_> {
    /// Writes every page that the checkpoint does not have yet, and says where the root is.
    fn write_tree(&self) -> Result<TreeRoot> {
        let Self { tree, writer, .. } = *self;
        loop {
            let level = tree.height();
            if tree.is_unwritten(level, &[], writer) {
                self.write_page(level, &[])?;
            } else if let Some(root) = tree.written_root(writer) {
                return Ok(TreeRoot { home: root.0, level: root.1 });
            }
        }
    }

    /// Writes the page with `level` levels below that `low` is the first key of, after all below it.
    fn write_page(&self, level: u8, low: &[u8]) -> Result<()> {
        let Self { tree, writer, .. } = *self;
        if level == 0 {
            let mut batch = Vec::new();
            self.prepare_leaf(low, &mut batch)?;
            return self.write_batch(&mut batch);
        }
        while tree.is_unwritten(level, low, writer) {
            if level == 1 {
                self.write_leaves_below(low)?;
            } else {
                let mut from = low.to_vec();
                while let Some(child) = tree.next_unwritten(level, low, &from, writer) {
                    self.write_page(level - 1, &child)?;
                    from = child;
                }
            }
            tree.write_index(level, low, writer)?;
        }
        Ok(())
    }

    /// Writes the leaves below the lowest internal page that `low` is the first key of.
    fn write_leaves_below(&self, low: &[u8]) -> Result<()> {
        let Self { tree, writer, pace } = *self;
        let mut batch: Vec<LeafWriteBack> = Vec::with_capacity(BATCH_LEAVES);
        let mut from = low.to_vec();
        let mut begun = Instant::now();
        while let Some(key) = tree.next_unwritten(1, low, &from, writer) {
            let next = self.prepare_leaf(&key, &mut batch)?;
            let held_bytes: u64 = batch.iter().map(LeafWriteBack::held_bytes).sum();
            if batch.len() == BATCH_LEAVES || held_bytes >= tree.shared().cache.batch_bytes() {
                self.write_batch(&mut batch)?;
                pace(begun.elapsed());
                begun = Instant::now();
            }
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        self.write_batch(&mut batch)
    }

    /// Adds the leaf of `key` to `batch`, if it has to be written, and says which key comes behind it.
    fn prepare_leaf(&self, key: &[u8], batch: &mut Vec<LeafWriteBack>) -> Result<Option<Vec<u8>>> {
        let Self { tree, writer, .. } = *self;
        // Folding lets go of versions and of long values that nobody sees any more; but what stays takes other memory.
        let is_short = tree.shared().cache.wants_eviction();
        let mut fold = if is_short { Fold::ToWhole } else { Fold::IfChanged };
        loop {
            let mut pin = tree.shared().new_pin();
            if !tree.find_leaf_in_cache(Target::At(key), &mut pin) {
                // It was written by eviction just now, so it is not unwritten any more.
                return Ok(Some(key.to_vec()));
            }
            let high =
                pin.leaf().and_then(|leaf| leaf.range().high.as_ref().map(|high| high.to_vec()));
            match tree.prepare_leaf(pin, writer, fold)? {
                Prepared::Ready(write_back) => {
                    batch.push(write_back);
                    return Ok(high);
                }
                Prepared::Changed => fold = Fold::Never,
                Prepared::Clean | Prepared::Held => return Ok(high),
            }
        }
    }

    fn write_batch(&self, batch: &mut Vec<LeafWriteBack>) -> Result<()> {
        let addresses = write_leaves(self.tree, batch)?;
        for (write_back, address) in batch.iter().zip(addresses) {
            self.tree.install_leaf(write_back, address, self.writer)?;
        }
        batch.clear();
        Ok(())
    }
}
