use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::{UnusableFolder, UnusableFolderKind};

/// The folder for cached downloads and results: `$FAA_CACHE_DIR`, or by default `faa-runtime` in
/// `$XDG_CACHE_HOME` or `~/.cache`. It need not exist yet.
///
/// Empty variables count as unset, and a relative `XDG_CACHE_HOME` or `HOME` is ignored, as the XDG
/// Base Directory Specification asks.
///
/// # Errors
///
/// [`UnusableFolder`] if no variable names a folder, or `FAA_CACHE_DIR` is a relative path, which would
/// name a different folder from each working directory.
pub fn cache_folder() -> Result<PathBuf, UnusableFolder> {
    cache_folder_by(|name| env::var_os(name))
}

/// As [`cache_folder`], with the environment variables that `variable` returns.
///
/// # Errors
///
/// As [`cache_folder`].
pub fn cache_folder_by(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, UnusableFolder> {
    let set = |name| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let absolute = |name| set(name).filter(|path| path.is_absolute());
    if let Some(folder) = set("FAA_CACHE_DIR") {
        return match folder.is_absolute() {
            true => Ok(folder),
            false => Err(UnusableFolder::new(
                UnusableFolderKind::Relative,
                format!(
                    "FAA_CACHE_DIR is {}, which is not an absolute path",
                    folder.display()
                ),
            )),
        };
    }
    let home_cache = || absolute("HOME").map(|home| home.join(".cache"));
    let caches = absolute("XDG_CACHE_HOME").or_else(home_cache);
    let folder = caches.map(|caches| caches.join("faa-runtime"));
    folder.ok_or_else(|| UnusableFolder::new(UnusableFolderKind::Unset, UNSET))
}

const UNSET: &str = "no cache folder: set FAA_CACHE_DIR to an absolute path, since HOME is not set";

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)]) -> Result<PathBuf, UnusableFolder> {
        cache_folder_by(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn kind(variables: &[(&str, &str)]) -> UnusableFolderKind {
        folder(variables).unwrap_err().kind()
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let all = [
            ("FAA_CACHE_DIR", "/own"),
            ("XDG_CACHE_HOME", "/xdg"),
            ("HOME", "/home/a"),
        ];
        assert_eq!(folder(&all), Ok("/own".into()));
        assert_eq!(folder(&all[1..]), Ok("/xdg/faa-runtime".into()));
        assert_eq!(folder(&all[2..]), Ok("/home/a/.cache/faa-runtime".into()));
        assert_eq!(kind(&all[3..]), UnusableFolderKind::Unset);
    }

    #[test]
    fn empty_and_relative_variables_are_ignored_but_a_relative_faa_cache_dir_is_an_error() {
        let home = ("HOME", "/h");
        for ignored in ["", "xdg"] {
            let found = folder(&[("XDG_CACHE_HOME", ignored), home]);
            assert_eq!(found, Ok("/h/.cache/faa-runtime".into()));
        }
        assert_eq!(folder(&[("FAA_CACHE_DIR", ""), home]), folder(&[home]));
        let relative = folder(&[("FAA_CACHE_DIR", "own"), home]).unwrap_err();
        let message = "FAA_CACHE_DIR is own, which is not an absolute path";
        assert_eq!(relative.kind(), UnusableFolderKind::Relative);
        assert_eq!(relative.to_string(), message);
        assert_eq!(kind(&[("HOME", "h")]), UnusableFolderKind::Unset);
    }
}
