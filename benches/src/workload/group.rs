//! Group commit: single durable commits by 1, 4 and 16 threads, on a disk whose syncs take a while.
//!
//! Each sync of a file, whoever makes it, is followed by a delay ([`crate::sync_delay`]): syncs cost
//! little on this kind of machine, and much on most disks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Bench, by_clients, ensure, report};
use crate::histogram::Histogram;
use crate::measure::Figure;
use crate::store::{Commit, Outcome};
use crate::stores::FLOOR;
use crate::sync_delay;

/// Runs the commits.
///
/// # Errors
/// The engine's own.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let store = bench.open(&bench.folder("group")?, bench.plan.cache_bytes)?;
    let (rows, budget) = (bench.rows, bench.plan.budget);
    let next = AtomicU64::new(0);
    let mut stored = 0;
    sync_delay::set(bench.plan.sync_delay);
    for threads in [1, 4, 16] {
        let syncs = sync_delay::count();
        let (histograms, elapsed) = by_clients(&*store, threads, &|_, client| {
            let (mut histogram, start) = (Histogram::default(), Instant::now());
            while start.elapsed() < budget {
                let key = rows.key(next.fetch_add(1, Ordering::Relaxed));
                let before = Instant::now();
                client.put(Commit::Synced, &key, &rows.value(&key))?;
                histogram.add(before.elapsed());
            }
            Ok(histogram)
        })?;
        let syncs = sync_delay::count() - syncs;
        let mut all = Histogram::default();
        histograms.iter().for_each(|histogram| all.merge(histogram));
        stored += all.total();
        let row = format!("durable commits, {threads} thread(s)");
        let durable = syncs > 0 || bench.engine.name == FLOOR;
        ensure(durable, || format!("{row}: {} commits and not one sync", all.total()))?;
        report(&Figure::rate(&*row, all.total(), elapsed))?;
        report(&Figure::rate(format!("syncs of files, {threads} thread(s)"), syncs, elapsed))?;
        report(&Figure::time(format!("{row}: p50"), all.quantile(0.5)))?;
        report(&Figure::time(format!("{row}: p99"), all.quantile(0.99)))?;
    }
    sync_delay::set(std::time::Duration::ZERO);
    let count = store.len()?;
    ensure(count == stored, || format!("{count} rows are there, {stored} should be"))?;
    store.close()
}
