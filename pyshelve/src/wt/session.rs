//! `SessionCore`: transactions and tables, and the cursors that a session owns.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use rshelve::config::{Method, Settings, TableSettings};
use rshelve::packing::Format;
use rshelve::state::{CursorState, SessionState, Uri};
use rshelve::{CursorOptions, Error, TransactionOptions};

use super::connection::Shared;
use super::cursor::CursorCore;
use super::failure::Failure;
use super::rows;

/// A session, for whoever has a handle on it or on one of its cursors.
pub struct SessionShared {
    pub(super) connection: Arc<Shared>,
    /// None once it is closed.
    body: Mutex<Option<Body>>,
    /// Cursors whose handles are gone, to be closed by the next operation.
    dropped: Mutex<Vec<usize>>,
    /// How many those are. Relaxed: the list's lock orders what is in it.
    dropped_count: AtomicUsize,
    /// Why the last operation was rolled back, if one was since the transaction began.
    rollback_reason: Mutex<Option<String>>,
}

/// What a session's lock protects.
pub(super) struct Body {
    pub(super) state: SessionState,
    /// By the numbers of their handles.
    cursors: Vec<Option<CursorState>>,
}

impl Body {
    /// The session, and the cursor `number` of it.
    pub(super) fn cursor(
        &mut self,
        number: usize,
    ) -> Result<(&mut SessionState, &mut CursorState), Failure> {
        let cursor = self.cursors.get_mut(number).and_then(Option::as_mut);
        Ok((&mut self.state, cursor.ok_or(Failure::Closed("the cursor"))?))
    }

    /// Two cursors beside each other.
    pub(super) fn pair(
        &self,
        one: usize,
        other: usize,
    ) -> Result<(&SessionState, &CursorState, &CursorState), Failure> {
        let find = |number: usize| self.cursors.get(number).and_then(Option::as_ref);
        match (find(one), find(other)) {
            (Some(one), Some(other)) => Ok((&self.state, one, other)),
            _ => Err(Failure::Closed("the cursor")),
        }
    }

    /// Keeps a new cursor, under the smallest number that is free.
    fn keep(&mut self, cursor: CursorState) -> usize {
        match self.cursors.iter().position(Option::is_none) {
            Some(number) => {
                self.cursors[number] = Some(cursor);
                number
            }
            None => {
                self.cursors.push(Some(cursor));
                self.cursors.len() - 1
            }
        }
    }

    /// Takes a cursor out, to be put back or closed.
    fn take(&mut self, number: usize) -> Result<CursorState, Failure> {
        let cursor = self.cursors.get_mut(number).and_then(Option::take);
        cursor.ok_or(Failure::Closed("the cursor"))
    }

    pub(super) fn close_cursor(&mut self, number: usize) -> Result<(), Failure> {
        Ok(self.take(number)?.close(&mut self.state)?)
    }

    fn close(mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for cursor in self.cursors.drain(..).flatten() {
            outcome = outcome.and(cursor.close(&mut self.state));
        }
        if self.state.in_transaction() {
            outcome = outcome.and(self.state.rollback());
        }
        Ok(outcome?)
    }
}

impl SessionShared {
    pub(super) fn open(connection: &Arc<Shared>, settings: &Settings) -> Result<Self, Failure> {
        let mut state = SessionState::open(&connection.connection)?;
        if let Some(isolation) = rshelve::config::isolation(&settings.text("isolation")) {
            state.set_isolation(isolation)?;
        }
        Ok(Self {
            connection: Arc::clone(connection),
            body: Mutex::new(Some(Body { state, cursors: Vec::new() })),
            dropped: Mutex::new(Vec::new()),
            dropped_count: AtomicUsize::new(0),
            rollback_reason: Mutex::new(None),
        })
    }

    /// Closes its cursors, rolls its transaction back, and ends it. Run it detached.
    pub(super) fn close(&self) -> Result<(), Failure> {
        if self.connection.is_foreign() {
            return Err(Failure::Forked);
        }
        match self.body.lock().take() {
            Some(body) => body.close(),
            None => Ok(()),
        }
    }

    /// Works on the session, detached.
    pub(super) fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Body) -> Result<R, Failure> + Send,
    ) -> Result<R, Failure> {
        self.check()?;
        py.detach(|| self.work_on(&mut self.body.lock(), work))
    }

    /// The same for what is short and never touches the disk: attached, unless another thread is at
    /// the session.
    pub(super) fn with_at_once<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Body) -> Result<R, Failure> + Send,
    ) -> Result<R, Failure> {
        self.check()?;
        match self.body.try_lock() {
            Some(mut body) if self.dropped_count.load(Ordering::Relaxed) == 0 => {
                self.work_on(&mut body, work)
            }
            guard => {
                drop(guard);
                self.with(py, work)
            }
        }
    }

    fn check(&self) -> Result<(), Failure> {
        // Before any lock: the parent's other threads may have left it locked.
        if self.connection.is_foreign() { Err(Failure::Forked) } else { Ok(()) }
    }

    fn work_on<R>(
        &self,
        body: &mut Option<Body>,
        work: impl FnOnce(&mut Body) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let body = body.as_mut().ok_or(Failure::Closed("the session"))?;
        if self.dropped_count.load(Ordering::Relaxed) > 0 {
            let mut dropped = self.dropped.lock();
            self.dropped_count.store(0, Ordering::Relaxed);
            for number in dropped.drain(..) {
                // Its handle is gone: there is nobody to tell.
                let _ = body.close_cursor(number);
            }
        }
        let outcome = work(body);
        if let Err(Failure::Engine(error)) = &outcome
            && !matches!(error, Error::NotFound | Error::DuplicateKey | Error::Unsupported { .. })
        {
            // Whatever call of a cursor it was: the contract's row 19.
            body.state.fail();
        }
        outcome
    }

    /// The exception for a failure of `method`.
    pub(super) fn raise(&self, py: Python<'_>, method: &str, failure: Failure) -> PyErr {
        if let Failure::Engine(Error::Rollback { reason }) = &failure {
            *self.rollback_reason.lock() = Some(reason.to_string());
        }
        failure.raise(py, method, &self.connection.prefix())
    }

    /// The handle of cursor `number` is gone.
    pub(super) fn drop_later(&self, number: usize) {
        if self.connection.is_foreign() {
            return;
        }
        let mut dropped = self.dropped.lock();
        dropped.push(number);
        self.dropped_count.store(dropped.len(), Ordering::Relaxed);
    }
}

impl Drop for SessionShared {
    fn drop(&mut self) {
        let Some(body) = self.body.get_mut().take() else { return };
        if self.connection.is_foreign() {
            // The parent's: its locks may have been held when the fork came.
            let _parents = ManuallyDrop::new(body);
            return;
        }
        // A destructor has nobody to tell; whoever wants to know calls close.
        let _ = match Python::try_attach(|py| py.detach(|| self.connection.check().is_ok())) {
            Some(true) | None => body.close(),
            Some(false) => Ok(()),
        };
    }
}

/// A session, as Python holds it.
#[pyclass(frozen, module = "rshelve._rshelve")]
pub struct SessionCore {
    shared: Arc<SessionShared>,
}

#[pymethods]
impl SessionCore {
    /// Begin a transaction.
    fn begin_transaction(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "begin_transaction", |body| {
            body.state.begin(&TransactionOptions::new().config(config))?;
            *self.shared.rollback_reason.lock() = None;
            Ok(())
        })
    }

    /// Commit the transaction.
    fn commit_transaction(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "commit_transaction", |body| {
            let settings = Settings::read(Method::Commit, config)?;
            let sync = match settings.text("sync").as_str() {
                "" => None,
                word => Some(word == "on"),
            };
            Ok(body.state.commit_with(sync)?)
        })
    }

    /// Roll the transaction back.
    fn rollback_transaction(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "rollback_transaction", |body| {
            Settings::read(Method::Rollback, config)?;
            Ok(body.state.rollback()?)
        })
    }

    /// Take a checkpoint.
    fn checkpoint(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "checkpoint", |body| {
            let settings = Settings::read(Method::Checkpoint, config)?;
            let (name, drop) = (settings.text("name"), settings.list("drop"));
            let drop = body.state.checkpoints_to_drop(&drop)?;
            let drop: Vec<&str> = drop.iter().map(String::as_str).collect();
            let name = Some(name.as_str()).filter(|name| !name.is_empty());
            Ok(body.state.checkpoint_with(name, &drop)?)
        })
    }

    /// Make everything committed so far durable.
    fn log_flush(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "log_flush", |body| {
            let settings = Settings::read(Method::LogFlush, config)?;
            // What is committed has been written already.
            if settings.text("sync") == "on" { Ok(body.state.log_flush()?) } else { Ok(()) }
        })
    }

    /// Reset the session's cursors.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, "reset", |body| Ok(body.state.reset()?))
    }

    /// See, from here on, what is committed now.
    fn reset_snapshot(&self, py: Python<'_>) -> PyResult<()> {
        self.run_mildly(py, "reset_snapshot", |body| Ok(body.state.reset_snapshot()?))
    }

    /// Change the options of the session.
    fn reconfigure(&self, py: Python<'_>, config: &str) -> PyResult<()> {
        self.run(py, "reconfigure", |body| Ok(body.state.reconfigure(config)?))
    }

    /// Create a table.
    fn create(&self, py: Python<'_>, uri: &str, config: &str) -> PyResult<()> {
        self.run(py, "create", |body| {
            let name = table_name(uri)?;
            let settings = TableSettings::read(config)?;
            let outcome = body.state.create(&name, &settings.options, settings.exclusive);
            match outcome {
                Err(Error::Invalid { .. }) if self.has_formats(&name, &settings) => Ok(()),
                outcome => Ok(outcome?),
            }
        })
    }

    /// Drop a table.
    #[pyo3(name = "drop")]
    fn drop_table(&self, py: Python<'_>, uri: &str, config: &str) -> PyResult<()> {
        self.run(py, "drop", |body| {
            let settings = Settings::read(Method::Drop, config)?;
            let name = table_name(uri)?;
            let found = self.shared.connection.connection.table(&name).map(drop);
            if settings.flag("force") && matches!(found, Err(Error::Missing { .. })) {
                return Ok(());
            }
            Ok(body.state.drop_table(&name)?)
        })
    }

    /// Give the file's unused space back.
    fn compact(&self, py: Python<'_>, uri: Option<&str>, config: &str) -> PyResult<()> {
        self.run(py, "compact", |body| {
            Settings::read(Method::Compact, config)?;
            if let Some(uri) = uri {
                self.shared.connection.connection.table(&table_name(uri)?)?;
            }
            // All tables are in one file.
            body.state.compact()?;
            Ok(())
        })
    }

    /// Check a table, or all of them.
    fn verify(&self, py: Python<'_>, uri: Option<&str>, config: &str) -> PyResult<()> {
        self.run(py, "verify", |body| {
            Settings::read(Method::Verify, config)?;
            if let Some(uri) = uri {
                self.shared.connection.connection.table(&table_name(uri)?)?;
            }
            // A file has no part that can be sound while another is not.
            let report = body.state.verify()?;
            if report.is_clean() { Ok(()) } else { Err(Failure::Damaged(report.to_string())) }
        })
    }

    /// Remove the rows of a table, or those from one cursor's key to another's.
    fn truncate(
        &self,
        py: Python<'_>,
        uri: Option<&str>,
        start: Option<&CursorCore>,
        stop: Option<&CursorCore>,
        config: &str,
    ) -> PyResult<()> {
        let number = |cursor: Option<&CursorCore>| {
            cursor.map(|cursor| cursor.number_in(&self.shared)).transpose()
        };
        let numbers = number(start).and_then(|start| Ok((start, number(stop)?)));
        self.run(py, "truncate", |body| {
            Settings::read(Method::Truncate, config)?;
            match (uri, numbers?) {
                (Some(uri), (None, None)) => {
                    Ok(body.state.truncate_table(&table_name(uri)?)?)
                }
                (None, (None, None)) | (Some(_), _) => Err(Failure::invalid(
                    "the truncate method should be passed either a URI or start/stop cursors, but not both",
                )),
                (None, (start, stop)) => truncate_between(body, start, stop),
            }
        })
    }

    /// Open a cursor.
    fn open_cursor(
        &self,
        py: Python<'_>,
        uri: Option<&str>,
        to_dup: Option<&CursorCore>,
        config: &str,
    ) -> PyResult<CursorCore> {
        let dup = to_dup.map(|cursor| cursor.number_in(&self.shared)).transpose();
        let opened = self.run_mildly(py, "open_cursor", |body| {
            let options = CursorOptions::new().config(config);
            match (uri, dup?) {
                (Some(uri), None) => open_by_uri(body, uri, &options),
                (None, Some(number)) => {
                    let (state, cursor) = body.cursor(number)?;
                    let twin = state.duplicate(cursor, &options).map_err(|error| match error {
                        Error::NotFound => Error::Missing { what: "record at the key".to_owned() },
                        error => error,
                    })?;
                    Ok((body.keep(twin), None))
                }
                _ => Err(Failure::invalid(
                    "should be passed either a URI or a cursor to duplicate, but not both",
                )),
            }
        })?;
        let (number, formats) = opened;
        Ok(match (formats, uri, to_dup) {
            (None, _, Some(original)) => original.twin(number),
            (formats, uri, _) => {
                let (key_format, value_format) = formats.unwrap_or_default();
                let uri = uri.unwrap_or_default().to_owned();
                CursorCore::new(&self.shared, number, uri, key_format, value_format)
            }
        })
    }

    /// Why the last operation was rolled back, if one was since the transaction began.
    fn rollback_reason(&self) -> Option<String> {
        self.shared.rollback_reason.lock().clone()
    }

    /// Close the session.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = self.shared.check().and_then(|()| {
            py.detach(|| match self.shared.body.lock().take() {
                Some(body) => body.close(),
                None => Err(Failure::Closed("the session")),
            })
        });
        closed.map_err(|failure| self.raise(py, "close", failure))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.shared.with_at_once(py, |_| Ok(())).is_err()
    }
}

impl SessionCore {
    pub(super) fn new(shared: Arc<SessionShared>) -> Self {
        Self { shared }
    }

    fn run<R: Send>(
        &self,
        py: Python<'_>,
        method: &str,
        work: impl FnOnce(&mut Body) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let work = |body: &mut Body| {
            let outcome = work(body);
            if matches!(outcome, Err(Failure::Engine(_))) {
                // Whatever it is: the contract's row 19.
                body.state.fail();
            }
            outcome
        };
        self.shared.with(py, work).map_err(|failure| self.raise(py, method, failure))
    }

    /// The same for what does not fail a transaction when it is refused.
    fn run_mildly<R: Send>(
        &self,
        py: Python<'_>,
        method: &str,
        work: impl FnOnce(&mut Body) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let outcome = self.shared.with(py, |body| Ok(work(body)));
        outcome.flatten().map_err(|failure| self.raise(py, method, failure))
    }

    fn raise(&self, py: Python<'_>, method: &str, failure: Failure) -> PyErr {
        self.shared.raise(py, &format!("WT_SESSION.{method}"), failure)
    }

    /// Whether table `name` exists with these formats.
    fn has_formats(&self, name: &str, wanted: &TableSettings) -> bool {
        let Ok(table) = self.shared.connection.connection.table(name) else { return false };
        rows::table_settings(&table.options().metadata).is_ok_and(|have| {
            have.key_format == wanted.key_format && have.value_format == wanted.value_format
        })
    }
}

fn open_by_uri(
    body: &mut Body,
    uri: &str,
    options: &CursorOptions,
) -> Result<(usize, Option<(Format, Format)>), Failure> {
    let cursor = body.state.open_uri(uri, options)?;
    let formats = match Uri::parse(uri)? {
        Uri::Metadata => parse_pair(rows::METADATA_FORMATS)?,
        Uri::Statistics => parse_pair(rows::STATISTICS_FORMATS)?,
        _ => {
            let metadata = cursor.table_options().map_or("", |options| &options.metadata);
            let settings = rows::table_settings(metadata)?;
            (settings.key_format, settings.value_format)
        }
    };
    Ok((body.keep(cursor), Some(formats)))
}

fn parse_pair((key_format, value_format): (&str, &str)) -> Result<(Format, Format), Failure> {
    Ok((key_format.parse()?, value_format.parse()?))
}

fn table_name(uri: &str) -> Result<String, Failure> {
    match Uri::parse(uri)? {
        Uri::Table(name) => Ok(name),
        _ => Err(Failure::unsupported(&format!("this on {uri}"))),
    }
}

fn truncate_between(
    body: &mut Body,
    start: Option<usize>,
    stop: Option<usize>,
) -> Result<(), Failure> {
    if start.is_some() && start == stop {
        return truncate_one(body, start.unwrap_or_default());
    }
    let mut first = start.map(|number| body.take(number)).transpose()?;
    let last = stop.map(|number| body.take(number)).transpose();
    let (mut last, outcome) = match last {
        Ok(mut last) => {
            let outcome = body.state.truncate(first.as_mut(), last.as_mut());
            (last, outcome.map_err(Failure::from))
        }
        Err(closed) => (None, Err(closed)),
    };
    for (number, cursor) in [(start, first.take()), (stop, last.take())] {
        if let (Some(number), Some(cursor)) = (number, cursor) {
            body.cursors[number] = Some(cursor);
        }
    }
    outcome
}

/// Both ends are one cursor: its record, if there is one.
fn truncate_one(body: &mut Body, number: usize) -> Result<(), Failure> {
    let (state, cursor) = body.cursor(number)?;
    let key = cursor.key(state)?.to_vec();
    let mut twin = state.open_cursor(cursor.name(), &CursorOptions::new())?;
    twin.set_key(&key);
    let outcome = state.truncate(Some(cursor), Some(&mut twin));
    twin.close(state)?;
    Ok(outcome?)
}
