//! Random operations against a model: several sessions with transactions and cursors, several tables,
//! pages and caches as small as they can be, reopens and crashes of the process in between.
//!
//! proptest draws and shrinks; the seed that it starts from is ours (`RSHELVE_TEST_SEED`), the number
//! of runs is `PROPTEST_CASES` where that is set.

mod ops;
mod runner;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::harness::{Random, scaled, seed};
use runner::Runner;

#[test]
fn model_agrees_on_short_runs() {
    check(40, scaled(1500, 20_000), 1);
}

#[test]
fn model_agrees_on_long_runs() {
    check(400, scaled(120, 2000), 2);
}

fn check(ops_max: usize, cases: u32, stream: u64) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let mut random = Random::new(seed() ^ stream);
    let bytes: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3000,
        // In milliseconds: some histories wait for room in nearly every operation.
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&ops::run(ops_max), |(setup, ops)| {
        let mut runner = Runner::new(setup);
        for op in &ops {
            runner.run(op);
        }
        runner.finish();
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (setup, ops))) => {
            panic!("{reason}\nin the database {setup:?}\nafter {ops:#?}")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
