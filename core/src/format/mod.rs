//! Page images: what a page of a tree looks like on disk and, unchanged, in memory.
//!
//! An image is a run of bytes that is searched in place: no cell is decoded to find another.
//! [`PageImage::parse`] proves once that every length and offset in it stays inside and that its
//! keys ascend; [`PageBuilder`] makes one from sorted cells. Everything here is a pure function
//! over bytes: no I/O, no locks, no `unsafe`, and no knowledge of blocks, caches, transactions or
//! of what a value means.
//!
//! An image lives in a block's whole buffer, so every position in it counts from the start of
//! that buffer; the first [`BLOCK_HEADER_BYTES`] belong to the block layer:
//!
//! ```text
//! 0         32       48         heads_at            offsets_at        cells_at          end
//! | block   | image  | prefix   | heads             | offsets         | cells           |
//! | header  | header | + 0 to 7 | u64 per slot      | u16 or u32 per  | one per slot,   |
//! |         |        | zeros    |                   | slot            | no gaps         |
//! ```
//!
//! A **head** is the eight key bytes after the page's common prefix, taken big-endian and padded
//! with zeros, so that comparing keys is, nearly always, comparing integers that lie side by side.
//! The head *replaces* those bytes: a cell holds only what follows them.
//!
//! The byte-for-byte description is in `docs/format.md`; the tests hold it to golden images.
//!
//! [`BLOCK_HEADER_BYTES`]: crate::base::codec::BLOCK_HEADER_BYTES
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod builder;
mod error;
mod guess;
mod image;
mod key;
mod layout;
mod parse;
mod search;
#[cfg(test)]
mod tests;

pub use builder::{BuilderCapacity, PageBuilder};
pub use error::FormatError;
pub use image::{Cell, PageImage};
pub use key::{HEAD_BYTES, common_prefix, key_head, separator};
pub use layout::{IMAGE_BYTES_MAX, PageKind, SHARED_BYTES_MAX, Tag, cell_bytes, image_bytes};
