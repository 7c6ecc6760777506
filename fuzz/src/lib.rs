//! What the fuzz targets run, shared with the ordinary test that runs it over the corpora.
//!
//! The helpers are those of the engine's tests of whole files.

#[path = "../../core/tests/files/counting.rs"]
mod counting;
pub mod entries;
#[allow(dead_code, reason = "the targets use some of it")]
#[path = "../../core/tests/files/exercise.rs"]
mod exercise;
#[allow(dead_code, reason = "the targets use some of it")]
#[path = "../../core/tests/files/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the targets use some of it")]
#[path = "../../core/tests/files/surgery.rs"]
mod surgery;
pub mod texts;
