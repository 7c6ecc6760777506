//! The basics: inserts in random and in key order, point reads and scans, with everything in the
//! cache and with a cache of an eighth of the rows, by one thread and by two.
//!
//! Out of cache means out of the engine's: the operating system may still hold the file.

use std::time::Duration;

use super::{Bench, by_threads, ensure, report, timed, timed_loop};
use crate::data::{KEY_BYTES, ROW_BYTES, Random, Rows, belongs};
use crate::measure::Figure;
use crate::store::{Outcome, Store};

/// In which order keys come.
#[derive(Clone, Copy)]
enum Order {
    Random,
    Sorted,
}

impl Order {
    fn key(self, rows: Rows, index: u64) -> [u8; KEY_BYTES] {
        match self {
            Self::Random => rows.key(index),
            Self::Sorted => rows.sorted_key(index),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Sorted => "sorted",
        }
    }
}

/// Runs the basics.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let raw_bytes = bench.plan.records * ROW_BYTES;
    let caches = [("in cache", raw_bytes * 4), ("out of cache", raw_bytes / 8)];
    for (place, cache_bytes) in caches {
        let cache_bytes = cache_bytes.max(4 << 20);
        for order in [Order::Sorted, Order::Random] {
            for threads in [1, 2] {
                one_store(bench, place, cache_bytes, order, threads)?;
            }
        }
    }
    Ok(())
}

/// Fills one store and, where its rows came in random order, reads it.
fn one_store(
    bench: &Bench<'_>,
    place: &str,
    cache_bytes: u64,
    order: Order,
    threads: u64,
) -> Outcome<()> {
    let folder =
        bench.folder(&format!("{}-{threads}-{}", order.word(), place.replace(' ', "-")))?;
    let store = bench.open(&folder, cache_bytes)?;
    let (store_ref, rows, records) = (&*store, bench.rows, bench.plan.records);
    let label = |work: &str| format!("{work}, {place}, {threads} thread(s)");

    let (inserted, elapsed) = by_threads(threads, &|thread| {
        insert_share(store_ref, rows, order, records, thread, threads)
    })?;
    report(&Figure::rate(
        label(&format!("{} insert, autocommit", order.word())),
        inserted,
        elapsed,
    ))?;
    if matches!(order, Order::Random) {
        let budget = bench.plan.budget;
        let (reads, elapsed) =
            by_threads(threads, &|thread| read_share(store_ref, rows, records, thread, budget))?;
        report(&Figure::rate(label("point read"), reads, elapsed))?;
        let (scanned, elapsed) = by_threads(threads, &|_| scan(store_ref, records))?;
        report(&Figure::rate(label("range scan, rows"), scanned, elapsed))?;
    }
    let ((), elapsed) = timed(|| store.close())?;
    report(&Figure::time(label(&format!("close after {} insert", order.word())), elapsed))?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Inserts every `threads`th row, from `thread` on.
fn insert_share(
    store: &dyn Store,
    rows: Rows,
    order: Order,
    records: u64,
    thread: u64,
    threads: u64,
) -> Outcome<u64> {
    let mut inserted = 0;
    for index in (thread..records).step_by(usize::try_from(threads)?) {
        let key = order.key(rows, index);
        store.put(&key, &rows.value(&key))?;
        inserted += 1;
    }
    Ok(inserted)
}

fn read_share(
    store: &dyn Store,
    rows: Rows,
    records: u64,
    thread: u64,
    budget: Duration,
) -> Outcome<u64> {
    let mut done = 0;
    let mut random = Random(thread);
    store.read(&mut |reader| {
        done = timed_loop(records, budget, |_| {
            let key = rows.key(random.below(records));
            let mut sound = false;
            reader.get(&key, &mut |value| sound = belongs(&key, value))?;
            ensure(sound, || "a row is missing or wrong".to_owned())
        })?
        .0;
        Ok(())
    })?;
    Ok(done)
}

fn scan(store: &dyn Store, records: u64) -> Outcome<u64> {
    let mut seen = 0;
    store.read(&mut |reader| reader.range(b"\0", u64::MAX, &mut |_, _| seen += 1))?;
    ensure(seen == records, || format!("the scan saw {seen} rows of {records}"))?;
    Ok(seen)
}
