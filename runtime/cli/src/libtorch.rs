//! Finding libtorch.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that `faa-runtime-torch` is made for.
pub(crate) const VERSION: &str = "2.11.0";

/// A libtorch of the right version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Libtorch {
    /// The folder that has the libraries in `lib`.
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
    /// The PyTorch of the Python on the path.
    Python,
}

/// Why there is no libtorch: what was looked at, and what was wrong with it.
#[derive(Debug)]
pub(crate) struct NotFound(Vec<(Origin, String)>);

/// Looks for a libtorch. `LIBTORCH` wins where it is set; then one with CUDA; then the cache.
pub(crate) fn find() -> Result<Libtorch, NotFound> {
    if let Some(home) = variable("LIBTORCH").filter(|home| !is_missing_link_of_cargo(home)) {
        return check(home, Origin::Variable)
            .map_err(|why| NotFound(vec![(Origin::Variable, why)]));
    }
    let cache = cache_home()
        .ok_or_else(|| "neither FAA_CACHE_DIR, XDG_CACHE_HOME nor HOME is set".to_owned())
        .and_then(|home| check(home, Origin::Cache));
    let python = python_home().and_then(|home| check(home, Origin::Python));
    match (cache, python) {
        (_, Ok(python)) if python.has_cuda() => Ok(python),
        (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
        (Err(cache), Err(python)) => Err(NotFound(vec![
            (Origin::Cache, cache),
            (Origin::Python, python),
        ])),
    }
}

impl Libtorch {
    /// The folder of its shared libraries.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.home.join("lib")
    }

    /// Whether it comes with CUDA; whether there is a device is another question.
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
    if !home.join("lib/libtorch_cpu.so").exists() {
        return Err(format!("{} has no lib/libtorch_cpu.so", home.display()));
    }
    match version_of(&home) {
        Some(version) if version == VERSION => Ok(Libtorch { home, origin }),
        Some(version) => Err(format!(
            "{} is version {version}, not {VERSION}",
            home.display()
        )),
        None => Err(format!("{} does not tell its version", home.display())),
    }
}

/// The version as `2.11.0`: of a plain libtorch from `build-version`, of PyTorch from `version.py`.
fn version_of(home: &Path) -> Option<String> {
    let version = fs::read_to_string(home.join("build-version"))
        .ok()
        .or_else(|| {
            let python = fs::read_to_string(home.join("version.py")).ok()?;
            let line = python
                .lines()
                .find(|line| line.starts_with("__version__"))?;
            line.split(['\'', '"']).nth(1).map(str::to_owned)
        })?;
    version.trim().split('+').next().map(str::to_owned)
}

/// Where `cargo xtask libtorch` keeps it.
fn cache_home() -> Option<PathBuf> {
    let cache = variable("FAA_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("faa-runtime")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/faa-runtime")))?;
    Some(cache.join(format!("libtorch-{VERSION}-cpu")))
}

/// An empty variable counts as one that is not set.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `cargo run` sets `LIBTORCH` to a link in the source tree, also before it is made.
fn is_missing_link_of_cargo(home: &Path) -> bool {
    home.ends_with(".libtorch") && !home.exists()
}

/// The folder of Python's `torch`, found without importing it, which would take seconds.
fn python_home() -> Result<PathBuf, String> {
    const SCRIPT: &str = "import importlib.util as u; s = u.find_spec('torch'); \
                          print(s.submodule_search_locations[0] if s else '')";
    for python in ["python3", "python"] {
        // Python looks for modules where it is started; the user's files there are none.
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
    Err("no Python on the path".to_owned())
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

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no libtorch {VERSION}: ")?;
        for (origin, why) in &self.0 {
            write!(f, "{origin}: {why}; ")?;
        }
        write!(
            f,
            "run `cargo xtask libtorch` in the source tree, or `pip install torch=={VERSION}`, or \
             set LIBTORCH to a folder that has it",
        )
    }
}

impl std::error::Error for NotFound {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn the_version_must_be_the_right_one() {
        let library = ("lib/libtorch_cpu.so", "");
        let outcome = |files: &[(&str, &str)]| {
            let folder = fake(files);
            check(folder.path().to_owned(), Origin::Cache)
                .map(drop)
                .map_err(|why| why.replace(&folder.path().display().to_string(), "HOME"))
        };
        assert_eq!(outcome(&[library, ("build-version", "2.11.0\n")]), Ok(()));
        assert_eq!(
            outcome(&[
                library,
                ("version.py", "x = 1\n__version__ = '2.11.0+cu130'\n")
            ]),
            Ok(())
        );
        let wrong = outcome(&[library, ("build-version", "2.10.0+cpu")]);
        assert_eq!(wrong, Err("HOME is version 2.10.0, not 2.11.0".into()));
        assert_eq!(
            outcome(&[library]),
            Err("HOME does not tell its version".into())
        );
        assert_eq!(outcome(&[]), Err("HOME has no lib/libtorch_cpu.so".into()));
    }
}
