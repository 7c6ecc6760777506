//! Integers as bytes that sort as the integers do, small ones short.
//!
//! The first byte tells sign and length, so that comparing bytes compares numbers, whatever their
//! lengths:
//!
//! | first byte | following | range |
//! |---|---|---|
//! | `0001llll` | 8 - llll bytes | below -8256: two's complement, leading 0xff bytes dropped |
//! | `001xxxxx` | 1 byte | -8256 to -65: value + 8256, in 13 bits |
//! | `01xxxxxx` | none | -64 to -1: value + 64 |
//! | `10xxxxxx` | none | 0 to 63 |
//! | `110xxxxx` | 1 byte | 64 to 8255: value - 64, in 13 bits |
//! | `1110llll` | llll bytes | from 8256: value - 8256, leading zero bytes dropped, but never all |

use crate::{Error, Result};

const NEGATIVE_LONG: u8 = 0x10;
const NEGATIVE_TWO: u8 = 0x20;
const NEGATIVE_ONE: u8 = 0x40;
const POSITIVE_ONE: u8 = 0x80;
const POSITIVE_TWO: u8 = 0xc0;
const POSITIVE_LONG: u8 = 0xe0;

/// How many numbers one byte holds, on either side of zero.
const ONE_BYTE: u64 = 1 << 6;
/// How many one or two bytes hold, on either side of zero.
const TWO_BYTES: u64 = ONE_BYTE + (1 << 13);

/// Appends `number` to `packed`: 1 to 9 bytes.
///
/// ```
/// let mut packed = Vec::new();
/// rshelve::packing::pack_unsigned(&mut packed, 64);
/// assert_eq!(packed, [0xc0, 0x00]);
/// ```
pub fn pack_unsigned(packed: &mut Vec<u8>, number: u64) {
    if number < ONE_BYTE {
        packed.push(POSITIVE_ONE | number as u8);
    } else if number < TWO_BYTES {
        let rest = (number - ONE_BYTE) as u16;
        packed.extend([POSITIVE_TWO | (rest >> 8) as u8, rest as u8]);
    } else {
        let rest = number - TWO_BYTES;
        let dropped = (rest.leading_zeros() as usize / 8).min(7);
        packed.push(POSITIVE_LONG | (8 - dropped) as u8);
        packed.extend(rest.to_be_bytes().into_iter().skip(dropped));
    }
}

/// Appends `number` to `packed`: 1 to 9 bytes. Numbers from 0 on pack as [`pack_unsigned`] does.
///
/// ```
/// let mut packed = Vec::new();
/// rshelve::packing::pack_signed(&mut packed, -300);
/// assert_eq!(packed, [0x3f, 0x14]);
/// ```
pub fn pack_signed(packed: &mut Vec<u8>, number: i64) {
    let distance = number.unsigned_abs();
    if number >= 0 {
        pack_unsigned(packed, distance);
    } else if distance <= ONE_BYTE {
        packed.push(NEGATIVE_ONE | (ONE_BYTE - distance) as u8);
    } else if distance <= TWO_BYTES {
        let rest = (TWO_BYTES - distance) as u16;
        packed.extend([NEGATIVE_TWO | (rest >> 8) as u8, rest as u8]);
    } else {
        let dropped = number.leading_ones() as usize / 8;
        packed.push(NEGATIVE_LONG | dropped as u8);
        packed.extend(number.to_be_bytes().into_iter().skip(dropped));
    }
}

/// Takes a number that is not negative from the front of `packed`.
///
/// ```
/// let mut packed = &[0xc0, 0x00, 0x85][..];
/// assert_eq!(rshelve::packing::unpack_unsigned(&mut packed)?, 64);
/// assert_eq!(packed, [0x85]);
/// # Ok::<(), rshelve::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] when it is negative, longer than 64 bits, cut short, or no packed integer.
pub fn unpack_unsigned(packed: &mut &[u8]) -> Result<u64> {
    let first = take_first(packed)?;
    match first {
        POSITIVE_ONE..=0xbf => Ok(u64::from(first & 0x3f)),
        POSITIVE_TWO..=0xdf => {
            Ok(ONE_BYTE + (u64::from(first & 0x1f) << 8 | take_number(packed, 1)?))
        }
        0xe1..=0xe8 => {
            let rest = take_number(packed, usize::from(first & 0x0f))?;
            rest.checked_add(TWO_BYTES)
                .ok_or_else(|| Error::invalid("a packed integer of more than 64 bits"))
        }
        _ => Err(Error::invalid(format!(
            "a packed integer that is not negative cannot begin with the byte {first:#04x}"
        ))),
    }
}

/// Takes a number from the front of `packed`.
///
/// ```
/// let mut packed = &[0x3f, 0x14][..];
/// assert_eq!(rshelve::packing::unpack_signed(&mut packed)?, -300);
/// assert!(packed.is_empty());
/// # Ok::<(), rshelve::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] when it does not fit 64 bits with their sign, is cut short, or is no packed
/// integer.
pub fn unpack_signed(packed: &mut &[u8]) -> Result<i64> {
    let Some(&first) = packed.first() else { return Err(cut_short()) };
    match first {
        NEGATIVE_LONG..=0x17 => {
            *packed = packed.get(1..).unwrap_or_default();
            let kept = 8 - usize::from(first & 0x0f);
            // The bytes that were dropped are all ones.
            let ones = if kept == 8 { 0 } else { u64::MAX << (8 * kept) };
            Ok((ones | take_number(packed, kept)?) as i64)
        }
        NEGATIVE_TWO..=0x3f => {
            *packed = packed.get(1..).unwrap_or_default();
            let rest = u64::from(first & 0x1f) << 8 | take_number(packed, 1)?;
            Ok(rest as i64 - TWO_BYTES as i64)
        }
        NEGATIVE_ONE..=0x7f => {
            *packed = packed.get(1..).unwrap_or_default();
            Ok(i64::from(first & 0x3f) - ONE_BYTE as i64)
        }
        _ => i64::try_from(unpack_unsigned(packed)?)
            .map_err(|_| Error::invalid("a packed integer that needs 64 bits and a sign")),
    }
}

fn take_first(packed: &mut &[u8]) -> Result<u8> {
    let (&first, rest) = packed.split_first().ok_or_else(cut_short)?;
    *packed = rest;
    Ok(first)
}

/// Takes `count` bytes, at most 8, most significant first.
fn take_number(packed: &mut &[u8], count: usize) -> Result<u64> {
    let (bytes, rest) = packed.split_at_checked(count).ok_or_else(cut_short)?;
    *packed = rest;
    Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn cut_short() -> Error {
    Error::invalid("a packed integer ends in its middle")
}
