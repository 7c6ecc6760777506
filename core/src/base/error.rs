//! What can go wrong, in plain words: each error names the thing and the remedy.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The result of an operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation of the engine that did not happen.
///
/// Cloning is cheap: the first failure of the disk is kept and reported again by every later
/// write.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a call on one of the database's files.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried: "read", "write", "sync", ...
        action: &'static str,
        /// The file it was tried on.
        file: Arc<str>,
        /// The system's word.
        source: Arc<io::Error>,
    },

    /// The disk or file system is full. Nothing committed is lost, reads go on, and writes
    /// succeed again once there is room.
    #[error("no space left for {file} ({needed_bytes} bytes were needed); free some and try again")]
    Full {
        /// The file that could not grow.
        file: Arc<str>,
        /// How many bytes were asked for.
        needed_bytes: u64,
    },

    /// The file's content contradicts itself.
    #[error(transparent)]
    Corrupt(#[from] Box<Corruption>),

    /// The file is something else, or of a later version.
    #[error("{path} is not a database of this kind: {looks_like}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        looks_like: String,
    },

    /// An earlier failure of the disk made the database read-only.
    #[error(
        "the database is read-only since an earlier failure ({first}); close it and open it again to recover"
    )]
    Failed {
        /// That failure.
        first: Arc<Error>,
    },

    /// The database was opened for reading only.
    #[error("the database is open read-only; open it for writing to {action}")]
    ReadOnly {
        /// What was tried.
        action: &'static str,
    },

    /// Another process or handle holds the database.
    #[error("{path} is in use by {holder}; close it there, or wait", path = path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// Who holds it, as well as can be told ("process 4711").
        holder: String,
    },

    /// The transaction cannot go on; roll it back and run it again.
    #[error("the transaction was rolled back: {reason}")]
    Rollback {
        /// Why.
        reason: RollbackReason,
    },

    /// A commit's fate is unknown: its log record may or may not reach the disk.
    #[error(
        "the outcome of the commit is unknown, because the log could not be synced ({first}); reopen the database and look"
    )]
    OutcomeUnknown {
        /// The failed sync.
        first: Arc<Error>,
    },

    /// Something named does not exist.
    #[error("there is no {what}")]
    Missing {
        /// What was asked for ("table \"spam\"").
        what: String,
    },

    /// Something named exists already.
    #[error("{what} exists already")]
    Exists {
        /// What was to be made.
        what: String,
    },

    /// No record is where one was looked for: the key, or the end of a walk.
    #[error("there is no such record")]
    NotFound,

    /// A record is where none was wanted.
    #[error("the key has a value already")]
    DuplicateKey,

    /// An argument or a state that makes no sense.
    #[error("{what}")]
    Invalid {
        /// The thing and the remedy.
        what: String,
    },

    /// A part that is not built.
    #[error("{what} is not supported")]
    Unsupported {
        /// The part.
        what: String,
    },

    /// The database, session or cursor was closed, or belongs to the parent of this process.
    #[error("{what} is closed")]
    Closed {
        /// What is closed.
        what: &'static str,
    },

    /// A bug was caught by a thread that died; the database refuses to go on.
    #[error(
        "a background thread of the database died ({why}); close the database and open it again"
    )]
    Poisoned {
        /// The panic's message.
        why: Arc<str>,
    },
}

/// Why a transaction was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackReason {
    /// Another transaction wrote the same key first.
    #[error("it conflicts with another transaction's write of the same key")]
    Conflict,
    /// The other transaction did not end in time.
    #[error("it waited {0:?} for another transaction's write of the same key")]
    TimedOut(Duration),
    /// The cache is full of what cannot leave it.
    #[error(
        "the cache is full of what cannot be written yet ({pinned_bytes} bytes of {cache_bytes}); commit in smaller pieces, end old transactions, or raise the cache size"
    )]
    CacheFull {
        /// Bytes that cannot leave the cache now.
        pinned_bytes: u64,
        /// The cache's size.
        cache_bytes: u64,
    },
}

/// Where a file contradicts itself, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at byte {offset}: {what}: expected {expected}, found {found}")]
pub struct Corruption {
    /// The file.
    pub file: Arc<str>,
    /// The byte offset of the damaged block or record.
    pub offset: u64,
    /// The thing that is wrong ("checksum of a leaf page").
    pub what: &'static str,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Error {
    /// A system error on `file`, out of space told apart from the rest. An error of the engine
    /// that came wrapped in it (from the storage whose failures stick) is that error.
    ///
    /// ```
    /// use rshelve_core::base::error::Error;
    /// let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    /// assert!(matches!(Error::io("write", &"spam".into(), source), Error::Full { .. }));
    /// ```
    pub fn io(action: &'static str, file: &Arc<str>, source: io::Error) -> Self {
        if let Some(own) = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return own.clone();
        }
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full { file: Arc::clone(file), needed_bytes: 0 };
        }
        Self::Io { action, file: Arc::clone(file), source: Arc::new(source) }
    }

    /// A conflict with another transaction's write.
    ///
    /// ```
    /// use rshelve_core::base::error::Error;
    /// assert!(Error::conflict().is_rollback());
    /// ```
    pub const fn conflict() -> Self {
        Self::Rollback { reason: RollbackReason::Conflict }
    }

    /// An argument that makes no sense; `what` names it and the remedy.
    ///
    /// ```
    /// use rshelve_core::base::error::Error;
    /// let error = Error::invalid("a cache of 0 bytes; give at least 1 MiB");
    /// assert_eq!(error.to_string(), "a cache of 0 bytes; give at least 1 MiB");
    /// ```
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// A contradiction in a file.
    ///
    /// ```
    /// use rshelve_core::base::error::Error;
    /// let error = Error::corrupt(&"spam".into(), 4096, "checksum of a leaf page", 1, 2);
    /// assert!(error.to_string().contains("spam is damaged at byte 4096"));
    /// ```
    pub fn corrupt(
        file: &Arc<str>,
        offset: u64,
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Corrupt(Box::new(Corruption {
            file: Arc::clone(file),
            offset,
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }))
    }

    /// Whether running the whole transaction again may succeed.
    ///
    /// ```
    /// use rshelve_core::base::error::Error;
    /// assert!(!Error::NotFound.is_rollback());
    /// ```
    pub const fn is_rollback(&self) -> bool {
        matches!(self, Self::Rollback { .. })
    }
}
