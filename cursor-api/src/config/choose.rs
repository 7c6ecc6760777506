//! From checked strings to the options that the Rust face takes.

use std::sync::LazyLock;
use std::time::Duration;

use super::check::Settings;
use super::parse::written_list;
use super::spec::Method;
use crate::packing::{Format, Kind as Column};
use crate::{
    Compression, DatabaseOptions, Durability, Error, Isolation, OpenMode, Result, TableOptions,
    Tuning,
};

/// Longer than any database is open.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What `wiredtiger_open` was told.
///
/// ```
/// use rshelve::config::OpenSettings;
/// let settings = OpenSettings::read("create,exclusive,error_prefix=spam")?;
/// assert!(settings.exclusive);
/// assert_eq!(settings.error_prefix, "spam");
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// How to open the file.
    pub options: DatabaseOptions,
    /// Whether it must not exist yet.
    pub exclusive: bool,
    /// What messages begin with.
    pub error_prefix: String,
}

impl OpenSettings {
    /// Reads the string that `wiredtiger_open` was given.
    ///
    /// # Errors
    /// As [`Settings::read`].
    ///
    /// ```
    /// use rshelve::config::OpenSettings;
    /// let settings = OpenSettings::read("create,cache_size=1GB,transaction_sync=(enabled)")?;
    /// assert_eq!(settings.options.cache_bytes_max, 1 << 30);
    /// assert_eq!(settings.options.durability, rshelve::Durability::Sync);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        let settings = Settings::read(Method::Open, text)?;
        let mode = match (settings.flag("readonly"), settings.flag("create")) {
            (true, false) => OpenMode::ReadOnly,
            (false, true) => OpenMode::Create,
            (false, false) => OpenMode::Existing,
            (true, true) => {
                return Err(Error::invalid("'create' and 'readonly' exclude each other"));
            }
        };
        let durability =
            match (settings.flag("log.enabled"), settings.flag("transaction_sync.enabled")) {
                (true, true) => Durability::Sync,
                (true, false) => Durability::Process,
                (false, false) => Durability::Checkpoint,
                (false, true) => {
                    return Err(Error::invalid("'transaction_sync' needs 'log=(enabled)'"));
                }
            };
        let tuning = retuned(DatabaseOptions::DEFAULT.tuning(), &settings);
        let options = DatabaseOptions {
            mode,
            durability,
            cache_bytes_max: tuning.cache_bytes_max,
            eviction_target_percent: tuning.eviction_target_percent,
            eviction_trigger_percent: tuning.eviction_trigger_percent,
            checkpoint_log_bytes: tuning.checkpoint_log_bytes,
            checkpoint_interval: tuning.checkpoint_interval,
            timeout: Duration::from_millis(unsigned(&settings, "operation_timeout_ms")).min(NEVER),
            file_mode: unsigned(&settings, "create_mode") as u32,
            ..DatabaseOptions::default()
        };
        let (exclusive, error_prefix) = (settings.flag("exclusive"), settings.text("error_prefix"));
        Ok(Self { options, exclusive, error_prefix })
    }
}

/// The knobs that `settings` gives, and the others as they are.
pub(crate) fn retuned(mut tuning: Tuning, settings: &Settings) -> Tuning {
    let given = |name| settings.is_given(name).then(|| unsigned(settings, name));
    if let Some(bytes) = given("cache_size") {
        tuning.cache_bytes_max = bytes;
    }
    if let Some(percent) = given("eviction_target") {
        tuning.eviction_target_percent = percent;
    }
    if let Some(percent) = given("eviction_trigger") {
        tuning.eviction_trigger_percent = percent;
    }
    if let Some(bytes) = given("checkpoint.log_size") {
        let least = DatabaseOptions::CHECKPOINT_LOG_BYTES_LEAST;
        tuning.checkpoint_log_bytes = if bytes == 0 { u64::MAX } else { bytes.max(least) };
    }
    if let Some(seconds) = given("checkpoint.wait") {
        let interval = Duration::from_secs(seconds);
        tuning.checkpoint_interval = if interval.is_zero() { NEVER } else { interval };
    }
    tuning
}

/// What `Session.create` was told, or what a table's metadata keeps of it.
///
/// ```
/// use rshelve::config::TableSettings;
/// let settings = TableSettings::read("key_format=iS,value_format=u,block_compressor=snappy")?;
/// assert_eq!(settings.options.compression, rshelve::Compression::Snappy);
/// assert_eq!((settings.key_format.value_count(), settings.value_format.is_raw()), (2, true));
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// How the table is made. Its metadata is a configuration string with the formats.
    pub options: TableOptions,
    /// The columns of its keys.
    pub key_format: Format,
    /// The columns of its values.
    pub value_format: Format,
    /// Whether it must not exist yet.
    pub exclusive: bool,
}

impl TableSettings {
    /// Reads the string that `Session.create` was given, or a table's metadata.
    ///
    /// # Errors
    /// As [`Settings::read`]; [`Error::Invalid`] for formats that cannot be read,
    /// [`Error::Unsupported`] for record numbers as keys.
    ///
    /// ```
    /// use rshelve::config::TableSettings;
    /// let made = TableSettings::read("key_format=iS,value_format=u,exclusive")?;
    /// let kept = TableSettings::read(&made.options.metadata)?;
    /// assert_eq!(kept.key_format, "iS".parse()?);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        let settings = Settings::read(Method::Create, text)?;
        let key_format: Format = settings.text("key_format").parse()?;
        let value_format: Format = settings.text("value_format").parse()?;
        if key_format.as_str() == "r" {
            let what = "a key_format of record numbers (they are not built yet)".to_owned();
            return Err(Error::Unsupported { what });
        }
        if key_format.columns().iter().all(|column| matches!(column, Column::Padding(_))) {
            return Err(Error::invalid("the key_format has no column"));
        }
        let metadata = format!(
            "app_metadata={},columns={},key_format={key_format},value_format={value_format}",
            written_list(&settings.list("app_metadata")),
            written_list(&settings.list("columns")),
        );
        let (least, most) = TableOptions::PAGE_BYTES.into_inner();
        let page_bytes =
            |name| u32::try_from(unsigned(&settings, name)).unwrap_or(most).clamp(least, most);
        let options = TableOptions {
            compression: match settings.text("block_compressor").as_str() {
                "snappy" => Compression::Snappy,
                _ => Compression::None,
            },
            leaf_bytes_max: page_bytes("leaf_page_max"),
            internal_bytes_max: page_bytes("internal_page_max"),
            logged: settings.flag("log.enabled"),
            metadata,
        };
        Ok(Self { options, key_format, value_format, exclusive: settings.flag("exclusive") })
    }
}

/// What `Session.open_cursor` was told, or a [`CursorOptions`](crate::CursorOptions) says.
///
/// ```
/// use rshelve::config::CursorSettings;
/// let settings = CursorSettings::read("overwrite=false,raw")?;
/// assert!(settings.raw && !settings.overwrite);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorSettings {
    #[doc = help!(overwrite)]
    pub overwrite: bool,
    #[doc = help!(cursor_readonly)]
    pub readonly: bool,
    #[doc = help!(bulk)]
    pub bulk: bool,
    #[doc = help!(next_random)]
    pub next_random: bool,
    #[doc = help!(next_random_seed)]
    pub random_seed: Option<u64>,
    #[doc = help!(read_once)]
    pub read_once: bool,
    #[doc = help!(checkpoint)]
    pub checkpoint: Option<String>,
    /// Whether keys and values are to be packed bytes, whatever the formats.
    pub raw: bool,
}

impl CursorSettings {
    /// Reads the string that `Session.open_cursor` was given.
    ///
    /// ```
    /// use rshelve::config::CursorSettings;
    /// assert!(CursorSettings::read("readonly=1")?.readonly);
    /// assert!(CursorSettings::read("readonly=perhaps").is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn read(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::of(&Settings::read(Method::OpenCursor, text)?))
    }

    fn of(settings: &Settings) -> Self {
        let checkpoint = settings.text("checkpoint");
        let seed = unsigned(settings, "next_random_seed");
        Self {
            overwrite: settings.flag("overwrite"),
            readonly: settings.flag("readonly"),
            bulk: matches!(settings.text("bulk").as_str(), "true" | "1" | "unordered"),
            next_random: settings.flag("next_random"),
            random_seed: Some(seed).filter(|&seed| seed != 0),
            read_once: settings.flag("read_once"),
            checkpoint: Some(checkpoint).filter(|name| !name.is_empty()),
            raw: settings.flag("raw"),
        }
    }
}

/// What the table says of a string without a word.
impl Default for CursorSettings {
    fn default() -> Self {
        static DEFAULT: LazyLock<CursorSettings> =
            LazyLock::new(|| CursorSettings::of(&Settings::none(Method::OpenCursor)));
        DEFAULT.clone()
    }
}

/// What `Session.begin_transaction` was told, or a
/// [`TransactionOptions`](crate::TransactionOptions) says.
///
/// ```
/// use rshelve::config::TransactionSettings;
/// assert_eq!(TransactionSettings::read("sync=on")?.sync, Some(true));
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionSettings {
    #[doc = help!(isolation)]
    pub isolation: Option<Isolation>,
    #[doc = help!(sync)]
    pub sync: Option<bool>,
    #[doc = help!(timeout)]
    pub operation_timeout: Option<Duration>,
}

impl TransactionSettings {
    /// Reads the string that `Session.begin_transaction` was given.
    ///
    /// # Errors
    /// As [`Settings::read`].
    ///
    /// ```
    /// use rshelve::{Isolation, config::TransactionSettings};
    /// let settings = TransactionSettings::read("isolation=read-committed")?;
    /// assert_eq!(settings.isolation, Some(Isolation::ReadCommitted));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::of(&Settings::read(Method::Begin, text)?))
    }

    fn of(settings: &Settings) -> Self {
        Self {
            isolation: isolation(&settings.text("isolation")),
            sync: sync(&settings.text("sync")),
            operation_timeout: match unsigned(settings, "operation_timeout_ms") {
                0 => None,
                milliseconds => Some(Duration::from_millis(milliseconds).min(NEVER)),
            },
        }
    }
}

/// What the table says of a string without a word.
impl Default for TransactionSettings {
    fn default() -> Self {
        static DEFAULT: LazyLock<TransactionSettings> =
            LazyLock::new(|| TransactionSettings::of(&Settings::none(Method::Begin)));
        DEFAULT.clone()
    }
}

/// The isolation level of this name (`snapshot`, ...), if it is one.
///
/// ```
/// use rshelve::{Isolation, config::isolation};
/// assert_eq!(isolation("read-committed"), Some(Isolation::ReadCommitted));
/// assert_eq!(isolation("perfect"), None);
/// ```
pub fn isolation(name: &str) -> Option<Isolation> {
    match name {
        "snapshot" => Some(Isolation::Snapshot),
        "read-committed" => Some(Isolation::ReadCommitted),
        "read-uncommitted" => Some(Isolation::ReadUncommitted),
        _ => None,
    }
}

/// The name of an isolation level, as strings have it.
pub(crate) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Snapshot => "snapshot",
        Isolation::ReadCommitted => "read-committed",
        Isolation::ReadUncommitted => "read-uncommitted",
    }
}

fn sync(word: &str) -> Option<bool> {
    match word {
        "" => None,
        word => Some(matches!(word, "on" | "true" | "1")),
    }
}

/// A number whose range begins at 0 or above.
fn unsigned(settings: &Settings, name: &str) -> u64 {
    u64::try_from(settings.number(name)).unwrap_or(0)
}
