//! Checks the version of a libtorch.

use std::fs;
use std::path::{Path, PathBuf};

use crate::private::{NotPrivate, private_file, private_folder};
use crate::{UnusableFolder, UnusableFolderKind as Kind};

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
    let unusable = |kind, why| {
        Err(UnusableFolder::new(
            kind,
            format!("{} {why}", home.display()),
        ))
    };
    if !home.join("lib/libtorch_cpu.so").exists() {
        return unusable(Kind::Missing, "has no lib/libtorch_cpu.so".to_owned());
    }
    match version_of(home) {
        Some(found) if found == VERSION => Ok(()),
        Some(found) => unusable(Kind::Version, format!("is version {found}, not {VERSION}")),
        None => unusable(Kind::Version, "does not state its version".to_owned()),
    }
}

/// The libtorch in the cache, if it is of the required [`VERSION`] and nobody else can replace its
/// libraries, which are loaded automatically.
///
/// # Errors
///
/// [`UnusableFolder`]. [`private_folder`] says what others must not be able to do.
pub fn find_in_cache(cache: &Path) -> Result<PathBuf, UnusableFolder> {
    let not_private = |error: NotPrivate| UnusableFolder::new(Kind::NotPrivate, error.to_string());
    let home = in_cache(cache);
    check(&home)?;
    let libraries = private_folder(&home.join("lib")).map_err(not_private)?;
    let unreadable =
        |error| UnusableFolder::new(Kind::Missing, format!("{}: {error}", libraries.display()));
    for entry in fs::read_dir(&libraries).map_err(unreadable)? {
        private_file(&entry.map_err(unreadable)?.path()).map_err(not_private)?;
    }
    Ok(home)
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

    #[cfg(unix)]
    #[test]
    fn a_cache_that_others_can_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let cache = root.path().canonicalize().unwrap().join("cache");
        let home = in_cache(&cache);
        let library = home.join("lib/libtorch_cpu.so");
        crate::create_private_folder(&home.join("lib")).unwrap();
        fs::write(&library, "").unwrap();
        fs::write(home.join("build-version"), VERSION).unwrap();
        assert_eq!(find_in_cache(&cache).unwrap(), home);
        for path in [cache.as_path(), &home, &home.join("lib"), &library] {
            let set_mode = |mode| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            };
            set_mode(0o777);
            let error = find_in_cache(&cache).unwrap_err();
            assert_eq!(error.kind(), Kind::NotPrivate);
            let (error, advice) = (
                error.to_string(),
                format!("run `chmod go-w {}`", path.display()),
            );
            assert!(error.contains(&advice), "{error}");
            set_mode(0o700);
        }
        find_in_cache(&cache).unwrap();
    }
}
