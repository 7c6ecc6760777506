//! Crashes of the machine and of the process, at every step of a recorded history.
//!
//! The histories create and drop tables, write short and long values alone and in transactions, some of
//! them large, take checkpoints, recycle the log, close the database and open it again, and kill and
//! recover it in between. A power loss keeps any subset of what was not synced: all subsets of up to ten
//! pending steps, samples with torn writes beyond. What is found must be the state after some number
//! of commits, in their order, and no fewer than were promised. Some images are crashed again in
//! their recovery, and that recovery again in its own.

mod check;
mod creation;
mod workload;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rshelve_core::base::options::Durability;
use rshelve_core::io::SyncPoint;
use rshelve_core::io::memory::History;

use crate::harness::{Random, is_long, scaled, seed};
use check::{Effort, Failure, check_kills, check_power_losses};
use workload::{Recorded, Script, record, record_compaction, record_overlap};

fn script(durability: Durability, seed: u64) -> Script {
    // Small segments, so that the log is recycled; some histories of the long form have the usual ones.
    let log_segment_bytes = if is_long() && seed.is_multiple_of(4) { 16 << 20 } else { 32 << 10 };
    let (ops, large_percent) = (scaled(200, 400), scaled(6, 11));
    let (long_percent, reopen_percent) = (15, 3);
    Script {
        durability,
        map_log: true,
        log_segment_bytes,
        ops,
        long_percent,
        large_percent,
        reopen_percent,
        seed,
    }
}

fn effort() -> Effort {
    Effort { subsets_of: 10, samples: scaled(3, 12), again_one_of: scaled(50, 20) }
}

/// Power losses and kills of a history; the script is printed with what went wrong.
fn check(script: Script) {
    let recorded = record(script);
    let steps = recorded.history.len();
    let losses = check_power_losses(&recorded, &recorded.history, effort(), script.seed);
    let losses = losses.unwrap_or_else(|failure| fail(&recorded, script, &failure));
    let kills = check_kills(&recorded, scaled(3, 1), script.seed);
    let kills = kills.unwrap_or_else(|failure| fail(&recorded, script, &failure));
    let Script { durability, seed, .. } = script;
    println!("{durability:?}: {steps} steps, {losses} power losses, {kills} kills, seed {seed}");
}

fn fail(recorded: &Recorded, script: Script, failure: &Failure) -> usize {
    let steps = recorded.history.steps();
    let from = failure.step.saturating_sub(12);
    let last: Vec<String> =
        steps[from..failure.step].iter().map(|step| format!("{step:.90?}")).collect();
    panic!("{failure}\nin {script:?}, after\n{}", last.join("\n"))
}

/// Runs each round with a seed of its own; in the long form as many at a time as there are processors.
fn each_round(count: u64, run: impl Fn(u64, u64) + Sync) {
    let first = seed();
    let next = AtomicU64::new(0);
    let work = || {
        std::iter::repeat_with(|| next.fetch_add(1, Relaxed))
            .take_while(|round| *round < count)
            .for_each(|round| run(Random::new(first + round).next(), round));
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (1..scaled(1, threads)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
}

#[test]
fn crash_keeps_what_sync_promised() {
    each_round(scaled(2, 8), |seed, round| {
        check(Script { map_log: round % 2 == 0, ..script(Durability::Sync, seed) });
    });
}

#[test]
fn crash_keeps_what_process_promised() {
    each_round(scaled(2, 8), |seed, round| {
        check(Script { map_log: round % 2 == 0, ..script(Durability::Process, seed) });
    });
}

#[test]
fn crash_keeps_what_checkpoints_promised() {
    each_round(scaled(2, 8), |seed, _| check(script(Durability::Checkpoint, seed)));
}

#[test]
fn crash_during_a_compaction_loses_nothing() {
    let seed = seed();
    for round in 0..scaled(2, 12) {
        let durability = [Durability::Process, Durability::Checkpoint][round as usize % 2];
        let script = script(durability, Random::new(seed + round).next());
        let recorded = record_compaction(script);
        let effort = Effort { subsets_of: 2, samples: scaled(2, 12), again_one_of: 200 };
        let losses = check_power_losses(&recorded, &recorded.history, effort, script.seed)
            .unwrap_or_else(|failure| fail(&recorded, script, &failure));
        let kills = check_kills(&recorded, 1, script.seed)
            .unwrap_or_else(|failure| fail(&recorded, script, &failure));
        println!("{} steps, {losses} power losses, {kills} kills", recorded.history.len());
    }
}

/// The controls: each sync that a crash can tell is switched off, and the same check must then fail.
///
/// A power loss cannot tell the others, because the sync behind them covers what they would have:
/// - `SuperblockFirst` or `SuperblockSecond` alone: a slot is one sector, so it is old or new, and the
///   other sync of the two comes before anything is reused. They keep a damaged slot from bringing an
///   older state back. One of the two must be there: without both the check fails.
/// - `SuperblockRepair`: the same, for a slot that was found damaged.
/// - `SegmentFill`: a segment's first commit syncs the same file.
/// - `Commit` and `CheckpointLog` where the durability does not promise it.
#[test]
fn crash_without_a_sync_is_noticed() {
    use SyncPoint::{
        Background, CheckpointData, CheckpointLog, Commit, Create, Folder, OverflowBeforeLog,
        SuperblockFirst, SuperblockSecond,
    };
    let seed = seed();
    let controls: [(Durability, &[&[SyncPoint]]); 3] = [
        (
            Durability::Sync,
            &[&[Create], &[Folder], &[CheckpointData], &[OverflowBeforeLog], &[Commit]],
        ),
        (
            Durability::Process,
            &[&[Create], &[Folder], &[CheckpointData], &[OverflowBeforeLog], &[Background]],
        ),
        (
            Durability::Checkpoint,
            &[&[Create], &[Folder], &[CheckpointData], &[SuperblockFirst, SuperblockSecond]],
        ),
    ];
    for (durability, controls) in controls {
        let recorded = record(script(durability, seed));
        for points in controls {
            check_is_noticed(&recorded, points, Effort { subsets_of: 7, ..effort() }, seed);
        }
    }
    let effort = Effort { subsets_of: 1, samples: 100, again_one_of: u64::MAX };
    let recorded = record_overlap(script(Durability::Process, seed));
    check_power_losses(&recorded, &recorded.history, effort, seed)
        .unwrap_or_else(|failure| panic!("{failure} with every sync, seed {seed}"));
    check_is_noticed(&recorded, &[CheckpointLog], effort, seed);
}

fn check_is_noticed(recorded: &Recorded, points: &[SyncPoint], effort: Effort, seed: u64) {
    let without = |history: History, point: &SyncPoint| history.without_sync(*point);
    let history = points.iter().fold(recorded.history.clone(), without);
    let outcome = check_power_losses(recorded, &history, effort, seed);
    let durability = recorded.options.durability;
    assert!(outcome.is_err(), "nobody misses the syncs {points:?} under {durability:?}");
}
