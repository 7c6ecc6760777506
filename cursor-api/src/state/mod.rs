//! Sessions and cursors as values: what every face of the contract is built on.
//!
//! The contract is `docs/cursor-semantics.md`. A [`CursorState`] does what WiredTiger's cursor does,
//! `set_key` and all, on raw bytes. It borrows nothing: each operation is handed the
//! [`SessionState`] that the cursor belongs to. [`Session`](crate::Session) and
//! [`Cursor`](crate::Cursor) wrap the two for Rust programs, with lifetimes; a binding of another
//! language keeps them behind a lock, by number.
//!
//! Two duties of who uses this layer: a cursor is given its own session and no other, and
//! [`CursorState::close`] is called before a cursor is dropped, because a cursor that is on a record
//! keeps its session's snapshot.
//!
//! ```
//! use rshelve::state::{CursorState, SessionState};
//! use rshelve::{Connection, CursorOptions, Error};
//! # let folder = tempfile::tempdir()?;
//! let connection = Connection::open(folder.path().join("spam"), Default::default())?;
//! connection.create_table("stock", &Default::default())?;
//! let mut session = SessionState::open(&connection)?;
//! let mut cursor = session.open_cursor("stock", &CursorOptions::new())?;
//! cursor.set_key(b"eggs");
//! cursor.set_value(b"12");
//! cursor.insert(&mut session)?;
//! assert!(matches!(cursor.insert(&mut session), Err(Error::Invalid { .. })));
//! cursor.next(&mut session)?;
//! assert_eq!(cursor.key(&session)?, b"eggs");
//! assert!(matches!(cursor.next(&mut session), Err(Error::NotFound)));
//! cursor.close(&mut session)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
mod bulk;
mod cursor;
mod drops;
mod mode;
mod modify;
mod random;
mod rows;
mod session;
mod source;
mod sources;
mod uri;
mod write;

pub use bounds::Edge;
pub use cursor::CursorState;
pub use modify::{Modify, Padding, apply as apply_modify};
pub use session::SessionState;
pub use sources::STATISTICS_FIRST;
pub use uri::Uri;
