//! `Store`: a handle on one table, as Python sees it.

use std::fs::File;
use std::io::Read;
use std::ops::Bound as Edge;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use rshelve::{Compression, DatabaseOptions, Durability, OpenMode};

use crate::check;
use crate::errors::Refusal;
use crate::handle::{Handle, TableChoice};
use crate::scan::{KeyForm, Range, Scan, What};

/// A pair as Python gets it.
type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// A handle on one table of a database: bytes in, bytes out.
#[pyclass(frozen, module = "rshelve._rshelve")]
pub struct Store {
    pub(crate) handle: Arc<Handle>,
}

#[pymethods]
impl Store {
    /// Open a table of the database at `path`.
    #[staticmethod]
    #[pyo3(signature = (path, mode, *, table="main", cache_bytes=134217728, durability="process",
        compression=None, timeout=5.0, file_mode=0o666, metadata=""))]
    #[allow(clippy::too_many_arguments)]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        mode: &str,
        table: &str,
        cache_bytes: u64,
        durability: &str,
        compression: Option<&str>,
        timeout: f64,
        file_mode: u32,
        metadata: &str,
    ) -> PyResult<Self> {
        let options = DatabaseOptions {
            mode: parse_mode(mode)?,
            cache_bytes_max: cache_bytes,
            durability: parse_durability(durability)?,
            timeout: parse_timeout(timeout)?,
            file_mode,
            ..DatabaseOptions::default()
        };
        let choice = TableChoice {
            name: table.to_owned(),
            compression: parse_compression(compression)?,
            metadata: metadata.to_owned(),
        };
        let handle = py.detach(|| Handle::open(&path, options, &choice))?;
        Ok(Self { handle: Arc::new(handle) })
    }

    /// The text that was kept with the table when it was made.
    #[getter]
    fn metadata(&self) -> PyResult<String> {
        Ok(self.handle.table()?.options().metadata.clone())
    }

    /// Whether the handle may not write.
    #[getter]
    fn read_only(&self) -> bool {
        self.handle.is_read_only()
    }

    /// Whether the handle was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Whether the handle belongs to the parent of this process.
    #[getter]
    fn forked(&self) -> bool {
        self.handle.is_foreign()
    }

    /// The value at a key, or None.
    fn get<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.handle.get(py, key)?)
    }

    /// Store a value at a key.
    fn set(&self, py: Python<'_>, key: &[u8], value: &[u8]) -> PyResult<()> {
        Ok(self.handle.write(py, |table| table.insert(key, value))?)
    }

    /// Store a value at a key that has none; False where it has one.
    fn set_new(&self, py: Python<'_>, key: &[u8], value: &[u8]) -> PyResult<bool> {
        Ok(self.handle.write(py, |table| table.insert_new(key, value))?)
    }

    /// Remove a key; False where there is none.
    fn delete(&self, py: Python<'_>, key: &[u8]) -> PyResult<bool> {
        Ok(self.handle.write(py, |table| table.remove(key))?)
    }

    /// Whether there is a value at a key.
    fn contains(&self, py: Python<'_>, key: &[u8]) -> PyResult<bool> {
        Ok(self.handle.contains(py, key)?)
    }

    /// Remove a key and return what was there, in one step.
    fn take<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = self.handle.write(py, |table| table.take(key))?;
        Ok(taken.map(|value| PyBytes::new(py, &value)))
    }

    /// Remove the first pair and return it.
    fn pop_first<'py>(&self, py: Python<'py>) -> PyResult<Option<Pair<'py>>> {
        let pair = self.handle.write(py, rshelve::Table::pop_first)?;
        Ok(pair.map(|(key, value)| (PyBytes::new(py, &key), PyBytes::new(py, &value))))
    }

    /// Remove the last pair and return it.
    fn pop_last<'py>(&self, py: Python<'py>) -> PyResult<Option<Pair<'py>>> {
        let pair = self.handle.write(py, rshelve::Table::pop_last)?;
        Ok(pair.map(|(key, value)| (PyBytes::new(py, &key), PyBytes::new(py, &value))))
    }

    /// Store and remove (None) many, all or nothing.
    fn apply(
        &self,
        py: Python<'_>,
        batch: Vec<(PyBackedBytes, Option<PyBackedBytes>)>,
    ) -> PyResult<()> {
        Ok(self.handle.write(py, |table| table.apply(&batch))?)
    }

    /// Remove everything.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(self.handle.write(py, rshelve::Table::clear)?)
    }

    fn __len__(&self) -> PyResult<usize> {
        let rows = self.handle.table()?.len().map_err(Refusal::from)?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Walk the keys from `start` to before `stop`, in order, a batch at a time.
    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (what="keys", *, start=None, stop=None, reverse=false, key_form=None, loads=None))]
    fn scan(
        &self,
        py: Python<'_>,
        what: &str,
        start: Option<Vec<u8>>,
        stop: Option<Vec<u8>>,
        reverse: bool,
        key_form: Option<Py<PyAny>>,
        loads: Option<Py<PyAny>>,
    ) -> PyResult<Scan> {
        self.handle.table()?;
        let what = What::parse(what)?;
        let key_form = KeyForm::parse(py, key_form)?;
        let range = Range {
            start: start.map_or(Edge::Unbounded, Edge::Included),
            stop: stop.map_or(Edge::Unbounded, Edge::Excluded),
            reverse,
        };
        Ok(Scan::new(Arc::clone(&self.handle), what, key_form, loads, range))
    }

    /// Make everything committed so far durable. A handle that only reads has nothing to sync.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        if self.handle.is_read_only() {
            self.handle.table()?;
            return Ok(());
        }
        Ok(self.handle.read(py, |table| table.connection().sync())?)
    }

    /// Write a durable, consistent image into the one file.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<()> {
        Ok(self.handle.read(py, |table| table.connection().checkpoint())?)
    }

    /// Make the file as small as what is in it. A signal whose handler raises stops it between two
    /// steps, and loses nothing.
    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        let mut raised = None;
        self.handle.write(py, |table| {
            table.connection().compact(&mut |_| {
                // No lock of the engine is held between steps.
                match Python::attach(|py| py.check_signals()) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        raised = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
        })?;
        raised.map_or(Ok(()), Err)
    }

    /// Verify the last checkpoint, taking one first where the handle may write.
    #[pyo3(signature = (progress=None))]
    fn verify(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Py<PyDict>> {
        if !self.handle.is_read_only() {
            self.checkpoint(py)?;
        }
        check::verify_open(py, &self.handle, progress)
    }

    /// Close the handle; the last one on a file closes the engine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.handle.close())?)
    }

    /// The engine's counters, by name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let table = self.handle.table()?;
        let engine = table.engine();
        let snapshot = py.detach(|| engine.connection.stats());
        let counters = PyDict::new(py);
        for (name, count) in snapshot.named() {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    fn __repr__(&self) -> String {
        let state = if self.handle.is_closed() { " closed" } else { "" };
        format!("<Store {:?}{state}>", self.handle.path())
    }

    fn __copy__(&self) -> PyResult<()> {
        Err(pyo3::exceptions::PyTypeError::new_err("a Store cannot be copied"))
    }

    #[pyo3(signature = (_memo, /))]
    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> PyResult<()> {
        self.__copy__()
    }

    fn __reduce__<'py>(&self) -> PyResult<Bound<'py, PyTuple>> {
        Err(pyo3::exceptions::PyTypeError::new_err("a Store cannot be pickled"))
    }
}

/// Whether the file at `path` begins as this engine's files do.
#[pyfunction]
pub fn is_database(py: Python<'_>, path: PathBuf) -> bool {
    py.detach(|| {
        let mut first = [0; rshelve::MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok()
            && first == rshelve::MAGIC
    })
}

fn parse_mode(mode: &str) -> PyResult<OpenMode> {
    match mode {
        "r" => Ok(OpenMode::ReadOnly),
        "w" => Ok(OpenMode::Existing),
        "c" => Ok(OpenMode::Create),
        "n" => Ok(OpenMode::Replace),
        _ => Err(PyValueError::new_err(format!(
            "flag must be one of 'r', 'w', 'c', or 'n', not '{mode}'"
        ))),
    }
}

fn parse_durability(durability: &str) -> PyResult<Durability> {
    match durability {
        "sync" => Ok(Durability::Sync),
        "process" => Ok(Durability::Process),
        "checkpoint" => Ok(Durability::Checkpoint),
        _ => Err(PyValueError::new_err(format!(
            "durability must be 'sync', 'process' or 'checkpoint', not '{durability}'"
        ))),
    }
}

fn parse_compression(compression: Option<&str>) -> PyResult<Option<Compression>> {
    match compression {
        None => Ok(None),
        Some("snappy") => Ok(Some(Compression::Snappy)),
        Some(other) => Err(PyValueError::new_err(format!(
            "compression must be None or 'snappy', not '{other}'"
        ))),
    }
}

fn parse_timeout(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "timeout must be a number of seconds, 0 or more, not {seconds}"
        ))
    })
}
