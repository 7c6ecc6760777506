//! Larger than memory: rows of a kibibyte, ten times what the cache holds, under a hard limit of the
//! process's memory, page cache included.
//!
//! A process without a limit fills the store to nine tenths in random order, since an engine whose
//! fill is all that a run gets done tells nothing else. Under the limit, which holds none of that in
//! memory, the last tenth is inserted row by row (as far as the budget goes), rows are replaced and
//! read, and a scan reads from the first row on (as far as the budget goes). Each phase tells the bytes that went from and to the disk
//! for each operation; writes are timed, and their bytes counted, until they are synced.

use std::error::Error;
use std::time::{Duration, Instant};

use super::{Bench, ensure, report, timed, timed_loop};
use crate::data::{LARGE_ROW_BYTES, LargeValues, Random, Rows, belongs_large};
use crate::histogram::Histogram;
use crate::machine::DiskBytes;
use crate::measure::Figure;
use crate::store::{Access, Client, Commit, Outcome, Store};

/// Rows of one batch of the fill.
const BATCH_ROWS: u64 = 1000;
/// The store's own.
const FOLDER: &str = "larger";

/// Fills the store.
///
/// # Errors
/// The engine's own.
pub fn prepare(bench: &Bench<'_>) -> Outcome<()> {
    let count = filled(bench);
    let store = bench.open(&bench.folder(FOLDER)?, (2 * count * LARGE_ROW_BYTES).max(64 << 20))?;
    let ((), elapsed) = timed(|| fill(&*store, bench.rows, count))?;
    report(&Figure::rate("fill in batches of 1,000, all in cache", count, elapsed))?;
    store.close()
}

/// Rows that are there when the limit begins to hold.
fn filled(bench: &Bench<'_>) -> u64 {
    bench.plan.records / 10 * 9
}

/// Runs the phases.
///
/// # Errors
/// The engine's own, or a row that was not what it must be.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let folder = bench.folder(FOLDER)?;
    let (rows, budget, filled) = (bench.rows, bench.plan.budget, filled(bench));
    let store = bench.open(&folder, bench.plan.cache_bytes)?;
    let mut values = LargeValues::new(rows.seed);
    let mut put = |row: &str, index: &mut dyn FnMut(u64) -> u64, count: u64| {
        let (mut version, mut took) = (0, Histogram::default());
        let done = phase(row, || {
            let done = each(&*store, count, budget, &mut took, &mut |client, step| {
                let key = rows.key(index(step));
                version += 1;
                client.put(Commit::Unsynced, &key, values.value(&key, version))
            })?;
            store.sync()?;
            Ok(done)
        })?;
        latencies(row, &took)?;
        Ok::<_, Box<dyn Error + Send + Sync>>(done)
    };
    let inserted = put("random insert", &mut |step| filled + step, bench.plan.records - filled)?;
    let present = filled + inserted;
    let mut random = Random(11);
    let overwritten = put("random overwrite", &mut |_| random.below(present), u64::MAX)?;

    let (mut random, mut took) = (Random(12), Histogram::default());
    phase("random read", || {
        each(&*store, u64::MAX, budget, &mut took, &mut |client, _| {
            let key = rows.key(random.below(present));
            let mut sound = false;
            client.get(&key, &mut |value| sound = belongs_large(&key, value))?;
            ensure(sound, || "a row is missing or wrong".to_owned())
        })
    })?;
    latencies("random read", &took)?;
    phase("scan, rows", || scan(&*store, present, budget))?;
    let ((), elapsed) = timed(|| store.close())?;
    report(&Figure::time("close", elapsed))?;
    let stored = (inserted + overwritten) * LARGE_ROW_BYTES;
    let written = DiskBytes::now().written;
    report(&Figure::bytes_each(
        "written in all under the limit, to each byte stored",
        written,
        stored,
    ))?;
    report(&Figure::size("file size after close", super::disk_bytes(&folder)?))
}

/// Times `work`, which gives a number of operations, and counts the bytes that it moved; the number.
fn phase(row: &str, work: impl FnOnce() -> Outcome<u64>) -> Outcome<u64> {
    let before = DiskBytes::now();
    let (count, elapsed) = timed(work)?;
    let moved = DiskBytes::now().since(before);
    report(&Figure::rate(row, count, elapsed))?;
    report(&Figure::bytes_each(format!("{row}: bytes read each"), moved.read, count))?;
    report(&Figure::bytes_each(format!("{row}: bytes written each"), moved.written, count))?;
    Ok(count)
}

fn fill(store: &dyn Store, rows: Rows, count: u64) -> Outcome<()> {
    let mut values = LargeValues::new(rows.seed);
    for start in (0..count).step_by(BATCH_ROWS as usize) {
        store.write(Commit::Unsynced, Access::Blind, &mut |writer| {
            for index in start..count.min(start + BATCH_ROWS) {
                let key = rows.key(index);
                writer.insert(&key, values.value(&key, 0))?;
            }
            Ok(())
        })?;
    }
    store.sync()
}

fn latencies(row: &str, took: &Histogram) -> Outcome<()> {
    report(&Figure::time(format!("{row}: p99"), took.quantile(0.99)))?;
    report(&Figure::time(format!("{row}: longest"), took.longest()))
}

/// Single operations through one client, each of which is timed.
fn each(
    store: &dyn Store,
    count: u64,
    budget: Duration,
    took: &mut Histogram,
    step: &mut dyn FnMut(&mut dyn Client, u64) -> Outcome<()>,
) -> Outcome<u64> {
    let mut done = 0;
    store.serve(&mut |client| {
        done = timed_loop(count, budget, |index| {
            let start = Instant::now();
            step(client, index)?;
            took.add(start.elapsed());
            Ok(())
        })?
        .0;
        Ok(())
    })?;
    Ok(done)
}

/// Reads in key order, from the first row on until the budget is used up.
fn scan(store: &dyn Store, present: u64, budget: Duration) -> Outcome<u64> {
    let (mut seen, mut sound, mut next, begin) = (0, true, vec![0], Instant::now());
    store.read(&mut |reader| {
        while seen < present && begin.elapsed() < budget {
            let (start, before) = (next.clone(), seen);
            reader.range(&start, BATCH_ROWS, &mut |key, value| {
                seen += 1;
                sound &= key >= &start[..] && belongs_large(key, value);
                next.clear();
                next.extend_from_slice(key);
            })?;
            ensure(seen > before, || format!("the scan ended at row {seen} of {present}"))?;
            next.push(0); // The smallest key behind the last one.
        }
        Ok(())
    })?;
    ensure(sound, || "a scanned row is wrong".to_owned())?;
    Ok(seen)
}
