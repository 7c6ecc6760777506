//! The classic program: many records under random keys of ten bytes, each stored by itself, then read
//! in random order; memory and file size over time as CSV, which `plot.py` draws.
//!
//! Records are paragraphs of words, as the demo's; another length of them makes a larger count fit a
//! disk. The run ends in an error when the store does not hold every record at the end.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::data::Random;
use crate::machine;
use crate::measure::Unit;
use crate::store::{Client, Commit, Outcome, Setup};
use crate::stores::{self, OURS};
use crate::workload::disk_bytes;

const USAGE: &str = "rshelve-benches classic [options]\n\n\
    --records N        records (default 1000000)\n\
    --value-min BYTES  the shortest value (default 200)\n\
    --value-max BYTES  the longest (default 1000)\n\
    --cache BYTES      the engine's cache (default 268435456)\n\
    --engine NAME      another engine than ours\n\
    --reads N          random reads afterwards (default a tenth of the records)\n\
    --folder PATH      where the store is made (default beside the program)\n\
    --csv PATH         where the samples go (default classic.csv in the folder)";

/// Length of a key, in bytes.
const KEY_BYTES: usize = 10;
/// The text that paragraphs are cut from, in bytes.
const TEXT_BYTES: usize = 1 << 20;
/// Samples of a run, about.
const SAMPLES: u64 = 200;

struct Plan {
    records: u64,
    value_min: usize,
    value_max: usize,
    cache_bytes: u64,
    engine: String,
    reads: Option<u64>,
    folder: PathBuf,
    csv: Option<PathBuf>,
}

/// Runs the program, and prints what it came to.
///
/// # Errors
/// An argument that makes no sense; the engine's; a record that is missing or wrong.
pub fn main(mut arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let mut plan = Plan {
        records: 1_000_000,
        value_min: 200,
        value_max: 1000,
        cache_bytes: 256 << 20,
        engine: OURS.to_owned(),
        reads: None,
        folder: std::env::current_exe()?.with_file_name("bench-data"),
        csv: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--records" => plan.records = value()?.parse()?,
            "--value-min" => plan.value_min = value()?.parse()?,
            "--value-max" => plan.value_max = value()?.parse()?,
            "--cache" => plan.cache_bytes = value()?.parse()?,
            "--engine" => plan.engine = value()?,
            "--reads" => plan.reads = Some(value()?.parse()?),
            "--folder" => plan.folder = PathBuf::from(value()?),
            "--csv" => plan.csv = Some(PathBuf::from(value()?)),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            _ => return Err(format!("what is {argument}? --help lists the options").into()),
        }
    }
    if plan.records == 0 || plan.value_min < 8 || plan.value_max < plan.value_min {
        return Err(
            "give a record, and values of 8 bytes or more, the longest not below the shortest"
                .into(),
        );
    }
    run(&plan)
}

fn run(plan: &Plan) -> Outcome<()> {
    let engines = stores::engines();
    let engine = engines.iter().find(|engine| engine.name == plan.engine);
    let engine = engine.ok_or_else(|| format!("this build has no engine {}", plan.engine))?;
    let folder = plan.folder.join(format!("classic-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let setup = Setup {
        folder: &folder,
        cache_bytes: plan.cache_bytes,
        synced: false,
        memory_is_short: true,
        leaf_bytes: None,
    };
    let mut store = Some((engine.open)(setup)?);
    let records = Records::new(plan);
    let progress = Progress::default();
    let (csv, outcome) = thread::scope(|scope| {
        let sampler = scope.spawn(|| samples(&progress, &folder, plan));
        let outcome = work(&mut store, &records, &progress, plan);
        progress.ended.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        (sampler.join().expect("no panic"), outcome)
    });
    let bytes = disk_bytes(&folder)?;
    drop(store);
    fs::remove_dir_all(&folder)?;
    outcome?;
    let path = plan.csv.clone().unwrap_or_else(|| plan.folder.join("classic.csv"));
    fs::write(&path, csv?)?;
    println!(
        "file size after close {}, peak resident memory {}; samples in {}",
        Unit::Bytes.show(bytes as f64),
        Unit::Bytes.show(machine::peak_resident_bytes() as f64),
        path.display()
    );
    Ok(())
}

/// Where the program is. Relaxed throughout: the sampler only tells of it.
#[derive(Default)]
struct Progress {
    stored: AtomicU64,
    read: AtomicU64,
    ended: AtomicBool,
}

fn work(
    store: &mut Option<Box<dyn crate::store::Store>>,
    records: &Records,
    progress: &Progress,
    plan: &Plan,
) -> Outcome<()> {
    let open = store.as_deref().ok_or("no store")?;
    let start = Instant::now();
    open.serve(&mut |client| {
        (0..plan.records).try_for_each(|index| {
            let (key, value) = records.record(index);
            client.put(Commit::Unsynced, &key, value)?;
            progress.stored.store(index + 1, Ordering::Relaxed);
            Ok(())
        })
    })?;
    tell("stored", plan.records, start.elapsed());
    let (reads, start) = (plan.reads.unwrap_or(plan.records / 10), Instant::now());
    open.serve(&mut |client| reads_of(client, records, progress, plan.records, reads))?;
    tell("read", reads, start.elapsed());
    let count = open.len()?;
    if count != plan.records {
        return Err(format!("{count} records are there, {} should be", plan.records).into());
    }
    let start = Instant::now();
    store.take().map_or(Ok(()), crate::store::Store::close)?;
    println!("closed in {}", Unit::Seconds.show(start.elapsed().as_secs_f64()));
    Ok(())
}

fn reads_of(
    client: &mut dyn Client,
    records: &Records,
    progress: &Progress,
    count: u64,
    reads: u64,
) -> Outcome<()> {
    let mut random = Random(5);
    for read in 0..reads {
        let (key, value) = records.record(random.below(count));
        let mut sound = false;
        client.get(&key, &mut |found| sound = found == value)?;
        if !sound {
            return Err("a record is missing or wrong".into());
        }
        progress.read.store(read + 1, Ordering::Relaxed);
    }
    Ok(())
}

fn tell(what: &str, count: u64, elapsed: Duration) {
    let rate = Unit::PerSecond.show(count as f64 / elapsed.as_secs_f64().max(1e-9));
    println!("{what} {count} records in {:.1} s, {rate} a second", elapsed.as_secs_f64());
}

/// The samples as CSV, a line each, until the program has ended; fewer a second as it goes on.
fn samples(progress: &Progress, folder: &Path, plan: &Plan) -> Outcome<String> {
    let mut csv = String::from("seconds,stored,read,resident_bytes,file_bytes,cache_bytes\n");
    let (start, mut gap) = (Instant::now(), Duration::from_millis(50));
    let mut lines = 0;
    loop {
        let ended = progress.ended.load(Ordering::Relaxed);
        // A file may vanish between being listed and being looked at.
        let bytes = disk_bytes(folder).or_else(|_| disk_bytes(folder))?;
        let _ = writeln!(
            csv,
            "{:.2},{},{},{},{bytes},{}",
            start.elapsed().as_secs_f64(),
            progress.stored.load(Ordering::Relaxed),
            progress.read.load(Ordering::Relaxed),
            machine::resident_bytes(),
            plan.cache_bytes
        );
        if ended {
            return Ok(csv);
        }
        lines += 1;
        if lines % SAMPLES == 0 {
            gap *= 2;
        }
        thread::park_timeout(gap);
    }
}

/// The records: a function of their index.
struct Records {
    text: Vec<u8>,
    value_min: usize,
    value_max: usize,
}

impl Records {
    fn new(plan: &Plan) -> Self {
        const WORDS: &str = "the quick brown fox jumps over a lazy dog while seven wizards brew \
            strong tea in copper kettles beside an old library whose shelves hold paper maps";
        let words: Vec<_> = WORDS.split_whitespace().collect();
        let (mut text, mut random) = (Vec::with_capacity(TEXT_BYTES + 16), Random(7));
        while text.len() < TEXT_BYTES + plan.value_max {
            text.extend_from_slice(words[random.below(words.len() as u64) as usize].as_bytes());
            text.push(b' ');
        }
        Self { text, value_min: plan.value_min, value_max: plan.value_max }
    }

    fn record(&self, index: u64) -> ([u8; KEY_BYTES], &[u8]) {
        let mut random = Random(index << 2);
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&random.next().to_be_bytes());
        key[8..].copy_from_slice(&random.next().to_be_bytes()[..2]);
        let lengths = (self.value_max - self.value_min + 1) as u64;
        let length = self.value_min + random.below(lengths) as usize;
        let start = random.below(TEXT_BYTES as u64) as usize;
        (key, &self.text[start..start + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_stores_reads_and_samples() {
        let folder = tempfile::tempdir().expect("a folder");
        let csv = folder.path().join("samples.csv");
        let line =
            format!("--records 3000 --folder {0} --csv {0}/samples.csv", folder.path().display());
        main(line.split(' ').map(str::to_owned)).expect("it runs through");
        let samples = fs::read_to_string(csv).expect("it was written");
        let last = samples.lines().last().expect("a line");
        assert!(last.contains(",3000,300,"), "{last}");
    }
}
