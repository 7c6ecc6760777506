//! `ShelfCore`: the hot methods of a shelf, native.
//!
//! `rshelve.DbfilenameShelf` inherits from this class before its Python base, so that `s[key]`
//! reaches the engine and the serializer without a Python frame in between. While the shelf is in
//! its plain state (open, no writeback, keys as UTF-8 or bytes) Python binds the handle here;
//! otherwise, and for keys of other types, the calls go to the Python methods of the same meaning
//! (`_slow_getitem`, ...), which say what is wrong.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::exceptions::PyKeyError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::errors::Refusal;
use crate::handle::Handle;
use crate::store::Store;

/// What the hot methods need.
struct Binding {
    handle: Arc<Handle>,
    /// Keys are bytes; else they are text, stored as UTF-8.
    bytes_keys: bool,
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
}

/// The native base of a shelf on a file.
#[pyclass(frozen, subclass, module = "rshelve._rshelve")]
#[derive(Default)]
pub struct ShelfCore {
    /// Written by `_bind`, read by every method; empty sends them to Python.
    binding: ArcSwapOption<Binding>,
}

impl Binding {
    /// The stored form of `key`, or `None` where its type is not this shelf's.
    #[inline]
    fn key<'k>(&self, key: &'k Bound<'_, PyAny>) -> PyResult<Option<&'k [u8]>> {
        if self.bytes_keys {
            return Ok(key.cast::<PyBytes>().ok().map(|key| key.as_bytes()));
        }
        match key.cast::<PyString>() {
            Ok(key) => Ok(Some(key.to_str()?.as_bytes())),
            Err(_) => Ok(None),
        }
    }

    fn load<'py>(&self, value: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        self.loads.bind(value.py()).call1((value,))
    }

    /// The stored form of `value`. What is not bytes yet, Python turns into bytes.
    fn dump<'py>(
        &self,
        shelf: &Bound<'py, ShelfCore>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = shelf.py();
        let protocol = shelf.getattr(intern!(py, "_protocol"))?;
        let dumped = self.dumps.bind(py).call1((value, protocol))?;
        match dumped.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(bytes),
            Err(other) => {
                let bytes = shelf.call_method1(intern!(py, "_as_bytes"), (other.into_inner(),))?;
                Ok(bytes.cast_into::<PyBytes>()?)
            }
        }
    }
}

#[pymethods]
impl ShelfCore {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    /// Serve the hot methods from `store`, or, with None, from the Python methods.
    #[pyo3(signature = (store, bytes_keys=false, dumps=None, loads=None))]
    fn _bind(
        &self,
        store: Option<&Bound<'_, Store>>,
        bytes_keys: bool,
        dumps: Option<Py<PyAny>>,
        loads: Option<Py<PyAny>>,
    ) {
        let binding = match (store, dumps, loads) {
            (Some(store), Some(dumps), Some(loads)) => {
                let handle = Arc::clone(&store.get().handle);
                Some(Arc::new(Binding { handle, bytes_keys, dumps, loads }))
            }
            _ => None,
        };
        self.binding.store(binding);
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(binding) = &*slf.get().binding.load()
            && let Some(stored) = binding.key(key)?
        {
            return match binding.handle.get(py, stored)? {
                Some(value) => binding.load(value),
                None => Err(PyKeyError::new_err(key.clone().unbind())),
            };
        }
        slf.call_method1(intern!(py, "_slow_getitem"), (key,))
    }

    /// The value at a key, or `default`; one lookup.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if let Some(binding) = &*slf.get().binding.load()
            && let Some(stored) = binding.key(key)?
        {
            return match binding.handle.get(py, stored)? {
                Some(value) => binding.load(value).map(Some),
                None => Ok(default),
            };
        }
        slf.call_method1(intern!(py, "_slow_get"), (key, default)).map(Some)
    }

    fn __setitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        if let Some(binding) = &*slf.get().binding.load()
            && let Some(stored) = binding.key(key)?
        {
            // Refused before user code runs, where it would be refused anyway.
            binding.handle.table_to_write()?;
            let value = binding.dump(slf, value)?;
            let value = value.as_bytes();
            return Ok(binding.handle.write(py, |table| table.insert(stored, value))?);
        }
        slf.call_method1(intern!(py, "_slow_setitem"), (key, value)).map(drop)
    }

    fn __delitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if let Some(binding) = &*slf.get().binding.load()
            && let Some(stored) = binding.key(key)?
        {
            return match binding.handle.write(py, |table| table.remove(stored))? {
                true => Ok(()),
                false => Err(PyKeyError::new_err(key.clone().unbind())),
            };
        }
        slf.call_method1(intern!(py, "_slow_delitem"), (key,)).map(drop)
    }

    fn __contains__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<bool> {
        let py = slf.py();
        if let Some(binding) = &*slf.get().binding.load()
            && let Some(stored) = binding.key(key)?
        {
            return Ok(binding.handle.contains(py, stored)?);
        }
        slf.call_method1(intern!(py, "_slow_contains"), (key,))?.extract()
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        if let Some(binding) = &*slf.get().binding.load() {
            let rows = binding.handle.table()?.len().map_err(Refusal::from)?;
            return Ok(usize::try_from(rows).unwrap_or(usize::MAX));
        }
        slf.call_method0(intern!(slf.py(), "_slow_len"))?.extract()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(binding) = &*self.binding.load() {
            visit.call(&binding.dumps)?;
            visit.call(&binding.loads)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.binding.store(None);
    }
}
