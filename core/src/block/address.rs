//! The address cookie: where a block lies, how long it is, and what its bytes add up to.

use super::extent::Extent;
use super::round_up;
use super::{BLOCK_HEADER_BYTES, FILE_BYTES_MAX, FIRST_EXTENT, PAYLOAD_BYTES_MAX, UNIT_BYTES};
use crate::base::codec::{Reader, put_varint};

/// The most bytes that [`Address::encode`] appends.
pub const ADDRESS_BYTES_MAX: usize = 8 + 4 + 4;

/// Names one block of the data file. Whoever holds it can tell the block from every other that
/// was ever at its place, because the checksum is part of the name.
///
/// A value of this type is well-formed (aligned, bounded lengths); that it lies within the file
/// is checked when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    offset: u64,
    len: u32,
    checksum: u32,
}

impl Address {
    /// An address, if its parts make sense: an aligned `offset` behind the superblocks, and a
    /// `len` (bytes stored, block header included) within what a block may have.
    pub fn new(offset: u64, len: u32, checksum: u32) -> Option<Self> {
        let bytes_max = BLOCK_HEADER_BYTES + PAYLOAD_BYTES_MAX;
        let fits = (BLOCK_HEADER_BYTES..=bytes_max).contains(&(len as usize));
        let inside = (FIRST_EXTENT..FILE_BYTES_MAX).contains(&offset);
        let aligned = offset.is_multiple_of(UNIT_BYTES);
        (fits && inside && aligned).then_some(Self { offset, len, checksum })
    }

    /// The block's first byte in the file.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The block's stored length in bytes, header included and padding excluded.
    pub const fn len_bytes(&self) -> u32 {
        self.len
    }

    /// The checksum in the block's header.
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The space that the block takes: its length rounded up to whole units.
    pub const fn extent(&self) -> Extent {
        Extent { offset: self.offset, len: round_up(self.len as u64) }
    }

    /// Appends the address in its compact form, at most [`ADDRESS_BYTES_MAX`] bytes.
    ///
    /// ```
    /// use rshelve_core::base::codec::Reader;
    /// use rshelve_core::block::Address;
    /// let address = Address::new(1 << 20, 4000, 0xdead_beef).unwrap();
    /// let mut cell = Vec::new();
    /// address.encode(&mut cell);
    /// assert_eq!(cell.len(), 8);
    /// assert_eq!(Address::decode(&mut Reader::new(&cell)), Some(address));
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset / UNIT_BYTES);
        put_varint(out, u64::from(self.len));
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    /// Reads what [`Address::encode`] wrote; `None` when it is cut short or makes no sense.
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let offset = reader.varint()?.checked_mul(UNIT_BYTES)?;
        let len = u32::try_from(reader.varint()?).ok()?;
        Self::new(offset, len, reader.u32()?)
    }

    /// Appends an address that may be missing in 16 bytes, for places of fixed size.
    pub(super) fn encode_fixed(address: Option<&Self>, out: &mut Vec<u8>) {
        let (offset, len, checksum) =
            address.map_or((0, 0, 0), |address| (address.offset, address.len, address.checksum));
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// Reads what [`Address::encode_fixed`] wrote; the outer `None` is damage.
    pub(super) fn decode_fixed(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let (offset, len, checksum) = (reader.u64()?, reader.u32()?, reader.u32()?);
        if (offset, len, checksum) == (0, 0, 0) {
            return Some(None);
        }
        Self::new(offset, len, checksum).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn new_refuses_what_no_block_has() {
        assert!(Address::new(FIRST_EXTENT, 32, 0).is_some());
        for (offset, len) in [
            (0, 100),
            (8192, 100),
            (FIRST_EXTENT + 1, 100),
            (FILE_BYTES_MAX, 100),
            (u64::MAX - 511, 100),
            (FIRST_EXTENT, 31),
            (FIRST_EXTENT, u32::MAX),
        ] {
            assert_eq!(Address::new(offset, len, 0), None, "{offset} {len}");
        }
    }

    proptest! {
        #[test]
        fn address_round_trips_and_stays_short(
            unit in FIRST_EXTENT / UNIT_BYTES..FILE_BYTES_MAX / UNIT_BYTES,
            len in 32_u32..4 << 20,
            checksum: u32,
        ) {
            let address = Address::new(unit * UNIT_BYTES, len, checksum).unwrap();
            let mut compact = Vec::new();
            address.encode(&mut compact);
            prop_assert!(compact.len() <= ADDRESS_BYTES_MAX);
            prop_assert_eq!(Address::decode(&mut Reader::new(&compact)), Some(address));
            compact.pop();
            prop_assert_eq!(Address::decode(&mut Reader::new(&compact)), None);
            let mut fixed = Vec::new();
            Address::encode_fixed(Some(&address), &mut fixed);
            prop_assert_eq!(Address::decode_fixed(&mut Reader::new(&fixed)), Some(Some(address)));
        }

        #[test]
        fn decode_of_anything_is_well_formed_or_none(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Some(address) = Address::decode(&mut Reader::new(&bytes)) {
                prop_assert_eq!(address.offset() % UNIT_BYTES, 0);
                prop_assert!(address.extent().end() <= FILE_BYTES_MAX + (8 << 20));
            }
        }
    }
}
