//! The parent's side: every engine in every round, in a process of its own.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use crate::cli::{Command, Plan};
use crate::limit::Limit;
use crate::measure::Figure;
use crate::store::Outcome;

/// The figures of one engine in one round.
#[derive(Clone, Debug)]
pub struct Run {
    /// The engine.
    pub engine: &'static str,
    /// Which round, from 0.
    pub round: usize,
    /// What it measured, in the workload's order; all that there is up to a failure.
    pub figures: Vec<Figure>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Results {
    /// What was asked for.
    pub command: Command,
    /// Each engine in each round, in the order that they ran.
    pub runs: Vec<Run>,
    /// Engines that did not finish, with the reason.
    pub failures: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// Runs every round. An engine that fails keeps the figures that it got to.
pub fn rounds(command: &Command) -> Results {
    let (mut runs, mut failures, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..command.rounds {
        // Each engine comes first in turn, so that no place in the order is always the same one's.
        let mut order = command.engines.clone();
        let count = order.len();
        order.rotate_left(round % count);
        for engine in order {
            eprintln!("round {} of {}: {engine}", round + 1, command.rounds);
            let (figures, failure) = child(engine, command, &mut notes).unwrap_or_else(|error| {
                (Vec::new(), Some(format!("it could not be run: {error}")))
            });
            if let Some(why) = failure {
                failures.push(format!("{engine} did not finish round {}: {why}", round + 1));
            }
            runs.push(Run { engine, round, figures });
        }
    }
    notes.sort();
    notes.dedup();
    Results { command: command.clone(), runs, failures, notes }
}

/// The program of this very process, even where a build has replaced its file meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// One engine's figures, and why there are no more of them.
fn child(
    engine: &'static str,
    command: &Command,
    notes: &mut Vec<String>,
) -> Outcome<(Vec<Figure>, Option<String>)> {
    let folder = command.plan.folder.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    // What the engine before left for the disk to do is not this one's.
    sync_all_disks();
    let process = |limit: Option<&Limit>| {
        let mut process = Process::new(PROGRAM);
        process.args(arguments(engine, &command.plan)).arg("--folder").arg(&folder);
        if let Some(limit) = limit {
            process.arg("--limit").arg(limit.to_argument());
        }
        process.stderr(Stdio::inherit());
        process
    };
    let mut done = (Vec::new(), None);
    if command.plan.workload.is_prepared() {
        done = figures(process(None).arg("--prepare"))?;
        sync_all_disks();
        // What it wrote, the child under the limit would else find in memory.
        if command.memory_bytes_max.is_some() {
            forget_cached(&folder)?;
        }
    }
    if done.1.is_none() {
        let limit = command.memory_bytes_max.map(|bytes| {
            let (limit, note) = Limit::make(bytes);
            notes.extend(note);
            limit
        });
        let outcome = figures(&mut process(limit.as_ref()));
        limit.iter().for_each(Limit::remove);
        let (more, failure) = outcome?;
        done.0.extend(more);
        done.1 = failure;
    }
    fs::remove_dir_all(&folder)?;
    Ok(done)
}

fn sync_all_disks() {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::sync() };
}

/// Runs a child to its end.
fn figures(process: &mut Process) -> Outcome<(Vec<Figure>, Option<String>)> {
    let output = process.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failure = (!output.status.success()).then(|| output.status.to_string());
    Ok((text.lines().filter_map(Figure::of_line).collect(), failure))
}

/// Lets the page cache forget what it holds of a folder's files.
fn forget_cached(folder: &Path) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_cached(&entry.path())?;
            continue;
        }
        let file = fs::File::open(entry.path())?;
        // SAFETY: the descriptor is open; the advice changes no byte.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
    Ok(())
}

/// A child's command line, but for its folder.
fn arguments(engine: &str, plan: &Plan) -> Vec<String> {
    let Plan { workload, records, cache_bytes, seed, budget, sync_delay, folder: _ } = plan;
    let mut arguments = vec![workload.name().to_owned(), "--child".into(), engine.into()];
    for (name, value) in [
        ("--records", records.to_string()),
        ("--cache", cache_bytes.to_string()),
        ("--seed", seed.to_string()),
        ("--budget", budget.as_secs_f64().to_string()),
        ("--sync-delay", sync_delay.as_micros().to_string()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    arguments
}
