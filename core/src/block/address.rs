//! The address cookie: where a block lies, how long it is, and what its bytes add up to.

use super::extent::Extent;
use super::{BLOCK_HEADER_BYTES, FILE_BYTES_MAX, FIRST_EXTENT, Grain, PAYLOAD_BYTES_MAX};
use crate::base::codec::{Reader, put_varint};

/// The most bytes that [`Address::encode`] appends.
pub const ADDRESS_BYTES_MAX: usize = 8 + 4 + 4;

/// In an address's place: the block takes whole frames.
const IN_FRAMES: u64 = 1;

/// Names one block of the data file. Whoever holds it can tell the block from every other that
/// was ever at its place, because the checksum is part of the name.
///
/// A value of this type is well-formed (aligned, bounded lengths); that it lies within the file
/// is checked when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The offset, which is even, plus [`IN_FRAMES`] where that is so.
    place: u64,
    len: u32,
    checksum: u32,
}

impl Address {
    /// An address, if its parts make sense: an `offset` behind the superblocks that is a multiple of
    /// the `grain`, and a `len` (bytes stored, block header included) within what a block may have.
    pub fn new(grain: Grain, offset: u64, len: u32, checksum: u32) -> Option<Self> {
        let bytes_max = BLOCK_HEADER_BYTES + PAYLOAD_BYTES_MAX;
        let fits = (BLOCK_HEADER_BYTES..=bytes_max).contains(&(len as usize));
        let inside = (FIRST_EXTENT..FILE_BYTES_MAX).contains(&offset);
        let aligned = offset.is_multiple_of(grain.bytes());
        let in_frames = if grain == Grain::Frame { IN_FRAMES } else { 0 };
        (fits && inside && aligned).then_some(Self { place: offset | in_frames, len, checksum })
    }

    /// The same block at another place.
    pub(super) fn moved_to(&self, offset: u64) -> Option<Self> {
        Self::new(self.grain(), offset, self.len, self.checksum)
    }

    /// The block's first byte in the file.
    pub const fn offset(&self) -> u64 {
        self.place & !IN_FRAMES
    }

    /// What the block's space is rounded up to.
    pub const fn grain(&self) -> Grain {
        grain_of(self.place)
    }

    /// The block's stored length in bytes, header included and padding excluded.
    pub const fn len_bytes(&self) -> u32 {
        self.len
    }

    /// The checksum in the block's header.
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The space that the block takes: its length rounded up to whole grains.
    pub const fn extent(&self) -> Extent {
        Extent { offset: self.offset(), len: self.grain().round_up(self.len as u64) }
    }

    /// Appends the address in its compact form, at most [`ADDRESS_BYTES_MAX`] bytes.
    ///
    /// ```
    /// use rshelve_core::base::codec::Reader;
    /// use rshelve_core::block::{Address, Grain};
    /// let address = Address::new(Grain::Frame, 1 << 20, 4000, 0xdead_beef).unwrap();
    /// let mut cell = Vec::new();
    /// address.encode(&mut cell);
    /// assert_eq!(cell.len(), 8);
    /// assert_eq!(Address::decode(&mut Reader::new(&cell)), Some(address));
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset() / self.grain().bytes() * 2 + (self.place & IN_FRAMES));
        put_varint(out, u64::from(self.len));
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    /// Reads what [`Address::encode`] wrote; `None` when it is cut short or makes no sense.
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let place = reader.varint()?;
        let grain = grain_of(place);
        let offset = (place / 2).checked_mul(grain.bytes())?;
        let len = u32::try_from(reader.varint()?).ok()?;
        Self::new(grain, offset, len, reader.u32()?)
    }

    /// Appends an address that may be missing in 16 bytes, for places of fixed size.
    pub(super) fn encode_fixed(address: Option<&Self>, out: &mut Vec<u8>) {
        let (place, len, checksum) =
            address.map_or((0, 0, 0), |address| (address.place, address.len, address.checksum));
        out.extend_from_slice(&place.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// Reads what [`Address::encode_fixed`] wrote; the outer `None` is damage.
    pub(super) fn decode_fixed(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let (place, len, checksum) = (reader.u64()?, reader.u32()?, reader.u32()?);
        if (place, len, checksum) == (0, 0, 0) {
            return Some(None);
        }
        Self::new(grain_of(place), place & !IN_FRAMES, len, checksum).map(Some)
    }
}

const fn grain_of(place: u64) -> Grain {
    if place & IN_FRAMES == 0 { Grain::Unit } else { Grain::Frame }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn new_refuses_what_no_block_has() {
        assert!(Address::new(Grain::Unit, FIRST_EXTENT, 32, 0).is_some());
        assert!(Address::new(Grain::Frame, FIRST_EXTENT, 32, 0).is_some());
        for (grain, offset, len) in [
            (Grain::Unit, 0, 100),
            (Grain::Unit, 8192, 100),
            (Grain::Unit, FIRST_EXTENT + 1, 100),
            (Grain::Frame, FIRST_EXTENT + 512, 100),
            (Grain::Unit, FILE_BYTES_MAX, 100),
            (Grain::Unit, u64::MAX - 511, 100),
            (Grain::Unit, FIRST_EXTENT, 31),
            (Grain::Frame, FIRST_EXTENT, u32::MAX),
        ] {
            assert_eq!(Address::new(grain, offset, len, 0), None, "{grain:?} {offset} {len}");
        }
    }

    #[test]
    fn extent_is_whole_grains() {
        for (grain, len, expected) in [
            (Grain::Unit, 513, 1024),
            (Grain::Frame, 513, 4096),
            (Grain::Frame, 4096, 4096),
            (Grain::Frame, 4097, 8192),
        ] {
            let address = Address::new(grain, FIRST_EXTENT, len, 0).unwrap();
            assert_eq!(address.extent(), Extent { offset: FIRST_EXTENT, len: expected });
        }
    }

    proptest! {
        #[test]
        fn address_round_trips_and_stays_short(
            place in FIRST_EXTENT..FILE_BYTES_MAX,
            grain in prop_oneof![Just(Grain::Unit), Just(Grain::Frame)],
            len in 32_u32..4 << 20,
            checksum: u32,
        ) {
            let address = Address::new(grain, place - place % grain.bytes(), len, checksum).unwrap();
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
                prop_assert_eq!(address.offset() % address.grain().bytes(), 0);
                prop_assert!(address.extent().end() <= FILE_BYTES_MAX + (8 << 20));
            }
        }
    }
}
