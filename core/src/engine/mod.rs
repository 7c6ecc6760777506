//! An open database: open, close, background threads, and operations with cache pressure checked around
//! them.
//!
//! [`Engine`] is what the faces hold; [`Session`] runs operations, one at a time; [`OpenTable`] keeps a
//! table from being dropped. Everything below the engine is reached through it.
#![forbid(unsafe_code)]

mod background;
mod bell;
mod catalog;
mod check;
mod checkpoints;
mod compact;
mod edges;
mod events;
mod gate;
#[cfg(feature = "internals")]
mod internals;
mod maintain;
mod open;
mod replay;
mod session;
mod tables;
mod turn;
mod view;

use catalog::Catalog;
pub(crate) use catalog::Entry;
pub use catalog::OpenTable;
pub use check::{reclaim_file, reclaim_on, verify_file, verify_on};
pub use checkpoints::{CheckpointInfo, LATEST_CHECKPOINT};
pub use compact::{CompactProgress, CompactReport, CompactStage};
pub use events::Listener;
pub use session::{Bulk, Cached, Isolation, PageView, Session, Walk};
pub use view::{Checkpoint, CheckpointTable};

use crate::base::error::{Error, Result};
use crate::base::ids::{Lsn, TableId};
use crate::base::options::{DatabaseOptions, OpenMode, Tuning};
use crate::base::stats::StatsSnapshot;
use crate::btree::Shared;
use crate::evict::Clock;
use crate::io::fork::ForkGuard;
use crate::io::lock::DatabaseLock;
use crate::io::sticky::Failure;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, RwLock, epoch};
use crate::txn::Committer;

/// An open database. Clones share it; the last one closes it.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    /// Ends the background threads and closes the database with the last clone.
    _closer: Arc<Closer>,
}

/// What operations and background threads share.
#[derive(Debug)]
pub(crate) struct Inner {
    label: Arc<str>,
    /// As it was opened; what may change since then is in `tuning`.
    options: DatabaseOptions,
    /// Written by `retune`, read by the background threads. A leaf of the lock order.
    tuning: RwLock<Tuning>,
    shared: Shared,
    catalog: Catalog,
    committer: Committer,
    log_epoch: u32,
    /// Where the log ends if there is none: carried from superblock to superblock.
    log_end: Lsn,
    clock: Clock,
    /// What the cache held when somebody last slept for pages that readers keep, while it is above its size. Relaxed: a
    /// hint.
    used_by_readers: AtomicU64,
    failure: Arc<Failure>,
    guard: ForkGuard,
    next_table: AtomicU32,
    gate: gate::Gate,
    /// The same for those who only read: they need not be waited for.
    closed: AtomicBool,
    /// One checkpoint, or drop of a table, at a time.
    turn: turn::Turn,
    /// One compaction at a time. Comes before `turn`.
    compacting: Mutex<()>,
    /// Who reads which named checkpoint. A leaf of the lock order but for the block layer's.
    checkpoint_uses: Mutex<checkpoints::Uses>,
    /// The last checkpoint failed half-way, and another must be taken. Written in its `turn`.
    unfinished: AtomicBool,
    bell: Arc<bell::Bell>,
    events: events::Events,
    lock: Mutex<Option<DatabaseLock>>,
}

/// Closes the database when the last [`Engine`] goes.
#[derive(Debug)]
struct Closer {
    inner: Arc<Inner>,
    threads: Mutex<Vec<crate::sync::thread::JoinHandle<()>>>,
}

impl Closer {
    fn close(&self) -> Result<()> {
        self.inner.bell.end();
        if !self.inner.guard.is_ours() {
            // The threads, the lock and the file's future are the parent's.
            return Ok(());
        }
        // Before the lock on the file goes: afterwards it may be another process's to write.
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has latched its reason; `close` reports it.
            let _ = thread.join();
        }
        self.inner.close()
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(database = %self.inner.label, %error, "the database was not closed cleanly");
        }
        // In a forked child, what other threads left undone is the parent's.
        if self.inner.guard.is_ours() {
            epoch::collect();
        }
    }
}

impl Engine {
    /// The path, for messages.
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &DatabaseOptions {
        &self.inner.options
    }

    /// A session, for one thread at a time.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn session(&self) -> Result<Session> {
        self.inner.check_open()?;
        Ok(Session::new(Arc::clone(&self.inner)))
    }

    /// Takes a checkpoint: afterwards the one file holds all that was committed before, durably.
    ///
    /// # Errors
    /// [`Error::Full`]; what the disk gives, which sticks.
    pub fn checkpoint(&self) -> Result<()> {
        self.inner.check_writable("take a checkpoint")?;
        let _gate = self.inner.enter()?;
        self.inner.checkpoint()
    }

    /// Makes all that was committed so far durable.
    ///
    /// # Errors
    /// What the disk gives, which sticks.
    pub fn sync(&self) -> Result<()> {
        self.inner.check_writable("sync")?;
        let _gate = self.inner.enter()?;
        match self.inner.committer.log() {
            Some(_) => self.inner.committer.sync(crate::io::SyncPoint::Background),
            None => self.inner.checkpoint(),
        }
    }

    /// The knobs that may be turned while it is open, as they stand now.
    pub fn tuning(&self) -> Tuning {
        *self.inner.tuning.read()
    }

    /// Turns them. What is too much for a smaller cache leaves as eviction goes on; the background
    /// threads hear of new times at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is out of range, and nothing is changed; [`Error::Closed`].
    pub fn retune(&self, tuning: Tuning) -> Result<()> {
        self.inner.check_open()?;
        tuning.check()?;
        *self.inner.tuning.write() = tuning;
        self.inner.shared.cache.resize(
            tuning.cache_bytes_max,
            tuning.eviction_target_percent,
            tuning.eviction_trigger_percent,
        );
        self.inner.bell.ring_keeper();
        self.inner.relieve();
        Ok(())
    }

    /// The most bytes that the cache may hold now.
    pub fn cache_bytes_max(&self) -> u64 {
        self.inner.shared.cache.bytes_max()
    }

    /// What the engine did so far.
    pub fn stats(&self) -> StatsSnapshot {
        let mut stats = self.inner.shared.stats.snapshot();
        stats.cache_bytes = self.inner.shared.cache.bytes_used();
        stats.file_bytes = self.inner.shared.blocks.file_bytes();
        stats
    }

    /// Closes the database: waits for commits under way, takes the last checkpoint, removes the
    /// sidecars. Later operations say that it is closed; closing again does nothing.
    ///
    /// # Errors
    /// What the last checkpoint gives. The database is closed all the same, as after a crash.
    pub fn close(&self) -> Result<()> {
        self._closer.close()
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `Inner::close`.
        self.inner.closed.load(Ordering::Acquire)
    }
}

impl Inner {
    /// Refuses everything after a close, and in a forked child.
    #[inline]
    fn check_open(&self) -> Result<()> {
        self.guard.check("a database that was opened by the parent process")?;
        // Acquire: pairs with the Release in `close`.
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed { what: "the database" });
        }
        Ok(())
    }

    /// Refuses writes to what is read-only, was closed, or has failed.
    #[inline]
    fn check_writable(&self, action: &'static str) -> Result<()> {
        self.check_open()?;
        if self.options.mode == OpenMode::ReadOnly {
            return Err(Error::ReadOnly { action });
        }
        self.failure.check()?;
        self.committer.check()
    }

    /// Keeps the database from being closed while a write is under way.
    #[inline]
    fn enter(&self) -> Result<gate::Entered<'_>> {
        self.gate.enter().ok_or(Error::Closed { what: "the database" })
    }

    fn next_table(&self) -> TableId {
        TableId(self.next_table.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests;
