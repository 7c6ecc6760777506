//! The threads of an open database: the keeper (log syncs, checkpoints) and the evictor, which also gets memory
//! from the system before it is needed. The log's next segment is made by whichever of them comes to it first.
//!
//! Both sleep until somebody rings; time only bounds their sleep. A thread that panics latches its
//! reason as the database's failure, so that nobody goes on as if it still worked.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Inner;
use crate::base::error::{Error, Result};
use crate::base::options::Durability;
use crate::evict::ROUNDS_LEAST;
use crate::io::SyncPoint;
use crate::sync::Arc;
use crate::sync::thread::{self, JoinHandle};

/// How many times as long as it works a checkpoint rests that is in no hurry: whoever works beside it is slowed
/// down for a third of the time.
const REST_FACTOR: u32 = 2;

/// How long it rests at most before it looks again whether it is waited for.
const REST_MAX: Duration = Duration::from_millis(50);

/// Starts both threads.
pub(super) fn start(inner: &Arc<Inner>) -> Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, work: fn(&Inner)| {
        let inner = Arc::clone(inner);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || guarded(&inner, work))
            .map_err(|error| Error::io("start a thread for", &"the database".into(), error))
    };
    let keeper = spawn("rshelve-keeper", keep)?;
    match spawn("rshelve-evictor", evict) {
        Ok(evictor) => Ok(vec![keeper, evictor]),
        Err(error) => {
            inner.bell.end();
            let _ = keeper.join();
            Err(error)
        }
    }
}

fn guarded(inner: &Inner, work: fn(&Inner)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(inner))) {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message");
        inner.failure.latch(Error::Poisoned { why: why.into() });
    }
}

/// The keeper's life.
fn keep(inner: &Inner) {
    let keeper = Keeper { inner, last_sync: Cell::new(Instant::now()) };
    let checkpoint_interval = || inner.tuning.read().checkpoint_interval;
    let nap = || keeper.sync_interval().unwrap_or_else(checkpoint_interval);
    let mut last_checkpoint = Instant::now();
    while inner.bell.wait_keeper(nap()) {
        prepare_log(inner);
        keeper.sync_log();
        let is_due = last_checkpoint.elapsed() >= checkpoint_interval();
        if is_due || inner.wants_checkpoint() {
            keeper.report("a checkpoint", inner.checkpoint_at(&|worked| keeper.rest(worked)));
            last_checkpoint = Instant::now();
        }
    }
}

/// What the keeper knows.
struct Keeper<'k> {
    inner: &'k Inner,
    last_sync: Cell<Instant>,
}

impl Keeper<'_> {
    fn report(&self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.inner.report(what, &error);
        }
    }

    /// How often the log is synced, if it is for the keeper to do.
    fn sync_interval(&self) -> Option<Duration> {
        let options = &self.inner.options;
        (options.durability == Durability::Process).then_some(options.log_sync_interval)
    }

    /// Syncs the log if it is time.
    fn sync_log(&self) {
        if let Some(log) = self.inner.committer.log()
            && let Some(interval) = self.sync_interval()
            && self.last_sync.get().elapsed() >= interval
            && log.synced() < log.end()
        {
            self.report("a sync of the log", self.inner.committer.sync(SyncPoint::Background));
            self.last_sync.set(Instant::now());
        }
    }

    /// Between two batches of a checkpoint, of which the last took so long: does what else has to be done in
    /// time, and rests.
    fn rest(&self, worked: Duration) {
        prepare_log(self.inner);
        self.sync_log();
        if !self.inner.is_checkpoint_urgent() {
            self.inner.turn.pause((worked * REST_FACTOR).min(REST_MAX));
        }
    }
}

/// Makes the log's next segment if the current one is half full.
fn prepare_log(inner: &Inner) {
    if let Some(log) = inner.committer.log()
        && let Err(error) = log.prepare_next_if_half_full()
    {
        inner.report("preparing a log segment", &error);
    }
}

/// The evictor's life.
fn evict(inner: &Inner) {
    while inner.bell.wait_evictor() {
        inner.shared.cache.get_memory_ahead();
        prepare_log(inner);
        let mut fruitless = 0;
        while inner.shared.cache.wants_eviction()
            && fruitless < ROUNDS_LEAST
            && !inner.bell.has_ended()
        {
            match inner.evict_step() {
                Ok(step) if step.evicted > 0 => fruitless = 0,
                Ok(step) => fruitless += usize::from(step.went_round),
                Err(error) => {
                    inner.report("eviction", &error);
                    break;
                }
            }
        }
        inner.trim_heap();
        if inner.wants_checkpoint() {
            inner.bell.ring_keeper();
        }
    }
}
