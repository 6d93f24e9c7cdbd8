use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// There is no cache folder: no variable names one, or `FAA_CACHE_DIR` is a relative path, which would
/// name a different folder from each working directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoCacheFolder(String);

/// The folder for cached downloads and results: `$FAA_CACHE_DIR`, or by default `faa-runtime` in
/// `$XDG_CACHE_HOME` or `~/.cache`. It need not exist yet.
///
/// Empty variables count as unset, and a relative `XDG_CACHE_HOME` or `HOME` is ignored, as the XDG
/// Base Directory Specification asks.
///
/// # Errors
///
/// [`NoCacheFolder`].
pub fn cache_folder() -> Result<PathBuf, NoCacheFolder> {
    cache_folder_by(|name| env::var_os(name))
}

/// As [`cache_folder`], with the environment variables that `variable` returns.
///
/// # Errors
///
/// [`NoCacheFolder`].
pub fn cache_folder_by(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, NoCacheFolder> {
    let set = |name| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let absolute = |name| set(name).filter(|path| path.is_absolute());
    if let Some(folder) = set("FAA_CACHE_DIR") {
        return match folder.is_absolute() {
            true => Ok(folder),
            false => Err(NoCacheFolder(format!(
                "FAA_CACHE_DIR is {}, which is not an absolute path",
                folder.display()
            ))),
        };
    }
    let home_cache = || absolute("HOME").map(|home| home.join(".cache"));
    let caches = absolute("XDG_CACHE_HOME").or_else(home_cache);
    let folder = caches.map(|caches| caches.join("faa-runtime"));
    let unset = "no cache folder: set FAA_CACHE_DIR to an absolute path, since HOME is not set";
    folder.ok_or_else(|| NoCacheFolder(unset.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)]) -> Result<PathBuf, NoCacheFolder> {
        cache_folder_by(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
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
        let unset = folder(&all[3..]).unwrap_err().to_string();
        assert!(unset.contains("HOME is not set"), "{unset}");
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
        let expected = "FAA_CACHE_DIR is own, which is not an absolute path";
        assert_eq!(relative.to_string(), expected);
        assert_eq!(folder(&[("HOME", "h")]), folder(&[]));
    }
}
