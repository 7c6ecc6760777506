//! Keys that people have: source lines, words, addresses with long common prefixes; in key order and
//! shuffled. Values are sixteen bytes, so that keys are what counts.

use std::path::Path;

use super::{Bench, disk_bytes, ensure, report, timed, timed_loop};
use crate::data::Random;
use crate::measure::{Figure, Unit};
use crate::store::{Access, Commit, Outcome, Store};
use crate::texts;
use crate::zipf::fnv;

/// Length of a value, in bytes.
const VALUE_BYTES: usize = 16;

/// Runs every kind of keys in both orders.
///
/// # Errors
/// The engine's own, a row that was not what it must be, or no texts on this machine.
pub fn run(bench: &Bench<'_>) -> Outcome<()> {
    let count = usize::try_from(bench.plan.records)?;
    for (name, mut keys) in texts::all(count, bench.plan.seed)? {
        let raw_bytes: usize = keys.iter().map(|key| key.len() + VALUE_BYTES).sum();
        let raw = Unit::Bytes.show(raw_bytes as f64);
        let section = format!("{name}: {} keys, {raw} with values of 16 bytes", keys.len());
        keys.sort_unstable();
        for order in ["sorted", "shuffled"] {
            if order == "shuffled" {
                texts::shuffle(&mut keys, bench.plan.seed);
            }
            let folder = bench.folder(&format!("{name} {order}"))?;
            fill_and_read(bench, &section, order, &keys, &folder)?;
            std::fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

fn fill_and_read(
    bench: &Bench<'_>,
    section: &str,
    order: &str,
    keys: &[Vec<u8>],
    folder: &Path,
) -> Outcome<()> {
    let count = keys.len() as u64;
    let rate = |work: &str, count, elapsed| {
        report(&Figure::rate(format!("{order}: {work}"), count, elapsed).under(section))
    };
    let store = bench.open(folder, bench.plan.cache_bytes)?;
    let ((), elapsed) = timed(|| {
        store.write(Commit::Synced, Access::Blind, &mut |writer| {
            keys.iter().try_for_each(|key| writer.insert(key, &value(key)))
        })
    })?;
    rate("insert, one transaction", count, elapsed)?;
    store.read(&mut |reader| {
        let mut random = Random(3);
        let (reads, elapsed) = timed_loop(count, bench.plan.budget, |_| {
            let key = &keys[random.below(count) as usize];
            let mut sound = false;
            reader.get(key, &mut |found| sound = found == value(key))?;
            ensure(sound, || format!("{} is missing or wrong", String::from_utf8_lossy(key)))
        })?;
        rate("random read", reads, elapsed)
    })?;
    let (seen, elapsed) = timed(|| scan(&*store, count))?;
    rate("full scan", seen, elapsed)?;
    store.close()?;
    let size = Figure::size(format!("{order}: file size after close"), disk_bytes(folder)?);
    report(&size.under(section))
}

fn scan(store: &dyn Store, expected: u64) -> Outcome<u64> {
    let (mut seen, mut sound, mut last) = (0, true, Vec::new());
    store.read(&mut |reader| {
        reader.range(b"\0", u64::MAX, &mut |key, found| {
            sound &= found.len() == VALUE_BYTES && (seen == 0 || key > &last[..]);
            seen += 1;
            last.clear();
            last.extend_from_slice(key);
        })
    })?;
    ensure(sound && seen == expected, || format!("the scan saw {seen} rows of {expected}"))?;
    Ok(seen)
}

/// The value that belongs to `key`.
fn value(key: &[u8]) -> [u8; VALUE_BYTES] {
    // Eight bytes at a time, since this is timed with the store's work.
    let word = key.chunks(8).fold(key.len() as u64, |word: u64, chunk| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        (word.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&word.to_le_bytes());
    value[8..].copy_from_slice(&fnv(word).to_le_bytes());
    value
}
