//! An open database.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rshelve_core::engine::{CompactProgress, CompactReport, Engine};

use crate::config::{Method, Settings, retuned};
use crate::{
    Code, DatabaseOptions, EventHandler, Result, Session, StatsSnapshot, Table, TableOptions,
    Tuning, VerifyProgress, VerifyReport,
};

/// An open database, shared by clones and threads. The last one to go closes it, as
/// [`close`](Self::close) does.
///
/// ```
/// use rshelve::{Connection, DatabaseOptions, TableOptions};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("spam");
/// let connection = Connection::open(&path, DatabaseOptions::default())?;
/// assert_eq!(connection.path(), path);
/// let stock = connection.create_table("stock", &TableOptions::default())?;
/// let clerk = std::thread::spawn(move || stock.insert(b"eggs", b"12"));
/// clerk.join().expect("no panic")?;
/// assert_eq!(connection.table("stock")?.len()?, 1);
/// connection.close()?;
/// assert!(connection.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// # fn assert<T: Send + Sync + Clone>() {}
/// assert::<rshelve::Connection>();
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    engine: Engine,
    path: Arc<PathBuf>,
    /// What messages begin with. Nothing else is locked under it.
    prefix: Arc<Mutex<String>>,
}

impl Connection {
    /// Opens the database in the file at `path`.
    ///
    /// ```
    /// use rshelve::{Code, Connection, DatabaseOptions, OpenMode};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let only_read = || DatabaseOptions { mode: OpenMode::ReadOnly, ..Default::default() };
    /// let missing = Connection::open(&path, only_read()).unwrap_err();
    /// assert_eq!(Code::of(&missing), Code::ENOENT);
    /// Connection::open(&path, DatabaseOptions::default())?.close()?;
    /// let connection = Connection::open(&path, only_read())?;
    /// assert_eq!(connection.options().mode, OpenMode::ReadOnly);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) when it is open elsewhere, in this process too;
    /// [`Error::Io`](crate::Error::Io) with the kind `NotFound` when the file is not there and not to
    /// be created, [`Error::Missing`](crate::Error::Missing) when it is there and empty;
    /// [`Error::Foreign`](crate::Error::Foreign) when the file is something else;
    /// [`Error::Corrupt`](crate::Error::Corrupt) when it is damaged;
    /// [`Error::Invalid`](crate::Error::Invalid) for an option out of range; what the system says.
    pub fn open(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Self> {
        let path = path.as_ref();
        let engine = Engine::open(path, options)?;
        Ok(Self::from_parts(engine, path.to_path_buf()))
    }

    /// The same; `handler` is told of what goes wrong in the background.
    pub(crate) fn open_with_handler(
        path: &Path,
        options: DatabaseOptions,
        handler: Option<Arc<dyn EventHandler>>,
    ) -> Result<Self> {
        let connection = Self::open(path, options)?;
        if let Some(handler) = handler {
            let prefix = Arc::clone(&connection.prefix);
            connection.engine.listen(Arc::new(move |what, error| {
                let prefix = prefix.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let separator = if prefix.is_empty() { "" } else { ": " };
                let message = format!("{prefix}{separator}{what} failed: {error}");
                handler.error(Code::of(error), &message);
            }));
        }
        Ok(connection)
    }

    pub(crate) fn from_parts(engine: Engine, path: PathBuf) -> Self {
        Self { engine, path: Arc::new(path), prefix: Arc::default() }
    }

    /// The path that it was opened by.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// assert_eq!(connection.path(), path);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The options that it was opened with.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// assert_eq!(connection.options().durability, rshelve::Durability::Process);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options(&self) -> &DatabaseOptions {
        self.engine.options()
    }

    /// A session, for one thread at a time.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// let session = connection.open_session()?;
    /// let work = std::thread::spawn(move || {
    ///     session.begin()?;
    ///     session.open_cursor("stock")?.insert(b"eggs", b"12")?;
    ///     session.commit()
    /// });
    /// work.join().expect("no panic")?;
    /// assert_eq!(stock.get(b"eggs")?.as_deref(), Some(&b"12"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn open_session(&self) -> Result<Session> {
        Session::new(self)
    }

    /// Opens table `name`, and creates it if there is none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// use rshelve::{Compression, TableOptions};
    /// let options = TableOptions { compression: Compression::Snappy, ..Default::default() };
    /// connection.create_table("stock", &options)?;
    /// connection.create_table("stock", &options)?; // opens it
    /// assert!(connection.create_table("stock", &TableOptions::default()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when it exists with other options; what writing
    /// gives.
    pub fn create_table(&self, name: &str, options: &TableOptions) -> Result<Table> {
        let table = self.engine.create_table(name, options)?;
        Ok(Table::new(self.clone(), table))
    }

    /// Opens table `name`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// use rshelve::Error;
    /// assert!(matches!(connection.table("stock"), Err(Error::Missing { .. })));
    /// connection.create_table("stock", &Default::default())?;
    /// assert!(connection.table("stock")?.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing).
    pub fn table(&self, name: &str) -> Result<Table> {
        Ok(Table::new(self.clone(), self.engine.table(name)?))
    }

    /// Drops table `name` and all that is in it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// use rshelve::Error;
    /// assert!(matches!(connection.drop_table("stock"), Err(Error::Busy { .. })));
    /// drop(stock);
    /// connection.drop_table("stock")?;
    /// assert!(connection.tables()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) while a [`Table`] or cursor on it is open;
    /// [`Error::Missing`](crate::Error::Missing); what reading and writing gives.
    pub fn drop_table(&self, name: &str) -> Result<()> {
        self.engine.drop_table(name)
    }

    /// The names of all tables, sorted.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// for name in ["stock", "guests"] {
    ///     connection.create_table(name, &Default::default())?;
    /// }
    /// assert_eq!(connection.tables()?, ["guests", "stock"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None today.
    pub fn tables(&self) -> Result<Vec<String>> {
        Ok(self.engine.table_names())
    }

    /// Brings the one file up to date, durably: a consistent image of every table.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// connection.checkpoint()?;
    /// let report = connection.verify(&mut |_| Ok(()))?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full), after which it may be tried again; what the disk gives,
    /// which makes the database read-only.
    pub fn checkpoint(&self) -> Result<()> {
        self.engine.checkpoint()
    }

    /// Makes everything committed so far durable: syncs the log, or takes a checkpoint if there is
    /// none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// connection.sync()?; // from here on a power cut does not lose it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn sync(&self) -> Result<()> {
        self.engine.sync()
    }

    /// Verifies the last checkpoint beside readers and writers: that all it reaches is there, once,
    /// whole and in order. What was committed since is not in it; take a
    /// [`checkpoint`](Self::checkpoint) first to have it looked at. `progress` is called now and then;
    /// its error ends the verification.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed); what `progress` returns. Damage is no error here: it is
    /// in the report.
    ///
    /// ```
    /// # use rshelve::{Connection, DatabaseOptions};
    /// # let folder = tempfile::tempdir()?;
    /// let connection = Connection::open(folder.path().join("spam"), DatabaseOptions::default())?;
    /// let report = connection.verify(&mut |_| Ok(()))?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(&VerifyProgress) -> Result<()>,
    ) -> Result<VerifyReport> {
        self.engine.verify(progress)
    }

    /// Changes what may be changed while the database is open, as a configuration string says:
    /// `cache_size`, `eviction_target`, `eviction_trigger`, `checkpoint=(log_size, wait)`,
    /// `error_prefix`; what it does not give stays. See `Connection.reconfigure` in
    /// [`METHODS`](crate::config::METHODS), and [`retune`](Self::retune) for types in place of strings.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// connection.reconfigure("cache_size=32MB,checkpoint=(wait=5)")?;
    /// assert_eq!(connection.tuning().cache_bytes_max, 32 << 20);
    /// assert_eq!(connection.tuning().checkpoint_interval, Duration::from_secs(5));
    /// assert!(connection.reconfigure("cache_size=1").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) names the option that makes no sense,
    /// [`Error::Unsupported`](crate::Error::Unsupported) the one that is fixed while it is open; nothing
    /// is changed then. [`Error::Closed`](crate::Error::Closed).
    pub fn reconfigure(&self, config: &str) -> Result<()> {
        let settings = Settings::read(Method::Reconfigure, config)?;
        self.retune(retuned(self.tuning(), &settings))?;
        if settings.is_given("error_prefix") {
            self.set_error_prefix(settings.text("error_prefix"));
        }
        Ok(())
    }

    /// The options that may be changed while the database is open, as they are now.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// assert_eq!(connection.tuning(), connection.options().tuning());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.engine.tuning()
    }

    /// Changes them. A cache that is too large now shrinks as eviction goes on; a checkpoint that is due
    /// now is taken at once.
    ///
    /// ```
    /// use rshelve::Tuning;
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// connection.retune(Tuning { checkpoint_log_bytes: 8 << 20, ..connection.tuning() })?;
    /// assert_eq!(connection.tuning().checkpoint_log_bytes, 8 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for what is out of range, and nothing is changed;
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn retune(&self, tuning: Tuning) -> Result<()> {
        self.engine.retune(tuning)
    }

    /// Changes the cache's size, in bytes, and when eviction works: in the background above the first
    /// percentage of the size (80 at first), on the threads that use the database above the second
    /// (90). What is too much leaves as eviction goes on.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// connection.resize_cache(32 << 20, 70, 85)?;
    /// assert_eq!(connection.cache_bytes_max(), 32 << 20);
    /// assert!(connection.resize_cache(32 << 20, 85, 70).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`retune`](Self::retune).
    pub fn resize_cache(
        &self,
        bytes_max: u64,
        target_percent: u64,
        trigger_percent: u64,
    ) -> Result<()> {
        self.retune(Tuning {
            cache_bytes_max: bytes_max,
            eviction_target_percent: target_percent,
            eviction_trigger_percent: trigger_percent,
            ..self.tuning()
        })
    }

    /// The most bytes that the cache may hold now.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// assert_eq!(connection.cache_bytes_max(), 128 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cache_bytes_max(&self) -> u64 {
        self.engine.cache_bytes_max()
    }

    /// What the messages of errors begin with: the option `error_prefix`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// assert_eq!(connection.error_prefix(), "");
    /// connection.reconfigure("error_prefix=larder")?;
    /// assert_eq!(connection.error_prefix(), "larder");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn error_prefix(&self) -> String {
        self.prefix.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_error_prefix(&self, prefix: String) {
        *self.prefix.lock().unwrap_or_else(PoisonError::into_inner) = prefix;
    }

    /// Compacts the database: merges pages that are not full, moves what lies at the file's end to
    /// the front, and cuts the file. Readers and writers go on beside it; `tell` is called after each
    /// step, and may stop it.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) while another compaction runs;
    /// [`Error::Full`](crate::Error::Full) when there is no room to begin with;
    /// [`Error::Closed`](crate::Error::Closed) when it is closed meanwhile; what reading and writing
    /// gives. What was done until then stays done, and nothing is lost.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let connection = rshelve::Connection::open(&path, Default::default())?;
    /// let report = connection.compact(&mut |progress| {
    ///     println!("{} of {} bytes in use", progress.used_bytes, progress.file_bytes);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(report.is_complete && report.after_bytes <= report.before_bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(
        &self,
        tell: &mut dyn FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<CompactReport> {
        self.engine.compact(tell)
    }

    /// What the engine did so far.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// stock.insert(b"eggs", b"12")?;
    /// connection.checkpoint()?;
    /// let stats = connection.stats();
    /// assert!(stats.cache_bytes > 0 && stats.file_bytes > 0);
    /// for (name, count) in stats.named() {
    ///     println!("{name}: {count}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> StatsSnapshot {
        self.engine.stats()
    }

    /// Closes the database for everybody: waits for commits under way, takes the last checkpoint and
    /// removes the sidecars, so that the one file is the whole database. Later operations fail with
    /// [`Error::Closed`](crate::Error::Closed); closing again does nothing.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let connection = rshelve::Connection::open(folder.path().join("spam"), Default::default())?;
    /// # let stock = connection.create_table("stock", &Default::default())?;
    /// use rshelve::Error;
    /// stock.insert(b"eggs", b"12")?;
    /// connection.close()?;
    /// assert!(matches!(stock.get(b"eggs"), Err(Error::Closed { .. })));
    /// connection.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the last checkpoint gives. It is closed all the same, as after a crash: nothing
    /// committed is lost that the durability promised.
    pub fn close(&self) -> Result<()> {
        self.engine.close()
    }

    /// Whether it was closed.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// # let connection = rshelve::Connection::open(&path, Default::default())?;
    /// connection.close()?;
    /// assert!(connection.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.engine.is_closed()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}
