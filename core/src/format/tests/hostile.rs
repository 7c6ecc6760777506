//! Bytes that nobody built.
