//! Seeds, numbers drawn from them, and how long the tests run: for every suite that draws its cases.
//!
//! Suites of several crates take this file in by its path, and none of them uses all of it.
#![allow(dead_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the long forms run.
pub fn is_long() -> bool {
    std::env::var("RSHELVE_TEST_LONG").is_ok_and(|long| long == "1")
}

/// `short`, or `long` in the long form.
pub fn scaled<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// The seed to start from: `RSHELVE_TEST_SEED`, or a new one. Printed, so that the output of a test
/// that fails has it.
pub fn seed() -> u64 {
    let given = std::env::var("RSHELVE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Random::new(now.as_nanos() as u64).next() >> 16
    });
    println!("seed: RSHELVE_TEST_SEED={seed}");
    seed
}

/// Numbers that look random (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// An index below `count`.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Bytes of any kind.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
