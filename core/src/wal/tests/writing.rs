//! What is written is what is read, however it is cut, joined and spread over segments; the log's life from its first record to its end.

use super::*;

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

/// Commits that wait for the disk write by a call what others copy into the map, between one another.
#[test]
fn written_records_lie_between_copied_ones() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    for index in 0..300 {
        let (registration, payload) = (log.register(), payload(index));
        let written = match index % 3 {
            0 => registration.append_to_sync(1, &[&payload]).unwrap(),
            _ => registration.append(1, &[&payload]).unwrap(),
        };
        registration.wait_committed(written.end).unwrap();
    }
    assert_reads(&folder, 0..300);
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

/// Small segments with spares among them: a long record gets a segment of its own.
#[test]
fn record_may_be_larger_than_every_segment() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    for round in 0..4_u8 {
        for len in [100, 3000, 60_000, 900, 9000] {
            commit(&log, &vec![round; len]).unwrap();
        }
        log.release(log.end()).unwrap();
    }
    let from = log.lowest_registered();
    for len in [5, 50_000, 7] {
        commit(&log, &vec![9; len]).unwrap();
    }
    let found = read(&folder, from, 1).unwrap().0;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [5, 50_000, 7]);
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
fn recycled_segment_is_not_filled_again_and_synced_before_use_where_commits_are() {
    for (synced, make) in [(true, small_synced as fn(&_) -> _), (false, small)] {
        let folder = Arc::new(MemoryFolder::default());
        let log = make(&folder);
        commit_all(&log, 0..60);
        log.release(log.end()).unwrap();
        let syncs = || folder.knobs.syncs(SyncPoint::SegmentFill);
        let fills = syncs();
        assert_eq!(fills > 0, synced);
        // Only what is there already can be used.
        folder.knobs.full.store(true, SeqCst);
        commit_all(&log, 60..90);
        assert_eq!(syncs() > fills, synced);
    }
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
