//! Which side of a fork this process is on.
//!
//! A child of `fork` has the parent's memory and none of its threads: a handle made before the
//! fork would write into the parent's file beside the parent. So every handle remembers the
//! generation in which it was made, and is refused in a later one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How many forks lie between the first process that loaded the module and this one. Written by
/// the fork handler, when the child has one thread; read by every operation. Relaxed: nothing
/// else is ordered by it, and threads started later see it anyway.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The generation of this process.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Makes every handle that exists a stranger's. Runs in the child of a fork.
#[pyfunction]
fn after_fork_in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Asks the interpreter to call [`after_fork_in_child`], where it knows of forks.
///
/// # Errors
/// Whatever `os.register_at_fork` raises.
pub fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let os = module.py().import("os")?;
    let Ok(register) = os.getattr("register_at_fork") else { return Ok(()) };
    let arguments = PyDict::new(module.py());
    arguments.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, module)?)?;
    register.call((), Some(&arguments)).map(drop)
}
