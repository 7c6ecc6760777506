//! What transactions see of each other, on sessions and cursors, and what the types let threads do.
//!
//! Scripted anomalies (`hermitage`), histories judged by a checker from outside (`histories`), invariants of
//! whole scans and counters (`invariants`), callers that panic (`panics`), and programs that must not compile (`types`). Every suite
//! that draws at random prints its seed and repeats a run when it is given as `RSHELVE_TEST_SEED`;
//! `RSHELVE_TEST_LONG=1` runs the long forms.
#![forbid(unsafe_code)]

mod database;
mod hermitage;
mod histories;
mod invariants;
mod panics;
#[path = "../../../core/tests/shared/random.rs"]
mod random;
mod script;
mod types;
