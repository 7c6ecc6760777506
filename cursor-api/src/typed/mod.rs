//! Keys and values of Rust's types, in place of bytes.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
//! let years = connection.create_table("years", &Default::default())?.typed::<str, i64>();
//! years.insert("Holy Grail", &1975)?;
//! assert_eq!(years.get("Holy Grail")?, Some(1975));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
mod key;
mod table;

pub use codec::Stored;
pub use key::Key;
pub(crate) use table::bytes_of;
pub use table::{TypedRange, TypedTable};
