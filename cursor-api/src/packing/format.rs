//! A format string such as `iSu`, read into columns.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// What a column's letter says. Letters of one line in the table of [`packing`](super) are one kind.
///
/// ```
/// use rshelve::packing::{Format, Kind};
/// let format: Format = "2xSHu".parse()?;
/// assert_eq!(format.columns(), [Kind::Padding(2), Kind::Text, Kind::Unsigned, Kind::Bytes]);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `x`: this many bytes of zeros, and no value.
    Padding(usize),
    /// `b`: one byte.
    SignedByte,
    /// `B`: one byte.
    UnsignedByte,
    /// `h i l q`: a packed integer.
    Signed,
    /// `H I L Q r`: a packed integer that is not negative.
    Unsigned,
    /// `s`, and `S` with a size: text of this many bytes, cut or filled with NUL.
    FixedText(usize),
    /// `S`: text, and a NUL behind it.
    Text,
    /// `t`: this many bits, in a byte of their own.
    Bits(u8),
    /// `u` with a size: this many bytes, cut or filled with NUL.
    FixedBytes(usize),
    /// `u` before other columns: its length as a packed integer, then the bytes.
    CountedBytes,
    /// `u` at the end: the bytes.
    Bytes,
}

/// The columns of a key or a value, as a format string lists them.
///
/// ```
/// use rshelve::packing::{Format, Value};
///
/// let format: Format = "iS".parse()?;
/// let packed = format.pack(&[Value::Signed(5), Value::Text("ab")])?;
/// assert_eq!(packed, b"\x85ab\0");
/// assert_eq!(format.unpack(&packed)?, [Value::Signed(5), Value::Text("ab")]);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    text: String,
    columns: Vec<Kind>,
}

impl Format {
    /// The most columns, and the largest count or size before a letter: enough for any row, and
    /// too little for a format string to be an attack.
    ///
    /// ```
    /// use rshelve::packing::Format;
    /// let most = Format::COUNT_MAX;
    /// assert!(format!("{most}u").parse::<Format>().is_ok());
    /// assert!(format!("{}u", most + 1).parse::<Format>().is_err());
    /// ```
    pub const COUNT_MAX: usize = 64 << 10;

    /// The most bytes that the columns with a size may take in all: a row of them is filled up to it,
    /// however short its values are.
    ///
    /// ```
    /// use rshelve::packing::Format;
    /// let most = Format::SIZED_BYTES_MAX / (1 << 15);
    /// assert!("32768s".repeat(most).parse::<Format>().is_ok());
    /// assert!("32768s".repeat(most + 1).parse::<Format>().is_err());
    /// ```
    pub const SIZED_BYTES_MAX: usize = 16 << 20;

    /// The format's columns, in order; padding is one.
    ///
    /// ```
    /// use rshelve::packing::{Format, Kind};
    /// assert_eq!("2i".parse::<Format>()?.columns(), [Kind::Signed, Kind::Signed]);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn columns(&self) -> &[Kind] {
        &self.columns
    }

    /// How many values a row has.
    ///
    /// ```
    /// use rshelve::packing::Format;
    /// assert_eq!("xiS".parse::<Format>()?.value_count(), 2);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn value_count(&self) -> usize {
        self.columns.iter().filter(|kind| !matches!(kind, Kind::Padding(_))).count()
    }

    /// The format string that it was read from.
    ///
    /// ```
    /// use rshelve::packing::Format;
    /// let format: Format = "iS".parse()?;
    /// assert_eq!((format.as_str(), format.to_string().as_str()), ("iS", "iS"));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether packed columns are the value itself: one `u` without a size.
    ///
    /// ```
    /// use rshelve::packing::Format;
    /// assert!("u".parse::<Format>()?.is_raw() && !"4u".parse::<Format>()?.is_raw());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn is_raw(&self) -> bool {
        self.columns == [Kind::Bytes]
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a format string. A leading `.`, which stands for the only byte order there is, may be
    /// there.
    fn from_str(text: &str) -> Result<Self> {
        let mut letters = text.strip_prefix('.').unwrap_or(text).chars().peekable();
        let (mut columns, mut sized_bytes) = (Vec::new(), 0);
        while letters.peek().is_some() {
            let mut count = None;
            while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
                letters.next();
                let grown = count.unwrap_or(0) * 10 + digit as usize;
                count = Some(grown);
                if grown > Self::COUNT_MAX {
                    return Err(bad(text, "a count is too large"));
                }
            }
            let Some(letter) = letters.next() else {
                return Err(bad(text, "a count stands before no letter"));
            };
            let (kind, times) = column(text, letter, count)?;
            if columns.len() + times > Self::COUNT_MAX {
                return Err(bad(text, "there are too many columns"));
            }
            sized_bytes += size_of_sized(kind);
            if sized_bytes > Self::SIZED_BYTES_MAX {
                return Err(bad(text, "its columns of a size are too long"));
            }
            columns.extend(std::iter::repeat_n(kind, times));
        }
        settle_bytes(&mut columns);
        Ok(Self { text: text.to_owned(), columns })
    }
}

/// What `letter` stands for: once, or `count` times, or of that size.
fn column(text: &str, letter: char, count: Option<usize>) -> Result<(Kind, usize)> {
    Ok(match (letter, count) {
        ('x', size) => (Kind::Padding(size.unwrap_or(1)), 1),
        ('s', size) => (Kind::FixedText(size.unwrap_or(1)), 1),
        ('S', Some(size)) => (Kind::FixedText(size), 1),
        ('S', None) => (Kind::Text, 1),
        ('u', Some(size)) => (Kind::FixedBytes(size), 1),
        ('u', None) => (Kind::Bytes, 1),
        ('t', bits) => match bits.unwrap_or(1) {
            bits @ 1..=8 => (Kind::Bits(bits as u8), 1),
            _ => return Err(bad(text, "t takes 1 to 8 bits")),
        },
        ('b', times) => (Kind::SignedByte, times.unwrap_or(1)),
        ('B', times) => (Kind::UnsignedByte, times.unwrap_or(1)),
        ('h' | 'i' | 'l' | 'q', times) => (Kind::Signed, times.unwrap_or(1)),
        ('H' | 'I' | 'L' | 'Q' | 'r', times) => (Kind::Unsigned, times.unwrap_or(1)),
        ('<' | '>' | '@' | '=' | '!', _) => {
            return Err(bad(text, "the only byte order is the packed one; leave it out"));
        }
        _ => return Err(bad(text, &format!("there is no type {letter:?}"))),
    })
}

/// How many bytes a column of a size takes; none the others.
fn size_of_sized(kind: Kind) -> usize {
    match kind {
        Kind::Padding(size) | Kind::FixedText(size) | Kind::FixedBytes(size) => size,
        _ => 0,
    }
}

/// Gives every `u` without a size a length, but for one at the end.
fn settle_bytes(columns: &mut [Kind]) {
    if let Some((_last, before)) = columns.split_last_mut() {
        for kind in before.iter_mut().filter(|kind| **kind == Kind::Bytes) {
            *kind = Kind::CountedBytes;
        }
    }
}

fn bad(text: &str, why: &str) -> Error {
    Error::invalid(format!("the format {text:?} cannot be read: {why}"))
}
