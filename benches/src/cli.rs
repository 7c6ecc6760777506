//! The command line, and the plan that it makes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::store::Outcome;
use crate::stores;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// redb's published table.
    Table,
    /// The basics, in and out of cache, one and two threads.
    Basics,
}

impl Workload {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Basics => "basics",
        }
    }
}

/// How much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is measured.
    pub workload: Workload,
    /// Rows of the load; the other counts follow from it.
    pub records: u64,
    /// Cache of each engine, in bytes.
    pub cache_bytes: u64,
    /// Where rows come from.
    pub seed: u64,
    /// The longest that a loop of single operations goes on; its rate counts what it did.
    pub budget: Duration,
    /// Where the stores are made; removed behind each.
    pub folder: PathBuf,
}

/// One start of the program.
#[derive(Clone, Debug)]
pub struct Command {
    /// How much of what.
    pub plan: Plan,
    /// How often each engine runs.
    pub rounds: usize,
    /// The engines' names, in order.
    pub engines: Vec<&'static str>,
    /// Where the results go.
    pub out: PathBuf,
    /// The engine to run in this very process.
    pub child: Option<String>,
}

/// The full size of redb's table.
const RECORDS_FULL: u64 = 5_000_000;
/// The size for a quick look.
const RECORDS_QUICK: u64 = 200_000;

/// The text for `--help`.
pub fn usage() -> String {
    format!(
        "rshelve-benches [table | basics] [options]\n\
         \n\
         table    redb's published workload (the default)\n\
         basics   inserts, reads, scans; in and out of cache, one and two threads\n\
         threads  our engine with 1 to 16 threads; has options of its own\n\
         \n\
         --quick            {RECORDS_QUICK} records, three rounds (else {RECORDS_FULL}, one)\n\
         --records N        another size\n\
         --rounds N         each engine so many times, interleaved; nine give an interval\n\
         --engines A,B      only these, of: {}\n\
         --cache BYTES      cache of each engine (default 4294967296)\n\
         --budget SECONDS   longest loop of single operations (default 20, quick 5)\n\
         --seed N           other rows\n\
         --folder PATH      where stores are made (default beside the program)\n\
         --out PATH         where results.md and results.json go (default the same)",
        names().join(", ")
    )
}

/// Reads the arguments; `None` asks for the usage.
///
/// # Errors
/// Names the argument that makes no sense.
pub fn parse(arguments: impl Iterator<Item = String>) -> Outcome<Option<Command>> {
    let (mut quick, mut records, mut rounds, mut budget) = (false, None, None, None);
    let (mut workload, mut folder, mut out, mut child) = (Workload::Table, None, None, None);
    let (mut cache_bytes, mut seed, mut engines) = (4 << 30, 1, default_names());
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "table" => workload = Workload::Table,
            "basics" => workload = Workload::Basics,
            "--quick" => quick = true,
            "--records" => records = Some(number(&value()?)?),
            "--rounds" => rounds = Some(number(&value()?)?),
            "--cache" => cache_bytes = number(&value()?)?,
            "--budget" => budget = Some(number(&value()?)?),
            "--seed" => seed = number(&value()?)?,
            "--engines" => engines = chosen(&value()?)?,
            "--folder" => folder = Some(PathBuf::from(value()?)),
            "--out" => out = Some(PathBuf::from(value()?)),
            "--child" => child = Some(value()?),
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("what is {argument}? --help lists the options").into()),
        }
    }
    let folder = match folder {
        Some(folder) => folder,
        None => std::env::current_exe()?.with_file_name("bench-data"),
    };
    let plan = Plan {
        workload,
        records: records.unwrap_or(if quick { RECORDS_QUICK } else { RECORDS_FULL }),
        cache_bytes,
        seed,
        budget: Duration::from_secs(budget.unwrap_or(if quick { 5 } else { 20 })),
        folder: folder.clone(),
    };
    if plan.records < 1000 || engines.is_empty() {
        return Err("give at least 1000 records and one engine".into());
    }
    let rounds = rounds.unwrap_or(if quick { 3 } else { 1 });
    Ok(Some(Command { plan, rounds, engines, out: out.unwrap_or(folder), child }))
}

fn number<N: FromStr>(text: &str) -> Outcome<N> {
    text.parse().map_err(|_| format!("{text} is not a number").into())
}

fn chosen(list: &str) -> Outcome<Vec<&'static str>> {
    let known = names();
    let find = |name: &str| {
        let place = known.iter().copied().find(|other| *other == name);
        place.ok_or_else(|| format!("this build has no engine {name}; it has {known:?}").into())
    };
    list.split(',').map(find).collect()
}

fn names() -> Vec<&'static str> {
    stores::engines().iter().map(|engine| engine.name).collect()
}

fn default_names() -> Vec<&'static str> {
    let engines = stores::engines();
    engines.iter().filter(|engine| engine.by_default).map(|engine| engine.name).collect()
}
