//! redb's published workload: random keys of 24 bytes, random values of 150, all in memory.
//!
//! Every row that is read is checked, and the count at the end must be the expected one: an engine
//! that loses rows gets no figure.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, disk_bytes, ensure, report, timed, timed_loop};
use crate::data::{Random, Rows, belongs};
use crate::measure::Figure;
use crate::store::{Access, Commit, End, Outcome, Reader, Store};

/// How often what is done.
struct Counts {
    records: u64,
    singles: u64,
    batches: u64,
    batch_rows: u64,
    unsynced: u64,
    reads: u64,
    ranges: u64,
    pops_each_end: u64,
    budget: Duration,
}

impl Counts {
    fn of(bench: &Bench<'_>) -> Self {
        let records = bench.plan.records;
        Self {
            records,
            singles: 1000.min(records / 200),
            batches: 100.min(records / 4000),
            batch_rows: 1000,
            unsynced: 50_000.min(records / 10),
            reads: 1_000_000.min(records * 2),
            ranges: 500_000.min(records / 2),
            pops_each_end: 100_000.min(records / 40),
            budget: bench.plan.budget,
        }
    }
}

/// Runs the whole table.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let counts = Counts::of(bench);
    let folder = bench.folder("random")?;
    let open = || bench.open(&folder, bench.plan.cache_bytes);

    let store = open()?;
    bulk_load(&*store, bench.rows, &counts)?;
    store.close()?;
    report(&Figure::size("file size after load and close", disk_bytes(&folder)?))?;
    let (store, elapsed) = timed(open)?;
    report(&Figure::time("open", elapsed))?;

    scans(&*store, &counts)?;
    let mut stored = counts.records + commits(&*store, bench.rows, &counts)?;
    let (count, elapsed) = timed(|| store.len())?;
    ensure(count == stored, || format!("{count} rows are there, {stored} should be"))?;
    report(&Figure::time("len", elapsed))?;
    reads(&*store, bench.rows, &counts)?;
    for threads in [4, 8, 16, 32] {
        read_by_threads(&*store, bench.rows, &counts, threads)?;
    }
    stored -= removals(&*store, bench.rows, &counts)?;
    stored -= pops(&*store, &counts)?;
    stored -= retain(&*store)?;
    let count = store.len()?;
    ensure(count == stored, || format!("{count} rows are left, {stored} should be"))?;
    sizes(store, &folder, &open)?;
    sorted_load(bench)
}

fn bulk_load(store: &dyn Store, rows: Rows, counts: &Counts) -> Outcome<()> {
    let ((), elapsed) = timed(|| {
        store.write(Commit::Synced, Access::Blind, &mut |writer| {
            for index in 0..counts.records {
                let key = rows.key(index);
                writer.insert(&key, &rows.value(&key))?;
            }
            Ok(())
        })
    })?;
    report(&Figure::rate("bulk load, one transaction", counts.records, elapsed))
}

fn scans(store: &dyn Store, counts: &Counts) -> Outcome<()> {
    for row in ["full scan, just opened", "full scan"] {
        let mut seen = 0;
        let mut sound = true;
        let ((), elapsed) = timed(|| {
            store.read(&mut |reader| {
                reader.range(b"\0", u64::MAX, &mut |key, value| {
                    seen += 1;
                    sound &= belongs(key, value);
                })
            })
        })?;
        ensure(sound && seen == counts.records, || format!("the scan saw {seen} rows"))?;
        report(&Figure::rate(row, seen, elapsed))?;
    }
    Ok(())
}

/// Single commits and batches; how many rows they added.
fn commits(store: &dyn Store, rows: Rows, counts: &Counts) -> Outcome<u64> {
    let first = counts.records;
    let (singles, elapsed) = timed_loop(counts.singles, counts.budget, |index| {
        insert_rows(store, Commit::Synced, rows, first + index, 1)
    })?;
    report(&Figure::rate("durable single commits", singles, elapsed))?;

    let first = first + singles;
    let (batches, elapsed) = timed_loop(counts.batches, counts.budget, |index| {
        let start = first + index * counts.batch_rows;
        insert_rows(store, Commit::Synced, rows, start, counts.batch_rows)
    })?;
    let batched = batches * counts.batch_rows;
    report(&Figure::rate("durable batches of 1,000, keys", batched, elapsed))?;

    let first = first + batched;
    let (unsynced, elapsed) = timed_loop(counts.unsynced, counts.budget, |index| {
        insert_rows(store, Commit::Unsynced, rows, first + index, 1)
    })?;
    report(&Figure::rate("commits without sync", unsynced, elapsed))?;
    store.sync()?;
    Ok(singles + batched + unsynced)
}

fn insert_rows(
    store: &dyn Store,
    commit: Commit,
    rows: Rows,
    first: u64,
    count: u64,
) -> Outcome<()> {
    store.write(commit, Access::Blind, &mut |writer| {
        for index in first..first + count {
            let key = rows.key(index);
            writer.insert(&key, &rows.value(&key))?;
        }
        Ok(())
    })
}

fn reads(store: &dyn Store, rows: Rows, counts: &Counts) -> Outcome<()> {
    store.read(&mut |reader| {
        // The first pass is the warm-up that every engine gets.
        for row in [None, Some("random reads, 1 thread")] {
            let mut random = Random(7);
            let (reads, elapsed) = timed_loop(counts.reads, counts.budget, |_| {
                read_one(reader, rows, random.below(counts.records))
            })?;
            if let Some(row) = row {
                report(&Figure::rate(row, reads, elapsed))?;
            }
        }
        let mut random = Random(8);
        let (ranges, elapsed) = timed_loop(counts.ranges, counts.budget, |_| {
            let start = rows.key(random.below(counts.records));
            let (mut seen, mut sound) = (0, true);
            reader.range(&start, 10, &mut |key, value| {
                sound &= key >= &start[..] && belongs(key, value);
                seen += 1;
            })?;
            ensure(sound && (1..=10).contains(&seen), || "a range is wrong".to_owned())
        })?;
        report(&Figure::rate("random ranges of 10", ranges, elapsed))
    })
}

fn read_one(reader: &mut dyn Reader, rows: Rows, index: u64) -> Outcome<()> {
    let key = rows.key(index);
    let mut sound = false;
    reader.get(&key, &mut |value| sound = belongs(&key, value))?;
    ensure(sound, || format!("row {index} is missing or wrong"))
}

/// Each thread opens its reader before any of them reads; from the first start to the last end.
fn read_by_threads(store: &dyn Store, rows: Rows, counts: &Counts, threads: u64) -> Outcome<()> {
    let barrier = Barrier::new(usize::try_from(threads)?);
    let each = counts.reads / threads;
    let work = |thread: u64| -> Outcome<Span> {
        let (mut span, mut waited) = (None, false);
        let outcome = store.read(&mut |reader| {
            waited = true;
            barrier.wait();
            let start = Instant::now();
            let mut random = Random(100 + thread);
            let (reads, _) = timed_loop(each, counts.budget, |_| {
                read_one(reader, rows, random.below(counts.records))
            })?;
            span = Some(Span { start, end: Instant::now(), reads });
            Ok(())
        });
        if !waited {
            barrier.wait(); // A reader that failed to open holds nobody up.
        }
        outcome?;
        span.ok_or_else(|| "the store did not read".into())
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut all: Option<Span> = None;
    for span in spans {
        let span = span.map_err(|_| "a reading thread panicked")??;
        all = Some(all.map_or(span, |all| all.and(span)));
    }
    let all = all.ok_or("no thread read")?;
    let row = format!("random reads, {threads} threads");
    report(&Figure::rate(row, all.reads, all.end - all.start))
}

/// When threads read, and how often.
#[derive(Clone, Copy)]
struct Span {
    start: Instant,
    end: Instant,
    reads: u64,
}

impl Span {
    fn and(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            reads: self.reads + other.reads,
        }
    }
}

/// Removes half of the loaded rows in one transaction; how many that were.
fn removals(store: &dyn Store, rows: Rows, counts: &Counts) -> Outcome<u64> {
    let half = counts.records / 2;
    let ((), elapsed) = timed(|| {
        store.write(Commit::Synced, Access::Blind, &mut |writer| {
            (0..half).try_for_each(|index| writer.remove(&rows.key(index)))
        })
    })?;
    report(&Figure::rate("removal of half", half, elapsed))?;
    Ok(half)
}

/// Pops from either end in turn, in one transaction; how many rows that took.
fn pops(store: &dyn Store, counts: &Counts) -> Outcome<u64> {
    let mut popped = 0;
    let ((), elapsed) = timed(|| {
        store.write(Commit::Synced, Access::ReadWrite, &mut |writer| {
            popped = timed_loop(counts.pops_each_end * 2, counts.budget, |index| {
                let end = if index % 2 == 0 { End::First } else { End::Last };
                let mut sound = false;
                writer.pop(end, &mut |key, value| sound = belongs(key, value))?;
                ensure(sound, || "a popped row is missing or wrong".to_owned())
            })?
            .0;
            Ok(())
        })
    })?;
    report(&Figure::rate("pops from both ends", popped, elapsed))?;
    Ok(popped)
}

/// Removes about half of what is there by a predicate; how many rows that took.
fn retain(store: &dyn Store) -> Outcome<u64> {
    let (mut seen, mut removed) = (0, 0);
    let ((), elapsed) = timed(|| {
        store.write(Commit::Synced, Access::ReadWrite, &mut |writer| {
            writer.retain(&mut |key, _value| {
                let keep = key.last().is_none_or(|byte| byte & 1 == 0);
                seen += 1;
                removed += u64::from(!keep);
                keep
            })
        })
    })?;
    report(&Figure::rate("retain half, keys seen", seen, elapsed))?;
    Ok(removed)
}

fn sizes(
    store: Box<dyn Store>,
    folder: &Path,
    open: &dyn Fn() -> Outcome<Box<dyn Store>>,
) -> Outcome<()> {
    store.sync()?;
    report(&Figure::size("file size at the end", disk_bytes(folder)?))?;
    let ((), elapsed) = timed(|| store.close())?;
    report(&Figure::time("close", elapsed))?;
    report(&Figure::size("file size after close", disk_bytes(folder)?))?;
    let mut store = open()?;
    let (compacted, elapsed) = timed(|| store.compact())?;
    store.close()?;
    if compacted {
        report(&Figure::time("compaction", elapsed))?;
        report(&Figure::size("file size after compaction", disk_bytes(folder)?))?;
    }
    Ok(())
}

fn sorted_load(bench: &Bench<'_>) -> Outcome<()> {
    let (rows, records) = (bench.rows, bench.plan.records);
    let folder = bench.folder("sorted")?;
    let store = bench.open(&folder, bench.plan.cache_bytes)?;
    let ((), elapsed) = timed(|| {
        store.load_sorted(&mut |feed| {
            for index in 0..records {
                let key = rows.sorted_key(index);
                feed(&key, &rows.value(&key))?;
            }
            Ok(())
        })
    })?;
    report(&Figure::rate("sorted load", records, elapsed))?;
    let count = store.len()?;
    ensure(count == records, || format!("{count} rows were loaded, {records} should be"))?;
    store.close()?;
    report(&Figure::size("file size after sorted load and close", disk_bytes(&folder)?))
}
