//! `ConnectionCore`: an open database in its folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pyo3::prelude::*;
use rshelve::config::{Method, OpenSettings, Settings};
use rshelve::{Connection, ConnectionOptions, Error, ForkGuard, OpenMode};

use super::failure::Failure;
use super::session::{SessionCore, SessionShared};

/// The database's file, in the folder that is its home.
const FILE_NAME: &str = "rshelve";

/// An open database.
pub struct Shared {
    /// The way in.
    pub connection: Connection,
    home: String,
    is_new: bool,
    guard: ForkGuard,
    /// Set once, by whoever closes.
    closed: AtomicBool,
    /// All that are open, and some that are gone.
    sessions: Mutex<Vec<Weak<SessionShared>>>,
}

impl Shared {
    /// Opens the database in the folder `home`. Run it detached.
    fn open(home: &str, settings: &OpenSettings, config: &str) -> Result<Self, Failure> {
        let folder = Path::new(if home.is_empty() { "." } else { home });
        let file = folder.join(FILE_NAME);
        let is_there = look(folder, &file)?;
        match settings.options.mode {
            OpenMode::Create if is_there && settings.exclusive => {
                return Err(Error::Exists { what: format!("a database in {home:?}") }.into());
            }
            OpenMode::Existing | OpenMode::ReadOnly if !is_there => {
                let what = format!("database in {home:?}; open it with 'create' to make one");
                return Err(Error::Missing { what }.into());
            }
            _ => {}
        }
        let guard = ForkGuard::new().map_err(|error| {
            let file = file.display().to_string().into();
            Error::io("watch for forks before opening", &file, error)
        })?;
        Ok(Self {
            connection: ConnectionOptions::new().config(config).open(&file)?,
            home: home.to_owned(),
            is_new: !is_there,
            guard,
            closed: AtomicBool::new(false),
            sessions: Mutex::new(Vec::new()),
        })
    }

    /// What messages of errors begin with.
    pub fn prefix(&self) -> String {
        self.connection.error_prefix()
    }

    /// Refuses a connection that is closed, or another process's.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_foreign() {
            return Err(Failure::Forked);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::Closed("the connection"));
        }
        Ok(())
    }

    /// Whether it was opened by the parent of this process.
    pub fn is_foreign(&self) -> bool {
        !self.guard.is_ours()
    }

    /// Remembers a session, to close it with the connection.
    fn adopt(&self, session: &Arc<SessionShared>) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    /// Closes the sessions, then the database. Run it detached.
    fn close(&self) -> Result<(), Failure> {
        self.check()?;
        // Release: a session that is opened from here on finds the connection closed.
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(Failure::Closed("the connection"));
        }
        let sessions = std::mem::take(&mut *self.sessions.lock());
        let mut outcome = Ok(());
        for session in sessions.iter().filter_map(Weak::upgrade) {
            outcome = outcome.and(session.close());
        }
        outcome.and(self.connection.close().map_err(Failure::from))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.closed.load(Ordering::Acquire) || self.is_foreign() {
            return;
        }
        // A destructor has nobody to tell; whoever wants to know calls close.
        let _ = match Python::try_attach(|py| py.detach(|| self.close())) {
            Some(closed) => closed,
            None => self.close(),
        };
    }
}

/// Whether there is a database; an error if there is not even a folder for one.
fn look(folder: &Path, file: &Path) -> Result<bool, Failure> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(Failure::invalid(format!("{} is no folder", folder.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = format!("folder {}; make it first", folder.display());
            return Err(Error::Missing { what }.into());
        }
        Err(error) => {
            return Err(Error::io("look into", &folder.display().to_string().into(), error).into());
        }
    }
    Ok(std::fs::symlink_metadata(file).is_ok_and(|metadata| metadata.len() > 0))
}

/// An open database, as Python holds it.
#[pyclass(frozen, module = "rshelve._rshelve")]
pub struct ConnectionCore {
    shared: Arc<Shared>,
}

#[pymethods]
impl ConnectionCore {
    /// Open the database in the folder `home`.
    #[staticmethod]
    fn open(py: Python<'_>, home: PathBuf, config: &str) -> PyResult<Self> {
        let raise = |failure: Failure, prefix: &str| failure.raise(py, "wiredtiger_open", prefix);
        let settings =
            OpenSettings::read(config).map_err(|error| raise(Failure::Engine(error), ""))?;
        let home = home.to_string_lossy().into_owned();
        let shared = py.detach(|| Shared::open(&home, &settings, config));
        let shared = shared.map_err(|failure| raise(failure, &settings.error_prefix))?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The folder, as it was given.
    #[getter]
    fn home(&self, py: Python<'_>) -> PyResult<&str> {
        self.run(py, "get_home", || Ok(()))?;
        Ok(&self.shared.home)
    }

    /// Whether the database was made when it was opened.
    #[getter]
    fn is_new(&self, py: Python<'_>) -> PyResult<bool> {
        self.run(py, "is_new", || Ok(self.shared.is_new))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Open a session.
    fn open_session(&self, py: Python<'_>, config: &str) -> PyResult<SessionCore> {
        self.run(py, "open_session", || {
            let settings = Settings::read(Method::OpenSession, config)?;
            let session = Arc::new(SessionShared::open(&self.shared, &settings)?);
            self.shared.adopt(&session);
            // Whoever closed meanwhile may have looked for sessions too early.
            if let Err(closed) = self.shared.check() {
                session.close()?;
                return Err(closed);
            }
            Ok(SessionCore::new(session))
        })
    }

    /// Change options.
    fn reconfigure(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "reconfigure", || Ok(self.shared.connection.reconfigure(config)?))
    }

    /// Close the sessions, then the database.
    fn close(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "close", || {
            Settings::read(Method::ConnectionClose, config)?;
            self.shared.close()
        })
    }
}

impl ConnectionCore {
    /// Runs a method, detached.
    fn run<R: Send>(
        &self,
        py: Python<'_>,
        method: &str,
        work: impl FnOnce() -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        py.detach(|| self.shared.check().and_then(|()| work())).map_err(|failure| {
            failure.raise(py, &format!("WT_CONNECTION.{method}"), &self.shared.prefix())
        })
    }
}
