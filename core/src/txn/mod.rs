//! Transactions: begin, conflict, the commit pipeline, rollback.
//!
//! A transaction takes its id with its first write, and its snapshot when it begins. It remembers
//! which keys it wrote (not where: pages are replaced under it), and what a log record has to say.
//! [`Committer`] holds what a commit needs; the order of each commit is register, reserve, write,
//! publish, and is one function there.
//!
//! This layer knows trees (to roll back), the log and visibility. It never waits for another
//! transaction; the engine does.
#![forbid(unsafe_code)]

mod at_once;
mod commit;
mod record;
mod transaction;
mod write;

pub use at_once::{WroteAtOnce, write_at_once};
pub use commit::{Committer, OverflowSyncs};
pub use record::{Change, Malformed, Payload, Verb, kind};
pub use transaction::{Transaction, Write};
pub use write::{Existing, Wrote};
