//! Rows of columns as keys and values: the packed formats of WiredTiger.
//!
//! The bytes of packed keys sort as their columns do. A [`Format`] is read from a string of letters;
//! a count before an integer's letter repeats it, before another's it is a size.
//!
//! | letter | value | packed |
//! |---|---|---|
//! | `x` | none | a zero byte |
//! | `b` | -128 to 127 | one byte, the value + 128 |
//! | `B` | 0 to 255 | one byte |
//! | `h` `i` `l` `q` | a signed number of 64 bits | 1 to 9 bytes ([`pack_signed`]) |
//! | `H` `I` `L` `Q` `r` | an unsigned number of 64 bits | 1 to 9 bytes ([`pack_unsigned`]) |
//! | `s` | text of 1 byte, or of the size before it | cut or filled with NUL |
//! | `S` | text without NUL | the text and a NUL; with a size as `s` |
//! | `t` | 1 bit, or as many as the count before it, up to 8 | one byte |
//! | `u` | bytes | as they are at the end, else behind their length; with a size cut or filled with NUL |
//!
//! The integer letters name widths for programs in C; all of them hold 64 bits here, as they do in
//! WiredTiger's binding for Python.
//!
//! ```
//! use rshelve::packing::{Format, Value};
//!
//! let format: Format = "Si".parse()?;
//! let row = |year| format.pack(&[Value::Text("Holy Grail"), Value::Signed(year)]);
//! assert!(row(-44)? < row(1975)?);
//! # Ok::<(), rshelve::Error>(())
//! ```

mod format;
mod integer;
mod row;
#[cfg(test)]
mod tests;

pub use format::{Format, Kind};
pub use integer::{pack_signed, pack_unsigned, unpack_signed, unpack_unsigned};
pub use row::{Packer, Value};
