//! Keys and values of Rust's types, in place of bytes.

mod codec;
mod key;
mod table;

pub use codec::Stored;
pub use key::Key;
pub(crate) use table::bytes_of;
pub use table::{TypedRange, TypedTable};
