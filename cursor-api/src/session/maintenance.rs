//! A session's work on the whole database: checkpoints, verification, compaction.

use rshelve_core::engine::CompactReport;

use super::Session;
use crate::{CheckpointInfo, Result, VerifyReport};

impl Session {
    /// As [`Connection::checkpoint`](crate::Connection::checkpoint).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// session.checkpoint()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn checkpoint(&self) -> Result<()> {
        self.state().checkpoint()
    }

    /// Takes a checkpoint that is kept under `name`, in place of any of that name, until it is
    /// [dropped](Self::drop_checkpoints). Cursors opened with [`CursorOptions::checkpoint`](crate::CursorOptions::checkpoint) read it.
    ///
    /// ```
    /// use rshelve::CursorOptions;
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// let session = connection.open_session()?;
    /// session.checkpoint_named("monday")?;
    /// stock.insert(b"eggs", b"3")?;
    /// let options = CursorOptions::new().checkpoint("monday");
    /// let mut monday = session.open_cursor_with("stock", &options)?;
    /// assert!(monday.search(b"eggs")?);
    /// assert_eq!(monday.value()?, b"12");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) when a cursor reads the one that is to be replaced;
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that cannot be one, and inside a
    /// transaction; as [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_named(&self, name: &str) -> Result<()> {
        self.state().checkpoint_with(Some(name), &[])
    }

    /// Drops named checkpoints: all of these, or none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.checkpoint_named("monday")?;
    /// session.drop_checkpoints(&["monday"])?;
    /// assert!(session.checkpoints().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) while a cursor reads one;
    /// [`Error::Missing`](crate::Error::Missing); as [`checkpoint`](Self::checkpoint).
    pub fn drop_checkpoints(&self, names: &[&str]) -> Result<()> {
        self.state().checkpoint_with(None, names)
    }

    /// The named checkpoints, in the order in which they were taken.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// session.checkpoint_named("tuesday")?;
    /// session.checkpoint_named("monday")?;
    /// let names: Vec<_> = session.checkpoints().into_iter().map(|info| info.name).collect();
    /// assert_eq!(names, ["tuesday", "monday"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.state().checkpoints()
    }

    /// Verifies the database, as [`Connection::verify`](crate::Connection::verify) does, the last
    /// checkpoint taken first, so that what was committed is in it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// let report = session.verify()?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as
    /// [`checkpoint`](Self::checkpoint) and there.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.state().verify()
    }

    /// Makes everything committed so far durable.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.insert(b"eggs", b"12")?;
    /// session.log_flush()?; // from here on a power cut does not lose it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Connection::sync`](crate::Connection::sync).
    pub fn log_flush(&self) -> Result<()> {
        self.state().log_flush()
    }

    /// Compacts the whole database, which is one file, as
    /// [`Connection::compact`](crate::Connection::compact) does.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// # let session = connection.open_session()?;
    /// stock.clear()?;
    /// let report = session.compact()?;
    /// assert!(report.is_complete);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) inside a transaction; as there.
    pub fn compact(&self) -> Result<CompactReport> {
        self.state().compact()
    }
}
