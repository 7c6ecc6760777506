//! `Scan`: an iterator over a range of keys, a batch at a time.
//!
//! Each batch is read under a fresh snapshot, and the next goes on behind the last key, so that
//! an iterator that idles holds nothing but a batch of copies. Rows that the loop's body adds must
//! not keep it going for ever: the key at the far end when the walk began is where it ends, and a
//! walk that has met many times the rows that there were gives up with an error.
//!
//! The walk's lock is taken with the interpreter attached only by trying, and then only to make
//! bytes and text of a row that is there, which runs no Python code; to wait for it, or to read a
//! batch under it, one detaches first. Nobody attaches while holding it.

use std::ops::Bound as Edge;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyUnicodeDecodeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rshelve::Table;

use crate::errors::Refusal;
use crate::handle::Handle;

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

    /// The key as text where it is to be text and is, else as bytes. Runs no Python code.
    fn copy<'py>(&self, py: Python<'py>, key: &[u8]) -> Bound<'py, PyAny> {
        match self {
            Self::Utf8 if let Ok(text) = std::str::from_utf8(key) => {
                PyString::new(py, text).into_any()
            }
            _ => PyBytes::new(py, key).into_any(),
        }
    }

    /// The key's object, from its copy.
    fn object<'py>(&self, copy: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Bytes => Ok(copy),
            Self::Call(decode) => decode.bind(copy.py()).call1((copy,)),
            Self::Utf8 => match copy.cast::<PyBytes>().map(|bytes| bytes.as_bytes()) {
                Err(_) => Ok(copy),
                Ok(key) => match std::str::from_utf8(key) {
                    Ok(_) => Ok(copy),
                    Err(error) => {
                        Err(PyUnicodeDecodeError::new_err_from_utf8(copy.py(), key, error))
                    }
                },
            },
        }
    }
}

/// From where to where, and in which direction.
pub struct Range {
    pub start: Edge<Vec<u8>>,
    pub stop: Edge<Vec<u8>>,
    pub reverse: bool,
}

/// Rows that were read and not yet asked for, their bytes one after the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each row's key and value end.
    ends: Vec<(usize, usize)>,
    /// How many rows have been asked for.
    taken: usize,
}

impl Batch {
    /// Forgets all rows; keeps the memory, unless a long value made it large.
    fn empty(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH_BYTES);
        self.ends.clear();
        self.taken = 0;
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn row(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let (key_end, value_end) = *self.ends.get(number)?;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before].1);
        Some((&self.bytes[begin..key_end], &self.bytes[key_end..value_end]))
    }

    fn has_more(&self) -> bool {
        self.taken < self.ends.len()
    }

    /// The next row that nobody has asked for.
    fn take(&mut self) -> Option<(&[u8], &[u8])> {
        let number = self.taken;
        self.taken += usize::from(self.has_more());
        self.row(number)
    }
}

/// What is left of a walk.
struct Walk {
    range: Range,
    /// Values are not wanted.
    keys_only: bool,
    batch: Batch,
    batch_rows: usize,
    /// The engine has no more rows in the range.
    exhausted: bool,
    rows_met: u64,
    rows_met_max: u64,
}

/// A row as Python gets it, before anything is called with it.
struct Copied<'py> {
    key: Option<Bound<'py, PyAny>>,
    value: Option<Bound<'py, PyBytes>>,
}

/// What a look into the batch came to.
enum Look<'py> {
    Row(Copied<'py>),
    /// The batch is used up, or another thread is at it.
    Wait,
    End,
    Runaway,
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
            keys_only: matches!(what, What::Keys),
            batch: Batch::default(),
            batch_rows: BATCH_ROWS_FIRST,
            exhausted: false,
            rows_met: 0,
            rows_met_max: u64::MAX,
        };
        Self { handle, what, key_form, loads, walk: Mutex::new(walk) }
    }

    /// The next row: from the batch, and only when that is used up from the engine, detached.
    fn next_row<'py>(&self, py: Python<'py>) -> PyResult<Option<Copied<'py>>> {
        let table = self.handle.table()?;
        loop {
            match self.look(py) {
                Look::Row(row) => return Ok(Some(row)),
                Look::End => return Ok(None),
                Look::Runaway => {
                    return Err(PyRuntimeError::new_err(
                        "rows are added in front of this iterator faster than it moves on; it has met many times the rows that there were when it began",
                    ));
                }
                Look::Wait => {
                    let table: &Table = &table;
                    py.detach(|| self.walk.lock().refill(table)).map_err(Refusal::from)?;
                }
            }
        }
    }

    /// Copies the next row out of the batch, if that can be done without waiting.
    fn look<'py>(&self, py: Python<'py>) -> Look<'py> {
        let Some(mut walk) = self.walk.try_lock() else { return Look::Wait };
        let Some((key, value)) = walk.batch.take() else {
            return match () {
                () if walk.exhausted => Look::End,
                () if walk.is_runaway() => Look::Runaway,
                () => Look::Wait,
            };
        };
        let key = (!matches!(self.what, What::Values)).then(|| self.key_form.copy(py, key));
        let value = (!matches!(self.what, What::Keys)).then(|| PyBytes::new(py, value));
        Look::Row(Copied { key, value })
    }

    fn value<'py>(&self, stored: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        match &self.loads {
            Some(loads) => loads.bind(stored.py()).call1((stored,)),
            None => Ok(stored.into_any()),
        }
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(row) = self.next_row(py)? else { return Ok(None) };
        let key = row.key.map(|key| self.key_form.object(key)).transpose()?;
        let value = row.value.map(|value| self.value(value)).transpose()?;
        Ok(match (key, value) {
            (Some(key), Some(value)) => Some((key, value).into_pyobject(py)?.into_any()),
            (key, value) => key.or(value),
        })
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
    /// Reads the next batch, when this one is used up and there may be more.
    fn refill(&mut self, table: &Table) -> rshelve::Result<()> {
        if self.batch.has_more() || self.exhausted || self.is_runaway() {
            return Ok(());
        }
        let outcome = self.read_batch(table);
        if outcome.is_err() {
            // The next try begins at the same place.
            self.batch.empty();
        }
        outcome
    }

    fn read_batch(&mut self, table: &Table) -> rshelve::Result<()> {
        self.batch.empty();
        self.fetch(table)?;
        let rows = self.batch.ends.len();
        let is_last = rows < self.batch_rows && self.batch.bytes.len() < BATCH_BYTES;
        let last = rows.checked_sub(1).and_then(|last| self.batch.row(last));
        let Some(last_key) = last.map(|(key, _)| key.to_vec()) else {
            self.exhausted = true;
            return Ok(());
        };
        if self.rows_met == 0 && !is_last {
            self.note_the_end(table)?;
        }
        self.exhausted = is_last;
        self.rows_met += rows as u64;
        self.batch_rows = (self.batch_rows * 4).min(BATCH_ROWS_MOST);
        if self.range.reverse {
            self.range.stop = Edge::Excluded(last_key);
        } else {
            self.range.start = Edge::Excluded(last_key);
        }
        Ok(())
    }

    fn fetch(&mut self, table: &Table) -> rshelve::Result<()> {
        let Self { range, batch, .. } = self;
        let (start, stop) = (edge(&range.start), edge(&range.stop));
        let (reverse, rows, bytes) = (range.reverse, self.batch_rows, BATCH_BYTES);
        if self.keys_only {
            table.scan_keys_with(start, stop, reverse, rows, bytes, |key| batch.push(key, &[]))
        } else {
            table.scan_with(start, stop, reverse, rows, bytes, |key, value| batch.push(key, value))
        }
    }

    /// Ends the walk at the key that is the last one now.
    fn note_the_end(&mut self, table: &Table) -> rshelve::Result<()> {
        let Range { start, stop, reverse } = &self.range;
        let far = table.scan_keys(edge(start), edge(stop), !reverse, 1, 0)?;
        if let Some(key) = far.into_iter().next() {
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

    fn is_runaway(&self) -> bool {
        self.rows_met > self.rows_met_max
    }
}

fn edge(bound: &Edge<Vec<u8>>) -> Edge<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
