//! The native part of the Python package `faa`: policies over raw buffers.
//!
//! Which types are images, what a sample is and where keys come from is decided in Python
//! (`python/faa`). This crate sees memory only: an object with a buffer, or an address, and which of its
//! dimensions are rows, columns and channels. It knows neither NumPy nor torch nor Pillow.

mod arrow;
mod errors;
mod executor;
mod images;
mod ops;
mod owned;
mod pools;
mod process;
mod targets;

use pyo3::prelude::*;

/// The module `faa._faa`. Policies are frozen and everything else is behind locks, so it needs no GIL.
#[pymodule(gil_used = false)]
mod _faa {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::errors::PolicyError;
    #[pymodule_export]
    use crate::executor::{Executor, convert, frame_seed, shipped};
    #[pymodule_export]
    use crate::ops::Ops;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::process::count_forks(module.py())
    }
}
