//! The knobs of a database and of a table, with their defaults and ranges.

use std::time::Duration;

use crate::base::error::{Error, Result};

/// What a commit promises when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: neither a killed process nor a power loss loses it.
    Sync,
    /// In the operating system's hands: a killed process loses nothing; a power loss loses at
    /// most what came after the last sync, checkpoint or background sync.
    #[default]
    Process,
    /// Nothing until the next checkpoint; there is no log.
    Checkpoint,
}

/// What to do about a database that does, or does not, exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenMode {
    /// Open an existing one for reading.
    ReadOnly,
    /// Open an existing one for reading and writing.
    Existing,
    /// The same, created when missing.
    #[default]
    Create,
    /// A new, empty one in place of whatever the file was.
    Replace,
}

/// The knobs of an open database.
///
/// ```
/// use rshelve_core::base::options::{DatabaseOptions, Durability};
/// let options = DatabaseOptions { durability: Durability::Sync, ..Default::default() };
/// assert!(options.check().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// What to do when the file is missing or there.
    pub mode: OpenMode,
    /// The most bytes that pages, changes, log buffers and snapshots may hold. At least 1 MiB;
    /// the default is 128 MiB.
    pub cache_bytes_max: u64,
    /// What a commit promises.
    pub durability: Durability,
    /// Log bytes after which a background checkpoint starts. The default is 48 MiB, which
    /// replays in well under a second.
    pub checkpoint_log_bytes: u64,
    /// The size in bytes of a file of the log, but for the first, which is at most 1 MiB. They are
    /// filled before they are used and used again, so larger ones cost space and smaller ones more
    /// switches. 16 KiB to 1 GiB; the default is 16 MiB.
    pub log_segment_bytes: u64,
    /// Time after which a background checkpoint starts if anything was written; the default is
    /// one minute.
    pub checkpoint_interval: Duration,
    /// Time between background syncs of the log under [`Durability::Process`]; the default is
    /// one second.
    pub log_sync_interval: Duration,
    /// How long to wait for a lock, a conflicting transaction, or room in the cache; the default
    /// is five seconds.
    pub timeout: Duration,
    /// Permission bits of a file that is created, before the umask; the default is `0o666`.
    pub file_mode: u32,
    /// Start the background threads (eviction, checkpoints, log syncs). Off, the work happens on
    /// the calling threads; tests that need one schedule turn it off.
    pub background: bool,
    /// Copy commits into a shared map of the log instead of writing them; the default is on, and
    /// file systems that refuse the map fall back to writing. See `docs/durability.md` for what
    /// a map risks.
    pub map_log: bool,
    /// Read the data file through a shared map instead of by calls. The default is off: mapped pages
    /// are the system's memory, outside of the cache's bound, and a disk that fails while one is brought
    /// in ends the process by a signal (`SIGBUS`) where a call returns an error.
    pub map_data: bool,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            mode: OpenMode::Create,
            cache_bytes_max: 128 << 20,
            durability: Durability::Process,
            checkpoint_log_bytes: 48 << 20,
            log_segment_bytes: 16 << 20,
            checkpoint_interval: Duration::from_secs(60),
            log_sync_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            file_mode: 0o666,
            background: true,
            map_log: true,
            map_data: false,
        }
    }
}

impl DatabaseOptions {
    /// The smallest cache.
    pub const CACHE_BYTES_LEAST: u64 = 1 << 20;

    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option.
    pub fn check(&self) -> Result<()> {
        if self.cache_bytes_max < Self::CACHE_BYTES_LEAST {
            return Err(Error::invalid(format!(
                "cache_size of {} bytes is too small; give at least 1 MiB",
                self.cache_bytes_max
            )));
        }
        if self.checkpoint_log_bytes < 1 << 16 {
            return Err(Error::invalid("checkpoint_log_bytes is too small; give at least 64 KiB"));
        }
        if !(16 << 10..=1 << 30).contains(&self.log_segment_bytes) {
            return Err(Error::invalid(format!(
                "log_segment_bytes of {} is out of range; give 16 KiB to 1 GiB",
                self.log_segment_bytes
            )));
        }
        Ok(())
    }
}

/// How a table's blocks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With Snappy: fast, about half the size for text.
    Snappy,
}

/// The knobs of a table, fixed when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// How its blocks are compressed.
    pub compression: Compression,
    /// The size in bytes above which a leaf page splits. 4 KiB to 512 KiB; the default is 16 KiB.
    pub leaf_bytes_max: u32,
    /// The same for internal pages.
    pub internal_bytes_max: u32,
    /// Whether commits go to the log, if the database has one.
    pub logged: bool,
    /// Free text that the faces above keep with the table (key kind, serializer, formats).
    pub metadata: String,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            leaf_bytes_max: 16 << 10,
            internal_bytes_max: 16 << 10,
            logged: true,
            metadata: String::new(),
        }
    }
}

impl TableOptions {
    /// The longest metadata, in bytes: it lies in a page of the catalog.
    pub const METADATA_BYTES_MAX: usize = 64 << 10;

    /// The defaults.
    ///
    /// ```
    /// use rshelve_core::base::options::{Compression, TableOptions};
    /// let options = TableOptions::new().compression(Compression::Snappy).leaf_bytes_max(32 << 10);
    /// assert!(options.check().is_ok() && options.logged);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`compression`](Self::compression).
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// See [`leaf_bytes_max`](Self::leaf_bytes_max).
    #[must_use]
    pub fn leaf_bytes_max(mut self, bytes: u32) -> Self {
        self.leaf_bytes_max = bytes;
        self
    }

    /// See [`internal_bytes_max`](Self::internal_bytes_max).
    #[must_use]
    pub fn internal_bytes_max(mut self, bytes: u32) -> Self {
        self.internal_bytes_max = bytes;
        self
    }

    /// See [`logged`](Self::logged).
    #[must_use]
    pub fn logged(mut self, logged: bool) -> Self {
        self.logged = logged;
        self
    }

    /// See [`metadata`](Self::metadata).
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option.
    pub fn check(&self) -> Result<()> {
        for (name, bytes) in
            [("leaf_page_max", self.leaf_bytes_max), ("internal_page_max", self.internal_bytes_max)]
        {
            if !(4 << 10..=512 << 10).contains(&bytes) {
                return Err(Error::invalid(format!(
                    "{name} of {bytes} bytes is out of range; give 4 KiB to 512 KiB"
                )));
            }
        }
        if self.metadata.len() > Self::METADATA_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a table's metadata of {} bytes is too long; the longest is {} bytes",
                self.metadata.len(),
                Self::METADATA_BYTES_MAX
            )));
        }
        Ok(())
    }
}

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// The most rows that a file may claim for a page or table: none has room for so many, and sums of
/// such counts stay within their type.
pub const ROWS_MAX: u64 = 1 << 56;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: u64 = u32::MAX as u64;
