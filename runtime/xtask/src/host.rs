//! The machine and the checkout: environment variables, programs, platform.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use faa_system::UnusableFolder;
use faa_system::programs::find_program;

/// The environment of this program. It is a value, because a test cannot safely change the environment
/// of its own process.
pub(crate) struct Host {
    /// The root of the checkout.
    pub(crate) root: PathBuf,
    /// The environment variables.
    pub(crate) variables: BTreeMap<OsString, OsString>,
    /// Operating system and CPU architecture, by Rust's names.
    pub(crate) platform: (&'static str, &'static str),
}

impl Host {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        // The variable at run time is preferred to the compiled-in one, because a checkout can be
        // moved together with its target folder.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = PathBuf::from(package).join("../..");
        Self {
            root: root.canonicalize().unwrap_or(root),
            variables: env::vars_os().collect(),
            platform: (env::consts::OS, env::consts::ARCH),
        }
    }

    /// An environment variable; an empty one counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// The path of a program on `PATH`.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        find_program(self.variable("PATH")?, name)
    }

    /// The cache folder, which all checkouts share.
    pub(crate) fn cache_folder(&self) -> Result<PathBuf, UnusableFolder> {
        faa_system::cache_folder_by(|name| self.variable(name).map(OsStr::to_owned))
    }

    /// Fails on platforms other than Linux on x86-64. In the message, `reason` is followed by `only for Linux
    /// on x86-64`.
    pub(crate) fn need_linux_x86_64(&self, reason: &str) -> Result<()> {
        let (system, processor) = self.platform;
        ensure!(
            self.platform == ("linux", "x86_64"),
            "this is {system} on {processor}, {reason} only for Linux on x86-64"
        );
        Ok(())
    }

    /// A cargo command in the root of the checkout, with arguments that are separated by spaces.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let mut command = Command::new(self.variable("CARGO").unwrap_or(OsStr::new("cargo")));
        command.args(arguments.split(' ')).current_dir(&self.root);
        command.stdin(Stdio::null());
        // The extension for Python is the same for all versions, so no Python, which could be too old, is
        // asked for how it was built.
        command.env("PYO3_NO_PYTHON", "1");
        if self.variable("LIBTORCH").is_none() {
            // An empty variable would keep cargo's configuration from setting it.
            command.env_remove("LIBTORCH");
        }
        command
    }

    /// Fails early if there is no C++ compiler, which `tch` needs. The build would fail only after
    /// minutes, with the reason in the middle of its output.
    pub(crate) fn need_cxx(&self) -> Result<()> {
        if self.variable("CXX").is_some() || self.find_program("c++").is_some() {
            return Ok(());
        }
        bail!(
            "no C++ compiler, which libtorch's bindings need: `c++` is not on PATH; install one \
             (on Debian and Ubuntu: apt-get install g++) or set CXX"
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;

    /// A Linux machine with only these environment variables.
    pub(crate) fn host(root: &Path, variables: &[(&str, &Path)]) -> Host {
        let variables = variables.iter();
        Host {
            root: root.to_owned(),
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            platform: ("linux", "x86_64"),
        }
    }

    /// An executable file, for a folder of `PATH`.
    #[cfg(unix)]
    pub(crate) fn script(folder: &Path, name: &str, lines: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = folder.join(format!("{name}.sh"));
        std::fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: a child that a test starts meanwhile would hold the file open, and the
        // system runs no file that is being written.
        let copied = Command::new("cp")
            .args([&file, &folder.join(name)])
            .status();
        assert!(copied.unwrap().success());
    }

    #[test]
    fn a_relative_cache_folder_is_refused() {
        let machine = host(Path::new("/"), &[("FAA_CACHE_DIR", Path::new("cache"))]);
        let error = machine.cache_folder().unwrap_err().to_string();
        assert!(error.contains("not an absolute path"), "{error}");
    }

    #[test]
    fn a_missing_compiler_is_reported() {
        let empty = tempfile::tempdir().unwrap();
        let machine = host(Path::new("/"), &[("PATH", empty.path())]);
        let error = machine.need_cxx().unwrap_err().to_string();
        assert!(error.contains("install g++"), "{error}");
    }
}
