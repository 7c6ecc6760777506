//! From checked strings to the options that the Rust face takes.

use std::time::Duration;

use super::check::Settings;
use super::parse::written_list;
use super::spec::Method;
use crate::packing::{Format, Kind as Column};
use crate::{
    Compression, CursorOptions, DatabaseOptions, Durability, Error, Isolation, OpenMode, Result,
    TableOptions, TransactionOptions,
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
        let options = DatabaseOptions {
            mode,
            durability,
            cache_bytes_max: unsigned(&settings, "cache_size"),
            checkpoint_log_bytes: match unsigned(&settings, "checkpoint.log_size") {
                0 => u64::MAX,
                bytes => bytes.max(1 << 16),
            },
            checkpoint_interval: match unsigned(&settings, "checkpoint.wait") {
                0 => NEVER,
                seconds => Duration::from_secs(seconds),
            },
            timeout: Duration::from_millis(unsigned(&settings, "operation_timeout_ms")).min(NEVER),
            file_mode: unsigned(&settings, "create_mode") as u32,
            ..DatabaseOptions::default()
        };
        let (exclusive, error_prefix) = (settings.flag("exclusive"), settings.text("error_prefix"));
        Ok(Self { options, exclusive, error_prefix })
    }
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
        let page_bytes = |name| settings.number(name).clamp(4 << 10, 512 << 10) as u32;
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

/// What `Session.open_cursor` was told.
///
/// ```
/// use rshelve::config::CursorSettings;
/// let settings = CursorSettings::read("overwrite=false,raw")?;
/// assert!(settings.raw && !settings.options.overwrite);
/// # Ok::<(), rshelve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CursorSettings {
    /// How the cursor behaves.
    pub options: CursorOptions,
    /// Whether keys and values are to be packed bytes, whatever the formats.
    pub raw: bool,
}

impl CursorSettings {
    /// Reads the string that `Session.open_cursor` was given.
    ///
    /// ```
    /// use rshelve::config::CursorSettings;
    /// assert!(CursorSettings::read("readonly=1")?.options.readonly);
    /// assert!(CursorSettings::read("readonly=perhaps").is_err());
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn read(text: &str) -> Result<Self> {
        let settings = Settings::read(Method::OpenCursor, text)?;
        let mut options = CursorOptions::new()
            .overwrite(settings.flag("overwrite"))
            .readonly(settings.flag("readonly"))
            .bulk(matches!(settings.text("bulk").as_str(), "true" | "1" | "unordered"))
            .next_random(settings.flag("next_random"))
            .read_once(settings.flag("read_once"));
        let checkpoint = settings.text("checkpoint");
        if !checkpoint.is_empty() {
            options = options.checkpoint(checkpoint);
        }
        Ok(Self { options, raw: settings.flag("raw") })
    }
}

impl TransactionOptions {
    /// Reads the string that `Session.begin_transaction` was given.
    ///
    /// # Errors
    /// As [`Settings::read`].
    ///
    /// ```
    /// use rshelve::{Isolation, TransactionOptions};
    /// let options = TransactionOptions::read("isolation=read-committed")?;
    /// assert_eq!(options.isolation, Some(Isolation::ReadCommitted));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        let settings = Settings::read(Method::Begin, text)?;
        let mut options = Self::new();
        options.isolation = isolation(&settings.text("isolation"));
        options.sync = sync(&settings.text("sync"));
        options.operation_timeout = match unsigned(&settings, "operation_timeout_ms") {
            0 => None,
            milliseconds => Some(Duration::from_millis(milliseconds).min(NEVER)),
        };
        Ok(options)
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
