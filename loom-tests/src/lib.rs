//! How every model here is run: once as it is, and once with a step of its protocol left out,
//! when it must fail.
//!
//! The models are in `tests/`, and empty without `--cfg loom`; `run.sh` passes it. The figures
//! that `check` prints belong in the table of `docs/concurrency.md`.
#![forbid(unsafe_code)]
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

mod control;
pub mod tree;

pub use control::Kept;
use control::caught;
use rshelve_core::internals::forget_the_dead;
use rshelve_core::internals::weaken::Weakness;

/// Preemptions per execution that are explored, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
/// Three find every planted bug here; each one more multiplies the time by about five.
const PREEMPTIONS_MAX: usize = 3;

/// Explores `model`, which must hold in every execution, and prints how many there were.
pub fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check_within(name, PREEMPTIONS_MAX, model);
}

/// The same with another bound on preemptions, for models of many steps.
pub fn check_within(name: &str, preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let (executions, seconds) = explore(preemptions_max, model);
    println!("{name}: {executions} executions, {seconds:.1} s");
}

/// Explores `model` with `weakness`: some execution must fail, and say `complaint`.
pub fn check_control(
    name: &str,
    weakness: Weakness,
    complaint: &str,
    model: impl Fn() + Send + Sync + 'static,
) {
    check_control_within(name, PREEMPTIONS_MAX, weakness, complaint, model);
}

/// The same with another bound on preemptions.
pub fn check_control_within(
    name: &str,
    preemptions_max: usize,
    weakness: Weakness,
    complaint: &str,
    model: impl Fn() + Send + Sync + 'static,
) {
    let said = caught(name, weakness, complaint, || {
        format!("{} executions", explore(preemptions_max, model).0)
    });
    println!("{name} under {weakness:?}: caught: {said}");
}

fn explore(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) -> (u64, f64) {
    tree::prepare();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions_max);
    // A model that never ends exceeds any bound; the longest that does end takes some 1,100 steps.
    builder.max_branches = builder.max_branches.max(2000);
    let count = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    builder.check({
        let count = Arc::clone(&count);
        move || {
            count.fetch_add(1, Ordering::Relaxed);
            forget_the_dead();
            model();
        }
    });
    (count.load(Ordering::Relaxed), start.elapsed().as_secs_f64())
}
