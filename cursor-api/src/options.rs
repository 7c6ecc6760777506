//! The knobs of sessions' parts: cursors and transactions.

use std::time::Duration;

/// How a cursor behaves, fixed when it is opened.
///
/// ```
/// use rshelve::CursorOptions;
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # connection.create_table("stock", &Default::default())?.insert(b"eggs", b"12")?;
/// # let session = connection.open_session()?;
/// let strict = CursorOptions::new().overwrite(false);
/// assert!(session.open_cursor_with("stock", &strict)?.insert(b"eggs", b"3").is_err());
/// let walk = CursorOptions::new().readonly(true).read_once(true);
/// assert!(session.open_cursor_with("stock", &walk)?.next()?);
/// let sample = CursorOptions::new().next_random(true).random_seed(7);
/// assert!(session.open_cursor_with("stock", &sample)?.next()?);
///
/// // As it was at the last checkpoint; and an empty table, filled fast.
/// session.checkpoint()?;
/// let past = CursorOptions::new().checkpoint(rshelve::LATEST_CHECKPOINT);
/// assert!(session.open_cursor_with("stock", &past)?.search(b"eggs")?);
/// session.create("copy", &Default::default())?;
/// session.open_cursor_with("copy", &CursorOptions::new().bulk(true))?.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorOptions {
    /// Insert and update whether or not the key has a value. The default is true; else an insert of
    /// an existing key is a duplicate, and an update of a missing one is not found.
    pub overwrite: bool,
    /// Refuse every write through this cursor. The default is false.
    pub readonly: bool,
    /// Fill an empty table with ascending keys, fast: only `insert` and `close`. The default is
    /// false.
    pub bulk: bool,
    /// `next` goes to any record, each with the same chance; nothing else moves. The default is
    /// false.
    pub next_random: bool,
    /// Makes the choices of a random cursor repeatable. Without one they are not.
    pub random_seed: Option<u64>,
    /// What the cursor reads in need not stay in the cache. The default is false.
    pub read_once: bool,
    /// Read this checkpoint, by its name, or as [`LATEST_CHECKPOINT`](crate::LATEST_CHECKPOINT) the
    /// newest one, in place of what is there now. Such a cursor only reads.
    pub checkpoint: Option<String>,
}

impl Default for CursorOptions {
    fn default() -> Self {
        Self {
            overwrite: true,
            readonly: false,
            bulk: false,
            next_random: false,
            random_seed: None,
            read_once: false,
            checkpoint: None,
        }
    }
}

impl CursorOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`overwrite`](Self::overwrite).
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// See [`readonly`](Self::readonly).
    #[must_use]
    pub fn readonly(mut self, readonly: bool) -> Self {
        self.readonly = readonly;
        self
    }

    /// See [`bulk`](Self::bulk).
    #[must_use]
    pub fn bulk(mut self, bulk: bool) -> Self {
        self.bulk = bulk;
        self
    }

    /// See [`next_random`](Self::next_random).
    #[must_use]
    pub fn next_random(mut self, next_random: bool) -> Self {
        self.next_random = next_random;
        self
    }

    /// See [`random_seed`](Self::random_seed).
    #[must_use]
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.random_seed = Some(seed);
        self
    }

    /// See [`read_once`](Self::read_once).
    #[must_use]
    pub fn read_once(mut self, read_once: bool) -> Self {
        self.read_once = read_once;
        self
    }

    /// See [`checkpoint`](Self::checkpoint).
    #[must_use]
    pub fn checkpoint(mut self, name: impl Into<String>) -> Self {
        self.checkpoint = Some(name.into());
        self
    }
}

pub use rshelve_core::engine::Isolation;

/// How a transaction runs.
///
/// ```
/// use rshelve::{Isolation, TransactionOptions};
/// use std::time::Duration;
/// # let folder = tempfile::tempdir()?;
/// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
/// # let session = connection.open_session()?;
/// let hasty = Duration::from_millis(50);
/// session.begin_with(&TransactionOptions::new().sync(true).operation_timeout(hasty))?;
/// session.commit()?;
/// let options = TransactionOptions::new().isolation(Isolation::ReadCommitted);
/// assert_eq!(options.isolation, Some(Isolation::ReadCommitted));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// What it sees of others; without one, what the session was opened with, which is
    /// [`Isolation::Snapshot`] if nothing was said. The two weaker ones may not write.
    pub isolation: Option<Isolation>,
    /// Whether its commit returns only when it is on stable storage. Without an answer the database's
    /// durability says.
    pub sync: Option<bool>,
    /// How long one operation may wait (for room in the cache) before it is rolled back. Without one,
    /// the session's.
    pub operation_timeout: Option<Duration>,
}

impl TransactionOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`isolation`](Self::isolation).
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// See [`sync`](Self::sync).
    #[must_use]
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = Some(sync);
        self
    }

    /// See [`operation_timeout`](Self::operation_timeout).
    #[must_use]
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = Some(timeout);
        self
    }
}
