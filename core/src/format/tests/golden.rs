//! Images byte for byte.
