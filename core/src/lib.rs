//! The storage engine of rshelve.
//!
//! A concurrent B-tree whose pages live in a bounded cache, are read without locks under hazard
//! pointers, are written copy-on-write by checkpoints, and are made durable between checkpoints
//! by an optional write-ahead log. `ARCHITECTURE.md` at the top of the repository is the map:
//! which layer knows what, and which way imports run.
//!
//! Most programs want the crate `rshelve` (sessions and cursors), which is built on this one.

#![deny(unsafe_op_in_unsafe_fn)]

pub(crate) mod sync;

pub mod base;
pub mod block;
pub mod btree;
pub mod cache;
pub mod checkpoint;
pub mod engine;
pub mod evict;
pub mod format;
pub mod io;
pub mod mvcc;
pub mod page;
pub mod reclaim;
pub mod reconcile;
pub mod recovery;
pub mod txn;
pub mod wal;

pub use base::error::{Corruption, Error, Result};

/// What the loom models, fault suites and fuzz targets of this workspace reach. Not an interface.
#[doc(hidden)]
#[cfg(any(loom, feature = "internals"))]
pub mod internals {
    #[cfg(loom)]
    pub use crate::sync::weaken;
    pub use crate::{mvcc, reclaim};
}
