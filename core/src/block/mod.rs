//! The data file: header, superblocks, address cookies, extents, allocation, blocks, overflow.
//!
//! This layer knows bytes and where they lie. It may not know pages, keys, transactions or the
//! log: a page image is a payload to it, the catalog's root an [`Address`], the log position a
//! number that it keeps for others. It does all its I/O through [`crate::io::File`]. The bytes
//! are described in `docs/format.md`, section "Data file".
//!
//! The protocol, copy-on-write, in four rules:
//!
//! 1. A block is written once, into space that neither superblock slot reaches, and found again
//!    by its [`Address`] (the address cookie), whose checksum every read verifies.
//! 2. [`Blocks::free`] only collects. [`Blocks::begin_checkpoint`] closes a collection, and
//!    [`Blocks::finish_checkpoint`] hands it to the allocator when the superblock that no longer
//!    reaches it is durable in both slots.
//! 3. The allocator is one short mutex; reads, writes and syncs happen outside it. Growing and
//!    cutting the file exclude each other by a second mutex, checkpoints by a third. The order is
//!    checkpoint, growth, allocator.
//! 4. A failed write gives its extents back, because nothing refers to them; a failed superblock
//!    gives nothing back.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod address;
mod allocator;
mod audit;
mod available;
mod block_header;
mod blocks;
mod checkpoint;
mod compaction;
mod create;
mod extent;
mod file_header;
mod find;
mod foreign;
mod free_list;
mod grain;
mod names;
pub mod overflow;
mod superblock;
#[cfg(test)]
mod testing;
mod write;

pub use address::{ADDRESS_BYTES_MAX, Address};
pub use audit::SpaceMap;
pub use block_header::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, PAYLOAD_BYTES_MAX};
pub use blocks::{Blocks, SpaceUse};
pub use compaction::{Compaction, Destination};
pub use create::{NewDatabase, create, prepare, remove_leftovers};
pub use extent::Extent;
pub use file_header::MAGIC;
pub use find::Damaged;
pub use grain::{FRAME_BYTES, Grain, UNIT_BYTES};
pub use names::{CHECKPOINT_NAME_BYTES_MAX, NamedCheckpoint};
pub use superblock::{CheckpointRoot, Superblock};
pub use write::NewBlock;

/// Where the first extent may lie; before it are the header and the two superblock slots.
pub const FIRST_EXTENT: u64 = 12288;

/// The file's greatest length in bytes; what lies beyond is damage.
pub const FILE_BYTES_MAX: u64 = 1 << 60;
