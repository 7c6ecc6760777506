//! Tests of whole files: verified, damaged, made hostile, salvaged.
//!
//! The binary has an allocator that counts, so that a file cannot make the engine take memory out of
//! proportion unseen. Every test draws from a seed, prints it, and repeats that run when it is given as
//! `RSHELVE_TEST_SEED`; `RSHELVE_TEST_LONG=1` runs the long forms.

mod corpus;
mod counting;
mod damaged;
#[path = "../../../fuzz/src/entries.rs"]
mod entries;
mod exercise;
mod harness;
mod hostile;
mod log_values;
mod prefixes;
mod salvage;
mod surgery;
mod verify;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;
