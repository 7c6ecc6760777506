//! The log as a whole: what was written is what is read, whatever happened in between.

mod damage;
mod epochs;
mod failure;
mod writing;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn};
use crate::base::options::Durability;
use crate::io::SyncPoint;
use crate::wal::segment::HEADER_BYTES;
use crate::wal::testing::MemoryFolder;
use crate::wal::{BeforeSync, Hook, Log, LogOptions, Written, remove_segments, scan};

const ID: DatabaseId = DatabaseId([7; 16]);
/// A segment of 4 KiB holds 3072 positions.
const SMALL: u64 = 4 << 10;

fn options(segment_bytes_max: u64) -> LogOptions {
    LogOptions { segment_bytes_max, ..LogOptions::default() }
}

fn open(folder: &Arc<MemoryFolder>, epoch: u32, start: Lsn, options: LogOptions) -> Log {
    Log::open(Arc::clone(folder) as _, "spam", ID, epoch, start, options).unwrap()
}

fn small(folder: &Arc<MemoryFolder>) -> Log {
    open(folder, 1, Lsn(0), options(SMALL))
}

/// The same, where commits wait for the disk.
fn small_synced(folder: &Arc<MemoryFolder>) -> Log {
    open(folder, 1, Lsn(0), LogOptions { durability: Durability::Sync, ..options(SMALL) })
}

fn commit(log: &Log, payload: &[u8]) -> Result<Written> {
    let registration = log.register();
    let written = registration.append(1, &[payload])?;
    registration.wait_committed(written.end)?;
    Ok(written)
}

/// A payload that names its index, of a length that depends on it.
fn payload(index: u64) -> Vec<u8> {
    let mut bytes = index.to_le_bytes().to_vec();
    bytes.resize(8 + (index as usize * 37) % 200, index as u8);
    bytes
}

fn commit_all(log: &Log, indexes: impl IntoIterator<Item = u64>) -> Vec<Written> {
    indexes.into_iter().map(|index| commit(log, &payload(index)).unwrap()).collect()
}

/// Every record, and the position and epoch to go on from.
fn read(folder: &MemoryFolder, from: Lsn, epoch: u32) -> Result<(Vec<Vec<u8>>, Lsn, u32)> {
    let mut scan = scan(folder, "spam", ID, from, epoch)?;
    let mut payloads = Vec::new();
    let mut position = from;
    while let Some(record) = scan.next_record()? {
        assert!(record.position >= position && record.end > record.position);
        position = record.end;
        payloads.push(record.payload.to_vec());
    }
    assert!(scan.next_record()?.is_none(), "the end is the end");
    Ok((payloads, scan.end(), scan.next_epoch()?))
}

#[track_caller]
fn assert_reads(folder: &MemoryFolder, indexes: impl IntoIterator<Item = u64>) {
    let expected: Vec<_> = indexes.into_iter().map(payload).collect();
    let (payloads, _, _) = read(folder, Lsn(0), 1).unwrap();
    assert_eq!(payloads.len(), expected.len());
    assert!(payloads == expected);
}

/// What is read is a beginning of `0..`; its length.
#[track_caller]
fn assert_prefix(payloads: &[Vec<u8>], what: &str) -> usize {
    for (index, found) in payloads.iter().enumerate() {
        assert!(*found == payload(index as u64), "{what}: record {index} is wrong");
    }
    payloads.len()
}

/// A generator that a seed replays (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

fn is_corrupt(result: &Result<(Vec<Vec<u8>>, Lsn, u32)>) -> bool {
    matches!(result, Err(Error::Corrupt(_)))
}
