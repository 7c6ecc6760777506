//! Tests of the whole engine, through the face that sessions have: against a model, against crashes,
//! against failing disks, with many threads, and larger than memory.
//!
//! Every test draws from a seed, prints it when it fails, and repeats that run when it is given as
//! `RSHELVE_TEST_SEED`. `RSHELVE_TEST_LONG=1` runs the long forms: more seeds, longer histories.
#![forbid(unsafe_code)]

mod ahead;
mod audit;
mod bulk;
mod checkpoints;
mod compact;
mod crash;
mod faults;
mod harness;
mod kill;
mod larger;
mod lost_space;
mod memory;
mod model;
mod panics;
mod planted;
mod real;
mod regressions;
mod replay;
mod security;
mod soak;
mod stress;
