//! Damaged, lost, copied and foreign segments: an error or a right answer, never a panic and never a wrong record.

use super::*;

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
