//! How every scenario here is run: in thousands of schedules, each chosen at random but repeatable, and,
//! for a control, with a step of a protocol left out, when some schedule must fail.
//!
//! The scenarios are in `tests/`, and empty without `--cfg shuttle`; `run.sh` passes it. A schedule that
//! fails is written to a file whose name is printed, and played again when that file is given as
//! `RSHELVE_SCHEDULE`, for one test by name. `RSHELVE_TEST_SEED` repeats a whole run.
#![forbid(unsafe_code)]
#![cfg(shuttle)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rshelve_core::internals::forget_the_dead;
use rshelve_core::internals::weaken::{self, Weakness};
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

pub mod bank;
#[path = "../../loom-tests/src/control.rs"]
mod control;

pub use control::Kept;
use control::caught;

/// Preemptions that the second half of the schedules has, at places that it chooses.
const PREEMPTIONS: usize = 3;
/// Schedules that are played twice.
const CHECKED_TWICE: usize = 20;
/// Bytes of stack per thread.
const STACK_BYTES: usize = 512 << 10;
/// Steps after which a schedule is called endless.
const STEPS_MAX: usize = 5_000_000;

/// Whether the long form runs.
pub fn is_long() -> bool {
    std::env::var("RSHELVE_TEST_LONG").is_ok_and(|long| long == "1")
}

/// The seed to start from: `RSHELVE_TEST_SEED`, or a new one.
fn seed() -> u64 {
    let given = std::env::var("RSHELVE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64 >> 8
    })
}

/// Runs `scenario` in `short` schedules, or `long` ones in the long form: half of them with a switch
/// at random at every step, half with few preemptions. Prints how many, and how long that took.
pub fn check(name: &str, short: usize, long: usize, scenario: impl Fn() + Send + Sync + 'static) {
    bank::prepare();
    let scenario: Arc<dyn Fn() + Send + Sync> = Arc::new(scenario);
    let count = Arc::new(AtomicU64::new(0));
    if let Ok(file) = std::env::var("RSHELVE_SCHEDULE") {
        let again = ReplayScheduler::new_from_file(file).expect("a schedule");
        return run(Box::new(again), &scenario, &count, true);
    }
    let (seed, most) = (seed(), if is_long() { long } else { short });
    println!("{name}: RSHELVE_TEST_SEED={seed}");
    let start = Instant::now();
    // These are played twice, and fail if the second time differs: else no schedule could be repeated.
    let twice = RandomScheduler::new_from_seed(seed, CHECKED_TWICE);
    let twice = UncontrolledNondeterminismCheckScheduler::new(twice);
    run(Box::new(twice), &scenario, &count, true);
    run(Box::new(RandomScheduler::new_from_seed(seed, most.div_ceil(2))), &scenario, &count, true);
    run(
        Box::new(PctScheduler::new_from_seed(seed, PREEMPTIONS, most / 2)),
        &scenario,
        &count,
        true,
    );
    println!("{name}: {} schedules, {:.1} s", count.load(Relaxed), start.elapsed().as_secs_f64());
}

/// Runs `scenario` with `weakness` in at most `most` schedules: one must fail, and say `complaint`.
pub fn check_control(
    name: &str,
    weakness: Weakness,
    complaint: &str,
    most: usize,
    scenario: impl Fn() + Send + Sync + 'static,
) {
    weaken::set(None);
    bank::prepare();
    let scenario: Arc<dyn Fn() + Send + Sync> = Arc::new(scenario);
    let seed = seed();
    println!("{name} under {weakness:?}: RSHELVE_TEST_SEED={seed}");
    let count = Arc::new(AtomicU64::new(0));
    let said = caught(name, weakness, complaint, || {
        run(Box::new(RandomScheduler::new_from_seed(seed, most / 2)), &scenario, &count, false);
        run(
            Box::new(PctScheduler::new_from_seed(seed, PREEMPTIONS, most / 2)),
            &scenario,
            &count,
            false,
        );
        format!("{} schedules", count.load(Relaxed))
    });
    println!("{name} under {weakness:?}: caught in schedule {}: {said}", count.load(Relaxed));
}

/// One execution, to make what all others share.
pub(crate) fn once(scenario: fn()) {
    let scenario: Arc<dyn Fn() + Send + Sync> = Arc::new(scenario);
    run(Box::new(RandomScheduler::new_from_seed(0, 1)), &scenario, &Arc::default(), true);
}

fn run(
    scheduler: Box<dyn Scheduler + Send>,
    scenario: &Arc<dyn Fn() + Send + Sync>,
    count: &Arc<AtomicU64>,
    keeps_failure: bool,
) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let folder = PathBuf::from(target).join("schedules");
    std::fs::create_dir_all(&folder).expect("a folder for schedules that fail");
    config.failure_persistence = if keeps_failure {
        FailurePersistence::File(Some(folder))
    } else {
        FailurePersistence::None
    };
    let (scenario, count) = (Arc::clone(scenario), Arc::clone(count));
    Runner::new(scheduler, config).run(move || {
        count.fetch_add(1, Relaxed);
        forget_the_dead();
        scenario();
    });
}
