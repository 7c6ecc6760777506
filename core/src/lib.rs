//! The storage engine of rshelve.
//!
//! A concurrent B-tree whose pages live in a bounded cache, are read without locks under hazard
//! pointers, are written copy-on-write by checkpoints, and are made durable between checkpoints
//! by an optional write-ahead log. `ARCHITECTURE.md` at the top of the repository is the map:
//! which layer knows what, and which way imports run.
//!
//! Most programs want the crate `rshelve` (sessions and cursors), which is built on this one.

#![deny(unsafe_op_in_unsafe_fn)]
// The layers from `txn` up are left out under loom: no model reaches them, and loom's `Arc` holds
// no `str`. What has atomics of its own up there is split off for the models (`internals`).

pub(crate) mod sync;

#[cfg(loom)]
#[path = "engine/bell.rs"]
pub mod bell;

pub mod base;
pub mod block;
pub mod btree;
pub mod cache;
#[cfg(not(loom))]
pub mod checkpoint;
#[cfg(not(loom))]
pub mod engine;
pub mod evict;
pub mod format;
pub mod io;
pub mod memory;
pub mod mvcc;
pub mod page;
pub mod reclaim;
pub mod reconcile;
#[cfg(not(loom))]
pub mod recovery;
#[cfg(not(loom))]
pub mod salvage;
#[cfg(not(loom))]
pub mod txn;
#[cfg(not(loom))]
pub mod verify;
pub mod wal;

pub use base::error::{Corruption, Error, Result};

/// What the loom models, fault suites and fuzz targets of this workspace reach. Not an interface.
#[doc(hidden)]
#[cfg(any(loom, shuttle, feature = "internals"))]
pub mod internals {
    #[cfg(loom)]
    pub use crate::bell;
    #[cfg(all(feature = "waits", not(any(loom, shuttle))))]
    pub use crate::sync::waits::waited;
    #[cfg(any(loom, shuttle))]
    pub use crate::sync::{life::forget_the_dead, weaken};
    pub use crate::{mvcc, reclaim};
}
