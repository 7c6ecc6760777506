//! The command line: verifies a database, frees what is lost in it, or saves what can be read of a damaged one.
//!
//! It knows files and options, and nothing that the library's face does not have.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use rshelve::{Result, VerifyProgress, reclaim_file, salvage_file, verify_file};

const USAGE: &str = "\
usage: rshelve verify FILE         look at everything that the last checkpoint reaches
       rshelve salvage FILE NEW    save what can be read of FILE into a new database
       rshelve reclaim FILE        free what killed writers have left in use for nothing
       rshelve --version

verify and salvage never change FILE. verify reads the log that a crash left, too; salvage applies it.
The exit status is 0 when nothing is wrong, 1 when something is damaged or was lost,
and 2 when that cannot be told.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let outcome = match words.as_slice() {
        ["verify", _] => verify(Path::new(&arguments[1])),
        ["salvage", _, _] => salvage(Path::new(&arguments[1]), Path::new(&arguments[2])),
        ["reclaim", _] => reclaim(Path::new(&arguments[1])),
        ["-h" | "--help" | "help"] => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        ["-V" | "--version"] => {
            say(concat!("rshelve ", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&format!("rshelve: {error}"));
            match error {
                rshelve::Error::Corrupt(_) => ExitCode::from(1),
                _ => ExitCode::from(2),
            }
        }
    }
}

/// True when nothing is wrong.
fn verify(file: &Path) -> Result<bool> {
    let report = verify_file(file, &mut show)?;
    clear();
    say(report.to_string().trim_end());
    Ok(report.is_clean())
}

/// True when nothing was lost.
fn salvage(file: &Path, new_file: &Path) -> Result<bool> {
    let report = salvage_file(file, new_file, &mut show)?;
    clear();
    say(report.to_string().trim_end());
    Ok(report.is_whole())
}

/// True, or an error.
fn reclaim(file: &Path) -> Result<bool> {
    let bytes = reclaim_file(file)?;
    say(&format!("{}: {bytes} bytes freed", file.display()));
    Ok(true)
}

/// Shows on a terminal how far it is.
fn show(progress: &VerifyProgress) -> Result<()> {
    if stderr().is_terminal() {
        let percent = progress.bytes.saturating_mul(100) / progress.bytes_total.max(1);
        let table = progress.table.as_deref().unwrap_or("");
        let _ = write!(stderr(), "\r\x1b[K{} blocks, {percent} % {table}", progress.blocks);
    }
    Ok(())
}

fn clear() {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

/// Nobody may be reading: a pipe that is closed is no reason to panic.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
