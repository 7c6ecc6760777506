//! What the engine refuses, as Python exceptions.

use std::io;
use std::path::Path;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use rshelve::Error;

pub use exception::error;

mod exception {
    #![allow(non_camel_case_types)]
    pyo3::create_exception!(
        rshelve,
        error,
        pyo3::exceptions::PyOSError,
        "An operation of the storage engine that did not happen.\n\nIt is an `OSError`, so `except dbm.error` catches it too."
    );
}

/// What the standard library says about a closed shelf.
pub const CLOSED_TEXT: &str = "invalid operation on closed shelf";

/// What the standard library says about a file that is not there.
pub const MISSING_TEXT: &str = "db file doesn't exist; use 'c' or 'n' flag to create a new db";

/// What Linux, macOS and the BSDs call EAGAIN differs; this one is Python's own.
const BUSY: &str = "EAGAIN";

/// Why an operation on a handle did not happen.
#[derive(Debug)]
pub enum Refusal {
    /// The engine said no.
    Engine(Error),
    /// The handle is closed.
    Closed,
    /// The handle was made before a fork, in the parent of this process.
    Forked,
    /// The handle is open for reading only.
    ReadOnly,
    /// There is no such file.
    Missing,
    /// Another handle of this process stands in the way; the text says how.
    Conflict(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed { .. } => Self::Closed,
            Error::ReadOnly { .. } => Self::ReadOnly,
            other => Self::Engine(other),
        }
    }
}

impl From<Refusal> for PyErr {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Engine(engine) => from_engine(&engine),
            Refusal::Closed => PyValueError::new_err(CLOSED_TEXT),
            Refusal::Forked => error::new_err(
                "this handle was opened before the fork, by the parent of this process; open the file again here",
            ),
            Refusal::ReadOnly => error::new_err(
                "the shelf is open for reading only (flag 'r'); open it with flag 'w' or 'c' to write",
            ),
            Refusal::Missing => missing(),
            Refusal::Conflict(text) => error::new_err(text),
        }
    }
}

fn from_engine(engine: &Error) -> PyErr {
    let text = engine.to_string();
    match engine {
        Error::Io { source, file, .. } => from_system(source, &text, file),
        Error::Full { file, .. } => numbered("ENOSPC", text, Path::new(&**file)),
        Error::Busy { path, .. } => numbered(BUSY, text, path),
        Error::Invalid { .. } => PyValueError::new_err(text),
        _ => error::new_err(text),
    }
}

/// The exception of a system call: the standard subclass where `errno` has one
/// (FileNotFoundError, PermissionError, ...), else ours.
fn from_system(source: &io::Error, text: &str, file: &str) -> PyErr {
    let Some(errno) = source.raw_os_error() else { return error::new_err(text.to_owned()) };
    Python::attach(|py| {
        let arguments = (errno, text.to_owned(), file.to_owned());
        // Called, not only named: the constructor is what picks the subclass.
        let standard = py.get_type::<PyOSError>();
        match standard.call1(arguments.clone()) {
            Ok(made) if !made.get_type().is(&standard) => PyErr::from_value(made),
            _ => error::new_err(arguments),
        }
    })
}

/// The standard library's text, with the number that belongs to it.
fn missing() -> PyErr {
    Python::attach(|py| {
        let made = error::new_err(MISSING_TEXT);
        let number = py.import("errno").and_then(|module| module.getattr("ENOENT"));
        // An error without its number is still the error.
        let _ = number.and_then(|number| made.value(py).setattr("errno", number));
        made
    })
}

/// Ours, with the number that the platform gives to `name`.
fn numbered(name: &str, text: String, file: &Path) -> PyErr {
    let file = file.to_path_buf();
    Python::attach(|py| {
        let number = py.import("errno").and_then(|m| m.getattr(name)).and_then(|n| n.extract());
        match number {
            Ok::<i32, _>(number) => error::new_err((number, text, file)),
            Err(_) => error::new_err(text),
        }
    })
}
