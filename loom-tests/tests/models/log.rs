//! Model 8: group commit. What is durable has no hole, each position is synced once, a checkpoint's
//! position lies before whatever its snapshot does not hold, and everybody is woken.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread;
use loom_tests::{Kept, check, check_control};
use rshelve_core::Error;
use rshelve_core::base::ids::Lsn;
use rshelve_core::internals::weaken::Weakness;
use rshelve_core::wal::positions::Positions;

/// The bytes of each record.
const RECORD: u64 = 8;

/// A log, and what its users share. None of the atomics orders anything: every ordering has to
/// come from the log itself.
struct Shared {
    log: Positions,
    /// What was copied to each record's place.
    copied: [AtomicU64; 2],
    /// How far the disk got.
    disk: AtomicU64,
    /// A bit for each commit that is visible.
    visible: AtomicU64,
    idle: AtomicU64,
    syncs: AtomicU64,
}

impl Shared {
    fn new() -> Kept<Arc<Self>> {
        Kept::new(Arc::new(Self {
            log: Positions::new(Lsn(0)),
            copied: Default::default(),
            disk: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }))
    }

    /// A scheduling point that orders nothing. Loom forgets all but the last access to an atomic,
    /// so a thread's own load of the log's end (register) before its addition to it (reserve)
    /// hides that the two race with others'.
    fn step(&self) {
        self.idle.fetch_add(1, Relaxed);
    }
}

/// A commit under `sync`: register, reserve, copy, fill, wait, sync, publish, deregister.
fn commit(shared: &Shared) {
    let log = &shared.log;
    let mut ticket = log.register();
    let reserved = log.reserve(RECORD);
    let (start, end) = (reserved.start().0, reserved.end());
    shared.copied[(start / RECORD) as usize].store(start + 1, Relaxed);
    reserved.fill();
    log.wait_filled(end).unwrap();
    let synced = log.sync_through(end, |through| {
        for record in 0..through.0 / RECORD {
            let copied = shared.copied[record as usize].load(Relaxed);
            assert_eq!(copied, record * RECORD + 1, "a hole was synced");
        }
        let before = shared.disk.fetch_max(through.0, Relaxed);
        assert!(before < through.0, "a position was synced twice");
        Ok(())
    });
    assert!(synced.unwrap() >= end);
    assert!(shared.disk.load(Relaxed) >= end.0, "a commit returned before it was durable");
    shared.visible.fetch_or(1 << (start / RECORD), Relaxed);
    log.deregister(&mut ticket);
}

fn group_commit() {
    let shared = Shared::new();
    let other = {
        let shared = shared.clone();
        thread::spawn(move || commit(&shared))
    };
    commit(&shared);
    other.join().unwrap();
    assert_eq!(shared.log.synced(), Lsn(2 * RECORD), "a record is not durable");
    assert_eq!(shared.log.lowest_registered(), Lsn(2 * RECORD), "a registration was left behind");
}

/// Two commits without a sync beside a checkpoint: what lies before its position is in the
/// snapshot that it takes afterwards.
fn checkpoint_position() {
    let shared = Shared::new();
    let committers: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut ticket = shared.log.register();
                let reserved = shared.log.reserve(RECORD);
                let start = reserved.start().0;
                shared.step();
                reserved.fill();
                shared.visible.fetch_or(1 << (start / RECORD), Relaxed);
                shared.log.deregister(&mut ticket);
                shared.step();
            })
        })
        .collect();
    shared.step();
    let lowest = shared.log.lowest_registered().0;
    let snapshot = shared.visible.load(Relaxed);
    for record in 0..lowest / RECORD {
        let is_seen = snapshot & (1 << record) != 0;
        assert!(is_seen, "commit {record} is neither replayed nor in the snapshot");
    }
    committers.into_iter().for_each(|committer| committer.join().unwrap());
}

/// A copy fails: whoever waits behind it is told.
fn failed_copy() {
    let shared = Shared::new();
    let first = shared.log.reserve(RECORD);
    let waiter = {
        let shared = shared.clone();
        thread::spawn(move || {
            let reserved = shared.log.reserve(RECORD);
            let end = reserved.end();
            reserved.fill();
            assert!(shared.log.wait_filled(end).is_err());
        })
    };
    first.fail(Error::Closed { what: "the disk" });
    waiter.join().unwrap();
}

/// A sync fails: it is not tried again, and everybody is told.
fn failed_sync() {
    fn commit(shared: &Shared) {
        let reserved = shared.log.reserve(RECORD);
        let end = reserved.end();
        reserved.fill();
        if shared.log.wait_filled(end).is_ok() {
            let synced = shared.log.sync_through(end, |_| {
                shared.syncs.fetch_add(1, Relaxed);
                Err(Error::Closed { what: "the disk" })
            });
            assert!(synced.is_err(), "a commit was called durable after a failed sync");
        }
    }
    let shared = Shared::new();
    let other = {
        let shared = shared.clone();
        thread::spawn(move || commit(&shared))
    };
    commit(&shared);
    other.join().unwrap();
    assert_eq!(shared.syncs.load(Relaxed), 1, "a failed sync was tried again");
    assert_eq!(shared.log.synced(), Lsn(0));
}

#[test]
fn model_8_group_commit() {
    check("8 group commit", group_commit);
    check("8 position of a checkpoint", checkpoint_position);
    check("8 failed copy", failed_copy);
    check("8 failed sync", failed_sync);
}

#[test]
fn model_8_needs_each_step_of_a_commit() {
    for (weakness, complaint) in [
        (Weakness::FilledStoreRelaxed, "a hole was synced"),
        (Weakness::FilledLoadRelaxed, "a hole was synced"),
        (Weakness::FillWithoutWake, "deadlock"),
        (Weakness::EarlyForgotten, "deadlock"),
        (Weakness::FilledReadPlainly, "deadlock"),
        (Weakness::LeaderUnannounced, "a record is not durable"),
        (Weakness::SyncWithoutWake, "deadlock"),
    ] {
        check_control("8 group commit", weakness, complaint, group_commit);
    }
}

#[test]
fn model_8_needs_each_step_of_a_checkpoints_position() {
    for weakness in [
        Weakness::ReserveRelaxed,
        Weakness::EndRelaxed,
        Weakness::DeregisterRelaxed,
        Weakness::BoundRelaxed,
        Weakness::EndReadLast,
        Weakness::BoundTooHigh,
    ] {
        let complaint = "is neither replayed nor in the snapshot";
        check_control("8 position of a checkpoint", weakness, complaint, checkpoint_position);
    }
}

#[test]
fn model_8_needs_a_failure_to_wake() {
    check_control("8 failed copy", Weakness::FailWithoutWake, "deadlock", failed_copy);
}
