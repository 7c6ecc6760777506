//! The knobs of a database and of a table, with their defaults and ranges.

use std::ops::RangeInclusive;
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
    /// Above this percentage of the cache's size eviction works in the background. 10 to 99; the
    /// default is 80.
    pub eviction_target_percent: u64,
    /// Above this percentage the threads that use the database evict as well. Not below the target,
    /// and at most 99; the default is 90.
    pub eviction_trigger_percent: u64,
    /// What a commit promises.
    pub durability: Durability,
    /// Log bytes after which a background checkpoint starts. The default is 48 MiB, which
    /// replays in well under a second. At least 64 KiB; `u64::MAX` is never.
    pub checkpoint_log_bytes: u64,
    /// The size in bytes of a file of the log, but for the first, which is at most 1 MiB. They are
    /// filled before they are used and used again, so larger ones cost space and smaller ones more
    /// switches. 16 KiB to 1 GiB; the default is 16 MiB.
    pub log_segment_bytes: u64,
    /// Time after which a background checkpoint starts if anything was written; the default is
    /// one minute. [`Duration::MAX`] is never.
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
    /// a map risks. Not under [`Durability::Sync`]: syncing what was written by a call is quicker.
    pub map_log: bool,
    /// Read the data file through a shared map instead of by calls. The default is off: mapped pages
    /// are the system's memory, outside of the cache's bound, and a disk that fails while one is brought
    /// in ends the process by a signal (`SIGBUS`) where a call returns an error.
    pub map_data: bool,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl DatabaseOptions {
    /// The defaults.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// assert!(DatabaseOptions::DEFAULT.check().is_ok());
    /// ```
    pub const DEFAULT: Self = Self {
        mode: OpenMode::Create,
        cache_bytes_max: 128 << 20,
        eviction_target_percent: 80,
        eviction_trigger_percent: 90,
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
    };

    /// The smallest cache.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// let least = DatabaseOptions::CACHE_BYTES_LEAST;
    /// assert!(DatabaseOptions { cache_bytes_max: least, ..Default::default() }.check().is_ok());
    /// assert!(DatabaseOptions { cache_bytes_max: least - 1, ..Default::default() }.check().is_err());
    /// ```
    pub const CACHE_BYTES_LEAST: u64 = 1 << 20;

    /// What [`eviction_target_percent`](Self::eviction_target_percent) and
    /// [`eviction_trigger_percent`](Self::eviction_trigger_percent) may be.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// let eager = DatabaseOptions { eviction_target_percent: 10, ..Default::default() };
    /// assert!(eager.check().is_ok() && DatabaseOptions::EVICTION_PERCENT.contains(&10));
    /// ```
    pub const EVICTION_PERCENT: RangeInclusive<u64> = 10..=99;

    /// The least [`checkpoint_log_bytes`](Self::checkpoint_log_bytes).
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// let least = DatabaseOptions::CHECKPOINT_LOG_BYTES_LEAST;
    /// let often = DatabaseOptions { checkpoint_log_bytes: least, ..Default::default() };
    /// assert!(often.check().is_ok());
    /// ```
    pub const CHECKPOINT_LOG_BYTES_LEAST: u64 = 64 << 10;

    /// What [`log_segment_bytes`](Self::log_segment_bytes) may be.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// assert!(DatabaseOptions::LOG_SEGMENT_BYTES.contains(&(16 << 20)));
    /// ```
    pub const LOG_SEGMENT_BYTES: RangeInclusive<u64> = 16 << 10..=1 << 30;

    /// Checks every range; nobody above checks any of them again.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// let none = DatabaseOptions { cache_bytes_max: 0, ..Default::default() };
    /// assert!(none.check().unwrap_err().to_string().contains("cache_size"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option.
    pub fn check(&self) -> Result<()> {
        if self.cache_bytes_max < Self::CACHE_BYTES_LEAST {
            return Err(Error::invalid(format!(
                "cache_size of {} bytes is too small; give at least {}",
                self.cache_bytes_max,
                Self::CACHE_BYTES_LEAST
            )));
        }
        let (target, trigger) = (self.eviction_target_percent, self.eviction_trigger_percent);
        let (least, most) = Self::EVICTION_PERCENT.into_inner();
        if !(least..=most).contains(&target) || !(target..=most).contains(&trigger) {
            return Err(Error::invalid(format!(
                "an eviction_target of {target} % with an eviction_trigger of {trigger} %; give {least} to {most}, and a trigger not below the target"
            )));
        }
        if self.checkpoint_log_bytes < Self::CHECKPOINT_LOG_BYTES_LEAST {
            return Err(Error::invalid(format!(
                "checkpoint_log_bytes of {} is too small; give at least {}",
                self.checkpoint_log_bytes,
                Self::CHECKPOINT_LOG_BYTES_LEAST
            )));
        }
        out_of_range("log_segment_bytes", self.log_segment_bytes, &Self::LOG_SEGMENT_BYTES)
    }

    /// Those that may be changed while the database is open.
    ///
    /// ```
    /// use rshelve_core::base::options::DatabaseOptions;
    /// assert_eq!(DatabaseOptions::DEFAULT.tuning().cache_bytes_max, 128 << 20);
    /// ```
    pub const fn tuning(&self) -> Tuning {
        Tuning {
            cache_bytes_max: self.cache_bytes_max,
            eviction_target_percent: self.eviction_target_percent,
            eviction_trigger_percent: self.eviction_trigger_percent,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            checkpoint_interval: self.checkpoint_interval,
        }
    }
}

/// Refuses a number that is not in its range.
fn out_of_range(name: &str, number: u64, range: &RangeInclusive<u64>) -> Result<()> {
    if range.contains(&number) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(Error::invalid(format!("{name} of {number} is out of range; give {least} to {most} bytes")))
}

/// The knobs of a database that may be turned while it is open. Each means what the field of
/// [`DatabaseOptions`] with its name means.
///
/// ```
/// use rshelve_core::base::options::{DatabaseOptions, Tuning};
/// let tuning = Tuning { cache_bytes_max: 32 << 20, ..DatabaseOptions::DEFAULT.tuning() };
/// assert!(tuning.check().is_ok());
/// assert!(Tuning { eviction_target_percent: 100, ..tuning }.check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The most bytes that pages, changes, log buffers and snapshots may hold.
    pub cache_bytes_max: u64,
    /// Where background eviction begins.
    pub eviction_target_percent: u64,
    /// Where threads that use the database help.
    pub eviction_trigger_percent: u64,
    /// Log bytes from one background checkpoint to the next.
    pub checkpoint_log_bytes: u64,
    /// Time from one background checkpoint to the next.
    pub checkpoint_interval: Duration,
}

impl Tuning {
    /// Checks every range, as [`DatabaseOptions::check`] does.
    ///
    /// ```
    /// use rshelve_core::base::options::{DatabaseOptions, Tuning};
    /// let tuning = DatabaseOptions::DEFAULT.tuning();
    /// assert!(Tuning { checkpoint_log_bytes: 0, ..tuning }.check().is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option.
    pub fn check(&self) -> Result<()> {
        DatabaseOptions {
            cache_bytes_max: self.cache_bytes_max,
            eviction_target_percent: self.eviction_target_percent,
            eviction_trigger_percent: self.eviction_trigger_percent,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            checkpoint_interval: self.checkpoint_interval,
            ..DatabaseOptions::DEFAULT
        }
        .check()
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
    /// How its blocks are compressed. Pages of a table without compression lie in whole frames of 4 KiB,
    /// which is faster to write; compressed ones take multiples of 512 bytes.
    pub compression: Compression,
    /// The size in bytes above which a leaf page splits. 4 KiB to 512 KiB; the default is 16 KiB.
    ///
    /// A read that misses the cache reads a whole leaf, and a changed leaf is written whole: for rows of a
    /// kilobyte at random, in a table of many times the cache, 8 KiB or 4 KiB is faster; for scans and small
    /// rows the default is.
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
        Self::DEFAULT
    }
}

impl TableOptions {
    /// The defaults.
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// assert_eq!(TableOptions::DEFAULT, TableOptions::new());
    /// ```
    pub const DEFAULT: Self = Self {
        compression: Compression::None,
        leaf_bytes_max: 16 << 10,
        internal_bytes_max: 16 << 10,
        logged: true,
        metadata: String::new(),
    };

    /// What [`leaf_bytes_max`](Self::leaf_bytes_max) and
    /// [`internal_bytes_max`](Self::internal_bytes_max) may be.
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// let most = *TableOptions::PAGE_BYTES.end();
    /// assert!(TableOptions::new().leaf_bytes_max(most).check().is_ok());
    /// assert!(TableOptions::new().leaf_bytes_max(most + 1).check().is_err());
    /// ```
    pub const PAGE_BYTES: RangeInclusive<u32> = 4 << 10..=512 << 10;

    /// The longest metadata, in bytes: it lies in a page of the catalog.
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// let long = "m".repeat(TableOptions::METADATA_BYTES_MAX + 1);
    /// assert!(TableOptions::new().metadata(long).check().is_err());
    /// ```
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
    ///
    /// ```
    /// use rshelve_core::base::options::{Compression, TableOptions};
    /// let options = TableOptions::new().compression(Compression::Snappy);
    /// assert_eq!(options.compression, Compression::Snappy);
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// See [`leaf_bytes_max`](Self::leaf_bytes_max).
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// assert_eq!(TableOptions::new().leaf_bytes_max(4096).leaf_bytes_max, 4096);
    /// ```
    #[must_use]
    pub fn leaf_bytes_max(mut self, bytes: u32) -> Self {
        self.leaf_bytes_max = bytes;
        self
    }

    /// See [`internal_bytes_max`](Self::internal_bytes_max).
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// assert_eq!(TableOptions::new().internal_bytes_max(4096).internal_bytes_max, 4096);
    /// ```
    #[must_use]
    pub fn internal_bytes_max(mut self, bytes: u32) -> Self {
        self.internal_bytes_max = bytes;
        self
    }

    /// See [`logged`](Self::logged).
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// assert!(!TableOptions::new().logged(false).logged);
    /// ```
    #[must_use]
    pub fn logged(mut self, logged: bool) -> Self {
        self.logged = logged;
        self
    }

    /// See [`metadata`](Self::metadata).
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// assert_eq!(TableOptions::new().metadata("mine").metadata, "mine");
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Checks every range; nobody above checks any of them again.
    ///
    /// ```
    /// use rshelve_core::base::options::TableOptions;
    /// let error = TableOptions::new().leaf_bytes_max(1).check().unwrap_err();
    /// assert!(error.to_string().contains("leaf_page_max"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option.
    pub fn check(&self) -> Result<()> {
        for (name, bytes) in
            [("leaf_page_max", self.leaf_bytes_max), ("internal_page_max", self.internal_bytes_max)]
        {
            let (least, most) = Self::PAGE_BYTES.into_inner();
            out_of_range(name, bytes.into(), &(least.into()..=most.into()))?;
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
