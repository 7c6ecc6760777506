//! The Yahoo! Cloud Serving Benchmark (Cooper and others, 2010): its six mixes over rows of a
//! kibibyte, four times what the cache holds, by one, two and eight threads.
//!
//! As in its own clients, keys are `user` and a hash of the row's number; rows are chosen by a
//! scrambled Zipfian distribution of 0.99, the newest first in D; scans start anywhere and show 1 to
//! 100 rows. Each operation is a transaction of its own that waits for no disk. The mixes run in the
//! order A, B, C, F, D, E on one store, which D and E let grow. A process of its own loads it before,
//! whose memory nobody limits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, by_clients, ensure, report, timed};
use crate::data::{KEY_BYTES, LargeValues, Random, belongs_large};
use crate::histogram::Histogram;
use crate::measure::Figure;
use crate::store::{Access, Client, Commit, Outcome, Store};
use crate::zipf::{Zipf, fnv};

/// The store's own.
const FOLDER: &str = "ycsb";
/// Rows of one batch of the load.
const BATCH_ROWS: u64 = 1000;
/// Rows that a scan shows at most.
const SCAN_ROWS_MAX: u64 = 100;
/// Checkpoints that are read beside, at most.
const CHECKPOINTS_MAX: u32 = 20;

/// One of the six: what comes so many times in a hundred. The rest are reads.
struct Mix {
    name: &'static str,
    updates: u64,
    inserts: u64,
    scans: u64,
    modifies: u64,
    latest: bool,
}

const READS: Mix =
    Mix { name: "C: reads", updates: 0, inserts: 0, scans: 0, modifies: 0, latest: false };

const MIXES: [Mix; 6] = [
    Mix { name: "A: 50 reads, 50 updates", updates: 50, ..READS },
    Mix { name: "B: 95 reads, 5 updates", updates: 5, ..READS },
    READS,
    Mix { name: "F: 50 reads, 50 read-modify-writes", modifies: 50, ..READS },
    Mix { name: "D: 95 reads of the latest, 5 inserts", inserts: 5, latest: true, ..READS },
    Mix { name: "E: 95 scans, 5 inserts", inserts: 5, scans: 95, ..READS },
];

/// Loads the rows.
///
/// # Errors
/// The engine's own.
pub fn prepare(bench: &Bench<'_>) -> Outcome<()> {
    let store = bench.open(&bench.folder(FOLDER)?, bench.plan.cache_bytes)?;
    let ((), elapsed) = timed(|| load(&*store, bench))?;
    report(&Figure::rate("load, batches of 1,000", bench.plan.records, elapsed))?;
    store.close()
}

/// Runs the mixes.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let store = bench.open(&bench.folder(FOLDER)?, bench.plan.cache_bytes)?;
    let field = Field::new(bench.plan.records, bench.plan.seed);
    for threads in [1, 2, 8] {
        let section = format!("{threads} thread(s)");
        for mix in &MIXES {
            one_mix(&*store, &field, mix, threads, bench.plan.budget, &section)?;
        }
    }
    beside_checkpoints(&*store, &field, bench)?;
    let count = store.len()?;
    let expected = field.next.load(Ordering::Relaxed);
    ensure(count == expected, || format!("{count} rows are there, {expected} should be"))?;
    store.close()
}

/// The rows: which there are, and which come up how often.
struct Field {
    seed: u64,
    /// Rows of the load.
    loaded: u64,
    /// The number of the next row to be inserted. Relaxed: `pending` orders it.
    next: AtomicU64,
    /// To each thread a number not above that of the row that it inserts just now; the largest
    /// number when it inserts none. SeqCst with `next`, so that whoever sees a number taken also
    /// sees it pending.
    pending: Vec<AtomicU64>,
    zipf: Zipf,
}

impl Field {
    fn new(loaded: u64, seed: u64) -> Self {
        let pending = (0..64).map(|_| AtomicU64::new(u64::MAX)).collect();
        Self { seed, loaded, next: AtomicU64::new(loaded), pending, zipf: Zipf::new(loaded) }
    }

    /// The number behind the newest row before which all are there.
    fn end(&self) -> u64 {
        let next = self.next.load(Ordering::SeqCst);
        self.pending.iter().map(|of| of.load(Ordering::SeqCst)).fold(next, u64::min)
    }

    /// Takes a number for a new row, inserts it, and shows it to all.
    fn insert(&self, thread: usize, insert: impl FnOnce(u64) -> Outcome<()>) -> Outcome<()> {
        self.pending[thread].store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
        let outcome = insert(self.next.fetch_add(1, Ordering::SeqCst));
        self.pending[thread].store(u64::MAX, Ordering::SeqCst);
        outcome
    }

    /// A row that is there.
    fn choose(&self, latest: bool, random: &mut Random) -> u64 {
        let rank = self.zipf.next(random);
        if latest { self.end() - 1 - rank } else { fnv(rank) % self.loaded }
    }
}

/// `user` and twenty digits.
fn key(index: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"user00000000000000000000";
    let mut hash = fnv(index);
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (hash % 10) as u8;
        hash /= 10;
    }
    key
}

fn load(store: &dyn Store, bench: &Bench<'_>) -> Outcome<()> {
    let mut values = LargeValues::new(bench.plan.seed);
    for start in (0..bench.plan.records).step_by(BATCH_ROWS as usize) {
        store.write(Commit::Unsynced, Access::Blind, &mut |writer| {
            for index in start..bench.plan.records.min(start + BATCH_ROWS) {
                let key = key(index);
                writer.insert(&key, values.value(&key, 0))?;
            }
            Ok(())
        })?;
    }
    store.sync()
}

fn one_mix(
    store: &dyn Store,
    field: &Field,
    mix: &Mix,
    threads: usize,
    budget: Duration,
    section: &str,
) -> Outcome<()> {
    let (histograms, elapsed) = by_clients(store, threads, &|thread, client| {
        let mut worker = Worker::new(field, thread);
        let (mut histogram, start) = (Histogram::default(), Instant::now());
        while start.elapsed() < budget {
            histogram.add(worker.step(mix, client)?);
        }
        Ok(histogram)
    })?;
    let mut all = Histogram::default();
    histograms.iter().for_each(|histogram| all.merge(histogram));
    report(&Figure::rate(mix.name, all.total(), elapsed).under(section))?;
    let letter = &mix.name[..1];
    latencies(
        letter,
        section,
        &all,
        &[("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)],
    )
}

fn latencies(
    what: &str,
    section: &str,
    histogram: &Histogram,
    shares: &[(&str, f64)],
) -> Outcome<()> {
    for (name, share) in shares {
        let row = format!("{what}, {name}");
        report(&Figure::time(row, histogram.quantile(*share)).under(section))?;
    }
    Ok(())
}

/// One thread at its work.
struct Worker<'f> {
    field: &'f Field,
    thread: usize,
    random: Random,
    values: LargeValues,
}

impl<'f> Worker<'f> {
    fn new(field: &'f Field, thread: usize) -> Self {
        let random = Random(field.seed ^ fnv(thread as u64 + 1));
        Self { field, thread, random, values: LargeValues::new(field.seed) }
    }

    /// One operation of the mix, and how long the store took for it.
    fn step(&mut self, mix: &Mix, client: &mut dyn Client) -> Outcome<Duration> {
        let mut dice = self.random.below(100);
        let mut falls = |share: u64| {
            let hit = dice < share;
            dice = dice.wrapping_sub(share);
            hit
        };
        let [update, insert, scan, modify] =
            [mix.updates, mix.inserts, mix.scans, mix.modifies].map(&mut falls);
        if update {
            self.update(client, false)
        } else if insert {
            self.insert(client)
        } else if scan {
            self.scan(client)
        } else if modify {
            self.update(client, true)
        } else {
            self.read(mix.latest, client)
        }
    }

    fn read(&mut self, latest: bool, client: &mut dyn Client) -> Outcome<Duration> {
        let key = key(self.field.choose(latest, &mut self.random));
        let start = Instant::now();
        get(client, &key)?;
        Ok(start.elapsed())
    }

    fn update(&mut self, client: &mut dyn Client, reads_first: bool) -> Outcome<Duration> {
        let key = key(self.field.choose(false, &mut self.random));
        let value = self.values.value(&key, self.random.next());
        let start = Instant::now();
        if reads_first {
            get(client, &key)?;
        }
        client.put(Commit::Unsynced, &key, value)?;
        Ok(start.elapsed())
    }

    fn insert(&mut self, client: &mut dyn Client) -> Outcome<Duration> {
        let mut took = Duration::ZERO;
        self.field.insert(self.thread, |index| {
            let key = key(index);
            let value = self.values.value(&key, 0);
            let start = Instant::now();
            client.put(Commit::Unsynced, &key, value)?;
            took = start.elapsed();
            Ok(())
        })?;
        Ok(took)
    }

    fn scan(&mut self, client: &mut dyn Client) -> Outcome<Duration> {
        let first = key(self.field.choose(false, &mut self.random));
        let rows_max = 1 + self.random.below(SCAN_ROWS_MAX);
        let (mut seen, mut sound) = (0, true);
        let start = Instant::now();
        client.range(&first, rows_max, &mut |key, value| {
            sound &= (seen > 0 || key == first) && belongs_large(key, value);
            seen += 1;
        })?;
        let took = start.elapsed();
        ensure(sound && (1..=rows_max).contains(&seen), || "a scan is wrong".to_owned())?;
        Ok(took)
    }
}

fn get(client: &mut dyn Client, key: &[u8]) -> Outcome<()> {
    let mut sound = false;
    client.get(key, &mut |value| sound = belongs_large(key, value))?;
    ensure(sound, || "a row is missing or wrong".to_owned())
}

/// Point reads by one thread while a checkpoint runs, and in turn as long without one, after a tenth
/// of the rows were replaced each time.
fn beside_checkpoints(store: &dyn Store, field: &Field, bench: &Bench<'_>) -> Outcome<()> {
    let (mut beside, mut without) = (Histogram::default(), Histogram::default());
    let (mut spent, mut checkpoints) = (Duration::ZERO, 0);
    if !store.checkpoint()? {
        return Ok(());
    }
    while spent < bench.plan.budget && checkpoints < CHECKPOINTS_MAX {
        replace_a_tenth(store, field, checkpoints)?;
        let took = checkpoint_read_beside(store, field, &mut beside)?;
        store.serve(&mut |client| {
            let (mut worker, start) = (Worker::new(field, 0), Instant::now());
            while start.elapsed() < took {
                without.add(worker.read(false, client)?);
            }
            Ok(())
        })?;
        spent += took;
        checkpoints += 1;
    }
    let section = "point reads beside a checkpoint, 1 thread";
    let shares = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)];
    latencies("without one", section, &without, &shares)?;
    latencies("beside one", section, &beside, &shares)?;
    report(&Figure::time("a checkpoint of a tenth of the rows", spent / checkpoints).under(section))
}

fn replace_a_tenth(store: &dyn Store, field: &Field, version: u32) -> Outcome<()> {
    let mut values = LargeValues::new(field.seed);
    let mut random = Random(u64::from(version));
    for _ in 0..(field.loaded / 10).div_ceil(BATCH_ROWS) {
        store.write(Commit::Unsynced, Access::Blind, &mut |writer| {
            for _ in 0..BATCH_ROWS {
                let key = key(random.below(field.loaded));
                writer.insert(&key, values.value(&key, random.next()))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes a checkpoint on a thread of its own and reads until it is complete; how long it took.
fn checkpoint_read_beside(
    store: &dyn Store,
    field: &Field,
    histogram: &mut Histogram,
) -> Outcome<Duration> {
    let complete = AtomicBool::new(false);
    thread::scope(|scope| {
        let checkpoint = scope.spawn(|| {
            let outcome = timed(|| store.checkpoint());
            complete.store(true, Ordering::Relaxed);
            outcome
        });
        let read = store.serve(&mut |client| {
            let mut worker = Worker::new(field, 1);
            while !complete.load(Ordering::Relaxed) {
                histogram.add(worker.read(false, client)?);
            }
            Ok(())
        });
        let (_, took) = checkpoint.join().map_err(|_| "the checkpoint panicked")??;
        read.map(|()| took)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_users() {
        assert!(key(7).starts_with(b"user") && key(7)[4..].iter().all(u8::is_ascii_digit));
        assert_ne!(key(7), key(8));
    }

    #[test]
    fn end_stays_before_a_row_that_is_being_inserted() {
        let field = Field::new(10, 1);
        field
            .insert(3, |index| {
                assert_eq!((index, field.end()), (10, 10));
                field.insert(4, |index| {
                    assert_eq!((index, field.end()), (11, 10));
                    Ok(())
                })?;
                assert_eq!(field.end(), 10);
                Ok(())
            })
            .expect("nothing fails");
        assert_eq!(field.end(), 12);
    }

    #[test]
    fn mixes_are_what_they_say() {
        for mix in &MIXES {
            assert!(mix.updates + mix.inserts + mix.scans + mix.modifies <= 100, "{}", mix.name);
        }
    }
}
