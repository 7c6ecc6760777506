//! The parent's side: every engine in every round, in a process of its own.

use std::fs;
use std::process::{Command as Process, Stdio};

use crate::cli::{Command, Plan};
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
}

/// Runs every round. An engine that fails keeps the figures that it got to.
pub fn rounds(command: &Command) -> Results {
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for round in 0..command.rounds {
        // Each engine comes first in turn, so that no place in the order is always the same one's.
        let mut order = command.engines.clone();
        let count = order.len();
        order.rotate_left(round % count);
        for engine in order {
            eprintln!("round {} of {}: {engine}", round + 1, command.rounds);
            let (figures, failure) = child(engine, command).unwrap_or_else(|error| {
                (Vec::new(), Some(format!("it could not be run: {error}")))
            });
            if let Some(why) = failure {
                failures.push(format!("{engine} did not finish round {}: {why}", round + 1));
            }
            runs.push(Run { engine, round, figures });
        }
    }
    Results { command: command.clone(), runs, failures }
}

/// The program of this very process, even where a build has replaced its file meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// One engine's figures, and why there are no more of them.
fn child(engine: &'static str, command: &Command) -> Outcome<(Vec<Figure>, Option<String>)> {
    let Plan { workload, records, cache_bytes, seed, budget, folder } = &command.plan;
    let folder = folder.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    // What the engine before left for the disk to do is not this one's.
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::sync() };
    let output = Process::new(PROGRAM)
        .args([workload.name(), "--child", engine])
        .args(["--records", &records.to_string(), "--cache", &cache_bytes.to_string()])
        .args(["--seed", &seed.to_string(), "--budget", &budget.as_secs().to_string()])
        .arg("--folder")
        .arg(&folder)
        .stderr(Stdio::inherit())
        .output()?;
    fs::remove_dir_all(&folder)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failure = (!output.status.success()).then(|| output.status.to_string());
    Ok((text.lines().filter_map(Figure::of_line).collect(), failure))
}
