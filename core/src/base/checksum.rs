//! The checksum of blocks and log records: CRC-32 (the IEEE polynomial), hardware-assisted.

/// The checksum of `bytes`.
///
/// ```
/// assert_eq!(rshelve_core::base::checksum::crc32(b"123456789"), 0xcbf4_3926);
/// ```
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of the concatenation of `parts`.
///
/// ```
/// use rshelve_core::base::checksum::{crc32, crc32_of};
/// assert_eq!(crc32_of(&[b"1234", b"56789"]), crc32(b"123456789"));
/// ```
pub fn crc32_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The checksum of what `checksum` was computed over, followed by `parts`: so that a sum can be
/// begun before all of its bytes are known.
///
/// ```
/// use rshelve_core::base::checksum::{crc32, crc32_onward};
/// assert_eq!(crc32_onward(crc32(b"12345"), &[b"67", b"89"]), crc32(b"123456789"));
/// ```
#[inline]
pub fn crc32_onward(checksum: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(checksum);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
