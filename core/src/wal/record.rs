//! A record: 32 bytes of header, a payload, and padding to the next multiple of eight.
//!
//! ```text
//! 0  checksum u32   over the database's id, the payload, and the header from byte 4 on
//! 4  len u32        bytes of payload
//! 8  position u64   where the record lies in the log
//! 16 synced u64     everything before was durable when the record was written
//! 24 epoch u32      of the segment
//! 28 kind u8        the caller's, or FILLER
//! 29 zero [u8; 3]
//! ```
//!
//! The id is summed and not stored. The payload comes before the header in the sum, so that the
//! long part is done before the record's position is known.

use crate::base::checksum::{crc32, crc32_onward};
use crate::base::codec::Reader;
use crate::base::ids::{DatabaseId, Lsn};

/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: u64 = 32;

/// Positions of records are multiples of this.
pub const ALIGN_BYTES: u64 = 8;

/// The kind of the record that ends a segment. Its payload is whatever is left of the segment,
/// which is neither counted in `len` nor summed.
pub const FILLER: u8 = u8::MAX;

/// The encoded header.
pub(crate) type HeaderBytes = [u8; RECORD_HEADER_BYTES as usize];

/// Positions that a record with `payload_bytes` of payload takes.
pub const fn record_bytes(payload_bytes: u64) -> u64 {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

/// A record's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub len: u32,
    pub position: Lsn,
    pub synced: Lsn,
    pub epoch: u32,
    pub kind: u8,
}

impl RecordHeader {
    /// The bytes, with the checksum that goes on from `payload_sum`.
    #[inline]
    pub fn encode(&self, payload_sum: PayloadSum) -> HeaderBytes {
        let mut out = [0; RECORD_HEADER_BYTES as usize];
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..16].copy_from_slice(&self.position.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.synced.0.to_le_bytes());
        out[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        out[28] = self.kind;
        let checksum = crc32_onward(payload_sum.0, &[&out[4..]]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// What the bytes say, unverified; `None` when the spare bytes are in use, which tells most
    /// of what is no header without a checksum.
    pub fn decode(bytes: &HeaderBytes) -> Option<Self> {
        let mut reader = Reader::new(bytes.get(4..)?);
        let header = Self {
            len: reader.u32()?,
            position: Lsn(reader.u64()?),
            synced: Lsn(reader.u64()?),
            epoch: reader.u32()?,
            kind: reader.u8()?,
        };
        (reader.rest() == [0; 3]).then_some(header)
    }

    /// Bytes of payload that the checksum covers.
    pub fn summed_bytes(&self) -> u64 {
        u64::from(self.len)
    }
}

/// Whether the header's checksum is that of `payload` and the header, in the database of `seed`.
pub(crate) fn verify(header: &HeaderBytes, payload: &[u8], seed: Seed) -> bool {
    let Some((checksum, rest)) = header.split_first_chunk::<4>() else { return false };
    crc32_onward(seed.sum(&[payload]).0, &[rest]) == u32::from_le_bytes(*checksum)
}

/// What every checksum of one database's log starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u32);

/// The sum of the id and the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadSum(u32);

impl Seed {
    /// That of the database `id`.
    pub fn new(id: DatabaseId) -> Self {
        Self(crc32(&id.0))
    }

    /// Sums a payload given in parts.
    #[inline]
    pub fn sum(self, parts: &[&[u8]]) -> PayloadSum {
        PayloadSum(crc32_onward(self.0, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RecordHeader =
        RecordHeader { len: 5, position: Lsn(4096), synced: Lsn(1024), epoch: 7, kind: 3 };

    #[test]
    fn record_header_round_trips() {
        let seed = Seed::new(DatabaseId([9; 16]));
        let bytes = HEADER.encode(seed.sum(&[b"he", b"llo"]));
        assert_eq!(RecordHeader::decode(&bytes), Some(HEADER));
        assert!(verify(&bytes, b"hello", seed));
    }

    #[test]
    fn record_checksum_covers_every_bit_and_the_database() {
        let seed = Seed::new(DatabaseId([9; 16]));
        let bytes = HEADER.encode(seed.sum(&[b"hello"]));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&flipped, b"hello", seed), "bit {bit} of the header");
        }
        for bit in 0..8 * 5 {
            let mut payload = *b"hello";
            payload[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&bytes, &payload, seed), "bit {bit} of the payload");
        }
        assert!(!verify(&bytes, b"hello", Seed::new(DatabaseId([8; 16]))));
    }

    #[test]
    fn zeros_are_no_record() {
        for id in 0..=255 {
            let bytes = [0; RECORD_HEADER_BYTES as usize];
            let header = RecordHeader::decode(&bytes).unwrap();
            // The reader refuses epoch zero whatever the checksum says.
            assert_eq!(header.epoch, 0);
            assert!(!verify(&bytes, b"", Seed::new(DatabaseId([id; 16]))));
        }
    }

    #[test]
    fn record_bytes_are_aligned() {
        assert_eq!([0, 1, 8, 9].map(record_bytes), [32, 40, 40, 48]);
    }
}
