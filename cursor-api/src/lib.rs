//! Sessions, transactions and cursors over a durable, concurrent B-tree that is larger than memory.
//!
//! A [`Connection`] is an open database: one file, shared by all threads of the process. A [`Table`] of
//! it is the plain way in: `get`, `insert`, `remove`, `len`, each a transaction of its own, from any
//! thread. A [`Session`] runs transactions with snapshot isolation, and its [`Cursor`]s search and walk
//! tables in key order.
//!
//! ```
//! use rshelve::{Connection, DatabaseOptions, TableOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("spam");
//! let connection = Connection::open(&path, DatabaseOptions::default())?;
//! let table = connection.create_table("stock", &TableOptions::default())?;
//! table.insert(b"eggs", b"12")?;
//! table.insert(b"ham", b"3")?;
//!
//! let session = connection.open_session()?;
//! session.begin()?;
//! let mut cursor = session.open_cursor("stock")?;
//! let stock: Vec<_> = cursor.range(&b"a"[..]..&b"h"[..]).collect::<Result<_, _>>()?;
//! assert_eq!(stock, [(b"eggs".to_vec(), b"12".to_vec())]);
//! drop(cursor);
//! session.commit()?;
//! connection.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod code;
pub mod config;
mod connection;
mod connection_options;
mod cursor;
mod event;
#[cfg(feature = "internals")]
mod internals;
mod options;
pub mod packing;
mod pool;
mod range;
mod session;
pub mod state;
mod table;
mod table_range;
mod transaction;
pub mod typed;

pub use code::Code;
pub use connection::Connection;
pub use connection_options::ConnectionOptions;
pub use cursor::Cursor;
pub use event::EventHandler;
pub use options::{CursorOptions, Isolation, TransactionOptions};
pub use range::Range;
pub use rshelve_core::base::error::{Corruption, Error, Result, RollbackReason};
pub use rshelve_core::base::options::{
    Compression, DatabaseOptions, Durability, KEY_BYTES_MAX, OpenMode, TableOptions,
    VALUE_BYTES_MAX,
};
pub use rshelve_core::base::stats::StatsSnapshot;
/// The first bytes of every database file, for programs that tell files apart.
pub use rshelve_core::block::MAGIC;
pub use rshelve_core::engine::verify_file;
pub use rshelve_core::engine::{
    CheckpointInfo, CompactProgress, CompactReport, CompactStage, LATEST_CHECKPOINT,
};
pub use rshelve_core::io::fork::{ForkGuard, generation as fork_generation};
pub use rshelve_core::salvage::{
    LostRange, LostValue, Report as SalvageReport, SalvagedTable, salvage_file,
};
pub use rshelve_core::verify::{
    Problem as VerifyProblem, Progress as VerifyProgress, Report as VerifyReport, TableReport,
};
pub use session::Session;
pub use table::{InCache, Rows, Table};
pub use table_range::TableRange;
pub use transaction::{Transaction, TypedRows};
