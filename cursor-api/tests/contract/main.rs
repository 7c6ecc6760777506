//! The contract of `docs/cursor-semantics.md`, row by row. Each test names its row.

mod checkpoints;
mod existence;
mod face;
mod fixture;
mod model;
mod position;
mod random;
mod rows;
mod schema;
mod transactions;
mod tuning;
mod walks;
