//! Finding libtorch.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

pub(crate) use faa_system::libtorch::VERSION;

/// A libtorch of the right version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Libtorch {
    /// The folder with the libraries in its folder `lib`.
    pub(crate) home: PathBuf,
    pub(crate) origin: Origin,
}

/// Where a libtorch was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The variable `LIBTORCH`.
    Variable,
    /// The folder that `cargo xtask libtorch` fills.
    Cache,
    /// The PyTorch of the Python on `PATH`.
    Python,
}

/// Looks for a libtorch: first in `LIBTORCH`, then one with CUDA, then in the cache, then in Python. The
/// error names all places that were searched, each with its problem.
pub(crate) fn find() -> Result<Libtorch> {
    let set = env::var_os("LIBTORCH").filter(|home| !home.is_empty());
    let set = set.map(PathBuf::from);
    if let Some(home) = set.filter(|home| !is_missing_link_of_cargo(home)) {
        return check(home, Origin::Variable).map_err(|why| not_found(&why));
    }
    let cache = faa_system::cache_folder().map_err(|none| format!("the download cache: {none}"));
    let cache =
        cache.and_then(|cache| check(faa_system::libtorch::in_cache(&cache), Origin::Cache));
    let python = python_home().map_err(|why| format!("Python: {why}"));
    match (cache, python.and_then(|home| check(home, Origin::Python))) {
        (_, Ok(python)) if python.has_cuda() => Ok(python),
        (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
        (Err(cache), Err(python)) => Err(not_found(&format!("{cache}; {python}"))),
    }
}

fn not_found(searched: &str) -> anyhow::Error {
    anyhow!(
        "libtorch {VERSION} was not found: {searched}; run `cargo xtask libtorch` in the source tree, or \
         `pip install torch=={VERSION}`, or set LIBTORCH to its folder"
    )
}

impl Libtorch {
    /// The folder of its shared libraries.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.home.join("lib")
    }

    /// Whether it includes CUDA; there may still be no device.
    pub(crate) fn has_cuda(&self) -> bool {
        self.libraries().join("libtorch_cuda.so").exists()
    }

    /// What `LD_LIBRARY_PATH` must be for programs that use it.
    pub(crate) fn library_path(&self) -> OsString {
        let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let others = env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
        let paths = std::iter::once(self.libraries()).chain(others);
        env::join_paths(paths).unwrap_or_else(|_| self.libraries().into_os_string())
    }
}

fn check(home: PathBuf, origin: Origin) -> Result<Libtorch, String> {
    let checked = faa_system::libtorch::check(&home);
    checked.map_err(|why| format!("{origin}: {why}"))?;
    Ok(Libtorch { home, origin })
}

/// `cargo run` sets `LIBTORCH` to a link in the source tree, even if the link does not exist.
fn is_missing_link_of_cargo(home: &Path) -> bool {
    home.ends_with(".libtorch") && !home.exists()
}

/// The folder of Python's `torch`. It is not imported, because that takes seconds.
fn python_home() -> Result<PathBuf, String> {
    const SCRIPT: &str = "import importlib.util as u; s = u.find_spec('torch'); \
                          print(s.submodule_search_locations[0] if s else '')";
    for python in ["python3", "python"] {
        // Python imports modules from the current folder, whose files must not be run.
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).current_dir(env::temp_dir());
        let Ok(output) = command.output() else {
            continue;
        };
        let home = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return match home.is_empty() {
            true => Err(format!("{python} has no PyTorch")),
            false => Ok(PathBuf::from(home)),
        };
    }
    Err("no Python on PATH".to_owned())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "LIBTORCH",
            Self::Cache => "the download cache",
            Self::Python => "Python",
        })
    }
}
