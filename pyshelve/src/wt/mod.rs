//! Connections, sessions and cursors for `rshelve.wt`: handles that speak packed columns,
//! configuration strings and WiredTiger's codes.
//!
//! What operations mean is `rshelve::state`'s to say; here are only locks, lifetimes and the way
//! between Python's objects and bytes. A connection knows its sessions, a session owns its cursors;
//! whoever closes one closes what is under it, and the Python handles of those find themselves
//! closed. The order of locks: a connection's list of sessions, a session's body, the list of its
//! dropped cursors. No two sessions' bodies are locked at once.
#![forbid(unsafe_code)]

mod calc;
mod connection;
mod cursor;
mod failure;
mod rows;
mod session;
mod values;

use pyo3::prelude::*;

/// Adds this part's classes and functions to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<connection::ConnectionCore>()?;
    module.add_class::<session::SessionCore>()?;
    module.add_class::<cursor::CursorCore>()?;
    module.add_function(wrap_pyfunction!(values::wt_pack, module)?)?;
    module.add_function(wrap_pyfunction!(values::wt_unpack, module)?)?;
    module.add_function(wrap_pyfunction!(failure::wt_strerror, module)?)?;
    module.add_function(wrap_pyfunction!(calc::wt_calc_modify, module)?)?;
    module.add_function(wrap_pyfunction!(rows::wt_statistics, module)?)?;
    Ok(())
}
