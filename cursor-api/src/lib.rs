//! Sessions, transactions and cursors: the Rust face of rshelve.
#![forbid(unsafe_code)]
