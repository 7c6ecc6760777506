//! Instructions of single operations, counted by callgrind: a figure that is the same on a busy
//! machine and on a quiet one, so that a regression shows anywhere.
//!
//! The program runs itself under valgrind, once per operation. Callgrind counts only while the thread
//! is inside `operations::counted`, so that neither the setting up nor the engine's own threads are
//! counted. What it counts is set beside the baseline in `counts.txt`; nothing here ever fails for a
//! difference. Another processor may take another path through a checksum; a few percent mean little.

mod operations;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::store::Outcome;

const USAGE: &str = "rshelve-benches counts [options]\n\n\
    --baseline PATH    what to compare with (default benches/counts.txt of this tree)\n\
    --write            makes what was counted the baseline\n\
    --only TEXT        operations with this in their name\n\
    --folder PATH      where databases are made (default beside the program)";

/// The file of the baseline, unless the command line names another.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
/// The function in which callgrind counts.
const COUNTED: &str = "rshelve_bench_counted";
/// A change that is pointed out, as a share.
const REMARKABLE: f64 = 0.05;

struct Plan {
    baseline: PathBuf,
    writes: bool,
    only: String,
    folder: PathBuf,
    child: Option<String>,
}

/// Counts, and prints a table.
///
/// # Errors
/// An argument that makes no sense; the engine's. A missing valgrind is a line of text, no error.
pub fn main(mut arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let mut plan = Plan {
        baseline: PathBuf::from(BASELINE),
        writes: false,
        only: String::new(),
        folder: std::env::current_exe()?.with_file_name("bench-data"),
        child: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--baseline" => plan.baseline = PathBuf::from(value()?),
            "--write" => plan.writes = true,
            "--only" => plan.only = value()?,
            "--folder" => plan.folder = PathBuf::from(value()?),
            "--child" => plan.child = Some(value()?),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            _ => return Err(format!("what is {argument}? --help lists the options").into()),
        }
    }
    fs::create_dir_all(&plan.folder)?;
    match &plan.child {
        Some(name) => operations::run(name, &plan.folder),
        None => parent(&plan),
    }
}

fn parent(plan: &Plan) -> Outcome<()> {
    let probe = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let baseline = Counts::read(&plan.baseline)?;
    let mut counts = Counts::default();
    println!("| operation | instructions | baseline | change |\n|---|---:|---:|---:|");
    for name in operations::NAMES.into_iter().filter(|name| name.contains(&plan.only)) {
        let count = count(name, &plan.folder)?;
        println!("{}", line(name, count, baseline.of(name)));
        counts.0.push((name.to_owned(), count));
    }
    if plan.writes {
        fs::write(&plan.baseline, counts.text())?;
        println!("\nwritten: {}", plan.baseline.display());
    }
    Ok(())
}

fn line(name: &str, count: u64, before: Option<u64>) -> String {
    let Some(before) = before else { return format!("| {name} | {count} | - | new |") };
    let change = count as f64 / before.max(1) as f64 - 1.0;
    let mark = if change.abs() >= REMARKABLE { "**" } else { "" };
    format!("| {name} | {count} | {before} | {mark}{:+.1} %{mark} |", change * 100.0)
}

/// The instructions of one such operation, on average.
fn count(name: &str, folder: &Path) -> Outcome<u64> {
    let file = folder.join(format!("callgrind-{}.out", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["counts", "--child", name, "--folder"])
        .arg(folder)
        .output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}\n{told}", output.status).into());
    }
    let report = fs::read_to_string(&file)?;
    fs::remove_file(file)?;
    let times = operations::times(name).ok_or("no such operation")?;
    Ok(total(&report).ok_or("callgrind's report has no total")? / times)
}

/// The instructions in callgrind's report: its last "totals" or "summary" line.
fn total(report: &str) -> Option<u64> {
    let lines = report.lines().rev();
    let mut totals =
        lines.filter_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    totals.next()?.split_whitespace().next()?.parse().ok()
}

/// Counts by name, as `counts.txt` has them.
#[derive(Debug, Default, PartialEq)]
struct Counts(Vec<(String, u64)>);

impl Counts {
    /// None where there is no file yet.
    fn read(path: &Path) -> Outcome<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::of_text(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn of_text(text: &str) -> Outcome<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let counts = lines.map(|line| {
            let (count, name) = line.trim().split_once(' ').ok_or("a line without a name")?;
            Ok((name.trim().to_owned(), count.parse()?))
        });
        counts.collect::<Outcome<_>>().map(Self)
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# Instructions of single operations, by callgrind, in a release build.\n\
             # Written by `benches/run.sh counts --write`.\n",
        );
        for (name, count) in &self.0 {
            let _ = writeln!(text, "{count:>9} {name}");
        }
        text
    }

    fn of(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_their_text() {
        let counts = Counts(vec![("get, in cache".into(), 1234), ("open".into(), 7)]);
        assert_eq!(Counts::of_text(&counts.text()).expect("sound"), counts);
    }

    #[test]
    fn baseline_knows_every_operation() {
        let baseline = Counts::read(Path::new(BASELINE)).expect("it reads");
        for name in operations::NAMES {
            assert!(baseline.of(name).is_some(), "{name}: run `benches/run.sh counts --write`");
        }
    }

    #[test]
    fn total_is_read_and_changes_are_marked() {
        assert_eq!(total("events: Ir\nfn=(1)\n1 2\ntotals: 4321\n"), Some(4321));
        assert_eq!(total("events: Ir\n"), None);
        assert!(line("get", 106, Some(100)).contains("**+6.0 %**"));
        assert!(line("get", 103, Some(100)).contains("| +3.0 % |"));
    }

    #[test]
    fn every_operation_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in operations::NAMES {
            operations::run(name, folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
