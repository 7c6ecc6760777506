//! The table of options: every key of every method, once.

mod connection;
mod cursor;
mod schema;
mod session;
mod shared;

use super::spec::{Method, Spec};

/// Each method that takes a configuration string, its name as Python's programs write it, and its
/// options.
///
/// ```
/// use rshelve::config::METHODS;
/// for (_method, name, options) in METHODS {
///     let keys: Vec<_> = options.iter().map(|option| option.name).collect();
///     println!("{name}: {}", keys.join(", "));
/// }
/// ```
pub const METHODS: &[(Method, &str, &[Spec])] = &[
    (Method::Open, "wiredtiger_open", connection::OPEN),
    (Method::Reconfigure, "Connection.reconfigure", connection::RECONFIGURE),
    (Method::ConnectionClose, "Connection.close", connection::CLOSE),
    (Method::OpenSession, "Connection.open_session", session::OPEN),
    (Method::SessionReconfigure, "Session.reconfigure", session::OPEN),
    (Method::SessionClose, "Session.close", &[]),
    (Method::Create, "Session.create", schema::CREATE),
    (Method::Drop, "Session.drop", schema::DROP),
    (Method::Verify, "Session.verify", schema::VERIFY),
    (Method::Compact, "Session.compact", schema::COMPACT),
    (Method::Truncate, "Session.truncate", &[]),
    (Method::Begin, "Session.begin_transaction", session::BEGIN),
    (Method::Commit, "Session.commit_transaction", session::COMMIT),
    (Method::Rollback, "Session.rollback_transaction", session::ROLLBACK),
    (Method::Checkpoint, "Session.checkpoint", session::CHECKPOINT),
    (Method::LogFlush, "Session.log_flush", session::LOG_FLUSH),
    (Method::OpenCursor, "Session.open_cursor", cursor::OPEN),
    (Method::CursorReconfigure, "Cursor.reconfigure", cursor::RECONFIGURE),
    (Method::Bound, "Cursor.bound", cursor::BOUND),
];

// Why options have no effect, or are refused, where several have the same reason.

const OWN_EVICTION: &str = "eviction finds its own targets, within cache_size";
const NO_TIMESTAMPS: &str = "timestamps are not built yet";
const NO_TIERS: &str = "there is no tiered storage";
const NO_ENCRYPTION: &str = "there is no encryption";
const NO_EXTENSIONS: &str = "there are no extensions";
const ONE_FILE: &str = "a database is one file, and its layout the engine's";
const STATISTICS: &str = "counters are always kept, and cost next to nothing";
const OWN_PAGES: &str = "the engine sizes and splits its pages itself";
const TUNING: &str = "a hint for WiredTiger's own workings";
const DEBUGGING: &str = "for WiredTiger's own tests";

/// The largest number of bytes that WiredTiger takes anywhere.
const TEN_TERABYTES: i64 = 10 << 40;
/// More than anything counts to.
const MOST: i64 = i64::MAX;
