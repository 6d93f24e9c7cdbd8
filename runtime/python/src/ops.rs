use std::path::PathBuf;

use faa_op::OpSet;
use faa_op::text::chain;
use faa_ops_builtin::builtin_ops;
use faa_plugin::{Found, Plugin, PluginOptions};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::errors::no_panic;
use crate::owned::Owned;

/// The built-in ops and those of plugins.
#[pyclass(frozen, module = "faa._faa")]
pub(crate) struct Ops {
    known: Owned<Known>,
}

struct Known {
    set: OpSet,
    plugins: Found,
}

/// Name, summary, range, unit, whether the range is mirrored, whether the op needs a partner, and the
/// plugin's file.
type Row = (
    String,
    String,
    Option<(f64, f64)>,
    Option<String>,
    bool,
    bool,
    Option<PathBuf>,
);

#[pymethods]
impl Ops {
    /// The built-in ops, and those of the plugins in these folders.
    #[new]
    #[pyo3(signature = (folders, *, allow_native, memory_mib, total_memory_mib, call_seconds))]
    #[expect(unsafe_code, reason = "only the caller can vouch for a native library")]
    fn new(
        py: Python<'_>,
        folders: Vec<PathBuf>,
        allow_native: bool,
        memory_mib: u32,
        total_memory_mib: u32,
        call_seconds: f64,
    ) -> PyResult<Self> {
        let mut options = PluginOptions::new(folders);
        options.allow_native = allow_native;
        options.memory_mib = memory_mib;
        options.total_memory_mib = total_memory_mib;
        options.call_seconds = call_seconds;
        options
            .check()
            .map_err(|error| PyValueError::new_err(chain(&error)))?;
        py.detach(|| {
            no_panic(|| {
                let mut set = builtin_ops();
                // SAFETY: with `allow_native`, whose documentation describes the risk, the caller vouches
                // for the libraries.
                let native = unsafe { options.native_permission() };
                let plugins = options.load_into(native, &mut set);
                let plugins = plugins.map_err(|error| PyOSError::new_err(chain(&error)))?;
                let known = Owned::new(Known { set, plugins });
                Ok(Self { known })
            })?
        })
    }

    /// Whether this is a copy in a forked child, in which plugins do not work.
    #[getter]
    fn is_inherited(&self) -> bool {
        self.known.is_inherited()
    }

    fn rows(&self) -> Vec<Row> {
        let row = |spec: &faa_op::OpSpec| {
            let range = spec.value_range();
            (
                spec.name().to_owned(),
                spec.summary().to_owned(),
                range.map(|range| (range.low, range.high)),
                range.map(|range| range.unit.to_string()),
                range.is_some_and(|range| range.centre.is_some()),
                spec.needs_partner(),
                self.plugin_of(spec.name())
                    .and_then(Plugin::path)
                    .map(Into::into),
            )
        };
        self.set().iter().map(|op| row(op.spec())).collect()
    }

    /// The ops of plugins, each with the SHA-256 of its module or library.
    fn digests(&self) -> Vec<(String, String)> {
        let plugins = self.known.plugins.loaded.iter();
        let ops = plugins.flat_map(|plugin| {
            let ops = plugin.ops().iter();
            ops.map(|op| (faa_op::Op::spec(&**op).name().to_owned(), plugin.sha256()))
        });
        ops.collect()
    }

    /// The files that could not be loaded, each with the reason.
    fn broken(&self) -> Vec<(PathBuf, String)> {
        let broken = self.known.plugins.broken.iter();
        broken
            .map(|broken| (broken.path.clone(), chain(&broken.error)))
            .collect()
    }
}

impl Ops {
    pub(crate) fn set(&self) -> &OpSet {
        &self.known.set
    }

    /// Whether any op is a plugin's, and its calls may take long.
    pub(crate) fn has_plugins(&self) -> bool {
        !self.known.plugins.loaded.is_empty()
    }

    fn plugin_of(&self, op: &str) -> Option<&Plugin> {
        self.known.plugins.plugin_of(op)
    }
}
