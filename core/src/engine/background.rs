//! The threads of an open database: the keeper (log syncs, checkpoints) and the evictor. The log's next
//! segment is made by whichever of them comes to it first.
//!
//! Both sleep until somebody rings; time only bounds their sleep. A thread that panics latches its
//! reason as the database's failure, so that nobody goes on as if it still worked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::Inner;
use crate::base::error::{Error, Result};
use crate::base::options::Durability;
use crate::io::SyncPoint;
use crate::sync::Arc;
use crate::sync::thread::{self, JoinHandle};

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
    let syncs = inner.options.durability == Durability::Process;
    let sync_interval = inner.options.log_sync_interval;
    let checkpoint_interval = || inner.tuning.read().checkpoint_interval;
    let nap = || if syncs { sync_interval } else { checkpoint_interval() };
    let mut last_checkpoint = Instant::now();
    let mut last_sync = Instant::now();
    while inner.bell.wait_keeper(nap()) {
        let report = |what: &str, result: Result<()>| {
            if let Err(error) = result {
                inner.report(what, &error);
            }
        };
        prepare_log(inner);
        if let Some(log) = inner.committer.log()
            && syncs
            && last_sync.elapsed() >= sync_interval
            && log.synced() < log.end()
        {
            report("a sync of the log", inner.committer.sync(SyncPoint::Background));
            last_sync = Instant::now();
        }
        let is_due = last_checkpoint.elapsed() >= checkpoint_interval();
        if is_due || inner.wants_checkpoint() {
            report("a checkpoint", inner.checkpoint());
            last_checkpoint = Instant::now();
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
        prepare_log(inner);
        let mut fruitless = 0;
        while inner.shared.cache.wants_eviction() && fruitless < 4 && !inner.bell.has_ended() {
            match inner.evict_step() {
                Ok(step) if step.evicted > 0 => fruitless = 0,
                Ok(step) => fruitless += usize::from(step.went_round),
                Err(error) => {
                    inner.report("eviction", &error);
                    break;
                }
            }
        }
        if inner.wants_checkpoint() {
            inner.bell.ring_keeper();
        }
    }
}
