//! `kill -9` at random moments of a process with several threads and tables, under every durability.
//!
//! The child runs rounds ([`rounds`]) and reports each acknowledged one through a pipe. Whatever moment
//! the signal comes, also in the middle of creating, recovering or closing the database: it opens again
//! in under a second, each thread's rows are those of a whole number of its rounds, no fewer than its
//! setting promises, and no file is left beside the database after a close.

mod opening;
pub mod parent;
mod rounds;

use rshelve_core::base::options::Durability;

use crate::harness::scaled;

/// Kills in the long form: 450, in the short one 24.
fn check(durability: Durability) {
    parent::check(durability, scaled(8, 150));
}

#[test]
fn kill_loses_nothing_with_syncs() {
    check(Durability::Sync);
}

#[test]
fn kill_loses_nothing_that_the_process_handed_over() {
    check(Durability::Process);
}

#[test]
fn kill_without_a_log_goes_back_to_a_checkpoint() {
    check(Durability::Checkpoint);
}

/// Not a test of its own: what the killed process runs. Without orders it does nothing.
#[test]
fn kill_victim() {
    rounds::run_as_victim();
}
