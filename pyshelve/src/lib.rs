//! The extension module `rshelve._rshelve`: bytes in, bytes out, over the Rust face.
//!
//! Knows of one table per handle, of keys and values as bytes, and of two Python callables that
//! turn objects into bytes and back. It may not know how a key kind or a serializer is named, nor
//! what a shelf promises beyond that: this is Python's part (`pyshelve/python/rshelve`).
//!
//! Three rules hold everywhere here:
//! 1. Whatever may block or touch the disk runs detached from the interpreter; only a `get` that
//!    finds its page in memory, and counting rows, are too short for that.
//! 2. No lock is held while attaching or while Python code runs.
//! 3. A handle made before a fork is refused in the child, as the engine's guard of forks tells it.
#![forbid(unsafe_code)]

mod check;
mod database;
mod errors;
mod handle;
mod registry;
mod scan;
mod shelf;
mod store;
mod wt;

use pyo3::prelude::*;

/// Bytes in, bytes out: the storage engine under rshelve.
#[pymodule(gil_used = false)]
#[pyo3(name = "_rshelve")]
fn rshelve_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("error", module.py().get_type::<errors::error>())?;
    module.add("CLOSED_TEXT", errors::CLOSED_TEXT)?;
    module.add("MISSING_TEXT", errors::MISSING_TEXT)?;
    module.add_class::<store::Store>()?;
    module.add_class::<scan::Scan>()?;
    module.add_class::<shelf::ShelfCore>()?;
    module.add_class::<database::DatabaseCore>()?;
    module.add_function(wrap_pyfunction!(store::is_database, module)?)?;
    module.add_function(wrap_pyfunction!(check::verify, module)?)?;
    module.add_function(wrap_pyfunction!(check::salvage, module)?)?;
    wt::register(module)?;
    Ok(())
}
