//! The child's side: one engine through one workload, its figures printed as they come.

mod basics;
mod table;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::{Plan, Workload};
use crate::data::Rows;
use crate::machine;
use crate::measure::Figure;
use crate::store::{Engine, Outcome, Setup, Store};
use crate::stores;

/// Runs the plan's workload on the engine called `name`.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(name: &str, plan: &Plan) -> Outcome<()> {
    let engines = stores::engines();
    let engine = engines.iter().find(|engine| engine.name == name);
    let engine = *engine.ok_or_else(|| format!("this build has no engine {name}"))?;
    let bench = Bench { engine, plan, rows: Rows { seed: plan.seed } };
    match plan.workload {
        Workload::Table => table::run(&bench)?,
        Workload::Basics => basics::run(&bench)?,
    }
    report(&Figure::size("peak resident memory", machine::peak_resident_bytes()))
}

/// What a workload works with.
struct Bench<'p> {
    engine: Engine,
    plan: &'p Plan,
    rows: Rows,
}

impl Bench<'_> {
    /// A folder for one store.
    fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.plan.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn open(&self, folder: &Path, cache_bytes: u64) -> Outcome<Box<dyn Store>> {
        (self.engine.open)(Setup { folder, cache_bytes })
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

/// Bytes that the files of a folder take on the disk.
fn disk_bytes(folder: &Path) -> Outcome<u64> {
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
                budget: Duration::from_secs(1),
                folder: folder.path().to_owned(),
            };
            run(engine.name, &plan).unwrap_or_else(|error| panic!("{}: {error}", engine.name));
        }
    }

    #[test]
    fn table_runs_through() {
        check(Workload::Table);
    }

    #[test]
    fn basics_run_through() {
        check(Workload::Basics);
    }
}
