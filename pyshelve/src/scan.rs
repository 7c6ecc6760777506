//! `Scan`: an iterator over a range of keys, a batch at a time.
//!
//! Each batch is read under a fresh snapshot, and the next goes on behind the last key, so that
//! an iterator that idles holds nothing. Rows that the loop's body adds must not keep it going
//! for ever: the key at the far end when the walk began is where it ends, and a walk that has met
//! many times the rows that there were gives up with an error.
//!
//! The buffer's lock is taken with the interpreter attached only by trying; to wait for it, or to
//! read a batch under it, one detaches first. Nobody attaches while holding it.

use std::ops::Bound as Edge;
use std::sync::Arc;
use std::vec;

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyUnicodeDecodeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rshelve::Table;

use crate::errors::Refusal;
use crate::handle::Handle;

type Row = (Vec<u8>, Vec<u8>);

/// Rows of the first batch; each later one has four times as many, up to the most.
const BATCH_ROWS_FIRST: usize = 16;
const BATCH_ROWS_MOST: usize = 1024;
/// Bytes after which a batch ends, whatever its rows.
const BATCH_BYTES: usize = 512 << 10;
/// A walk gives up after this many times the rows that there were, and this many more.
const RUNAWAY_FACTOR: u64 = 16;
const RUNAWAY_ROWS: u64 = 1 << 16;

/// What of each row is wanted.
#[derive(Clone, Copy)]
pub enum What {
    Keys,
    Values,
    Items,
}

impl What {
    pub fn parse(text: &str) -> PyResult<Self> {
        match text {
            "keys" => Ok(Self::Keys),
            "values" => Ok(Self::Values),
            "items" => Ok(Self::Items),
            _ => {
                Err(PyValueError::new_err(format!("there are keys, values and items, not {text}")))
            }
        }
    }
}

/// What a key's bytes become.
pub enum KeyForm {
    Bytes,
    Utf8,
    Call(Py<PyAny>),
}

impl KeyForm {
    /// None leaves bytes, the text "str" decodes UTF-8, anything else is called with the bytes.
    pub fn parse(py: Python<'_>, form: Option<Py<PyAny>>) -> PyResult<Self> {
        match form {
            None => Ok(Self::Bytes),
            Some(form) => match form.bind(py).cast::<PyString>() {
                Ok(name) if name.to_str()? == "str" => Ok(Self::Utf8),
                Ok(name) => Err(PyValueError::new_err(format!("no key form is called {name}"))),
                Err(_) => Ok(Self::Call(form)),
            },
        }
    }

    fn object<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Bytes => Ok(PyBytes::new(py, key).into_any()),
            Self::Utf8 => match std::str::from_utf8(key) {
                Ok(text) => Ok(PyString::new(py, text).into_any()),
                Err(error) => Err(PyUnicodeDecodeError::new_err_from_utf8(py, key, error)),
            },
            Self::Call(decode) => decode.bind(py).call1((PyBytes::new(py, key),)),
        }
    }
}

/// From where to where, and in which direction.
pub struct Range {
    pub start: Edge<Vec<u8>>,
    pub stop: Edge<Vec<u8>>,
    pub reverse: bool,
}

/// What is left of a walk.
struct Walk {
    range: Range,
    rows: vec::IntoIter<Row>,
    batch_rows: usize,
    /// The engine has no more rows in the range.
    exhausted: bool,
    rows_met: u64,
    rows_met_max: u64,
}

/// An iterator over a range of keys.
#[pyclass(frozen, module = "rshelve._rshelve")]
pub struct Scan {
    handle: Arc<Handle>,
    what: What,
    key_form: KeyForm,
    loads: Option<Py<PyAny>>,
    walk: Mutex<Walk>,
}

impl Scan {
    pub fn new(
        handle: Arc<Handle>,
        what: What,
        key_form: KeyForm,
        loads: Option<Py<PyAny>>,
        range: Range,
    ) -> Self {
        let walk = Walk {
            range,
            rows: Vec::new().into_iter(),
            batch_rows: BATCH_ROWS_FIRST,
            exhausted: false,
            rows_met: 0,
            rows_met_max: u64::MAX,
        };
        Self { handle, what, key_form, loads, walk: Mutex::new(walk) }
    }

    /// The next row, from the buffer without detaching where it has one.
    fn next_row(&self, py: Python<'_>) -> PyResult<Option<Row>> {
        let table = self.handle.table()?;
        if let Some(row) = self.walk.try_lock().and_then(|mut walk| walk.rows.next()) {
            return Ok(Some(row));
        }
        let table: &Table = &table;
        let row = py.detach(|| self.walk.lock().next(table)).map_err(Refusal::from)?;
        if let Some(row) = row {
            return Ok(Some(row));
        }
        match py.detach(|| self.walk.lock().is_runaway()) {
            true => Err(PyRuntimeError::new_err(
                "rows are added in front of this iterator faster than it moves on; it has met many times the rows that there were when it began",
            )),
            false => Ok(None),
        }
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((key, value)) = self.next_row(py)? else { return Ok(None) };
        let value = || {
            let value = PyBytes::new(py, &value);
            match &self.loads {
                Some(loads) => loads.bind(py).call1((value,)),
                None => Ok(value.into_any()),
            }
        };
        Ok(Some(match self.what {
            What::Keys => self.key_form.object(py, &key)?,
            What::Values => value()?,
            What::Items => {
                (self.key_form.object(py, &key)?, value()?).into_pyobject(py)?.into_any()
            }
        }))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.loads)?;
        match &self.key_form {
            KeyForm::Call(decode) => visit.call(decode),
            KeyForm::Bytes | KeyForm::Utf8 => Ok(()),
        }
    }
}

impl Walk {
    /// The next row; reads a batch when the buffer is empty.
    fn next(&mut self, table: &Table) -> rshelve::Result<Option<Row>> {
        if let Some(row) = self.rows.next() {
            return Ok(Some(row));
        }
        if self.exhausted || self.is_runaway() {
            return Ok(None);
        }
        let batch = self.fetch(table, self.range.reverse, self.batch_rows, BATCH_BYTES)?;
        let bytes: usize = batch.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.exhausted = batch.len() < self.batch_rows && bytes < BATCH_BYTES;
        let Some((last, _)) = batch.last() else {
            self.exhausted = true;
            return Ok(None);
        };
        let last = last.clone();
        if self.rows_met == 0 && !self.exhausted {
            self.note_the_end(table)?;
        }
        self.rows_met += batch.len() as u64;
        self.batch_rows = (self.batch_rows * 4).min(BATCH_ROWS_MOST);
        let behind = Edge::Excluded(last);
        if self.range.reverse {
            self.range.stop = behind;
        } else {
            self.range.start = behind;
        }
        self.rows = batch.into_iter();
        Ok(self.rows.next())
    }

    /// Ends the walk at the key that is the last one now.
    fn note_the_end(&mut self, table: &Table) -> rshelve::Result<()> {
        let far = self.fetch(table, !self.range.reverse, 1, 1)?;
        if let Some((key, _)) = far.into_iter().next() {
            if self.range.reverse {
                self.range.start = Edge::Included(key);
            } else {
                self.range.stop = Edge::Included(key);
            }
        }
        let rows = table.len()?;
        self.rows_met_max = rows.saturating_mul(RUNAWAY_FACTOR).saturating_add(RUNAWAY_ROWS);
        Ok(())
    }

    fn fetch(
        &self,
        table: &Table,
        reverse: bool,
        rows: usize,
        bytes: usize,
    ) -> rshelve::Result<Vec<Row>> {
        table.scan(edge(&self.range.start), edge(&self.range.stop), reverse, rows, bytes)
    }

    fn is_runaway(&self) -> bool {
        self.rows_met > self.rows_met_max
    }
}

fn edge(bound: &Edge<Vec<u8>>) -> Edge<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
