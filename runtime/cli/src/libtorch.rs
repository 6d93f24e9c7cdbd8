//! Finding libtorch.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use faa_search::device::DeviceName;
use faa_system::programs::find_python;

pub(crate) use faa_system::libtorch::VERSION;
use faa_system::libtorch::find_in_cache;

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

/// Looks for a libtorch for these devices: the one that `LIBTORCH` names; or the one in the cache; or, if
/// the cache has none or CUDA is wanted, that of Python. The error names all places that were searched,
/// each with its problem.
pub(crate) fn find(devices: &[DeviceName]) -> Result<Libtorch> {
    let set = env::var_os("LIBTORCH").filter(|home| !home.is_empty());
    let set = set.map(PathBuf::from);
    if let Some(home) = set.filter(|home| !is_missing_link_of_cargo(home)) {
        return check(home, Origin::Variable).map_err(|why| not_found(&why));
    }
    let cache = match (in_cache(), devices.iter().any(wants_cuda)) {
        (Ok(found), false) => return Ok(found),
        (cache, _) => cache,
    };
    match (cache, in_python()) {
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
        // The working folder may be untrusted.
        let others = env::split_paths(&before).filter(|path| path.is_absolute());
        let paths = std::iter::once(self.libraries()).chain(others);
        env::join_paths(paths).unwrap_or_else(|_| self.libraries().into_os_string())
    }
}

/// Whether CUDA may be used for a device. The driver's files show whether there is a GPU, under Linux and
/// in the Windows subsystem for Linux.
fn wants_cuda(device: &DeviceName) -> bool {
    let has_gpu = || {
        ["/dev/nvidiactl", "/dev/dxg"]
            .map(Path::new)
            .iter()
            .any(|file| file.exists())
    };
    match device {
        DeviceName::Auto => has_gpu(),
        DeviceName::Cpu => false,
        _ => true,
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

/// The libtorch that `cargo xtask libtorch` has fetched.
fn in_cache() -> Result<Libtorch, String> {
    let (cache, origin) = (faa_system::cache_folder(), Origin::Cache);
    let home = cache.and_then(|cache| find_in_cache(&cache));
    let home = home.map_err(|why| format!("{origin}: {why}"))?;
    Ok(Libtorch { home, origin })
}

/// That of Python's `torch`, which is not imported, because that takes seconds.
fn in_python() -> Result<Libtorch, String> {
    const SCRIPT: &str = "import importlib.util as u; s = u.find_spec('torch'); \
                          print(s.submodule_search_locations[0] if s else '')";
    let path = env::var_os("PATH").unwrap_or_default();
    match find_python(&path, &["python3", "python"], SCRIPT) {
        Err(error) => Err(format!("Python: {error}")),
        Ok((python, home)) if home.is_empty() => {
            Err(format!("Python: {} has no PyTorch", python.display()))
        }
        Ok((_, home)) => check(home.into(), Origin::Python),
    }
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
