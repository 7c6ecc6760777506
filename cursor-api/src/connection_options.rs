//! Opening a connection, option by option.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::OpenSettings;
use crate::said::Said;
use crate::{Connection, DatabaseOptions, Durability, Error, EventHandler, Result};

/// The options of a connection. Each is described, defaulted and range-checked in the one table that
/// configuration strings are read against ([`config::METHODS`](crate::config::METHODS), listed in
/// `docs/configuration.md`).
///
/// ```
/// use rshelve::{ConnectionOptions, Durability};
/// # let folder = tempfile::tempdir()?;
/// let connection = ConnectionOptions::new()
///     .create(true)
///     .cache_size(64 << 20)
///     .durability(Durability::Sync)
///     .config("checkpoint=(wait=30)")
///     .open(folder.path().join("spam"))?;
/// assert_eq!(connection.cache_bytes_max(), 64 << 20);
/// let error = ConnectionOptions::new().cache_size(1).open("spam").unwrap_err();
/// assert!(error.to_string().contains("cache_size"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectionOptions {
    said: Said,
    handler: Option<Arc<dyn EventHandler>>,
}

impl ConnectionOptions {
    /// The defaults.
    ///
    /// ```
    /// use rshelve::{ConnectionOptions, DatabaseOptions};
    /// let settings = ConnectionOptions::new().settings()?;
    /// assert_eq!(settings.options.timeout, DatabaseOptions::DEFAULT.timeout);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn set(self, key: &str, value: impl Display) -> Self {
        Self { said: self.said.set(key, value), ..self }
    }

    #[doc = help!(create)]
    /// The default is false.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// assert!(ConnectionOptions::new().open(&path).is_err());
    /// ConnectionOptions::new().create(true).open(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn create(self, create: bool) -> Self {
        self.set("create", create)
    }

    #[doc = help!(connection_readonly)]
    /// The default is false.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// ConnectionOptions::new().create(true).open(&path)?.close()?;
    /// let connection = ConnectionOptions::new().readonly(true).open(&path)?;
    /// assert!(connection.create_table("stock", &Default::default()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn readonly(self, readonly: bool) -> Self {
        self.set("readonly", readonly)
    }

    #[doc = help!(cache_size)]
    /// In bytes.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// let settings = ConnectionOptions::new().cache_size(64 << 20).settings()?;
    /// assert_eq!(settings.options.cache_bytes_max, 64 << 20);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn cache_size(self, bytes: u64) -> Self {
        self.set("cache_size", bytes)
    }

    /// What a commit promises when it returns.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// use rshelve::Durability;
    /// let settings = ConnectionOptions::new().durability(Durability::Sync).settings()?;
    /// assert_eq!(settings.options.durability, Durability::Sync);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        let (log, sync) = match durability {
            Durability::Sync => (true, true),
            Durability::Process => (true, false),
            Durability::Checkpoint => (false, false),
        };
        self.set("log", format_args!("(enabled={log})"))
            .set("transaction_sync", format_args!("(enabled={sync})"))
    }

    #[doc = help!(connection_timeout)]
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// use std::time::Duration;
    /// let settings = ConnectionOptions::new().operation_timeout(Duration::from_millis(50)).settings()?;
    /// assert_eq!(settings.options.timeout, Duration::from_millis(50));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn operation_timeout(self, timeout: Duration) -> Self {
        self.set("operation_timeout_ms", timeout.as_millis())
    }

    #[doc = help!(checkpoint_wait)]
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// use std::time::Duration;
    /// let settings = ConnectionOptions::new().checkpoint_interval(Duration::from_secs(30)).settings()?;
    /// assert_eq!(settings.options.checkpoint_interval, Duration::from_secs(30));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn checkpoint_interval(self, interval: Duration) -> Self {
        self.set("checkpoint", format_args!("(wait={})", interval.as_secs()))
    }

    /// Any options, as a configuration string.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// let settings = ConnectionOptions::new().config("create,checkpoint=(wait=30)").settings()?;
    /// assert_eq!(settings.options.checkpoint_interval.as_secs(), 30);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        Self { said: self.said.add(text), ..self }
    }

    /// Who is told of what goes wrong without a caller to tell.
    ///
    /// ```
    /// use rshelve::{Code, ConnectionOptions, EventHandler};
    /// #[derive(Debug)]
    /// struct Loud;
    ///
    /// impl EventHandler for Loud {
    ///     fn error(&self, code: Code, message: &str) {
    ///         eprintln!("{}: {message}", code.0);
    ///     }
    /// }
    ///
    /// let options = ConnectionOptions::new().create(true).event_handler(Loud);
    /// # let folder = tempfile::tempdir()?;
    /// let connection = options.open(folder.path().join("spam"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn event_handler(mut self, handler: impl EventHandler + 'static) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// What the options come to.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// let settings = ConnectionOptions::new().cache_size(64 << 20).settings()?;
    /// assert_eq!(settings.options.cache_bytes_max, 64 << 20);
    /// let error = ConnectionOptions::new().config("cache_sise=64MB").settings().unwrap_err();
    /// assert!(error.to_string().contains("'cache_sise'"));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] names the option that makes no sense; [`Error::Unsupported`] the one that is
    /// not built.
    pub fn settings(&self) -> Result<OpenSettings> {
        OpenSettings::read(self.said.text())
    }

    /// Opens the database in the file at `path`.
    ///
    /// ```
    /// use rshelve::ConnectionOptions;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let once = ConnectionOptions::new().create(true).config("exclusive");
    /// once.open(&path)?.close()?;
    /// assert!(matches!(once.open(&path), Err(rshelve::Error::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`settings`](Self::settings) and [`Connection::open`]; [`Error::Exists`] when it exists and
    /// `exclusive` was said.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Connection> {
        let path = path.as_ref();
        let OpenSettings { options, exclusive, error_prefix } = self.settings()?;
        // An empty file is what a killed creation leaves.
        if exclusive && std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Err(Error::Exists { what: path.display().to_string() });
        }
        let connection = Connection::open_with_handler(path, options, self.handler.clone())?;
        connection.set_error_prefix(error_prefix);
        Ok(connection)
    }
}

impl TryFrom<&ConnectionOptions> for DatabaseOptions {
    type Error = Error;

    fn try_from(options: &ConnectionOptions) -> Result<Self> {
        Ok(options.settings()?.options)
    }
}
