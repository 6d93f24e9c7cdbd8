//! Which process this is, among those that were forked from each other.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How many forks lie between this process and the one that loaded the extension.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A process. Its id alone would not do: a child in a new PID namespace may have the id of its parent, and
/// ids are reused. Nor would the count of forks, as Python does not see those of other libraries.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Process {
    id: u32,
    forks: u64,
}

impl Process {
    pub(crate) fn current() -> Self {
        Self {
            id: process::id(),
            forks: FORKS.load(Ordering::Relaxed),
        }
    }
}

/// Has Python count this process's forks.
pub(crate) fn count_forks(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    // Not where no process can be forked.
    if os.hasattr("register_at_fork")? {
        let arguments = PyDict::new(py);
        arguments.set_item("after_in_child", wrap_pyfunction!(forked, py)?)?;
        os.call_method("register_at_fork", (), Some(&arguments))?;
    }
    Ok(())
}

#[pyfunction]
fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
