//! One recovery after another: which records count, and which were another life's.

use super::*;

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
