//! The 32 bytes in front of every block, and the check that every read makes.

use std::sync::Arc;

use super::Address;
use crate::base::checksum::crc32;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::Compression;

pub use crate::base::codec::BLOCK_HEADER_BYTES;

/// The longest payload of a block in bytes, before compression.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// The second field of every block: "rsBK".
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"rsBK");

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockKind {
    /// A leaf page's image.
    Leaf = 1,
    /// An internal page's image.
    Internal = 2,
    /// A piece of a long value, or all of it.
    Overflow = 3,
    /// The addresses of a long value's pieces.
    OverflowList = 4,
    /// A part of a checkpoint's free list.
    FreeList = 5,
    /// The named checkpoints.
    CheckpointList = 6,
}

impl BlockKind {
    /// Every kind.
    pub const ALL: [BlockKind; 6] = [
        Self::Leaf,
        Self::Internal,
        Self::Overflow,
        Self::OverflowList,
        Self::FreeList,
        Self::CheckpointList,
    ];

    /// Whether it is a page of a tree.
    pub const fn is_page(self) -> bool {
        matches!(self, Self::Leaf | Self::Internal)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The kind's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaf => "leaf block",
            Self::Internal => "internal block",
            Self::Overflow => "overflow block",
            Self::OverflowList => "overflow list block",
            Self::FreeList => "free list block",
            Self::CheckpointList => "checkpoint list block",
        }
    }

    const fn checksum_name(self) -> &'static str {
        match self {
            Self::Leaf => "checksum of a leaf block",
            Self::Internal => "checksum of an internal block",
            Self::Overflow => "checksum of an overflow block",
            Self::OverflowList => "checksum of an overflow list block",
            Self::FreeList => "checksum of a free list block",
            Self::CheckpointList => "checksum of a checkpoint list block",
        }
    }
}

/// The header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// The checksum of everything behind this field; the address cookie repeats it.
    pub checksum: u32,
    /// The stored length in bytes, header included.
    pub len: u32,
    /// The payload's length in bytes before compression.
    pub raw_len: u32,
    /// What the block holds.
    pub kind: BlockKind,
    /// How the payload is stored.
    pub compression: Compression,
    /// For the layer that owns the kind.
    pub flags: u16,
    /// The table that it was written for. A hint for people who look at files: nothing decides
    /// on it.
    pub table: TableId,
    /// The checkpoint that was due when it was written; a hint as well.
    pub generation: u64,
}

impl BlockHeader {
    /// The header's bytes in front of `payload` (as stored), with the checksum of both.
    pub(super) fn seal(&self, payload: &[u8]) -> ([u8; BLOCK_HEADER_BYTES], u32) {
        let mut bytes = Vec::with_capacity(BLOCK_HEADER_BYTES);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&BLOCK_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&self.raw_len.to_le_bytes());
        bytes.push(self.kind as u8);
        bytes.push(compression_byte(self.compression));
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.table.0.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        let mut header = [0; BLOCK_HEADER_BYTES];
        header.copy_from_slice(&bytes);
        let checksum = checksum_of(&header, payload);
        if let Some(field) = header.first_chunk_mut::<4>() {
            *field = checksum.to_le_bytes();
        }
        (header, checksum)
    }

    /// The header at the front of a block that [`super::Blocks::read`] returned; `None` when the
    /// bytes are no block.
    pub fn decode(block: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(block);
        let checksum = reader.u32()?;
        if reader.u32()? != BLOCK_MAGIC {
            return None;
        }
        Some(Self {
            checksum,
            len: reader.u32()?,
            raw_len: reader.u32()?,
            kind: BlockKind::from_byte(reader.u8()?)?,
            compression: compression_of(reader.u8()?)?,
            flags: reader.u16()?,
            table: TableId(reader.u32()?),
            generation: reader.u64()?,
        })
    }
}

/// The checksum of a block: of all its bytes but the first four.
fn checksum_of(header: &[u8; BLOCK_HEADER_BYTES], payload: &[u8]) -> u32 {
    let [_, _, _, _, rest @ ..] = header;
    crate::base::checksum::crc32_of(&[rest, payload])
}

const fn compression_byte(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Snappy => 1,
    }
}

const fn compression_of(byte: u8) -> Option<Compression> {
    match byte {
        0 => Some(Compression::None),
        1 => Some(Compression::Snappy),
        _ => None,
    }
}

/// Checks that `block`, read from `address` of `file`, is the block of kind `expected` that the
/// address names, and returns its header.
///
/// # Errors
/// [`Error::Corrupt`] with the offset, what was expected and what was found.
pub(super) fn verify(
    block: &[u8],
    address: &Address,
    expected: BlockKind,
    file: &Arc<str>,
) -> Result<BlockHeader> {
    let corrupt = |what, expected: &dyn ToString, found: &dyn ToString| {
        Error::corrupt(file, address.offset(), what, expected.to_string(), found.to_string())
    };
    let computed = crc32(block.get(4..).unwrap_or_default());
    let stored = Reader::new(block).u32().unwrap_or_default();
    for found in [computed, stored] {
        if found != address.checksum() {
            let (wanted, found) =
                (format!("{:#010x}", address.checksum()), format!("{found:#010x}"));
            return Err(corrupt(expected.checksum_name(), &wanted, &found));
        }
    }
    let Some(header) = BlockHeader::decode(block) else {
        return Err(corrupt("header of a block", &expected.name(), &"something else"));
    };
    if header.kind != expected {
        return Err(corrupt("kind of a block", &expected.name(), &header.kind.name()));
    }
    if header.len != address.len_bytes() || header.len as usize != block.len() {
        return Err(corrupt("length of a block", &address.len_bytes(), &header.len));
    }
    let payload_bytes = block.len() - BLOCK_HEADER_BYTES;
    let raw_bytes = header.raw_len as usize;
    let plain = header.compression == Compression::None;
    if raw_bytes > PAYLOAD_BYTES_MAX || plain && raw_bytes != payload_bytes {
        return Err(corrupt("payload length of a block", &payload_bytes, &raw_bytes));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Grain;

    fn header(payload: &[u8]) -> BlockHeader {
        BlockHeader {
            checksum: 0,
            len: (BLOCK_HEADER_BYTES + payload.len()) as u32,
            raw_len: payload.len() as u32,
            kind: BlockKind::Leaf,
            compression: Compression::None,
            flags: 0x0102,
            table: TableId(7),
            generation: 9,
        }
    }

    fn block_of(header: &BlockHeader, payload: &[u8]) -> (Vec<u8>, Address) {
        let (bytes, checksum) = header.seal(payload);
        let address = Address::new(Grain::Unit, 12288, header.len, checksum).unwrap();
        ([&bytes[..], payload].concat(), address)
    }

    #[test]
    fn header_layout_is_the_documented_one() {
        let (block, address) = block_of(&header(b"spam"), b"spam");
        assert_eq!(block[..4], address.checksum().to_le_bytes());
        assert_eq!(block[4..8], *b"rsBK");
        assert_eq!(block[8..16], [36, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(block[16..24], [1, 0, 2, 1, 7, 0, 0, 0]);
        assert_eq!(block[24..32], [9, 0, 0, 0, 0, 0, 0, 0]);
        let decoded = BlockHeader::decode(&block).unwrap();
        assert_eq!(decoded, BlockHeader { checksum: address.checksum(), ..header(b"spam") });
    }

    #[test]
    fn verify_refuses_lies_under_a_right_checksum() {
        let file = Arc::from("spam");
        let good = header(b"spam");
        let (block, address) = block_of(&good, b"spam");
        assert!(verify(&block, &address, BlockKind::Leaf, &file).is_ok());
        assert!(verify(&block, &address, BlockKind::Internal, &file).is_err(), "kind");
        for lie in [
            BlockHeader { len: 37, ..good },
            BlockHeader { raw_len: 5, ..good },
            BlockHeader { raw_len: u32::MAX, compression: Compression::Snappy, ..good },
        ] {
            let (bytes, checksum) = lie.seal(b"spam");
            let address = Address::new(Grain::Unit, 12288, 36, checksum).unwrap();
            let block = [&bytes[..], b"spam"].concat();
            assert!(verify(&block, &address, BlockKind::Leaf, &file).is_err(), "{lie:?}");
        }
    }
}
