//! Verifying and salvaging, as Python calls them: reports as dicts, which Python's part names.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use rshelve::{Error, SalvageReport, VerifyProgress, VerifyReport, salvage_file, verify_file};

use crate::errors::Refusal;
use crate::handle::Handle;

/// Calls a Python function now and then, and looks for signals: what either raises ends the work.
struct OnProgress {
    function: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl OnProgress {
    fn new(function: Option<Py<PyAny>>) -> Self {
        Self { function, raised: None }
    }

    fn call(&mut self, progress: &VerifyProgress) -> Result<(), Error> {
        let outcome = Python::attach(|py| {
            py.check_signals()?;
            let Some(function) = &self.function else { return Ok(()) };
            let table = progress.table.as_deref();
            let arguments = (table, progress.blocks, progress.bytes, progress.bytes_total);
            function.call1(py, arguments).map(drop)
        });
        outcome.map_err(|raised| {
            self.raised = Some(raised);
            Error::Closed { what: "the progress function" }
        })
    }

    /// What the work came to, or what was raised meanwhile.
    fn settle<R>(self, outcome: Result<R, Error>) -> PyResult<R> {
        match self.raised {
            Some(raised) => Err(raised),
            None => outcome.map_err(|error| Refusal::from(error).into()),
        }
    }
}

/// Verify the database at `path`; a report as a dict.
#[pyfunction]
#[pyo3(signature = (path, progress=None))]
pub fn verify(py: Python<'_>, path: PathBuf, progress: Option<Py<PyAny>>) -> PyResult<Py<PyDict>> {
    let mut on_progress = OnProgress::new(progress);
    let outcome = py.detach(|| verify_file(&path, &mut |state| on_progress.call(state)));
    verify_dict(py, &on_progress.settle(outcome)?)
}

/// Verify the last checkpoint of the database that `handle` is on.
pub fn verify_open(
    py: Python<'_>,
    handle: &Handle,
    progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyDict>> {
    let mut on_progress = OnProgress::new(progress);
    let table = handle.table()?;
    let connection = table.connection().clone();
    drop(table);
    let outcome = py.detach(|| connection.verify(&mut |state| on_progress.call(state)));
    verify_dict(py, &on_progress.settle(outcome)?)
}

/// Save what can be read of the database at `path` into a new one at `new_path`.
#[pyfunction]
#[pyo3(signature = (path, new_path, progress=None))]
pub fn salvage(
    py: Python<'_>,
    path: PathBuf,
    new_path: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<Py<PyDict>> {
    let mut on_progress = OnProgress::new(progress);
    let outcome =
        py.detach(|| salvage_file(&path, &new_path, &mut |state| on_progress.call(state)));
    salvage_dict(py, &on_progress.settle(outcome)?)
}

fn verify_dict(py: Python<'_>, report: &VerifyReport) -> PyResult<Py<PyDict>> {
    let tables = PyList::empty(py);
    for table in &report.tables {
        let entry = PyDict::new(py);
        entry.set_item("name", &table.name)?;
        entry.set_item("rows", table.rows_found)?;
        entry.set_item("blocks", table.blocks)?;
        entry.set_item("bytes", table.bytes)?;
        entry.set_item("long_values", table.long_values)?;
        tables.append(entry)?;
    }
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    let dict = PyDict::new(py);
    dict.set_item("clean", report.is_clean())?;
    dict.set_item("tables", tables)?;
    dict.set_item("problems", problems)?;
    dict.set_item("problem_count", report.problem_count)?;
    dict.set_item("remarks", &report.remarks)?;
    dict.set_item("reached_bytes", report.reached_bytes)?;
    dict.set_item("free_bytes", report.free_bytes)?;
    dict.set_item("unreached_bytes", report.unreached_bytes())?;
    dict.set_item("log_records", report.log_records)?;
    dict.set_item("text", report.to_string().trim_end())?;
    Ok(dict.unbind())
}

fn salvage_dict(py: Python<'_>, report: &SalvageReport) -> PyResult<Py<PyDict>> {
    let tables = PyList::empty(py);
    for table in &report.tables {
        let entry = PyDict::new(py);
        entry.set_item("name", &table.name)?;
        entry.set_item("rows", table.rows)?;
        entry.set_item("rows_expected", table.rows_expected)?;
        entry.set_item("rows_stale", table.rows_stale)?;
        entry.set_item("rows_lost", table.rows_lost())?;
        let ranges = PyList::empty(py);
        for gap in &table.lost {
            let high = gap.high.as_ref().map(|high| PyBytes::new(py, high));
            ranges.append((PyBytes::new(py, &gap.low), high))?;
        }
        entry.set_item("lost_ranges", ranges)?;
        let keys = table.lost_values.iter().map(|value| PyBytes::new(py, &value.key));
        entry.set_item("lost_values", PyList::new(py, keys.collect::<Vec<_>>())?)?;
        tables.append(entry)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("whole", report.is_whole())?;
    dict.set_item("tables", tables)?;
    dict.set_item("log_records", report.log_records)?;
    dict.set_item("remarks", &report.remarks)?;
    dict.set_item("text", report.to_string().trim_end())?;
    Ok(dict.unbind())
}
