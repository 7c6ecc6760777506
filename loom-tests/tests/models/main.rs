//! Every model, in one binary, so that it is linked once and fills all processors.
#![cfg(loom)]

mod bell;
mod cache;
mod hazard;
mod log;
mod mvcc;
mod page;
mod tree;
mod writeback;
