//! What is wrong with an image that is not one.

use std::sync::Arc;

use crate::base::error::Error;

/// Bytes that are no page image: what contradicts what, and where.
///
/// The bytes know neither their file nor their place in it; [`FormatError::into_corruption`]
/// adds both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the page: expected {expected}, found {found}")]
pub struct FormatError {
    /// The thing that is wrong ("offset of a cell").
    pub what: &'static str,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Where, in bytes from the start of the block.
    pub at: usize,
}

impl FormatError {
    #[cold]
    pub(super) fn new(
        what: &'static str,
        at: usize,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self { what, expected: expected.to_string(), found: found.to_string(), at }
    }

    /// The corruption of `file` that this is, given the block's byte offset in it.
    #[cold]
    pub fn into_corruption(self, file: &Arc<str>, block_offset: u64) -> Error {
        let offset = block_offset.saturating_add(self.at as u64);
        Error::corrupt(file, offset, self.what, self.expected, self.found)
    }
}
