//! A long run of everything: nothing may grow.
//!
//! Laps of mixed load over a fixed set of keys, each from an open to a close, with checkpoints, evictions,
//! large transactions, tables that come and go. At the end of each lap resident memory and file size are
//! taken while the database is open, descriptors and threads after its close. Over the second half of
//! the run none of them may have a slope.
//!
//! ```text
//! RSHELVE_SOAK_SECONDS=60 cargo test -p rshelve-core --test engine soak -- --nocapture
//! ```
//!
//! The long form takes 30 minutes. The short one, five seconds, only sees that it runs.

use std::path::Path;
use std::time::{Duration, Instant};

use rshelve_core::Error;
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::{Engine, OpenTable};

use crate::harness::{Random, read_all, scaled, seed, table, value_of};

const THREADS: u64 = 3;
const KEYS: u64 = 4000;
const LAP: Duration = Duration::from_millis(1500);

/// A measure may drift by so much of its mean over the second half, and by so much on top.
const DRIFT_PERCENT: f64 = 5.0;

/// Below so many laps in the second half nothing is said about slopes.
const LAPS_LEAST: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Sample {
    seconds: f64,
    resident_bytes: f64,
    file_bytes: f64,
    descriptors: f64,
    threads: f64,
}

type Measure = fn(&Sample) -> f64;

#[test]
fn soak_grows_nothing() {
    let seconds = std::env::var("RSHELVE_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = seconds.unwrap_or_else(|| scaled(5, 1800));
    let seed = seed();
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let began = Instant::now();
    let mut samples = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        let sample = lap(&path, random.next());
        samples.push(Sample { seconds: began.elapsed().as_secs_f64(), ..sample });
        if samples.len() % 20 == 1 {
            println!("{:?}", samples.last());
        }
    }
    let second_half = &samples[samples.len() / 2..];
    let measures: [(&str, Measure, f64); 4] = [
        ("resident memory", |sample| sample.resident_bytes, 4e6),
        ("file size", |sample| sample.file_bytes, 1e6),
        ("descriptors", |sample| sample.descriptors, 0.5),
        ("threads", |sample| sample.threads, 0.5),
    ];
    for (name, measure, slack) in measures {
        let mean = second_half.iter().map(measure).sum::<f64>() / second_half.len() as f64;
        let drift = slope(second_half, measure) * seconds as f64 / 2.0;
        println!("{name}: {mean:.0}, drift over the second half {drift:+.1}");
        let is_level = drift <= mean * DRIFT_PERCENT / 100.0 + slack;
        assert!(second_half.len() < LAPS_LEAST || is_level, "{name} grows, seed {seed}");
    }
    println!("{} laps in {seconds} s", samples.len());
}

/// The slope of the straight line through `samples`, per second.
fn slope(samples: &[Sample], measure: Measure) -> f64 {
    let count = samples.len() as f64;
    let mean_x = samples.iter().map(|sample| sample.seconds).sum::<f64>() / count;
    let mean_y = samples.iter().map(measure).sum::<f64>() / count;
    let (mut xy, mut xx) = (0.0, 0.0);
    for sample in samples {
        let x = sample.seconds - mean_x;
        xy += x * (measure(sample) - mean_y);
        xx += x * x;
    }
    if xx == 0.0 { 0.0 } else { xy / xx }
}

/// From an open to a close.
fn lap(path: &Path, seed: u64) -> Sample {
    let mut random = Random::new(seed);
    let options = DatabaseOptions {
        durability: [Durability::Sync, Durability::Process, Durability::Checkpoint]
            [random.below(3) as usize],
        map_log: random.chance(70),
        cache_bytes_max: 4 << 20,
        log_segment_bytes: 512 << 10,
        checkpoint_log_bytes: 2 << 20,
        timeout: Duration::from_millis(200),
        ..DatabaseOptions::default()
    };
    let engine = Engine::open(path, options).expect("it opens");
    let eggs = engine.create_table("eggs", &table()).expect("a table");
    let end = Instant::now() + LAP;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, eggs) = (&engine, &eggs);
            scope.spawn(move || write(engine, eggs, seed ^ thread << 32, end));
        }
        scope.spawn(|| read(&engine, &eggs, end));
        scope.spawn(|| keep(&engine, end));
    });
    let resident_bytes = field("/proc/self/status", "VmRSS:") * 1024.0;
    let file_bytes = std::fs::metadata(path).expect("the file").len() as f64;
    drop(eggs);
    engine.close().expect("it closes");
    drop(engine);
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("proc").count() as f64;
    let threads = field("/proc/self/status", "Threads:");
    Sample { seconds: 0.0, resident_bytes, file_bytes, descriptors, threads }
}

fn field(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}

fn write(engine: &Engine, eggs: &OpenTable, seed: u64, end: Instant) {
    let mut random = Random::new(seed);
    let mut session = engine.session().expect("a session");
    while Instant::now() < end {
        let together = random.chance(20);
        let count = if together { 2 + random.below(60) } else { 1 };
        let outcome = (|| {
            if together {
                session.begin()?;
            }
            for _ in 0..count {
                let key = random.below(KEYS).to_be_bytes();
                let len = if random.chance(3) { 9000 } else { random.below(900) };
                if random.chance(20) {
                    session.remove(eggs, &key)?;
                } else {
                    session.put(eggs, &key, &value_of(len as usize, random.next()))?;
                }
            }
            if together { session.commit() } else { Ok(()) }
        })();
        match outcome {
            Ok(()) => {}
            Err(Error::Rollback { .. }) => {
                if session.in_transaction() {
                    session.rollback().expect("a rollback");
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn read(engine: &Engine, eggs: &OpenTable, end: Instant) {
    let mut session = engine.session().expect("a session");
    while Instant::now() < end {
        read_all(&mut session, eggs, false);
        session.release_snapshot();
    }
}

fn keep(engine: &Engine, end: Instant) {
    let mut session = engine.session().expect("a session");
    while Instant::now() < end {
        let passing = engine.create_table("passing", &table()).expect("a table");
        for number in 0..50_u32 {
            match session.put(&passing, &number.to_be_bytes(), &value_of(2000, 3)) {
                Ok(()) | Err(Error::Rollback { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        drop(passing);
        engine.checkpoint().expect("a checkpoint");
        engine.drop_table("passing").expect("a drop");
    }
}
