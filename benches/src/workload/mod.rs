//! The child's side: one engine through one workload, its figures printed as they come.

mod basics;
mod group;
mod keys;
mod larger;
mod table;
mod ycsb;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{Plan, Workload};
use crate::data::Rows;
use crate::limit::Limit;
use crate::machine;
use crate::measure::Figure;
use crate::store::{Client, Engine, Outcome, Setup, Store};
use crate::stores;

/// Leaves of so many bytes where a miss, which is most reads, reads one for a row of a kibibyte.
const LEAF_BYTES_OUTGROWN: u32 = 8 << 10;

/// Runs the plan's workload on the engine called `name`: what comes before it alone where `prepares`.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(name: &str, plan: &Plan, prepares: bool, limit: Option<&Limit>) -> Outcome<()> {
    let engines = stores::engines();
    let engine = engines.iter().find(|engine| engine.name == name);
    let engine = *engine.ok_or_else(|| format!("this build has no engine {name}"))?;
    let memory_is_short = limit.is_some() || plan.workload == Workload::Larger;
    let bench = Bench { engine, plan, rows: Rows { seed: plan.seed }, memory_is_short };
    match plan.workload {
        Workload::Ycsb if prepares => return ycsb::prepare(&bench),
        Workload::Larger if prepares => return larger::prepare(&bench),
        Workload::Table => table::run(&bench)?,
        Workload::Basics => basics::run(&bench)?,
        Workload::Ycsb => ycsb::run(&bench)?,
        Workload::Larger => larger::run(&bench)?,
        Workload::Keys => keys::run(&bench)?,
        Workload::Group => group::run(&bench)?,
    }
    if let Some(bytes) = limit.and_then(Limit::peak_bytes) {
        report(&Figure::size("peak memory of the group, page cache included", bytes))?;
    }
    report(&Figure::size("peak resident memory", machine::peak_resident_bytes()))
}

/// What a workload works with.
struct Bench<'p> {
    engine: Engine,
    plan: &'p Plan,
    rows: Rows,
    /// Whether it is to hold much less than the rows, page cache included.
    memory_is_short: bool,
}

impl Bench<'_> {
    /// A folder for one store.
    fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.plan.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn open(&self, folder: &Path, cache_bytes: u64) -> Outcome<Box<dyn Store>> {
        let workload = self.plan.workload;
        let synced = [Workload::Table, Workload::Group].contains(&workload);
        let memory_is_short = self.memory_is_short;
        let outgrown = [Workload::Ycsb, Workload::Larger].contains(&workload);
        let leaf_bytes = outgrown.then_some(LEAF_BYTES_OUTGROWN);
        (self.engine.open)(Setup { folder, cache_bytes, synced, memory_is_short, leaf_bytes })
    }
}

/// Prints a figure for the parent.
fn report(figure: &Figure) -> Outcome<()> {
    println!("{}", figure.to_line());
    Ok(io::stdout().flush()?)
}

/// How long `work` took.
fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Duration)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}

/// Calls `step` with 0, 1, 2, ... up to `count` times or until the budget is used up; how many
/// times it was called, and how long that took.
fn timed_loop(
    count: u64,
    budget: Duration,
    mut step: impl FnMut(u64) -> Outcome<()>,
) -> Outcome<(u64, Duration)> {
    let start = Instant::now();
    for index in 0..count {
        if index % 64 == 63 && start.elapsed() > budget {
            return Ok((index, start.elapsed()));
        }
        step(index)?;
    }
    Ok((count, start.elapsed()))
}

/// Runs `work` on each thread; the sum of what they did, and how long the slowest took.
fn by_threads(
    threads: u64,
    work: &(dyn Fn(u64) -> Outcome<u64> + Sync),
) -> Outcome<(u64, Duration)> {
    let start = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let elapsed = start.elapsed();
    let mut sum = 0;
    for result in results {
        sum += result.map_err(|_| "a thread panicked")??;
    }
    Ok((sum, elapsed))
}

/// What a client's thread does.
type Work<'w, T> = &'w (dyn Fn(usize, &mut dyn Client) -> Outcome<T> + Sync);

/// Runs `work` on each thread with a client of its own, all of which are there before the first
/// begins; what each gave, and how long the slowest took.
fn by_clients<T: Send>(
    store: &dyn Store,
    threads: usize,
    work: Work<'_, T>,
) -> Outcome<(Vec<T>, Duration)> {
    let barrier = Barrier::new(threads);
    let one = |thread: usize| -> Outcome<(T, Duration)> {
        let (mut given, mut waited) = (None, false);
        let outcome = store.serve(&mut |client| {
            waited = true;
            barrier.wait();
            given = Some(timed(|| work(thread, client))?);
            Ok(())
        });
        if !waited {
            barrier.wait(); // A client that could not be had holds nobody up.
        }
        outcome?;
        given.ok_or_else(|| "the store did not serve".into())
    };
    let results: Vec<_> = thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let (mut all, mut slowest) = (Vec::new(), Duration::ZERO);
    for result in results {
        let (given, elapsed) = result.map_err(|_| "a thread panicked")??;
        all.push(given);
        slowest = slowest.max(elapsed);
    }
    Ok((all, slowest))
}

/// Bytes that the files of a folder take on the disk.
pub fn disk_bytes(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes +=
            if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// An error unless `condition` holds: a fast wrong answer is no figure.
fn ensure(condition: bool, what: impl FnOnce() -> String) -> Outcome<()> {
    if condition { Ok(()) } else { Err(what().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every engine of this build gets through every workload at a small size, all rows checked.
    fn check(workload: Workload) {
        for engine in stores::engines() {
            let folder = tempfile::tempdir().expect("a folder");
            let plan = Plan {
                workload,
                records: 4000,
                cache_bytes: 64 << 20,
                seed: 1,
                budget: Duration::from_millis(100),
                sync_delay: Duration::ZERO,
                folder: folder.path().to_owned(),
            };
            let name = engine.name;
            let part = |prepares| {
                run(name, &plan, prepares, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            };
            if workload.is_prepared() {
                part(true);
            }
            part(false);
        }
    }

    #[test]
    fn table_runs_through() {
        check(Workload::Table);
    }

    #[test]
    fn ycsb_runs_through() {
        check(Workload::Ycsb);
    }

    #[test]
    fn larger_runs_through() {
        check(Workload::Larger);
    }

    #[test]
    fn keys_run_through() {
        check(Workload::Keys);
    }

    #[test]
    fn group_runs_through() {
        check(Workload::Group);
    }

    #[test]
    fn basics_run_through() {
        check(Workload::Basics);
    }
}
