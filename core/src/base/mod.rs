//! What every layer shares: identities, errors, knobs, integer codecs, checksums, statistics.
//!
//! Nothing here does I/O or knows a page.
#![forbid(unsafe_code)]

pub mod checksum;
pub mod codec;
pub mod error;
pub mod ids;
pub mod options;
pub mod stats;
