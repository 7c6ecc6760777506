//! What keeps an open database in shape: checkpoints, eviction, room in the cache; and its close.

use std::time::{Duration, Instant};

use super::Inner;
use crate::base::error::{Error, Result, RollbackReason};
use crate::base::ids::TableId;
use crate::base::options::OpenMode;
use crate::btree::Tree;
use crate::cache::Pressure;
use crate::checkpoint::{self, Parts, WriteTree};
use crate::evict::{ROUNDS_LEAST, Step};
use crate::page::PinnedLeaf;
use crate::sync::atomic::Ordering;

/// Without a log, or with long values, a checkpoint starts when so many times the log's volume was
/// written to the data file.
const FILE_VOLUME_FACTOR: u64 = 4;

/// How long a thread that finds the cache full sleeps before it tries again to make room itself.
const ROOM_NAP: Duration = Duration::from_millis(5);

/// How long it sleeps for readers to leave what was replaced.
const READERS_NAP: Duration = Duration::from_millis(1);

/// How many steps of eviction's clock one operation makes at most after it is done.
const HELP_STEPS_MAX: usize = 16;

impl Inner {
    /// Takes a checkpoint if anything changed since the last.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.checkpoint_at(&|_| {})
    }

    /// The same, at the pace of `pace`: it is called after each batch of pages with the time that the batch
    /// took.
    pub(super) fn checkpoint_at(&self, pace: &dyn Fn(Duration)) -> Result<()> {
        let mut count = self.turn.take();
        if self.failure.first().is_some() || !self.has_changed() {
            return self.failure.check();
        }
        self.take_checkpoint_at(&mut count, pace)
    }

    /// Takes a checkpoint whether or not anything changed.
    pub(super) fn checkpoint_now(&self) -> Result<()> {
        let mut count = self.turn.take();
        self.take_checkpoint(&mut count)
    }

    fn has_changed(&self) -> bool {
        let log = self.committer.log();
        let log_start = self.shared.blocks.superblock().root.log_start;
        // Relaxed: whoever asks holds the lock that its writers hold.
        self.unfinished.load(Ordering::Relaxed)
            || self.catalog.tree().is_dirty()
            || log.is_some_and(|log| log.end() > log_start)
            || self.catalog.with_trees(|trees| trees.iter().any(|tree| tree.is_dirty()))
    }

    pub(super) fn take_checkpoint(&self, count: &mut u32) -> Result<()> {
        self.take_checkpoint_at(count, &|_| {})
    }

    fn take_checkpoint_at(&self, count: &mut u32, pace: &dyn Fn(Duration)) -> Result<()> {
        *count += 1;
        // Until it is durable nothing else tells: the pages that it has written are clean.
        self.unfinished.store(true, Ordering::Relaxed);
        let next_table = || self.next_table();
        checkpoint::take(&Parts {
            blocks: &self.shared.blocks,
            transactions: &self.shared.transactions,
            committer: &self.committer,
            number: *count,
            log_epoch: self.log_epoch,
            log_end: self.log_end,
            catalog: self.catalog.tree(),
            next_table: &next_table,
            write_tables: &|write_tree, counts| self.write_tables(write_tree, counts),
            pace,
        })?;
        self.unfinished.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Writes every table, and its row of the catalog where that changed.
    fn write_tables(
        &self,
        write_tree: &mut WriteTree<'_>,
        counts: &[(TableId, u64)],
    ) -> Result<()> {
        for table in self.catalog.all() {
            let root = write_tree(table.tree())?;
            let counted = counts.iter().find(|(id, _)| *id == table.id());
            let rows = counted.map_or(root.home.rows, |(_, rows)| *rows);
            debug_assert_eq!(rows, root.home.rows, "the rows of {:?}", table.name());
            self.catalog.record(&table, root, rows)?;
        }
        Ok(())
    }

    /// Whether enough was written since the last checkpoint for the next.
    ///
    /// Counted from the log's end at the last checkpoint, not from where replay would start: a large
    /// transaction under way holds that back, and checkpoints one after the other would not move it.
    pub(super) fn wants_checkpoint(&self) -> bool {
        let limit = self.tuning.read().checkpoint_log_bytes;
        let allocated_bytes = self.shared.blocks.allocated_since_checkpoint_bytes();
        self.log_bytes_since_checkpoint() >= limit
            || allocated_bytes >= limit.saturating_mul(FILE_VOLUME_FACTOR)
    }

    fn log_bytes_since_checkpoint(&self) -> u64 {
        let through = self.shared.blocks.superblock().root.log_through;
        self.committer.log().map_or(0, |log| log.bytes_since(through))
    }

    /// Whether a checkpoint under way should come to its end soon: the log that would have to be replayed
    /// grows, memory is short, or the database is being closed.
    pub(super) fn is_checkpoint_urgent(&self) -> bool {
        let limit = self.tuning.read().checkpoint_log_bytes;
        self.log_bytes_since_checkpoint() >= limit.saturating_add(limit / 4)
            || self.shared.cache.wants_eviction()
            || self.bell.has_ended()
    }

    /// Moves eviction's clock by one step; not beside or after a close, because the file may be
    /// another process's to write then.
    pub(super) fn evict_step(&self) -> Result<Step> {
        let Some(_gate) = self.gate.try_enter() else {
            return Ok(Step { evicted: 0, went_round: true });
        };
        // The catalog's lock keeps the trees from being dropped.
        self.catalog.with_all_trees(|trees| self.clock.step(trees))
    }

    /// After a read that the leaf held by `pin` was looked at for: builds it again if so many reads had to
    /// look through its changes, each for so many `looks` at one key, that it pays.
    #[inline]
    pub(super) fn note_detour(&self, tree: &Tree, looks: u8, pin: &PinnedLeaf) {
        if looks > 0 && pin.leaf().is_some_and(|leaf| leaf.note_detour(looks)) {
            self.fold_for_readers(tree, pin);
        }
    }

    #[cold]
    fn fold_for_readers(&self, tree: &Tree, pin: &PinnedLeaf) {
        // Not beside or after a close: see `evict_step`.
        let Some(_gate) = self.gate.try_enter() else { return };
        if let Err(error) = tree.fold_for_readers(pin) {
            // The read is right all the same; whoever writes here next meets the damage.
            tracing::debug!(%error, "a page could not be folded for its readers");
        }
    }

    /// After an operation: rings for the evictor, helps it, or does its work where there is none.
    #[inline]
    pub(super) fn relieve(&self) {
        match self.shared.cache.pressure() {
            Pressure::None if self.options.background && self.shared.cache.takes_memory() => {
                self.bell.ring_evictor();
            }
            Pressure::None => {}
            Pressure::Background if self.options.background => self.bell.ring_evictor(),
            _ => self.help_evict(),
        }
    }

    /// What internal pages left in the allocator's heap goes back to the system, if it is much.
    pub(super) fn trim_heap(&self) {
        self.shared.cache.trim_heap(|| self.shared.reclaim());
    }

    /// Moves the clock by a step, and by some more while the cache is full: who only reads does not wait
    /// for room, but must not add pages faster than they leave.
    #[cold]
    fn help_evict(&self) {
        if self.options.background {
            self.bell.ring_evictor();
        } else {
            self.trim_heap();
        }
        for _ in 0..HELP_STEPS_MAX {
            if !self.shared.cache.wants_eviction() {
                return self.see_readers_out();
            }
            // A failure stays in memory and shows on the next write.
            if let Err(error) = self.evict_step() {
                return tracing::debug!(%error, "a page could not be evicted");
            }
            if self.shared.cache.pressure() < Pressure::Full {
                return;
            }
        }
    }

    /// Frees what was replaced. Where a reader that the system has put to sleep keeps it, more must not be
    /// replaced without end: above the cache's size, who adds to it sleeps for a millisecond. Not who adds nothing, for
    /// a cursor may keep its page for long.
    fn see_readers_out(&self) {
        self.shared.reclaim();
        let cache = &self.shared.cache;
        let used = cache.bytes_used();
        // Relaxed: two that sleep, or none, for one page do no harm.
        let used_then = self.used_by_readers.load(Ordering::Relaxed);
        if used <= cache.bytes_max() || cfg!(shuttle) {
            if used_then != 0 {
                self.used_by_readers.store(0, Ordering::Relaxed);
            }
        } else if used > used_then && cache.is_emptying() {
            cache.wait_for_room(READERS_NAP);
            self.used_by_readers.store(cache.bytes_used(), Ordering::Relaxed);
        }
    }

    /// Before a write: waits until the cache has room, making some, for at most `timeout`.
    #[inline]
    pub(super) fn make_room(&self, timeout: Duration) -> Result<()> {
        if self.shared.cache.pressure() < Pressure::Full {
            Ok(())
        } else {
            self.wait_for_room(timeout)
        }
    }

    /// The same where it is full.
    #[cold]
    pub(super) fn wait_for_room(&self, timeout: Duration) -> Result<()> {
        self.shared.stats.cache_waits.bump();
        let start = Instant::now();
        let mut fruitless = 0;
        let (mut rounds, mut naps) = (0, 0);
        let mut rung_at = None;
        let cache = &self.shared.cache;
        while cache.pressure() == Pressure::Full {
            self.failure.check()?;
            self.shared.reclaim();
            let left = timeout.saturating_sub(start.elapsed());
            if cache.is_emptying() && naps < 2 && !left.is_zero() {
                // Readers are on their way out; evicting more pages would replace more of them.
                naps += 1;
                cache.wait_for_room(left.min(READERS_NAP));
                continue;
            }
            naps = 0;
            // Where whole rounds of ours free nothing, the evictor would go round for nothing, too, until
            // somebody ends who kept something.
            let oldest = Some(self.shared.transactions.oldest());
            if fruitless == 0 || rung_at != oldest {
                rung_at = oldest;
                self.bell.ring_evictor();
            }
            let step = self.evict_step()?;
            rounds += usize::from(step.went_round);
            fruitless = if step.evicted > 0 { 0 } else { fruitless + usize::from(step.went_round) };
            if rounds < ROUNDS_LEAST {
                continue;
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() && cache.pressure() == Pressure::Full {
                let reason = RollbackReason::CacheFull {
                    pinned_bytes: cache.bytes_used(),
                    cache_bytes: cache.bytes_max(),
                };
                return Err(Error::Rollback { reason });
            }
            if fruitless >= ROUNDS_LEAST {
                cache.wait_for_room(left.min(ROOM_NAP));
            }
        }
        Ok(())
    }

    /// See [`super::Engine::close`].
    pub(super) fn close(&self) -> Result<()> {
        // Release: pairs with the Acquire loads in `check_open` and `is_closed`.
        if !self.gate.close(|| self.closed.store(true, Ordering::Release)) {
            return Ok(());
        }
        let writable = self.options.mode != OpenMode::ReadOnly;
        let outcome = if writable { self.close_files() } else { Ok(()) };
        let released = match self.lock.lock().take() {
            Some(lock) if outcome.is_ok() => lock.release(),
            // As after a crash: the sidecars stay, for the next open to recover.
            _ => Ok(()),
        };
        outcome.and(released)
    }

    fn close_files(&self) -> Result<()> {
        self.failure.check()?;
        if let Some(log) = self.committer.log() {
            log.close()?;
        }
        self.checkpoint()?;
        if self.shared.blocks.pending_free_bytes() > 0 {
            // What the checkpoint's own folding freed waits for the next one, and after a close
            // there is none: nobody would ever free it again.
            self.checkpoint_now()?;
        }
        self.shared.blocks.trim();
        match self.committer.log() {
            Some(log) => log.remove_all(),
            None => Ok(()),
        }
    }
}
