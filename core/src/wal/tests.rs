//! The log as a whole: what was written is what is read, whatever happened in between.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Lsn};
use crate::base::options::Durability;
use crate::io::SyncPoint;
use crate::wal::segment::HEADER_BYTES;
use crate::wal::testing::MemoryFolder;
use crate::wal::{Hook, Log, LogOptions, Written, remove_segments, scan};

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

// Writing and reading back.

#[test]
fn log_creates_nothing_before_the_first_record() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    drop(log.register());
    assert_eq!(log.sync(SyncPoint::Background).unwrap(), Lsn(0));
    log.close().unwrap();
    log.remove_all().unwrap();
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn log_round_trips_mapped_and_written() {
    for map in [true, false] {
        for refuse in [true, false] {
            let folder = Arc::new(MemoryFolder::default());
            folder.knobs.no_map.store(refuse, SeqCst);
            let log = open(&folder, 1, Lsn(0), LogOptions { map, ..options(SMALL) });
            commit_all(&log, 0..200);
            assert_reads(&folder, 0..200);
        }
    }
}

#[test]
fn record_parts_are_joined_and_kinds_kept() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let written = log.register().append(9, &[b"", b"to", b"", b"gether"]).unwrap();
    log.register().append(0, &[]).unwrap();
    assert!(matches!(log.register().append(255, &[]), Err(Error::Invalid { .. })));
    let mut scan = scan(&*folder, "spam", ID, Lsn(0), 1).unwrap();
    let record = scan.next_record().unwrap().unwrap();
    assert_eq!((record.kind, record.payload), (9, b"together".as_slice()));
    assert_eq!((record.position, record.end), (written.position, written.end));
    let record = scan.next_record().unwrap().unwrap();
    assert_eq!((record.kind, record.epoch, record.payload), (0, 1, b"".as_slice()));
    assert!(scan.next_record().unwrap().is_none());
}

#[test]
fn record_may_straddle_windows_and_be_larger_than_the_first_segment() {
    let folder = Arc::new(MemoryFolder::default());
    let log = open(&folder, 1, Lsn(0), LogOptions::default());
    let most = log.payload_bytes_max() as usize;
    let payloads: Vec<_> = [most, 300_000, most - 5, 1_200_000, most, 7, most, most]
        .iter()
        .enumerate()
        .map(|(index, &len)| (0..len).map(|at| (at * 31 + index) as u8).collect::<Vec<u8>>())
        .collect();
    for payload in &payloads {
        commit(&log, payload).unwrap();
    }
    assert!(matches!(commit(&log, &vec![0; most + 1]), Err(Error::Invalid { .. })));
    assert!(read(&folder, Lsn(0), 1).unwrap().0 == payloads);
}

#[test]
fn log_starts_small() {
    let folder = Arc::new(MemoryFolder::default());
    let log = open(&folder, 1, Lsn(0), LogOptions::default());
    commit_all(&log, 0..10);
    assert_eq!(folder.get("spam-wal00000001").len(), 1 << 20);
    assert_eq!(folder.knobs.syncs(SyncPoint::SegmentFill), 0, "the first sync does it");
}

#[test]
fn scan_starts_anywhere() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let written = commit_all(&log, 0..100);
    for (index, record) in written.iter().enumerate() {
        let (payloads, end, epoch) = read(&folder, record.position, 1).unwrap();
        assert_eq!((payloads.len(), end, epoch), (100 - index, log.end(), 2));
        assert!(payloads[0] == payload(index as u64));
    }
    assert_eq!(read(&folder, log.end(), 1).unwrap().0.len(), 0);
}

// Damage.

/// A log in three segments whose records say in turns that they were synced; and where each
/// record lies.
fn synced_log() -> (Arc<MemoryFolder>, Vec<Written>) {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let mut written = Vec::new();
    for index in 0..50 {
        written.push(commit(&log, &payload(index)).unwrap());
        if index % 5 == 4 {
            log.sync(SyncPoint::Background).unwrap();
        }
    }
    (folder.killed(), written)
}

fn is_corrupt(result: &Result<(Vec<Vec<u8>>, Lsn, u32)>) -> bool {
    matches!(result, Err(Error::Corrupt(_)))
}

#[test]
fn unsynced_log_cut_at_every_byte_is_a_prefix() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let written = commit_all(&log, 0..12);
    let name = &folder.names()[0];
    let bytes = folder.get(name);
    for len in 0..bytes.len() {
        let cut = folder.killed();
        cut.put(name, bytes[..len].to_vec());
        let (payloads, ..) = read(&cut, Lsn(0), 1).unwrap();
        let count = assert_prefix(&payloads, "cut");
        // All whose payload is there: padding is not needed.
        let whole = written.iter().enumerate().filter(|(index, record)| {
            let size = 32 + payload(*index as u64).len() as u64;
            HEADER_BYTES + record.position.0 + size <= len as u64
        });
        assert_eq!(count, whole.count(), "cut to {len}");
    }
}

#[test]
fn synced_log_cut_at_every_byte_is_a_prefix_or_an_error() {
    let (folder, written) = synced_log();
    for name in folder.names() {
        let bytes = folder.get(&name);
        for len in 0..bytes.len() {
            let cut = folder.killed();
            cut.put(&name, bytes[..len].to_vec());
            match read(&cut, Lsn(0), 1) {
                Ok((payloads, ..)) => drop(assert_prefix(&payloads, "cut")),
                Err(Error::Corrupt(_)) => {}
                Err(error) => panic!("{name} cut to {len}: {error}"),
            }
        }
        // The last segment ends the log; of the others something later says it was synced.
        let last = folder.names().last() == Some(&name);
        let cut = folder.killed();
        cut.put(&name, bytes[..HEADER_BYTES as usize].to_vec());
        assert_eq!(is_corrupt(&read(&cut, Lsn(0), 1)), !last, "{name} without records");
    }
    assert_eq!(written.len(), 50);
}

#[test]
fn every_flipped_byte_is_an_error_or_a_right_answer() {
    let (folder, written) = synced_log();
    // What the last witness says: everything before record 45 was durable.
    let proven = written[45].position;
    for name in folder.names() {
        let bytes = folder.get(&name);
        for at in 0..bytes.len() {
            let flipped = folder.killed();
            let mut content = bytes.clone();
            content[at] ^= 1 << (at % 8);
            flipped.put(&name, content);
            let result = read(&flipped, Lsn(0), 1);
            let count = match &result {
                Ok((payloads, ..)) => assert_prefix(payloads, &format!("{name} at {at}")),
                Err(Error::Corrupt(_)) if at as u64 >= HEADER_BYTES => continue,
                Err(error) => panic!("{name} at {at}: {error}"),
            };
            let lost = written.get(count).map(|record| record.position);
            assert!(
                lost.is_none_or(|position| position >= proven),
                "{name} at {at}: lost a durable record without a word"
            );
            if (at as u64) < HEADER_BYTES {
                assert_eq!(count, 50, "{name} at {at}: the other copy of the header serves");
            }
        }
    }
}

#[test]
fn flipped_record_that_was_synced_is_corrupt_with_file_and_offset() {
    let (folder, written) = synced_log();
    let name = folder.names()[0].clone();
    let mut bytes = folder.get(&name);
    let offset = HEADER_BYTES + written[3].position.0;
    bytes[offset as usize + 40] ^= 4;
    folder.put(&name, bytes);
    let Err(Error::Corrupt(corruption)) = read(&folder, Lsn(0), 1) else { panic!("no error") };
    assert_eq!((&*corruption.file, corruption.offset), (&*name, offset));
    // A checkpoint behind it does not care.
    assert_eq!(read(&folder, written[4].position, 1).unwrap().0.len(), 46);
}

#[test]
fn segment_without_both_headers_still_bears_witness() {
    let (folder, written) = synced_log();
    let [first, second, third] = <[String; 3]>::try_from(folder.names()).unwrap();
    for (name, corrupt) in [(&first, true), (&second, true)] {
        let damaged = folder.killed();
        let mut bytes = damaged.get(name);
        bytes[..HEADER_BYTES as usize].fill(0);
        damaged.put(name, bytes);
        assert_eq!(is_corrupt(&read(&damaged, Lsn(0), 1)), corrupt, "{name}");
    }
    // Alone, without its header, and even with its first page gone: the records in it know.
    let damaged = Arc::new(MemoryFolder::default());
    let mut bytes = folder.get(&first);
    bytes[..HEADER_BYTES as usize + 300].fill(0);
    damaged.put(&first, bytes);
    assert!(is_corrupt(&read(&damaged, Lsn(0), 1)));
    let _ = (third, written);
}

#[test]
fn missing_middle_segment_is_corrupt_only_if_it_was_synced() {
    for sync in [true, false] {
        let folder = Arc::new(MemoryFolder::default());
        let log = small(&folder);
        for index in 0..100 {
            commit(&log, &payload(index)).unwrap();
            if sync && index % 10 == 0 {
                log.sync(SyncPoint::Background).unwrap();
            }
        }
        let names = folder.names();
        assert!(names.len() > 3);
        for name in &names[..names.len() - 2] {
            let missing = folder.killed();
            crate::io::Storage::remove(&*missing, name).unwrap();
            let result = read(&missing, Lsn(0), 1);
            assert_eq!(is_corrupt(&result), sync, "without {name}");
            if let Ok((payloads, ..)) = result {
                assert!(assert_prefix(&payloads, name) < 100);
            }
        }
    }
}

#[test]
fn segment_names_do_not_matter() {
    let (folder, _) = synced_log();
    let names = folder.names();
    // Swapped.
    let [first, second] = [&names[0], &names[1]].map(|name| folder.get(name));
    let swapped = folder.killed();
    swapped.put(&names[0], second.clone());
    swapped.put(&names[1], first.clone());
    assert_reads(&swapped, 0..50);
    // A whole copy, a half one that was made while the log was written, before and behind.
    for name in ["spam-wal00000000", "spam-wal00000099", "spam-wal123456789"] {
        let copied = folder.killed();
        copied.put(name, second.clone());
        assert_reads(&copied, 0..50);
        let mut half = first.clone();
        half[HEADER_BYTES as usize + 500..].fill(0);
        copied.put(name, half);
        assert_reads(&copied, 0..50);
    }
}

#[test]
fn files_that_are_no_segments_count_for_nothing() {
    let (folder, _) = synced_log();
    for (name, content) in [
        ("spam-wal00000090", vec![]),
        ("spam-wal00000091", vec![0; 5000]),
        ("spam-wal00000092", b"a diary".to_vec()),
        ("spam-wal00000093", vec![0xff; 100_000]),
        ("spam-wal0000094", folder.get("spam-wal00000001")),
        ("spam-wall", b"bricks".to_vec()),
    ] {
        folder.put(name, content);
    }
    assert_reads(&folder, 0..50);
    // Nor are they overwritten, whatever they are.
    let log = open(&folder, 2, read(&folder, Lsn(0), 1).unwrap().1, options(SMALL));
    commit_all(&log, 50..60);
    assert_reads(&folder, 0..60);
    assert_eq!(folder.get("spam-wal00000092"), b"a diary");
    remove_segments(&*folder, "spam", ID, 9).unwrap();
    let left = ["spam-wal00000092", "spam-wal00000093", "spam-wal0000094", "spam-wall"];
    assert_eq!(folder.names(), left);
}

#[test]
fn segment_of_another_database_is_not_replayed_nor_removed() {
    let (folder, _) = synced_log();
    let other = DatabaseId([8; 16]);
    let mut scan = scan(&*folder, "spam", other, Lsn(0), 1).unwrap();
    assert!(scan.is_empty() && scan.next_record().unwrap().is_none());
    let before = folder.names();
    remove_segments(&*folder, "spam", other, 100).unwrap();
    assert_eq!(folder.names(), before);
    // Its headers forged, its records still are not ours.
    let forged = Arc::new(MemoryFolder::default());
    let theirs = small(&forged);
    commit_all(&theirs, 0..1);
    let mut bytes = folder.get("spam-wal00000001");
    let ours = Log::open(Arc::clone(&forged) as _, "eggs", other, 1, Lsn(0), options(SMALL));
    commit(&ours.unwrap(), b"x").unwrap();
    let header = forged.get("eggs-wal00000001");
    bytes[..HEADER_BYTES as usize].copy_from_slice(&header[..HEADER_BYTES as usize]);
    forged.put("eggs-wal00000001", bytes);
    let mut scan = crate::wal::scan(&*forged, "eggs", other, Lsn(0), 1).unwrap();
    assert!(!scan.is_empty() && scan.next_record().unwrap().is_none());
}

#[test]
fn later_format_is_refused_by_name() {
    let (folder, _) = synced_log();
    let mut bytes = folder.get("spam-wal00000001");
    for copy in [0, 512] {
        bytes[copy + 8] = 2;
        let sum = crate::base::checksum::crc32(&bytes[copy..copy + 48]).to_le_bytes();
        bytes[copy + 48..copy + 52].copy_from_slice(&sum);
    }
    folder.put("spam-wal00000001", bytes);
    let error = read(&folder, Lsn(0), 1).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(error.to_string().contains("spam-wal00000001"), "{error}");
}

// Epochs.

#[test]
fn epoch_goes_on_where_the_one_before_ended() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let written = commit_all(&log, 0..30);
    // A torn end: the last three are gone, the two behind the first of them are still there.
    let folder = folder.killed();
    let name = folder.names().pop().unwrap();
    let mut bytes = folder.get(&name);
    let torn = bytes.len() as u64 - (log_end_of(&folder, &name) - written[27].position.0);
    bytes[torn as usize + 33] ^= 1;
    folder.put(&name, bytes);
    assert_reads(&folder, 0..27);
    for round in 0..4 {
        let first = 27 + 5 * round;
        let (_, end, epoch) = read(&folder, Lsn(0), 1).unwrap();
        assert_eq!(u64::from(epoch), round + 2);
        let log = open(&folder, epoch, end, options(SMALL));
        commit_all(&log, first..first + 5);
        assert_reads(&folder, 0..first + 5);
    }
}

/// The position at which a segment file ends.
fn log_end_of(folder: &MemoryFolder, name: &str) -> u64 {
    let bytes = folder.get(name);
    let start = u64::from_le_bytes(bytes[32..40].try_into().unwrap());
    start + bytes.len() as u64 - HEADER_BYTES
}

#[test]
fn earlier_epoch_is_not_replayed() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..30);
    assert_eq!(read(&folder, Lsn(0), 2).unwrap().0.len(), 0, "the superblock says epoch two");
    // The same positions again, in epoch two, as after a checkpoint that named them.
    let log = open(&folder, 2, Lsn(0), options(SMALL));
    commit_all(&log, 100..103);
    let (payloads, ..) = read(&folder, Lsn(0), 2).unwrap();
    assert_eq!(payloads, [100, 101, 102].map(payload));
    remove_segments(&*folder, "spam", ID, 2).unwrap();
    let (payloads, ..) = read(&folder, Lsn(0), 2).unwrap();
    assert_eq!(payloads.len(), 3);
}

#[test]
fn lost_recovery_is_not_mistaken_for_the_next_one() {
    // Epoch two writes two records; a power loss keeps only the second.
    let folder = Arc::new(MemoryFolder::default());
    commit_all(&small(&folder), 0..3);
    let end = read(&folder, Lsn(0), 1).unwrap().1;
    let lost = open(&folder, 2, end, LogOptions { durability: Durability::Sync, ..options(SMALL) });
    let unlucky = lost.register().append(1, &[&payload(3)]).unwrap();
    lost.register().append(1, &[&payload(99)]).unwrap();
    let name = folder.names().pop().unwrap();
    let mut bytes = folder.get(&name);
    let offset = (HEADER_BYTES + unlucky.position.0 - end.0) as usize;
    bytes[offset..offset + 32].fill(0);
    folder.put(&name, bytes);
    // The next recovery writes a record as long as the lost one, and must not find the other.
    let (payloads, end, epoch) = read(&folder, Lsn(0), 1).unwrap();
    assert_eq!((payloads.len(), epoch), (3, 3));
    commit_all(&open(&folder, epoch, end, options(SMALL)), 3..4);
    assert_reads(&folder, 0..4);
}

#[test]
fn later_epoch_bears_witness_for_what_came_before() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let written = commit_all(&log, 0..10);
    commit_all(&open(&folder, 2, log.end(), options(SMALL)), 10..12);
    let mut bytes = folder.get("spam-wal00000001");
    bytes[(HEADER_BYTES + written[5].position.0) as usize + 8] ^= 1;
    folder.put("spam-wal00000001", bytes);
    assert!(is_corrupt(&read(&folder, Lsn(0), 1)));
}

#[test]
fn scan_sync_makes_what_was_read_durable() {
    let folder = Arc::new(MemoryFolder::default());
    commit_all(&small(&folder), 0..30);
    assert!(read(&folder.lost(512, || false), Lsn(0), 1).unwrap().0.is_empty());
    scan(&*folder, "spam", ID, Lsn(0), 1).unwrap().sync(&*folder).unwrap();
    assert_reads(&folder.lost(512, || false), 0..30);
}

#[test]
fn open_refuses_what_makes_no_sense() {
    let folder = Arc::new(MemoryFolder::default());
    for (epoch, start, size) in [(0, 0, SMALL), (1, 4, SMALL), (1, 0, 100), (1, 0, 2 << 30)] {
        let log = Log::open(Arc::clone(&folder) as _, "a", ID, epoch, Lsn(start), options(size));
        assert!(matches!(log, Err(Error::Invalid { .. })));
    }
}

// Recycling.

#[test]
fn released_segments_are_used_again_and_their_old_records_are_dead() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    let mut from = Lsn(0);
    let mut first = 0;
    for round in 0..40 {
        let written = commit_all(&log, 13 * round..13 * (round + 1));
        assert!(folder.names().len() <= 6, "{:?}", folder.names());
        let (payloads, end, _) = read(&folder, from, 1).unwrap();
        let expected: Vec<_> = (first..13 * (round + 1)).map(payload).collect();
        assert!(payloads == expected, "round {round}");
        assert_eq!(end, log.end());
        (from, first) = (written[7].position, 13 * round + 7);
        log.release(from).unwrap();
        log.sync(SyncPoint::CheckpointLog).unwrap();
    }
    assert!(folder.names().last().unwrap().as_str() > "spam-wal00000010");
}

#[test]
fn recycled_segment_is_synced_before_use_and_not_filled_again() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..60);
    log.release(log.end()).unwrap();
    let fills = folder.knobs.syncs(SyncPoint::SegmentFill);
    // Only what is there already can be used.
    folder.knobs.full.store(true, SeqCst);
    commit_all(&log, 60..90);
    assert!(folder.knobs.syncs(SyncPoint::SegmentFill) > fills);
}

#[test]
fn release_keeps_what_is_needed() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..100);
    log.release(Lsn(0)).unwrap();
    assert_reads(&folder, 0..100);
    log.release(Lsn(u64::MAX)).unwrap();
    commit_all(&log, 100..110);
    assert_eq!(log.bytes_since(Lsn(0)), log.end().0);
}

// Out of space, and failures.

#[test]
fn full_disk_while_preparing_does_not_stick() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    folder.knobs.full.store(true, SeqCst);
    assert!(matches!(commit(&log, &payload(0)), Err(Error::Full { .. })));
    assert_eq!(folder.names(), Vec::<String>::new(), "nothing is left behind");
    folder.knobs.full.store(false, SeqCst);
    commit_all(&log, 0..1);
    folder.knobs.full.store(true, SeqCst);
    let mut committed = 1;
    let error = loop {
        match commit(&log, &payload(committed)) {
            Ok(_) => committed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { .. }) && committed > 10);
    assert!(matches!(commit(&log, &[0; 900]), Err(Error::Full { .. })));
    assert!(log.failure().is_none());
    log.sync(SyncPoint::Background).unwrap();
    assert_eq!(log.lowest_registered(), log.end(), "nothing is left registered or unfilled");
    assert_reads(&folder, 0..committed);
    folder.knobs.full.store(false, SeqCst);
    commit_all(&log, committed..committed + 30);
    assert_reads(&folder, 0..committed + 30);
}

#[test]
fn others_append_while_a_segment_is_prepared() {
    let folder = Arc::new(MemoryFolder::default());
    let log = Arc::new(small(&folder));
    let appended = Arc::new(Mutex::new(0));
    let hook = {
        let (log, appended) = (Arc::clone(&log), Arc::clone(&appended));
        Hook(Arc::new(move || {
            // Another thread, while the preparing one is inside its sync.
            let log = Arc::clone(&log);
            let thread = std::thread::spawn(move || commit(&log, b"meanwhile").unwrap());
            thread.join().unwrap();
            *appended.lock().unwrap() += 1;
        }))
    };
    *folder.knobs.on_segment_fill.lock().unwrap() = Some(hook);
    for _ in 0..200 {
        commit(&log, b"before").unwrap();
    }
    assert_eq!(*appended.lock().unwrap(), 1);
    let (payloads, ..) = read(&folder, Lsn(0), 1).unwrap();
    assert_eq!(payloads.iter().filter(|payload| *payload == b"meanwhile").count(), 1);
}

#[test]
fn half_full_segment_calls_the_hook_once_and_leaves_the_rest_to_it() {
    let folder = Arc::new(MemoryFolder::default());
    let called = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&called);
    let hook = Hook(Arc::new(move || *counter.lock().unwrap() += 1));
    let log = open(&folder, 1, Lsn(0), LogOptions { on_half_full: Some(hook), ..options(SMALL) });
    while log.end().0 < 2500 {
        commit(&log, &[0; 100]).unwrap();
    }
    assert_eq!((*called.lock().unwrap(), folder.names().len()), (1, 1));
    log.prepare_next().unwrap();
    log.prepare_next().unwrap();
    assert_eq!(folder.names().len(), 2);
    // A record for which the prepared one is needed, and one that nobody prepared.
    commit_all(&log, 0..60);
    assert!(folder.names().len() > 3);
}

#[test]
fn failed_write_seals_the_log_at_every_place() {
    let run = |fail_at: u64| {
        let folder = Arc::new(MemoryFolder::default());
        let log = open(&folder, 1, Lsn(0), LogOptions { map: false, ..options(SMALL) });
        folder.knobs.writes_left.store(fail_at, SeqCst);
        let mut committed = 0;
        let error = loop {
            match commit(&log, &payload(committed)) {
                Ok(_) => committed += 1,
                Err(error) => break error,
            }
            if committed == 60 {
                return false;
            }
        };
        assert!(matches!(error, Error::OutcomeUnknown { .. } | Error::Failed { .. }), "{error}");
        folder.knobs.writes_left.store(0, SeqCst);
        let again = commit(&log, b"never").unwrap_err();
        assert!(matches!(again, Error::Failed { .. }) && again.to_string().contains("planted"));
        assert!(matches!(log.sync(SyncPoint::Background), Err(Error::Failed { .. }) | Ok(_)));
        let (payloads, ..) = read(&folder, Lsn(0), 1).unwrap();
        let unknown = u64::from(matches!(error, Error::OutcomeUnknown { .. }));
        let found = assert_prefix(&payloads, "failed write") as u64;
        assert!((committed..=committed + unknown).contains(&found), "{found} of {committed}");
        true
    };
    let failures = (1..).take_while(|&fail_at| run(fail_at)).count();
    assert!(failures > 60);
}

#[test]
fn failed_sync_seals_the_log() {
    let folder = Arc::new(MemoryFolder::default());
    let options = LogOptions { durability: Durability::Sync, ..options(SMALL) };
    let log = open(&folder, 1, Lsn(0), options);
    let good = commit_all(&log, 0..3);
    folder.knobs.fail_sync.store(true, SeqCst);
    assert!(matches!(commit(&log, &payload(3)), Err(Error::OutcomeUnknown { .. })));
    folder.knobs.fail_sync.store(false, SeqCst);
    assert!(matches!(log.sync(SyncPoint::Background), Err(Error::Failed { .. })));
    assert!(matches!(log.sync_to(log.end()), Err(Error::OutcomeUnknown { .. })));
    assert!(matches!(commit(&log, &payload(4)), Err(Error::Failed { .. })));
    assert_eq!(log.synced(), good[2].end);
    assert_eq!(folder.knobs.syncs(SyncPoint::Commit), 3, "no sync after the one that failed");
}

// Durability.

#[test]
fn sync_commits_are_durable_when_they_return() {
    let folder = Arc::new(MemoryFolder::default());
    let options = LogOptions { durability: Durability::Sync, ..options(SMALL) };
    let log = open(&folder, 1, Lsn(0), options);
    for index in 0..60 {
        commit_all(&log, index..index + 1);
        assert_reads(&folder.lost(512, || false), 0..index + 1);
    }
    assert_eq!(folder.knobs.syncs(SyncPoint::Commit), 60 + 2, "one each, two across a switch");
}

#[test]
fn one_syncs_for_all() {
    const THREADS: u64 = 8;
    let folder = Arc::new(MemoryFolder::default());
    let log = open(&folder, 1, Lsn(0), options(1 << 20));
    // Everybody has written before anybody may sync.
    let barrier = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let (log, barrier) = (&log, &barrier);
            scope.spawn(move || {
                let written = commit(log, &payload(index)).unwrap();
                barrier.wait();
                log.sync_to(written.end).unwrap();
                assert!(log.synced() >= written.end);
            });
        }
    });
    assert_eq!(folder.knobs.syncs(SyncPoint::Commit), 1);
    assert!(matches!(log.sync_to(Lsn(log.end().0 + 8)), Err(Error::Invalid { .. })));
}

#[test]
fn power_loss_keeps_what_was_synced_and_nothing_out_of_order() {
    for seed in 1..=400 {
        let mut random = Random(seed << 32 | 0x9e37_79b9);
        let folder = Arc::new(MemoryFolder::default());
        let log = small(&folder);
        let (mut count, mut synced) = (0, 0);
        for _ in 0..random.next(150) {
            commit_all(&log, count..count + 1);
            count += 1;
            if random.next(12) == 0 {
                log.sync(SyncPoint::Background).unwrap();
                synced = count;
            }
        }
        let block_bytes = [8, 64, 512, 4096][random.next(4) as usize];
        let lost = folder.lost(block_bytes, || random.next(3) > 0);
        let (payloads, end, epoch) = read(&lost, Lsn(0), 1)
            .unwrap_or_else(|error| panic!("seed {seed}: ordinary power loss, but {error}"));
        let found = assert_prefix(&payloads, &format!("seed {seed}")) as u64;
        assert!(found >= synced, "seed {seed}: {found} found, {synced} were synced");
        // Twice is as once, and life goes on.
        scan(&*lost, "spam", ID, Lsn(0), 1).unwrap().sync(&*lost).unwrap();
        let log = open(&lost, epoch, end, options(SMALL));
        commit_all(&log, found..found + 20);
        log.sync(SyncPoint::Background).unwrap();
        assert_reads(&lost.lost(block_bytes, || random.next(3) > 0), 0..found + 20);
    }
}

#[test]
fn commit_does_not_return_in_front_of_a_gap() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..1);
    let (reached, released) = (Barrier::new(2), AtomicBool::new(false));
    let (reached, released) = (Arc::new(reached), Arc::new(released));
    let gate = {
        let (reached, released) = (Arc::clone(&reached), Arc::clone(&released));
        // The slow thread is in the middle of its copy. It ends when it had every chance to be
        // overtaken, and not before the fast one's record is there.
        Hook(Arc::new(move || {
            reached.wait();
            reached.wait();
            (0..10_000).for_each(|_| std::thread::yield_now());
            released.store(true, SeqCst);
        }))
    };
    *folder.knobs.on_store.lock().unwrap() = Some((b"slow".to_vec(), gate));
    std::thread::scope(|scope| {
        scope.spawn(|| commit(&log, b"slow").unwrap());
        reached.wait();
        let registration = log.register();
        let written = registration.append(1, &[b"fast"]).unwrap();
        reached.wait();
        registration.wait_committed(written.end).unwrap();
        assert!(released.load(SeqCst), "acknowledged behind a gap");
        assert_eq!(read(&folder.killed(), Lsn(0), 1).unwrap().0[1..], [b"slow", b"fast"]);
    });
}

#[test]
fn kill_loses_nothing_that_was_acknowledged() {
    const THREADS: u64 = 4;
    for seed in 1..=30 {
        let mut random = Random(seed << 32 | 0x9e37_79b9);
        let folder = Arc::new(MemoryFolder::default());
        let log = open(&folder, 1, Lsn(0), LogOptions { map: seed % 2 == 0, ..options(SMALL) });
        let acknowledged = Mutex::new(Vec::new());
        let wanted = random.next(300) as usize;
        let killed = std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (log, acknowledged) = (&log, &acknowledged);
                scope.spawn(move || {
                    for index in 0..200 {
                        let index = thread * 1000 + index;
                        commit(log, &payload(index)).unwrap();
                        acknowledged.lock().unwrap().push(index);
                    }
                });
            }
            loop {
                let so_far = acknowledged.lock().unwrap().clone();
                if so_far.len() >= wanted {
                    break (so_far, folder.killed());
                }
                std::thread::yield_now();
            }
        });
        let (so_far, killed) = killed;
        let (payloads, ..) = read(&killed, Lsn(0), 1).unwrap();
        let mut found: Vec<u64> =
            payloads.iter().map(|p| u64::from_le_bytes(p[..8].try_into().unwrap())).collect();
        assert!(payloads.iter().zip(&found).all(|(bytes, &index)| *bytes == payload(index)));
        // Each thread's records in its own order, each once.
        for thread in 0..THREADS {
            let own: Vec<_> = found.iter().filter(|&&index| index / 1000 == thread).collect();
            assert!(own.is_sorted_by(|a, b| **a + 1 == **b), "seed {seed}: {own:?}");
        }
        found.sort_unstable();
        for index in so_far {
            assert!(found.binary_search(&index).is_ok(), "seed {seed}: lost {index}");
        }
        drop(log);
        let (payloads, ..) = read(&folder, Lsn(0), 1).unwrap();
        assert_eq!(payloads.len() as u64, THREADS * 200, "seed {seed}");
    }
}

// Registrations and the end.

#[test]
fn registration_holds_back_the_checkpoint_across_chunks() {
    let folder = Arc::new(MemoryFolder::default());
    let log = Arc::new(small(&folder));
    commit_all(&log, 0..3);
    let long = Log::register_owned(&log);
    let bound = log.end();
    let first = long.append(1, &[b"chunk"]).unwrap();
    commit_all(&log, 3..30);
    long.append(1, &[b"chunk"]).unwrap();
    assert_eq!((log.lowest_registered(), first.position), (bound, bound));
    drop(long);
    assert_eq!(log.lowest_registered(), log.end());
}

#[test]
fn closed_log_refuses_appends() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..3);
    log.close().unwrap();
    assert!(matches!(commit(&log, b"late"), Err(Error::Closed { .. })));
    assert_reads(&folder, 0..3);
}

#[test]
fn removing_the_log_is_safe_to_crash_in() {
    let folder = Arc::new(MemoryFolder::default());
    folder.put("spam", b"the database".to_vec());
    folder.put("spam-wal-of-mine", b"mine".to_vec());
    let log = small(&folder);
    commit_all(&log, 0..100);
    log.release(Lsn(4000)).unwrap();
    log.sync(SyncPoint::CheckpointLog).unwrap();
    let names: Vec<_> = folder.names().into_iter().filter(|name| name.contains("l0")).collect();
    let end = log.end();
    for count in 0..=names.len() {
        let crashed = folder.killed();
        for name in &names[..count] {
            crate::io::Storage::remove(&*crashed, name).unwrap();
        }
        let (payloads, stop, _) = read(&crashed, end, 1).unwrap();
        assert_eq!((payloads.len(), stop), (0, end), "{count} removed");
    }
    log.remove_all().unwrap();
    assert_eq!(folder.names(), ["spam", "spam-wal-of-mine"]);
    assert!(matches!(commit(&log, b"late"), Err(Error::Closed { .. })));
}
