//! The engine beside its peers: one command, one table.
//!
//! `rshelve-benches` starts itself once per engine and round, so that each engine has a process,
//! its memory and its background threads to itself, and the rounds interleave the engines. A child
//! prints its measurements as lines; the parent makes one Markdown table of them, and JSON.

mod classic;
mod cli;
mod counts;
mod data;
mod histogram;
mod limit;
mod machine;
mod measure;
mod report;
mod run;
mod statistics;
mod store;
mod stores;
mod sync_delay;
mod texts;
mod threads;
mod workload;
mod zipf;

use std::process::ExitCode;

use crate::limit::Limit;
use crate::store::Outcome;

/// The allocator of our engine and of the peers in Rust; those in C and C++ keep the C library's.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match go() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rshelve-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go() -> Outcome<ExitCode> {
    let mut arguments = std::env::args().skip(1).peekable();
    let own: Option<fn(_) -> _> = match arguments.peek().map(String::as_str) {
        Some("threads") => Some(threads::main),
        Some("counts") => Some(counts::main),
        Some("classic") => Some(classic::main),
        _ => None,
    };
    if let Some(main) = own {
        arguments.next();
        main(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(command) = cli::parse(arguments)? else {
        println!("{}", cli::usage());
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(child) = &command.child {
        let limit = child.limit.as_ref();
        limit.map_or(Ok(()), Limit::enter)?;
        workload::run(&child.engine, &command.plan, child.prepares, limit)?;
        return Ok(ExitCode::SUCCESS);
    }
    let results = run::rounds(&command);
    let table = report::markdown(&results);
    println!("{table}");
    std::fs::create_dir_all(&command.out)?;
    std::fs::write(command.out.join("results.md"), table)?;
    std::fs::write(command.out.join("results.json"), report::json(&results))?;
    eprintln!("written: {0}/results.md and {0}/results.json", command.out.display());
    let whole = results.failures.is_empty();
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
