//! Which libtorch is the right one, and how its version is read.

use std::fs;
use std::path::{Path, PathBuf};

/// The version that the programs are built for.
pub const VERSION: &str = "2.11.0";

/// Why a folder is not a libtorch that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The library itself is missing.
    #[error("{} has no lib/libtorch_cpu.so", .0.display())]
    NoLibrary(PathBuf),
    /// Neither `build-version` nor `version.py` states a version.
    #[error("{} does not state its version", .0.display())]
    NoVersion(PathBuf),
    /// It is a different version.
    #[error("{} is version {found}, not {VERSION}", home.display())]
    Version {
        /// The folder.
        home: PathBuf,
        /// Its version.
        found: String,
    },
}

/// The folder of the cache in which `cargo xtask libtorch` keeps the CPU build.
pub fn in_cache(cache: &Path) -> PathBuf {
    cache.join(format!("libtorch-{VERSION}-cpu"))
}

/// Checks that a folder is a libtorch of the right version: either a plain one, or the `torch`
/// folder of a PyTorch.
///
/// # Errors
///
/// [`Unusable`], which names the folder.
pub fn check(home: &Path) -> Result<(), Unusable> {
    if !home.join("lib/libtorch_cpu.so").exists() {
        return Err(Unusable::NoLibrary(home.to_owned()));
    }
    match version_of(home) {
        Some(found) if found == VERSION => Ok(()),
        Some(found) => Err(Unusable::Version {
            home: home.to_owned(),
            found,
        }),
        None => Err(Unusable::NoVersion(home.to_owned())),
    }
}

/// The version as `2.11.0`, without its build: of a plain libtorch from `build-version`, of PyTorch
/// from `version.py`.
pub fn version_of(home: &Path) -> Option<String> {
    let plain = fs::read_to_string(home.join("build-version")).ok();
    let python = || {
        let python = fs::read_to_string(home.join("version.py")).ok()?;
        let mut lines = python.lines();
        let line = lines.find(|line| line.starts_with("__version__"))?;
        line.split(['\'', '"']).nth(1).map(str::to_owned)
    };
    let version = plain.or_else(python)?;
    version.trim().split('+').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_of(files: &[(&str, &str)]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let home = folder.path().display().to_string();
        check(folder.path()).map_err(|why| why.to_string().replace(&home, "HOME"))
    }

    #[test]
    fn the_version_must_be_the_right_one() {
        let library = ("lib/libtorch_cpu.so", "");
        let python = ("version.py", "x = 1\n__version__ = '2.11.0+cu130'\n");
        assert_eq!(check_of(&[library, ("build-version", "2.11.0\n")]), Ok(()));
        assert_eq!(check_of(&[library, python]), Ok(()));
        assert_eq!(
            check_of(&[library, ("build-version", "2.10.0+cpu")]),
            Err("HOME is version 2.10.0, not 2.11.0".into())
        );
        assert_eq!(
            check_of(&[library]),
            Err("HOME does not state its version".into())
        );
        assert_eq!(check_of(&[]), Err("HOME has no lib/libtorch_cpu.so".into()));
    }
}
