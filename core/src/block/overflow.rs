//! Values too long for a page: written and read in pieces, each a block of its own.
//!
//! A value of up to one piece is one block of its exact size; a longer one is a list block that
//! names its pieces. Two levels are enough for the longest value, so nothing here recurses.

use super::block_header::{BLOCK_HEADER_BYTES, BlockKind};
use super::extent::Extent;
use super::{ADDRESS_BYTES_MAX, Address, Blocks, Destination, NewBlock};
use crate::base::codec::{Reader, put_varint};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::base::options::{Compression, VALUE_BYTES_MAX};

/// The length of every piece but the last, in bytes.
pub const PIECE_BYTES: usize = 1 << 20;

/// The most bytes that [`OverflowRef::encode`] appends.
pub const OVERFLOW_REF_BYTES_MAX: usize = 1 + 5 + ADDRESS_BYTES_MAX;

/// Pieces in one batch: what bounds the memory of compressing them.
const BATCH_PIECES: usize = 8;

/// Names a value that was written by [`write_value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OverflowRef {
    len_bytes: u64,
    shape: Shape,
    address: Address,
}

/// What the address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Shape {
    /// All of the value.
    Whole = 1,
    /// The list of its pieces.
    Pieces = 2,
}

impl OverflowRef {
    /// The value's length in bytes.
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Appends the reference in its compact form, at most [`OVERFLOW_REF_BYTES_MAX`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.shape as u8);
        put_varint(out, self.len_bytes);
        self.address.encode(out);
    }

    /// Reads what [`OverflowRef::encode`] wrote; `None` when it is cut short or makes no sense.
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let shape = match reader.u8()? {
            1 => Shape::Whole,
            2 => Shape::Pieces,
            _ => return None,
        };
        let len_bytes = reader.varint()?;
        let fits = match shape {
            Shape::Whole => len_bytes <= PIECE_BYTES as u64,
            Shape::Pieces => len_bytes > PIECE_BYTES as u64 && len_bytes <= VALUE_BYTES_MAX,
        };
        let address = Address::decode(reader)?;
        fits.then_some(Self { len_bytes, shape, address })
    }
}

/// Writes `value` and returns the reference to it. It is not durable before a sync.
///
/// # Errors
/// [`Error::Invalid`] when it is longer than [`VALUE_BYTES_MAX`]; otherwise as
/// [`Blocks::write`], and no space is taken then.
pub fn write_value(
    blocks: &Blocks,
    table: TableId,
    compression: Compression,
    value: &[u8],
) -> Result<OverflowRef> {
    let len_bytes = value.len() as u64;
    if len_bytes > VALUE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a value of {len_bytes} bytes is too long; the longest is {VALUE_BYTES_MAX} bytes"
        )));
    }
    let mut written = Vec::new();
    match write_pieces(blocks, table, compression, value, &mut written) {
        Ok((shape, address)) => Ok(OverflowRef { len_bytes, shape, address }),
        Err(error) => {
            let extents: Vec<Extent> = written.iter().map(Address::extent).collect();
            blocks.give_back(&extents);
            Err(error)
        }
    }
}

/// Writes the pieces, and the list if there must be one. `written` is what was, even on failure.
fn write_pieces(
    blocks: &Blocks,
    table: TableId,
    compression: Compression,
    value: &[u8],
    written: &mut Vec<Address>,
) -> Result<(Shape, Address)> {
    let piece = |bytes| NewBlock::new(BlockKind::Overflow, table, compression, bytes);
    if value.len() <= PIECE_BYTES {
        return Ok((Shape::Whole, write_one(blocks, piece(value))?));
    }
    for batch in value.chunks(PIECE_BYTES * BATCH_PIECES) {
        let batch: Vec<_> = batch.chunks(PIECE_BYTES).map(piece).collect();
        written.append(&mut blocks.write(&batch)?);
    }
    let list = encode_list(written);
    let list = NewBlock::new(BlockKind::OverflowList, table, Compression::None, &list);
    Ok((Shape::Pieces, write_one(blocks, list)?))
}

fn encode_list(pieces: &[Address]) -> Vec<u8> {
    let mut list = Vec::with_capacity(4 + pieces.len() * ADDRESS_BYTES_MAX);
    list.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
    for address in pieces {
        address.encode(&mut list);
    }
    list
}

fn write_one(blocks: &Blocks, block: NewBlock<'_>) -> Result<Address> {
    let address = blocks.write(&[block])?.pop();
    Ok(address.unwrap_or_else(|| unreachable!("one address for each block")))
}

/// Reads a whole value.
///
/// # Errors
/// As [`Blocks::read`]; an error too when memory for it cannot be had.
pub fn read_value(blocks: &Blocks, value: &OverflowRef) -> Result<Vec<u8>> {
    let pieces = pieces(blocks, value)?;
    let mut bytes = Vec::new();
    blocks.reserve(&mut bytes, value.len_bytes as usize)?;
    read_each(blocks, value, &pieces, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// Reads a value in pieces of at most [`PIECE_BYTES`], in order, and hands each to `take`.
///
/// # Errors
/// As [`Blocks::read`], and those of `take`, which end the reading.
pub fn read_value_in_pieces(
    blocks: &Blocks,
    value: &OverflowRef,
    take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    read_each(blocks, value, &pieces(blocks, value)?, take)
}

fn read_each(
    blocks: &Blocks,
    value: &OverflowRef,
    pieces: &[Address],
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut rest_bytes = value.len_bytes as usize;
    for address in pieces {
        let block = blocks.read(address, BlockKind::Overflow)?;
        let piece = block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
        let expected_bytes = rest_bytes.min(PIECE_BYTES);
        if piece.len() != expected_bytes {
            let what = "length of a piece of a value";
            return Err(blocks.corrupt(address.offset(), what, expected_bytes, piece.len()));
        }
        rest_bytes -= expected_bytes;
        take(piece)?;
    }
    Ok(())
}

/// Gives up the space of a value, as [`Blocks::free`] does.
///
/// # Errors
/// As [`Blocks::read`] (the list of pieces is read) and [`Blocks::free`].
pub fn free_value(blocks: &Blocks, value: &OverflowRef) -> Result<()> {
    addresses(blocks, value)?.iter().try_for_each(|address| blocks.free(address))
}

/// Copies a value to another place; none, and nothing is written, when there is no room there for some
/// of it. The copy is not durable before a sync, and the original is as it was.
///
/// # Errors
/// As [`Blocks::read`] and [`Blocks::write`].
pub fn copy_value(
    blocks: &Blocks,
    table: TableId,
    value: &OverflowRef,
    destination: Destination,
) -> Result<Option<OverflowRef>> {
    let originals = pieces(blocks, value)?;
    let mut copies = Vec::with_capacity(originals.len());
    let copied = copy_pieces(blocks, table, value, (&originals, destination), &mut copies);
    if !matches!(copied, Ok(Some(_))) {
        let extents: Vec<Extent> = copies.iter().map(Address::extent).collect();
        blocks.give_back(&extents);
    }
    copied
}

fn copy_pieces(
    blocks: &Blocks,
    table: TableId,
    value: &OverflowRef,
    (originals, destination): (&[Address], Destination),
    copies: &mut Vec<Address>,
) -> Result<Option<OverflowRef>> {
    // One after the other: a piece is as much memory as this may take.
    for piece in originals {
        let copy = blocks.copy(&[*piece], BlockKind::Overflow, destination)?;
        match copy.first().copied().flatten() {
            Some(copy) => copies.push(copy),
            None => return Ok(None),
        }
    }
    let Some(first) = copies.first() else { return Ok(None) };
    if value.shape == Shape::Whole {
        return Ok(Some(OverflowRef { address: *first, ..*value }));
    }
    let list = encode_list(copies);
    let list = NewBlock::new(BlockKind::OverflowList, table, Compression::None, &list);
    let address = match destination {
        Destination::End => Some(write_one(blocks, list)?),
        Destination::Below | Destination::Before(_) => {
            let ceiling = match destination {
                Destination::Before(ceiling) => ceiling,
                _ => value.address.offset(),
            };
            let placed = blocks.write_below(&[list], ceiling)?;
            placed.and_then(|mut placed| placed.pop())
        }
    };
    Ok(address.map(|address| OverflowRef { address, ..*value }))
}

/// Every block of a value, to claim or to verify.
///
/// # Errors
/// As [`Blocks::read`] (the list of pieces is read).
pub fn addresses(blocks: &Blocks, value: &OverflowRef) -> Result<Vec<Address>> {
    let mut addresses = pieces(blocks, value)?;
    if value.shape == Shape::Pieces {
        addresses.push(value.address);
    }
    Ok(addresses)
}

/// The pieces of a value, in order: as many as its length asks for.
fn pieces(blocks: &Blocks, value: &OverflowRef) -> Result<Vec<Address>> {
    if value.shape == Shape::Whole {
        return Ok(vec![value.address]);
    }
    let block = blocks.read(&value.address, BlockKind::OverflowList)?;
    let count = value.len_bytes.div_ceil(PIECE_BYTES as u64) as usize;
    decode_list(block.get(BLOCK_HEADER_BYTES..).unwrap_or_default(), count).ok_or_else(|| {
        let expected = format!("{count} addresses");
        blocks.corrupt(value.address.offset(), "list of a value's pieces", expected, "nonsense")
    })
}

fn decode_list(payload: &[u8], count: usize) -> Option<Vec<Address>> {
    let mut reader = Reader::new(payload);
    if reader.u32()? as usize != count {
        return None;
    }
    let addresses = (0..count).map(|_| Address::decode(&mut reader)).collect::<Option<_>>()?;
    reader.rest().is_empty().then_some(addresses)
}

#[cfg(test)]
#[path = "overflow_tests.rs"]
mod tests;
