//! The options of sessions' parts, cursors and transactions, said one by one.

use std::time::Duration;

use rshelve_core::engine::Isolation;

use crate::Result;
use crate::config::{CursorSettings, TransactionSettings};
use crate::said::Said;

/// How a cursor behaves, fixed when it is opened. Each option is described, defaulted and
/// range-checked in the one table that configuration strings are read against
/// ([`config::METHODS`](crate::config::METHODS), `Session.open_cursor` in `docs/configuration.md`).
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
#[derive(Clone, Debug, Default)]
pub struct CursorOptions(Said);

impl CursorOptions {
    /// The defaults.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(CursorOptions::new().settings()?.overwrite);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[doc = help!(overwrite)]
    /// The default is true.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(!CursorOptions::new().overwrite(false).settings()?.overwrite);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn overwrite(self, overwrite: bool) -> Self {
        Self(self.0.set("overwrite", overwrite))
    }

    #[doc = help!(cursor_readonly)]
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(CursorOptions::new().readonly(true).settings()?.readonly);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn readonly(self, readonly: bool) -> Self {
        Self(self.0.set("readonly", readonly))
    }

    #[doc = help!(bulk)]
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(CursorOptions::new().bulk(true).settings()?.bulk);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn bulk(self, bulk: bool) -> Self {
        Self(self.0.set("bulk", bulk))
    }

    #[doc = help!(next_random)]
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(CursorOptions::new().next_random(true).settings()?.next_random);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn next_random(self, next_random: bool) -> Self {
        Self(self.0.set("next_random", next_random))
    }

    #[doc = help!(next_random_seed)]
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// let options = CursorOptions::new().next_random(true);
    /// assert_eq!(options.clone().random_seed(7).settings()?.random_seed, Some(7));
    /// assert_eq!(options.settings()?.random_seed, None);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn random_seed(self, seed: u64) -> Self {
        Self(self.0.set("next_random_seed", seed))
    }

    #[doc = help!(read_once)]
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// assert!(CursorOptions::new().read_once(true).settings()?.read_once);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn read_once(self, read_once: bool) -> Self {
        Self(self.0.set("read_once", read_once))
    }

    #[doc = help!(checkpoint)]
    /// See [`LATEST_CHECKPOINT`](crate::LATEST_CHECKPOINT).
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// let past = CursorOptions::new().checkpoint("monday").settings()?;
    /// assert_eq!(past.checkpoint.as_deref(), Some("monday"));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn checkpoint(self, name: impl AsRef<str>) -> Self {
        Self(self.0.set_text("checkpoint", name.as_ref()))
    }

    /// Any options, as a configuration string.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// let settings = CursorOptions::new().config("overwrite=false,readonly").settings()?;
    /// assert!(settings.readonly && !settings.overwrite);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        Self(self.0.add(text))
    }

    /// What the options come to.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// let error = CursorOptions::new().config("overwrite=perhaps").settings().unwrap_err();
    /// assert!(error.to_string().contains("'overwrite'"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) names the option that makes no sense;
    /// [`Error::Unsupported`](crate::Error::Unsupported) the one that is not built.
    pub fn settings(&self) -> Result<CursorSettings> {
        CursorSettings::read(self.0.text())
    }
}

/// How a transaction runs. Each option is described, defaulted and range-checked in the one table that
/// configuration strings are read against ([`config::METHODS`](crate::config::METHODS),
/// `Session.begin_transaction` in `docs/configuration.md`).
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
/// session.begin_with(&TransactionOptions::new().isolation(Isolation::ReadCommitted))?;
/// session.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TransactionOptions(Said);

impl TransactionOptions {
    /// The defaults.
    ///
    /// ```
    /// use rshelve::TransactionOptions;
    /// assert_eq!(TransactionOptions::new().settings()?.isolation, None);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[doc = help!(isolation)]
    ///
    /// ```
    /// use rshelve::{Isolation, TransactionOptions};
    /// let settings = TransactionOptions::new().isolation(Isolation::ReadCommitted).settings()?;
    /// assert_eq!(settings.isolation, Some(Isolation::ReadCommitted));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn isolation(self, isolation: Isolation) -> Self {
        Self(self.0.set("isolation", crate::config::isolation_name(isolation)))
    }

    #[doc = help!(sync)]
    ///
    /// ```
    /// use rshelve::TransactionOptions;
    /// assert_eq!(TransactionOptions::new().sync(true).settings()?.sync, Some(true));
    /// assert_eq!(TransactionOptions::new().settings()?.sync, None);
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn sync(self, sync: bool) -> Self {
        Self(self.0.set("sync", sync))
    }

    #[doc = help!(timeout)]
    /// Here it is a millisecond at least.
    ///
    /// ```
    /// use rshelve::TransactionOptions;
    /// use std::time::Duration;
    /// let hasty = Duration::from_millis(50);
    /// let settings = TransactionOptions::new().operation_timeout(hasty).settings()?;
    /// assert_eq!(settings.operation_timeout, Some(hasty));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn operation_timeout(self, timeout: Duration) -> Self {
        Self(self.0.set_milliseconds("operation_timeout_ms", timeout))
    }

    /// Any options, as a configuration string.
    ///
    /// ```
    /// use rshelve::{Isolation, TransactionOptions};
    /// let settings = TransactionOptions::new().config("isolation=read-committed").settings()?;
    /// assert_eq!(settings.isolation, Some(Isolation::ReadCommitted));
    /// # Ok::<(), rshelve::Error>(())
    /// ```
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        Self(self.0.add(text))
    }

    /// What the options come to.
    ///
    /// ```
    /// use rshelve::TransactionOptions;
    /// let error = TransactionOptions::new().config("isolation=perfect").settings().unwrap_err();
    /// assert!(error.to_string().contains("'isolation'"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) names the option that makes no sense;
    /// [`Error::Unsupported`](crate::Error::Unsupported) the one that is not built.
    pub fn settings(&self) -> Result<TransactionSettings> {
        TransactionSettings::read(self.0.text())
    }
}
