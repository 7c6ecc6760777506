//! The write-ahead log: records, segments, group commit, reader.
//!
//! A log is a sequence of records at growing positions ([`Lsn`](crate::base::ids::Lsn)), held by segment files next to
//! the database. What a record means is the business of the layers above: here a payload is
//! bytes and a kind is a number. `docs/format.md` has the bytes.
//!
//! # A commit
//!
//! 1. [`Log::register`]: from now on [`Log::lowest_registered`] is at or below whatever this
//!    commit will write, so a checkpoint that starts meanwhile replays it.
//! 2. [`Registration::append`]: reserves positions (one short lock), copies the record there in
//!    parallel with others, and marks its positions filled.
//! 3. [`Registration::wait_committed`]: parks until nothing before the record is missing, for a
//!    record behind a gap is lost to whoever reads the log; with
//!    [`Durability::Sync`](crate::base::options::Durability::Sync) until one of the waiting
//!    committers has synced for all.
//! 4. The caller makes the commit visible, and only then drops the registration.
//!
//! # Failures
//!
//! Running out of space while a segment is prepared promised nothing: that append fails with
//! [`Error::Full`](crate::Error::Full), and the next one tries again. Any other failed write,
//! map or sync is final: the log is sealed at the last position known to be durable, what waits
//! is told that its outcome is unknown, and later appends say
//! [`Error::Failed`](crate::Error::Failed). A failed sync is never retried.
//!
//! # Files
//!
//! `positions` is the group-commit core and does no I/O, so that a model checker can run it;
//! `record` and `segment` are the formats; `log` joins them; `reader` is what recovery uses.
//! This layer knows the base and the traits of `io`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod active;
pub mod log;
pub mod positions;
pub mod reader;
pub mod record;
pub mod segment;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use log::{AtOnce, BeforeSync, Draft, Hook, Log, LogOptions, Registration, Written};
pub use reader::{Record, Scan, remove_segments, scan};
