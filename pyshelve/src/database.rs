//! `DatabaseCore`: the hot methods of a database of bytes, native.
//!
//! `rshelve.dbm.Database` inherits from this class before its Python base, so that `db[key]` reaches
//! the engine without a Python frame in between. Keys and values of other types than bytes and str,
//! and a handle that is closed, go to the Python methods of the same meaning (`_slow_getitem`, ...),
//! which convert, or say what is wrong.

use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::Refusal;
use crate::handle::Handle;
use crate::store::Store;

/// The native base of a database of bytes.
#[pyclass(frozen, subclass, module = "rshelve._rshelve")]
pub struct DatabaseCore {
    handle: Arc<Handle>,
}

/// The stored form of a key or value; none where Python has to see to it.
#[inline]
fn stored<'d>(data: &'d Bound<'_, PyAny>) -> PyResult<Option<&'d [u8]>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes()));
    }
    match data.cast::<PyString>() {
        Ok(text) => Ok(Some(text.to_str()?.as_bytes())),
        Err(_) => Ok(None),
    }
}

#[pymethods]
impl DatabaseCore {
    #[new]
    fn new(store: &Bound<'_, Store>) -> Self {
        Self { handle: Arc::clone(&store.get().handle) }
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(stored) = stored(key)? {
            match slf.get().handle.get(py, stored) {
                Ok(Some(value)) => return Ok(value.into_any()),
                Ok(None) => return Err(PyKeyError::new_err(key.clone().unbind())),
                Err(Refusal::Closed) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        slf.call_method1(intern!(py, "_slow_getitem"), (key,))
    }

    /// The value at a key, or `default`.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if let Some(stored) = stored(key)? {
            match slf.get().handle.get(py, stored) {
                Ok(Some(value)) => return Ok(Some(value.into_any())),
                Ok(None) => return Ok(default),
                Err(Refusal::Closed) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        slf.call_method1(intern!(py, "_slow_get"), (key, default)).map(Some)
    }

    fn __setitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        if let (Some(stored_key), Some(stored_value)) = (stored(key)?, stored(value)?) {
            let write = |table: &rshelve::Table| table.insert(stored_key, stored_value);
            match slf.get().handle.write(py, write) {
                Err(Refusal::Closed) => {}
                outcome => return Ok(outcome?),
            }
        }
        slf.call_method1(intern!(py, "_slow_setitem"), (key, value)).map(drop)
    }

    fn __delitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if let Some(stored) = stored(key)? {
            match slf.get().handle.write(py, |table| table.remove(stored)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(PyKeyError::new_err(key.clone().unbind())),
                Err(Refusal::Closed) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        slf.call_method1(intern!(py, "_slow_delitem"), (key,)).map(drop)
    }

    fn __contains__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<bool> {
        let py = slf.py();
        if let Some(stored) = stored(key)? {
            match slf.get().handle.contains(py, stored) {
                Err(Refusal::Closed) => {}
                outcome => return Ok(outcome?),
            }
        }
        slf.call_method1(intern!(py, "_slow_contains"), (key,))?.extract()
    }
}
