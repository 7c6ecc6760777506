//! The contract of `docs/cursor-semantics.md`, row by row. Each test names its row.

mod existence;
mod fixture;
mod position;
mod schema;
mod transactions;
