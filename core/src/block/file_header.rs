//! The first 512 bytes of a database: what it is, how to read it, and which one it is.
//!
//! Written once, when the database is created, and never again.

use std::path::PathBuf;
use std::sync::Arc;

use super::{FIRST_EXTENT, UNIT_BYTES, foreign, superblock};
use crate::base::checksum::crc32;
use crate::base::codec::Reader;
use crate::base::error::{Error, Result};
use crate::base::ids::DatabaseId;

/// The first 16 bytes of every database. Like PNG's, they start with a byte that is not ASCII and
/// hold both line ends, so that a transfer that mangles either is noticed.
pub const MAGIC: [u8; 16] = *b"\x89rshelve\r\n\x1a\n\0\0\0\0";

/// The length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 512;

const FORMAT_VERSION: u32 = 2;
const BYTE_ORDER_MARK: u32 = 0x0102_0304;
const CHECKSUM_CRC32: u32 = 1;

/// What the header says beyond constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// The database's random identity.
    pub(super) id: DatabaseId,
}

impl FileHeader {
    /// The header's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&BYTE_ORDER_MARK.to_le_bytes());
        out.extend_from_slice(&(UNIT_BYTES as u32).to_le_bytes());
        out.extend_from_slice(&CHECKSUM_CRC32.to_le_bytes());
        out.extend_from_slice(&self.id.0);
        out.resize(HEADER_BYTES - 4, 0);
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        out
    }

    /// Reads the header at the front of `head`, the first bytes of `file`, up to the first
    /// extent (fewer when the file is shorter).
    ///
    /// # Errors
    /// [`Error::Foreign`] when the file is something else or of another version,
    /// [`Error::Corrupt`] when it is ours and damaged.
    pub(super) fn decode(head: &[u8], file: &Arc<str>) -> Result<Self> {
        if !head.starts_with(&MAGIC) {
            if superblock::looks_like_slot(head) {
                return Err(Error::corrupt(
                    file,
                    0,
                    "magic of the header",
                    "ours",
                    "something else",
                ));
            }
            return Err(foreign_error(file, foreign::looks_like(head)));
        }
        if head.len() < FIRST_EXTENT as usize {
            let (expected, found) = (FIRST_EXTENT, head.len());
            return Err(Error::corrupt(file, 0, "length of the file", expected, found));
        }
        let fields = head.split_at_checked(HEADER_BYTES - 4).and_then(|(body, rest)| {
            let mut reader = Reader::new(body);
            reader.bytes(MAGIC.len())?;
            let version = reader.u32()?;
            let constants = (reader.u32()?, reader.u32()?, reader.u32()?);
            let id = DatabaseId(reader.array()?);
            Some((version, constants, id, crc32(body), Reader::new(rest).u32()?))
        });
        let Some((version, constants, id, computed, stored)) = fields else {
            return Err(Error::corrupt(file, 0, "header", HEADER_BYTES, head.len()));
        };
        if computed != stored {
            let (expected, found) = (format!("{stored:#010x}"), format!("{computed:#010x}"));
            return Err(Error::corrupt(file, 0, "checksum of the header", expected, found));
        }
        if version != FORMAT_VERSION {
            let what = format!(
                "a database of format version {version}, and this program reads version {FORMAT_VERSION}"
            );
            return Err(foreign_error(file, what));
        }
        if constants != (BYTE_ORDER_MARK, UNIT_BYTES as u32, CHECKSUM_CRC32) {
            let what = "a database with a byte order, allocation unit or checksum unknown here";
            return Err(foreign_error(file, what.to_owned()));
        }
        Ok(Self { id })
    }
}

fn foreign_error(file: &Arc<str>, looks_like: String) -> Error {
    Error::Foreign { path: PathBuf::from(file.as_ref()), looks_like }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_says_which_damage() {
        let header = FileHeader { id: DatabaseId([7; 16]) };
        let file = Arc::from("spam");
        let mut head = header.encode();
        assert_eq!(head.len(), HEADER_BYTES);
        assert!(matches!(FileHeader::decode(&head, &file), Err(Error::Corrupt(_))), "cut short");
        head.resize(FIRST_EXTENT as usize, 0);
        assert_eq!(FileHeader::decode(&head, &file).unwrap(), header);
        for at in 0..HEADER_BYTES {
            head[at] ^= 0x40;
            let error = FileHeader::decode(&head, &file).unwrap_err();
            let foreign = matches!(error, Error::Foreign { .. });
            assert_eq!(foreign, at < MAGIC.len(), "byte {at}: {error}");
            head[at] ^= 0x40;
        }
    }

    #[test]
    fn another_version_is_foreign_and_says_so() {
        for version in [1, 3] {
            let mut head = FileHeader { id: DatabaseId([7; 16]) }.encode();
            head[16] = version;
            let checksum = crc32(&head[..508]);
            head[508..].copy_from_slice(&checksum.to_le_bytes());
            head.resize(FIRST_EXTENT as usize, 0);
            let error = FileHeader::decode(&head, &Arc::from("spam")).unwrap_err();
            assert!(error.to_string().contains(&format!("format version {version}")), "{error}");
        }
    }
}
