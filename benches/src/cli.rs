//! The command line, and the plan that it makes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::data::{LARGE_ROW_BYTES, ROW_BYTES};
use crate::limit::Limit;
use crate::store::Outcome;
use crate::stores;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// redb's published table.
    Table,
    /// The basics, in and out of cache, one and two threads.
    Basics,
    /// The Yahoo! Cloud Serving Benchmark, A to F.
    Ycsb,
    /// Ten times the cache, under a hard limit of memory.
    Larger,
    /// Keys that people have: lines, words, addresses.
    Keys,
    /// Durable commits by many threads, on a disk whose syncs take a while.
    Group,
}

/// What a workload runs with unless the command line says otherwise.
struct Defaults {
    records: u64,
    /// Rows hold so many times as many bytes as the cache; zero for a cache of 4 GiB.
    times_cache: u64,
    budget_s: f64,
    rounds: usize,
}

impl Workload {
    const ALL: [Self; 6] =
        [Self::Table, Self::Basics, Self::Ycsb, Self::Larger, Self::Keys, Self::Group];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Basics => "basics",
            Self::Ycsb => "ycsb",
            Self::Larger => "larger",
            Self::Keys => "keys",
            Self::Group => "group",
        }
    }

    /// Bytes of a row, where they are all of one length.
    pub fn row_bytes(self) -> Option<u64> {
        match self {
            Self::Table | Self::Basics | Self::Group => Some(ROW_BYTES),
            Self::Ycsb | Self::Larger => Some(LARGE_ROW_BYTES),
            Self::Keys => None,
        }
    }

    /// Whether a process of its own comes before it, whose memory nobody limits.
    pub fn is_prepared(self) -> bool {
        matches!(self, Self::Ycsb | Self::Larger)
    }

    /// The peers with a column of their own for the ratio, beside the best one's.
    pub fn rivals(self) -> &'static [&'static str] {
        match self {
            Self::Ycsb => &["wiredtiger"],
            Self::Larger => &["lmdb", "wiredtiger"],
            _ => &[],
        }
    }

    fn defaults(self, quick: bool) -> Defaults {
        let (records, times_cache, budget_s, rounds) = match (self, quick) {
            (Self::Table | Self::Basics, true) => (200_000, 0, 5.0, 3),
            (Self::Table | Self::Basics, false) => (5_000_000, 0, 20.0, 1),
            (Self::Ycsb, true) => (100_000, 4, 1.0, 1),
            (Self::Ycsb, false) => (2_000_000, 4, 10.0, 1),
            (Self::Larger, true) => (300_000, 10, 4.0, 1),
            (Self::Larger, false) => (2_500_000, 10, 60.0, 1),
            (Self::Keys, true) => (50_000, 0, 5.0, 1),
            (Self::Keys, false) => (1_000_000, 0, 20.0, 1),
            (Self::Group, true) => (1000, 0, 1.0, 1),
            (Self::Group, false) => (1000, 0, 5.0, 3),
        };
        Defaults { records, times_cache, budget_s, rounds }
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
    /// How long each sync of a file takes longer than the disk takes.
    pub sync_delay: Duration,
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
    /// The hard limit of each engine's memory, page cache included, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Where the results go.
    pub out: PathBuf,
    /// What to run in this very process.
    pub child: Option<Child>,
}

/// One engine's part.
#[derive(Clone, Debug)]
pub struct Child {
    /// The engine.
    pub engine: String,
    /// Whether it does what comes before the workload, and not the workload.
    pub prepares: bool,
    /// What keeps its memory down.
    pub limit: Option<Limit>,
}

/// The text for `--help`.
pub fn usage() -> String {
    format!(
        "rshelve-benches [WORKLOAD] [options]\n\
         \n\
         table    redb's published workload (the default)\n\
         basics   inserts, reads, scans; in and out of cache, one and two threads\n\
         ycsb     YCSB A to F, four times the cache, 1, 2 and 8 threads, with latencies\n\
         larger   ten times the cache, under a hard limit of memory\n\
         keys     source lines, words and addresses as keys\n\
         group    durable commits by 1, 4 and 16 threads where a sync takes a millisecond\n\
         threads  our engine with 1 to 16 threads; has options of its own\n\
         counts   instructions of single operations; has options of its own\n\
         classic  memory and file size over a long random fill; has options of its own\n\
         \n\
         --quick            a size for a quick look\n\
         --records N        another size\n\
         --rounds N         each engine so many times, interleaved; nine give an interval\n\
         --engines A,B      only these, of: {}\n\
         --cache BYTES      cache of each engine (default 4 GiB; ycsb: a quarter of the rows;\n\
         \x20                  larger: a tenth)\n\
         --memory BYTES     hard limit of each engine's memory, page cache included (default none;\n\
         \x20                  larger: 1.2 times the cache and 64 MiB)\n\
         --budget SECONDS   longest loop of single operations\n\
         --sync-delay US    what group adds to every sync (default 1000)\n\
         --seed N           other rows\n\
         --folder PATH      where stores are made (default beside the program)\n\
         --out PATH         where results.md and results.json go (default the same)",
        names().join(", ")
    )
}

/// What the command line said, and nothing else.
#[derive(Default)]
struct Said {
    quick: bool,
    workload: Option<Workload>,
    records: Option<u64>,
    rounds: Option<usize>,
    budget_s: Option<f64>,
    cache_bytes: Option<u64>,
    memory_bytes_max: Option<u64>,
    sync_delay_us: Option<u64>,
    seed: Option<u64>,
    engines: Option<Vec<&'static str>>,
    folder: Option<PathBuf>,
    out: Option<PathBuf>,
    child: Option<String>,
    prepares: bool,
    limit: Option<Limit>,
}

/// Reads the arguments; `None` asks for the usage.
///
/// # Errors
/// Names the argument that makes no sense.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Option<Command>> {
    let mut said = Said::default();
    while let Some(argument) = arguments.next() {
        let workload = Workload::ALL.into_iter().find(|workload| workload.name() == argument);
        if workload.is_some() {
            said.workload = workload;
            continue;
        }
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => said.quick = true,
            "--records" => said.records = Some(number(&value()?)?),
            "--rounds" => said.rounds = Some(number(&value()?)?),
            "--cache" => said.cache_bytes = Some(number(&value()?)?),
            "--memory" => said.memory_bytes_max = Some(number(&value()?)?),
            "--budget" => said.budget_s = Some(number(&value()?)?),
            "--sync-delay" => said.sync_delay_us = Some(number(&value()?)?),
            "--seed" => said.seed = Some(number(&value()?)?),
            "--engines" => said.engines = Some(chosen(&value()?)?),
            "--folder" => said.folder = Some(PathBuf::from(value()?)),
            "--out" => said.out = Some(PathBuf::from(value()?)),
            "--child" => said.child = Some(value()?),
            "--prepare" => said.prepares = true,
            "--limit" => said.limit = Some(Limit::of_argument(&value()?)?),
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("what is {argument}? --help lists the options").into()),
        }
    }
    said.command().map(Some)
}

impl Said {
    fn command(self) -> Outcome<Command> {
        let workload = self.workload.unwrap_or(Workload::Table);
        let defaults = workload.defaults(self.quick);
        let folder = match self.folder {
            Some(folder) => folder,
            None => std::env::current_exe()?.with_file_name("bench-data"),
        };
        let records = self.records.unwrap_or(defaults.records);
        let raw_bytes = records * workload.row_bytes().unwrap_or_default();
        let cache_bytes =
            self.cache_bytes.or(raw_bytes.checked_div(defaults.times_cache)).unwrap_or(4 << 30);
        let plan = Plan {
            workload,
            records,
            cache_bytes,
            seed: self.seed.unwrap_or(1),
            budget: Duration::try_from_secs_f64(self.budget_s.unwrap_or(defaults.budget_s))?,
            sync_delay: Duration::from_micros(self.sync_delay_us.unwrap_or(1000)),
            folder: folder.clone(),
        };
        let engines = self.engines.unwrap_or_else(default_names);
        if plan.records < 1000 || engines.is_empty() {
            return Err("give at least 1000 records and one engine".into());
        }
        // What design.md promises of our own memory; the peers get the same.
        let promised = (workload == Workload::Larger).then(|| cache_bytes * 6 / 5 + (64 << 20));
        Ok(Command {
            plan,
            rounds: self.rounds.unwrap_or(defaults.rounds),
            engines,
            memory_bytes_max: self.memory_bytes_max.or(promised),
            out: self.out.unwrap_or(folder),
            child: self.child.map(|engine| Child {
                engine,
                prepares: self.prepares,
                limit: self.limit,
            }),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        let arguments = line.split(' ').map(str::to_owned);
        parse(arguments).expect("sound").expect("no help asked for")
    }

    #[test]
    fn larger_gets_a_tenth_as_cache_and_a_limit() {
        let command = command("larger --records 10000");
        assert_eq!(command.plan.cache_bytes, 10_000 * LARGE_ROW_BYTES / 10);
        let limit = command.plan.cache_bytes * 6 / 5 + (64 << 20);
        assert_eq!(command.memory_bytes_max, Some(limit));
    }

    #[test]
    fn what_is_said_wins_over_the_defaults() {
        let said = command("ycsb --quick --cache 7000000 --budget 0.5 --rounds 2 --memory 9000000");
        assert_eq!((said.plan.cache_bytes, said.rounds), (7_000_000, 2));
        assert_eq!(said.plan.budget, Duration::from_millis(500));
        assert_eq!(said.memory_bytes_max, Some(9_000_000));
        assert!(parse(["--records".to_owned()].into_iter()).is_err());
        assert!(parse(["nonsense".to_owned()].into_iter()).is_err());
    }
}
