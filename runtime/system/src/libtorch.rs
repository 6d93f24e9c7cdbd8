//! Checks the version of a libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use crate::UnusableFolder;

/// The version that the programs are built for.
pub const VERSION: &str = "2.11.0";

/// The folder, within the cache, of the CPU build that `cargo xtask libtorch` fetches.
pub fn in_cache(cache: &Path) -> PathBuf {
    cache.join(format!("libtorch-{VERSION}-cpu"))
}

/// Checks that a folder is a libtorch of the required [`VERSION`]: a plain one, or the `torch` folder of
/// a PyTorch installation.
///
/// # Errors
///
/// [`UnusableFolder`]: the library is missing, states no version, or a different one.
pub fn check(home: &Path) -> Result<(), UnusableFolder> {
    let unusable = |why| Err(UnusableFolder(format!("{} {why}", home.display())));
    if !home.join("lib/libtorch_cpu.so").exists() {
        return unusable("has no lib/libtorch_cpu.so".to_owned());
    }
    match version_of(home) {
        Some(found) if found == VERSION => Ok(()),
        Some(found) => unusable(format!("is version {found}, not {VERSION}")),
        None => unusable("does not state its version".to_owned()),
    }
}

/// The version without its build, such as `2.11.0`, from `build-version` (a plain libtorch) or
/// `version.py` (PyTorch).
fn version_of(home: &Path) -> Option<String> {
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
    fn only_the_required_version_is_accepted() {
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
