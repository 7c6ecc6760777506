//! What threads gain: our engine alone, at a cache that fits, with 1 to 16 threads.
//!
//! The first table has a row per mix of operations and number of threads, with latencies, and with the
//! time of them that an operation waited for other threads inside the engine (built with the feature
//! `waits`; `run.sh threads` does). The second sets two threads beside two processes, in turn.

mod crew;
mod ratios;
mod work;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rshelve::{Connection, DatabaseOptions, OpenMode};

use self::work::{Done, Field, Mix};
use crate::machine;
use crate::measure::Unit;
use crate::store::Outcome;

const USAGE: &str = "rshelve-benches threads [options]\n\n\
    --records N        rows of the table (default 200000)\n\
    --milliseconds N   length of each measurement (default 1000)\n\
    --rounds N         pairs of each comparison (default 7)\n\
    --only TEXT        the comparisons whose name has it, or the table of mixes\n\
    --folder PATH      where databases are made (default beside the program)";

/// How much is measured.
pub struct Plan {
    /// Rows of each table.
    records: u64,
    /// The length of each measurement.
    time: Duration,
    /// Pairs of each comparison.
    rounds: usize,
    /// Where databases are made.
    folder: PathBuf,
    /// What is measured: the comparisons whose name has this, or the `mixes`. None is everything.
    only: Option<String>,
}

impl Plan {
    fn has(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// Runs the benchmark, and prints its tables.
///
/// # Errors
/// An argument that makes no sense; the engine's.
pub fn main(mut arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let mut plan = Plan {
        records: 200_000,
        time: Duration::from_secs(1),
        rounds: 7,
        folder: std::env::current_exe()?.with_file_name("bench-data"),
        only: None,
    };
    let mut child = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--records" => plan.records = value()?.parse()?,
            "--milliseconds" => plan.time = Duration::from_millis(value()?.parse()?),
            "--rounds" => plan.rounds = value()?.parse()?,
            "--folder" => plan.folder = PathBuf::from(value()?),
            "--only" => plan.only = Some(value()?),
            "--child" => child = Some(value()?.parse()?),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            _ => return Err(format!("what is {argument}? --help lists the options").into()),
        }
    }
    std::fs::create_dir_all(&plan.folder)?;
    match child {
        Some(number) => crew::child(&plan, number),
        None => parent(&plan),
    }
}

/// Opens a new database with the log and the cache that so many have together.
fn open(path: &Path, databases: u64) -> Outcome<Connection> {
    let usual = DatabaseOptions::default();
    let options = DatabaseOptions {
        mode: OpenMode::Replace,
        cache_bytes_max: databases << 30,
        checkpoint_log_bytes: databases * usual.checkpoint_log_bytes,
        ..usual
    };
    Ok(Connection::open(path, options)?)
}

fn parent(plan: &Plan) -> Outcome<()> {
    println!("{}; {} rows\n", machine::description(), plan.records);
    if plan.has("mixes") {
        mixes(plan)?;
    }
    comparisons(plan)
}

fn mixes(plan: &Plan) -> Outcome<()> {
    let path = plan.folder.join("threads");
    let connection = open(&path, 1)?;
    let field = Field::fill(&connection, "table", plan.records)?;
    println!("| work | threads | per second | p50 | p99 | p99.9 | max | waited p99.9 | max |");
    println!("|---|{}", "---:|".repeat(8));
    for mix in Mix::ALL {
        for count in [1, 2, 4, 8, 16] {
            let done = work::run(&field, mix, count, plan.time)?;
            println!("{}", line(&mix.name(), count, plan.time, &done));
        }
    }
    connection.close()?;
    std::fs::remove_file(path)?;
    Ok(())
}

fn comparisons(plan: &Plan) -> Outcome<()> {
    println!("\n| compared | ratio (95 % interval) | wanted |\n|---|---:|---:|");
    ratios::all(plan, |compared| {
        let Some(ratio) = compared.ratio else { return };
        let interval = ratio.interval.map(|(low, high)| format!(" ({low:.2} to {high:.2})"));
        let interval = interval.unwrap_or_default();
        let wanted = compared.wanted.map_or("-".into(), |wanted| format!("{wanted:.2}"));
        println!("| {} | {:.2}{interval} | {wanted} |", compared.name, ratio.mean);
    })
}

fn line(name: &str, threads: u64, time: Duration, done: &Done) -> String {
    let rate = done.took.total() as f64 / time.as_secs_f64();
    let mut line = format!("| {name} | {threads} | {} |", Unit::PerSecond.show(rate));
    let seconds = |time: Duration| Unit::Seconds.show(time.as_secs_f64());
    for share in [0.5, 0.99, 0.999] {
        let _ = write!(line, " {} |", seconds(done.took.quantile(share)));
    }
    let _ = write!(line, " {} |", seconds(done.took.longest()));
    let waited = [done.waited.quantile(0.999), done.waited.longest()];
    if cfg!(feature = "waits") {
        let _ = write!(line, " {} | {} |", seconds(waited[0]), seconds(waited[1]));
    } else {
        line.push_str(" - | - |");
    }
    line
}
