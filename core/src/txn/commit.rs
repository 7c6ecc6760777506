//! The commit pipeline: from versions in pages to a durable, visible transaction.

use super::record::{Payload, kind};
use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId, TxnId};
use crate::base::options::Durability;
use crate::base::stats::Stats;
use crate::block::Blocks;
use crate::io::SyncPoint;
use crate::mvcc::Transactions;
use crate::page::Pending;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::wal::{AtOnce, Draft, Log, Registration};

/// What a commit needs of an open database.
#[derive(Debug)]
pub struct Committer {
    /// The log; none when durability comes from checkpoints alone.
    log: Option<Arc<Log>>,
    durability: Durability,
    transactions: Arc<Transactions>,
    blocks: Arc<Blocks>,
    stats: Arc<Stats>,
    overflow: Arc<OverflowSyncs>,
}

/// Which long values are durable, by counting them.
#[derive(Debug, Default)]
pub struct OverflowSyncs {
    /// How many were written. Raised after the write and before the record that names the value.
    written: AtomicU64,
    /// How many of those are durable. Stored by holders of `syncing`.
    synced: AtomicU64,
    /// Held through a sync, so that who finds its value in the making waits until it is done. Lock
    /// order: nothing is locked under it.
    syncing: Mutex<()>,
}

impl OverflowSyncs {
    /// Makes every long value durable that was written before the call, and any record of it.
    ///
    /// A log that is synced without this would say of records that they are durable whose values are
    /// not: who reads it back takes a value that is missing then for damage.
    ///
    /// # Errors
    /// What the data file's sync gives; it sticks.
    pub fn sync(&self, blocks: &Blocks) -> Result<()> {
        // Acquire: see `Committer::note_overflow`; and pairs with the Release store below.
        let wanted = self.written.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let _one = self.syncing.lock();
        if self.synced.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let covered = self.written.load(Ordering::Acquire);
        blocks.sync(SyncPoint::OverflowBeforeLog)?;
        // Release: whoever sees the count finds the values durable.
        self.synced.store(covered, Ordering::Release);
        Ok(())
    }
}

/// The log's part of one transaction.
#[derive(Debug, Default)]
pub struct Logged {
    /// Held from the first chunk on.
    registration: Option<Registration<Arc<Log>>>,
    first_chunk: Option<Lsn>,
}

/// The log's part of a commit that takes one step.
#[derive(Clone, Copy, Debug)]
pub struct DraftAtOnce<'p>(Option<(&'p Log, Draft<'p>)>);

/// What is left to do after a commit in one step.
#[derive(Debug)]
#[must_use = "the log may want its next segment prepared"]
pub struct FollowUp(Option<AtOnce>);

impl Committer {
    /// A pipeline into `log`, which makes `overflow` durable in front of each of its syncs.
    pub fn new(
        log: Option<Arc<Log>>,
        durability: Durability,
        transactions: Arc<Transactions>,
        blocks: Arc<Blocks>,
        stats: Arc<Stats>,
        overflow: Arc<OverflowSyncs>,
    ) -> Self {
        Self { log, durability, transactions, blocks, stats, overflow }
    }

    /// The log, if there is one.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// Notes that a long value was written, and that a record will name it.
    pub fn note_overflow(&self) {
        // Release: pairs with the Acquire load in `OverflowSyncs::sync`, so that who sees the count syncs
        // the value.
        self.overflow.written.fetch_add(1, Ordering::Release);
    }

    /// Long values are durable before a record that names them can be. The log's own syncs see to that
    /// too; here a failure still leaves the commit undone.
    fn sync_overflow(&self) -> Result<()> {
        self.overflow.sync(&self.blocks)
    }

    /// Writes a part of a large transaction to the log, ahead of its commit.
    ///
    /// # Errors
    /// What the log gives; the transaction must be rolled back.
    pub fn append_chunk(&self, logged: &mut Logged, changes: &[u8]) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        if self.durability == Durability::Sync {
            self.sync_overflow()?;
        }
        let registration = logged.registration.get_or_insert_with(|| Log::register_owned(log));
        let head = Payload::head(logged.first_chunk);
        let written = registration.append(kind::CHUNK, &[&head, changes])?;
        logged.first_chunk.get_or_insert(written.position);
        Ok(())
    }

    /// Commits transaction `id`, whose versions are all in place. `synced` says that its log will be synced at
    /// once.
    ///
    /// # Errors
    /// What the log gives. Nothing is visible then, and the caller rolls back; after
    /// [`Error::OutcomeUnknown`] the transaction may still be found when the database is opened
    /// again.
    pub fn commit(
        &self,
        id: TxnId,
        rows: &[(TableId, i64)],
        changes: &[u8],
        logged: Logged,
        synced: bool,
    ) -> Result<()> {
        let Some(log) =
            self.log.as_ref().filter(|_| !changes.is_empty() || logged.first_chunk.is_some())
        else {
            self.publish(id, rows);
            return Ok(());
        };
        if self.durability == Durability::Sync {
            self.sync_overflow()?;
        }
        let parts = [&Payload::head(logged.first_chunk)[..], changes];
        match &logged.registration {
            // 1. Registered since its first chunk.
            Some(registration) => self.log_and_publish(registration, id, rows, &parts, synced),
            // 1. Register: a checkpoint that starts now replays from here or earlier.
            None => self.log_and_publish(&log.register(), id, rows, &parts, synced),
        }
        // 4. The registration ends with this call, after the commit is visible.
    }

    fn log_and_publish<L: std::ops::Deref<Target = Log>>(
        &self,
        registration: &Registration<L>,
        id: TxnId,
        rows: &[(TableId, i64)],
        record: &[&[u8]],
        synced: bool,
    ) -> Result<()> {
        // 2. Reserve and write.
        let written = match synced {
            true => registration.append_to_sync(kind::COMMIT, record)?,
            false => registration.append(kind::COMMIT, record)?,
        };
        registration.wait_committed(written.end)?;
        self.stats.log_bytes.add(written.end.0 - written.position.0);
        // 3. Publish.
        self.publish(id, rows);
        Ok(())
    }

    /// The record of a commit that is to take one step; none if it must take more. It is empty, and goes
    /// nowhere, where there is no log, or where the table is not `logged`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a record that is too long.
    pub fn draft_at_once<'p>(
        &'p self,
        logged: bool,
        parts: &'p [&'p [u8]],
    ) -> Result<Option<DraftAtOnce<'p>>> {
        match &self.log {
            Some(_) if self.durability == Durability::Sync => Ok(None),
            Some(log) if logged => {
                Ok(Some(DraftAtOnce(Some((log, log.draft(kind::COMMIT, parts)?)))))
            }
            _ => Ok(Some(DraftAtOnce(None))),
        }
    }

    /// Commits the one version of a transaction that has no id yet, unless that takes the disk or a
    /// wait: then nothing happened, and the version is rolled back. `rows` is what the table has more.
    /// [`follow_up`](Self::follow_up) comes when no latch is held.
    #[inline]
    pub fn commit_at_once(
        &self,
        pending: Pending<'_>,
        rows: (TableId, i64),
        draft: DraftAtOnce<'_>,
    ) -> Option<FollowUp> {
        let Some((log, draft)) = draft.0 else {
            self.publish_at_once(pending, rows);
            return Some(FollowUp(None));
        };
        // 1. Register: a checkpoint that starts now replays from here or earlier.
        let registration = log.register();
        // 2. Reserve and write.
        let appended = registration.append_at_once(&draft)?;
        let written = appended.written;
        self.stats.log_bytes.add(written.end.0 - written.position.0);
        // 3. Publish.
        self.publish_at_once(pending, rows);
        // 4. The registration ends with this call, after the commit is visible.
        Some(FollowUp(Some(appended)))
    }

    fn publish_at_once(&self, pending: Pending<'_>, rows: (TableId, i64)) {
        self.transactions.commit_at_once(rows, |id| pending.stamp(id));
        self.stats.commits.bump();
    }

    /// What comes after a commit in one step.
    pub fn follow_up(&self, FollowUp(appended): FollowUp) {
        if let (Some(log), Some(appended)) = (&self.log, appended) {
            log.follow_up(appended);
        }
    }

    fn publish(&self, id: TxnId, rows: &[(TableId, i64)]) {
        self.transactions.commit(id, rows);
        self.stats.commits.bump();
    }

    /// Logs a change of the catalog; durable when it returns, if anything is before a checkpoint.
    /// `apply` makes it visible, and runs while the record holds back checkpoints.
    ///
    /// # Errors
    /// What the log gives; `apply` did not run.
    pub fn log_catalog<R>(&self, kind: u8, payload: &[u8], apply: impl FnOnce() -> R) -> Result<R> {
        let Some(log) = &self.log else { return Ok(apply()) };
        let registration = log.register();
        let written = registration.append(kind, &[payload])?;
        registration.wait_committed(written.end)?;
        Ok(apply())
    }

    /// Makes everything committed so far durable, if there is a log.
    ///
    /// # Errors
    /// What the disk gives; it sticks.
    pub fn sync(&self, point: SyncPoint) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        self.sync_overflow()?;
        log.sync(point)?;
        self.stats.log_syncs.bump();
        Ok(())
    }

    /// Refuses a write that the log could not take.
    ///
    /// # Errors
    /// [`Error::Failed`] after a failure of the log.
    pub fn check(&self) -> Result<()> {
        match self.log.as_ref().and_then(|log| log.failure()) {
            Some(first) => Err(Error::Failed { first }),
            None => Ok(()),
        }
    }
}
