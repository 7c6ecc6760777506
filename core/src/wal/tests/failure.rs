//! Full disks, failed writes and syncs, killed processes and lost power.

use super::*;

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
    let log = Arc::new(small_synced(&folder));
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
    // Into the first segment: the hook is for the second.
    commit(&log, b"first").unwrap();
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
    // Too long to be copied while others wait for their turn.
    let slow = vec![b's'; 5000];
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
    *folder.knobs.on_store.lock().unwrap() = Some((slow.clone(), gate));
    std::thread::scope(|scope| {
        scope.spawn(|| commit(&log, &slow).unwrap());
        reached.wait();
        let registration = log.register();
        let written = registration.append(1, &[b"fast"]).unwrap();
        reached.wait();
        registration.wait_committed(written.end).unwrap();
        assert!(released.load(SeqCst), "acknowledged behind a gap");
        assert_eq!(read(&folder.killed(), Lsn(0), 1).unwrap().0[1..], [&slow[..], b"fast"]);
    });
}

/// A short record is copied under the lock that hands out positions: if its thread dies there, the log fails,
/// and nobody hangs.
#[test]
fn panic_in_a_copy_in_turn_fails_the_log_and_hangs_nobody() {
    let folder = Arc::new(MemoryFolder::default());
    let log = small(&folder);
    commit_all(&log, 0..1);
    let dies = Hook(Arc::new(|| panic!("planted")));
    *folder.knobs.on_store.lock().unwrap() = Some((b"dies".to_vec(), dies));
    std::thread::scope(|scope| {
        assert!(scope.spawn(|| commit(&log, b"dies")).join().is_err());
        let after = scope.spawn(|| commit(&log, b"after")).join().expect("no panic");
        assert!(matches!(after, Err(Error::Failed { .. })), "{after:?}");
    });
    assert_eq!(read(&folder.killed(), Lsn(0), 1).unwrap().0.len(), 1);
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

/// What records name outside of the log is durable before the log says that they are: a record appended
/// while it is made durable is not covered by that sync.
#[test]
fn sync_covers_no_record_that_came_while_it_was_prepared() {
    let folder = Arc::new(MemoryFolder::default());
    let slot: Arc<std::sync::OnceLock<Arc<Log>>> = Arc::default();
    let hook = BeforeSync(Arc::new({
        let slot = Arc::clone(&slot);
        move || {
            // Another commit's value and record, behind this one's back.
            commit(slot.get().expect("it is open"), b"late").map(drop)
        }
    }));
    let log = open(&folder, 1, Lsn(0), LogOptions { before_sync: Some(hook), ..options(SMALL) });
    let log = slot.get_or_init(|| Arc::new(log));
    let first = commit(log, b"first").unwrap();
    assert_eq!(log.sync(SyncPoint::Background).unwrap(), first.end);
    assert_eq!(log.synced(), first.end);
    assert!(log.end() > first.end, "the late one is there");
}

#[test]
fn failure_in_front_of_a_sync_is_the_syncs_failure() {
    let folder = Arc::new(MemoryFolder::default());
    let hook = BeforeSync(Arc::new(|| {
        Err(Error::io("sync", &"spam".into(), std::io::Error::other("gone")))
    }));
    let log = open(&folder, 1, Lsn(0), LogOptions { before_sync: Some(hook), ..options(SMALL) });
    commit(&log, b"first").unwrap();
    assert!(matches!(log.sync(SyncPoint::Background), Err(Error::Failed { .. })));
    assert_eq!(log.synced(), Lsn(0));
    assert!(commit(&log, b"second").is_err(), "the log is sealed");
}
