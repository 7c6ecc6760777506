//! What an operation refuses, as `rshelve.wt`'s exceptions.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use rshelve::{Code, Error};

/// Why an operation did not happen.
#[derive(Debug)]
pub enum Failure {
    /// The engine said no.
    Engine(Error),
    /// The handle, or the one above it, is closed; the text says which.
    Closed(&'static str),
    /// The handle was made before a fork, in the parent of this process.
    Forked,
    /// A check found damage; the text says what.
    Damaged(String),
    /// Python's own exception, such as TypeError.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed { what } => Self::Closed(what),
            other => Self::Engine(other),
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl Failure {
    /// An argument or a state that makes no sense.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Engine(Error::invalid(what))
    }

    /// A part that is not built.
    pub fn unsupported(what: &str) -> Self {
        Self::Engine(Error::Unsupported { what: what.to_owned() })
    }

    /// The exception. What it says beyond the code goes to the handler of messages, which is told
    /// `method`, as WiredTiger names it, and the connection's `prefix`.
    pub fn raise(self, py: Python<'_>, method: &str, prefix: &str) -> PyErr {
        let made = match self {
            Self::Python(error) => return error,
            Self::Engine(error) => {
                let (code, detail) = (Code::of(&error).0, error.to_string());
                maker(py, "failure").and_then(|make| make.call1((code, detail, method, prefix)))
            }
            Self::Damaged(detail) => maker(py, "failure")
                .and_then(|make| make.call1((Code::TRY_SALVAGE.0, detail, method, prefix))),
            Self::Closed(what) => maker(py, "closed").and_then(|make| make.call1((what,))),
            Self::Forked => maker(py, "forked").and_then(|make| make.call0()),
        };
        made.map_or_else(|error| error, PyErr::from_value)
    }
}

/// A function of `rshelve.wt._errors`, which makes exceptions.
fn maker<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || py.import("rshelve.wt._errors").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

/// What the number of an error says.
#[pyfunction]
pub fn wt_strerror(error: i32) -> String {
    Code(error).text()
}
