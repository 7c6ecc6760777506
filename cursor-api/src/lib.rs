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
#![warn(missing_debug_implementations)]

#[macro_use]
mod examples;
#[macro_use]
mod help;

mod code;
pub mod config;
mod connection;
mod connection_options;
mod cursor;
#[cfg(test)]
mod documented_tests;
mod event;
#[cfg(feature = "internals")]
mod internals;
mod options;
pub mod packing;
mod pool;
mod range;
mod said;
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
pub use options::{CursorOptions, TransactionOptions};
pub use range::Range;
/// What [`Error::Corrupt`] tells of the damage.
///
/// ```
/// use rshelve::{Connection, Error};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// Connection::open(&path, Default::default())?.close()?;
/// let mut bytes = std::fs::read(&path)?;
/// bytes[16..].fill(0xff); // all but what says that it is a database
/// std::fs::write(&path, bytes)?;
/// match Connection::open(&path, Default::default()) {
///     Err(Error::Corrupt(damage)) => println!("at {}: {}", damage.offset, damage.what),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::error::Corruption;
/// Why an operation failed. Match on it, or take its number: [`Code::of`].
///
/// ```
/// use rshelve::{Connection, Error};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.close()?;
/// match connection.create_table("stock", &Default::default()) {
///     Err(Error::Closed { what }) => println!("{what} is closed"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::error::Error;
/// What most operations return.
///
/// ```
/// fn eggs(stock: &rshelve::Table) -> rshelve::Result<bool> {
///     stock.contains(b"eggs")
/// }
/// ```
pub use rshelve_core::base::error::Result;
/// What [`Error::Rollback`] tells of the conflict.
///
/// ```
/// use rshelve::{Connection, Error, RollbackReason};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let stock = connection.create_table("stock", &Default::default())?;
/// let (one, other) = (connection.open_session()?, connection.open_session()?);
/// one.begin()?;
/// other.begin()?;
/// one.open_cursor("stock")?.insert(b"eggs", b"12")?;
/// let refused = other.open_cursor("stock")?.insert(b"eggs", b"3").unwrap_err();
/// assert!(matches!(refused, Error::Rollback { reason: RollbackReason::Conflict, .. }));
/// other.rollback()?;
/// one.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::error::RollbackReason;
/// For [`TableOptions::compression`].
///
/// ```
/// use rshelve::{Compression, Connection, TableOptions};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let small = TableOptions::new().compression(Compression::Snappy);
/// let stock = connection.create_table("stock", &small)?;
/// assert_ne!(stock.options().compression, Compression::None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::Compression;
/// What [`Connection::open`] is given.
///
/// ```
/// use rshelve::{Connection, DatabaseOptions, Durability, OpenMode};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// let options = DatabaseOptions {
///     mode: OpenMode::Create,
///     durability: Durability::Sync,
///     cache_bytes_max: 64 << 20,
///     ..Default::default()
/// };
/// let connection = Connection::open(&path, options)?;
/// assert_eq!(connection.options().durability, Durability::Sync);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::DatabaseOptions;
/// For [`DatabaseOptions::durability`].
///
/// ```
/// use rshelve::{Connection, DatabaseOptions, Durability};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// let safest = DatabaseOptions { durability: Durability::Sync, ..Default::default() };
/// let stock = Connection::open(&path, safest)?.create_table("stock", &Default::default())?;
/// stock.insert(b"eggs", b"12")?; // from here on a power cut does not lose it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::Durability;
/// A longer key is refused.
///
/// ```
/// use rshelve::{Connection, Error, KEY_BYTES_MAX};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let stock = connection.create_table("stock", &Default::default())?;
/// stock.insert(&vec![b'k'; KEY_BYTES_MAX], b"12")?;
/// let refused = stock.insert(&vec![b'k'; KEY_BYTES_MAX + 1], b"12");
/// assert!(matches!(refused, Err(Error::Invalid { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::KEY_BYTES_MAX;
/// For [`DatabaseOptions::mode`].
///
/// ```
/// use rshelve::{Connection, DatabaseOptions, OpenMode};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// let with = |mode| DatabaseOptions { mode, ..Default::default() };
/// assert!(Connection::open(&path, with(OpenMode::Existing)).is_err(), "there is none yet");
/// Connection::open(&path, with(OpenMode::Create))?.close()?;
/// Connection::open(&path, with(OpenMode::ReadOnly))?.close()?;
/// Connection::open(&path, with(OpenMode::Replace))?.close()?; // it is empty now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::OpenMode;
/// What [`Connection::create_table`] is given.
///
/// ```
/// use rshelve::{Compression, Connection, TableOptions};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let options = TableOptions { compression: Compression::Snappy, ..Default::default() };
/// let stock = connection.create_table("stock", &options)?;
/// assert_eq!(stock.options().compression, Compression::Snappy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::TableOptions;
/// What [`Connection::retune`] is given.
///
/// ```
/// use rshelve::{Connection, Tuning};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.retune(Tuning { cache_bytes_max: 32 << 20, ..connection.tuning() })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::options::Tuning;
/// A longer value is refused.
///
/// ```
/// assert_eq!(rshelve::VALUE_BYTES_MAX, u64::from(u32::MAX));
/// ```
pub use rshelve_core::base::options::VALUE_BYTES_MAX;
/// What [`Connection::stats`] counted.
///
/// ```
/// use rshelve::{Connection, StatsSnapshot};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let stats: StatsSnapshot = connection.stats();
/// assert!(stats.named().any(|(name, count)| name == "file_bytes" && count > 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::base::stats::StatsSnapshot;
/// The first bytes of every database file, for programs that tell files apart.
///
/// ```
/// use rshelve::{Connection, MAGIC};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.close()?;
/// assert!(std::fs::read(&path)?.starts_with(&MAGIC));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::block::MAGIC;
/// What [`Session::checkpoints`] lists.
///
/// ```
/// use rshelve::{Connection, CursorOptions, LATEST_CHECKPOINT};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let stock = connection.create_table("stock", &Default::default())?;
/// let session = connection.open_session()?;
/// session.checkpoint_named("monday")?;
/// stock.insert(b"eggs", b"12")?;
/// let latest = CursorOptions::new().checkpoint(LATEST_CHECKPOINT);
/// assert!(!session.open_cursor_with("stock", &latest)?.search(b"eggs")?);
/// for info in session.checkpoints() {
///     println!("{} of generation {}", info.name, info.generation);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::CheckpointInfo;
/// What [`Connection::compact`] tells after each step.
///
/// ```
/// use std::ops::ControlFlow;
/// use rshelve::{CompactProgress, Connection};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let mut tell = |progress: &CompactProgress| {
///     println!("{:?}: {} bytes moved", progress.stage, progress.moved_bytes);
///     ControlFlow::Continue(())
/// };
/// connection.compact(&mut tell)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::CompactProgress;
/// What [`Connection::compact`] did.
///
/// ```
/// use rshelve::{CompactReport, Connection};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let report: CompactReport = connection.open_session()?.compact()?;
/// assert!(report.is_complete && report.after_bytes <= report.before_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::CompactReport;
/// What [`Connection::compact`] is at.
///
/// ```
/// use std::ops::ControlFlow;
/// use rshelve::{CompactReport, CompactStage, Connection};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// let report: CompactReport = connection.compact(&mut |progress| match progress.stage {
///     CompactStage::Pages => ControlFlow::Break(()),
///     _ => ControlFlow::Continue(()),
/// })?;
/// println!("{} bytes became {}", report.before_bytes, report.after_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::CompactStage;
/// For [`TransactionOptions::isolation`] and [`Session::set_isolation`].
///
/// ```
/// use rshelve::{Connection, Isolation};
/// # let folder = tempfile::tempdir()?;
/// # let connection = Connection::open(folder.path().join("spam"), Default::default())?;
/// # let stock = connection.create_table("stock", &Default::default())?;
/// let (writer, reader) = (connection.open_session()?, connection.open_session()?);
/// writer.begin()?;
/// writer.open_cursor("stock")?.insert(b"eggs", b"12")?;
/// let mut seen = Vec::new();
/// for isolation in [Isolation::Snapshot, Isolation::ReadCommitted, Isolation::ReadUncommitted] {
///     reader.set_isolation(isolation)?;
///     reader.begin()?;
///     seen.push(reader.open_cursor("stock")?.search(b"eggs")?);
///     reader.commit()?;
/// }
/// assert_eq!(seen, [false, false, true]);
/// writer.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::Isolation;
/// The name of the newest checkpoint, for [`CursorOptions::checkpoint`].
///
/// ```
/// use rshelve::{Connection, CursorOptions, LATEST_CHECKPOINT};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// connection.checkpoint()?;
/// let session = connection.open_session()?;
/// let past = CursorOptions::new().checkpoint(LATEST_CHECKPOINT);
/// assert!(session.open_cursor_with("stock", &past)?.search(b"eggs")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::LATEST_CHECKPOINT;
/// Frees what a killed writer left behind in a file that nobody has open.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// rshelve::Connection::open(&path, Default::default())?.close()?;
/// assert_eq!(rshelve::reclaim_file(&path)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::reclaim_file;
/// Verifies a database without opening it.
///
/// ```
/// use rshelve::{Connection, verify_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// connection.close()?;
/// let report = verify_file(&path, &mut |progress| {
///     println!("{} of {} bytes", progress.bytes, progress.bytes_total);
///     Ok(())
/// })?;
/// assert!(report.is_clean(), "{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::engine::verify_file;
#[doc(hidden)]
#[cfg(feature = "waits")]
pub use rshelve_core::internals::waited;
/// Tells whether this is a forked child of the process that made it.
///
/// ```
/// let guard = rshelve::ForkGuard::new()?;
/// assert!(guard.is_ours(), "false in a child of this process");
/// assert_eq!(rshelve::fork_generation(), rshelve::fork_generation());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::io::fork::ForkGuard;
/// For who keeps something by process: it differs in each forked child.
///
/// ```
/// let ours = rshelve::fork_generation();
/// assert_eq!(rshelve::fork_generation(), ours, "in this process it stays");
/// ```
pub use rshelve_core::io::fork::generation as fork_generation;
/// Keys that [`salvage_file`] could not read, in a [`SalvagedTable`].
///
/// ```
/// use rshelve::{Connection, LostRange, salvage_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.close()?;
/// let report = salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
/// let lost: Vec<&LostRange> = report.tables.iter().flat_map(|table| &table.lost).collect();
/// assert!(lost.is_empty(), "{lost:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::salvage::LostRange;
/// A key whose long value [`salvage_file`] could not read, in a [`SalvagedTable`].
///
/// ```
/// use rshelve::{Connection, LostValue, salvage_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.close()?;
/// let report = salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
/// let lost: Vec<&LostValue> = report.tables.iter().flat_map(|table| &table.lost_values).collect();
/// assert!(lost.is_empty(), "{lost:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::salvage::LostValue;
/// What [`salvage_file`] rescued, and what not.
///
/// ```
/// use rshelve::{Connection, SalvageReport, salvage_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// connection.close()?;
/// let new_path = folder.path().join("new");
/// let report: SalvageReport = salvage_file(&path, &new_path, &mut |_| Ok(()))?;
/// assert!(report.is_whole(), "{report}");
/// for table in &report.tables {
///     for range in &table.lost {
///         println!("{}: keys from {:?} on are lost: {}", table.name, range.low, range.why);
///     }
///     for value in &table.lost_values {
///         println!("{}: the value of {:?} is lost: {}", table.name, value.key, value.why);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::salvage::Report as SalvageReport;
/// What [`salvage_file`] made of a table.
///
/// ```
/// use rshelve::{Connection, SalvagedTable, salvage_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.close()?;
/// let report = salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
/// let stock: &SalvagedTable = &report.tables[0];
/// assert_eq!((stock.name.as_str(), stock.rows), ("stock", 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::salvage::SalvagedTable;
/// Rescues what can still be read of a damaged file, into a new database.
///
/// ```
/// use rshelve::{Connection, salvage_file};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.close()?;
/// let report = salvage_file(&path, &folder.path().join("new"), &mut |_| Ok(()))?;
/// assert!(report.is_whole(), "{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::salvage::salvage_file;
/// One thing that is wrong, in a [`VerifyReport`].
///
/// ```
/// use rshelve::{Connection, VerifyProblem};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.checkpoint()?;
/// let problems: Vec<VerifyProblem> = connection.verify(&mut |_| Ok(()))?.problems;
/// assert!(problems.is_empty(), "{problems:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::verify::Problem as VerifyProblem;
/// How far a verification is.
///
/// ```
/// use rshelve::{Connection, VerifyProgress};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.checkpoint()?;
/// connection.verify(&mut |progress: &VerifyProgress| {
///     println!("{:?}: {} of {} bytes", progress.table, progress.bytes, progress.bytes_total);
///     Ok(()) // an error here ends it
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::verify::Progress as VerifyProgress;
/// What [`Connection::verify`] and [`verify_file`] found.
///
/// ```
/// use rshelve::{Connection, VerifyReport};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// connection.create_table("stock", &Default::default())?;
/// connection.checkpoint()?;
/// let report: VerifyReport = connection.verify(&mut |_| Ok(()))?;
/// for table in &report.tables {
///     println!("{}: {} rows in {} blocks", table.name, table.rows_found, table.blocks);
/// }
/// for problem in &report.problems {
///     println!("{:?}: {}", problem.table, problem.error);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::verify::Report as VerifyReport;
/// What a [`VerifyReport`] says of a table.
///
/// ```
/// use rshelve::{Connection, TableReport};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// # let connection = Connection::open(&path, Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # connection.checkpoint()?;
/// let report = connection.verify(&mut |_| Ok(()))?;
/// let stock: &TableReport = &report.tables[0];
/// assert_eq!((stock.name.as_str(), stock.rows_found), ("stock", 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use rshelve_core::verify::TableReport;
pub use session::Session;
pub use table::{InCache, Rows, Table};
pub use table_range::TableRange;
pub use transaction::{Transaction, TypedRows};
