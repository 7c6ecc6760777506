//! What transactions see of each other, on sessions and cursors, and what the types let threads do.
//!
//! Scripted anomalies (`hermitage`) and programs that must not compile (`types`).
#![forbid(unsafe_code)]

mod hermitage;
mod script;
mod types;
