//! Rust toolchains that can build plugins.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faa_system::log_line;
use faa_system::programs::{ANSWER_TIME, answer, find_program};
use serde::Deserialize;

const WASM: &str = "wasm32-unknown-unknown";

/// The folder of Debian's cargo and rustc.
const DEBIAN: &str = "/usr/bin";

/// How to install a toolchain.
pub(crate) const HOW_TO_INSTALL: &str = "run `rustup target add wasm32-unknown-unknown`, or \
    `rustup component add rust-src`, or on Debian \
    `apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22`";

/// The kind of plugin to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Wasm,
    Native,
}

/// A plugin that was built.
pub(crate) struct Built {
    /// The name of the plugin's package.
    pub(crate) package: String,
    pub(crate) file: PathBuf,
}

/// A way to build for WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The cargo on `PATH`, whose toolchain has the target's standard library.
    Target,
    /// The cargo on `PATH`, which builds the standard library from its sources too.
    Sources,
    /// Debian's cargo, which does the same.
    Debian,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => write!(f, "cargo and its target {WASM}"),
            Self::Sources => f.write_str("cargo and the sources of the standard library"),
            Self::Debian => f.write_str("Debian's cargo and the sources of the standard library"),
        }
    }
}

/// Builds the crate in a folder.
pub(crate) fn build(folder: &Path, target: Target) -> Result<Built> {
    let mut command = match target {
        Target::Wasm => {
            let toolchain = find(folder)?;
            log_line!("building with {toolchain}");
            toolchain.command(folder)
        }
        Target::Native => {
            let mut command = cargo_in(Path::new("cargo"), folder);
            command.args(["--features", "faa-plugin-sdk/native"]);
            // The SDK catches panics, so they must unwind.
            command.args(["--config", "profile.release.panic=\"unwind\""]);
            command
        }
    };
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "cargo could not build {}; see its messages above",
            folder.display()
        );
    }
    find_plugin(&String::from_utf8_lossy(&output.stdout), folder)
}

/// Finds a toolchain for WebAssembly. If the target is missing, asks rustup to install it.
pub(crate) fn find(folder: &Path) -> Result<Toolchain> {
    let in_folder = Some(folder);
    if let Some(found) = installed(in_folder) {
        return Ok(found);
    }
    log_line!("asking rustup for the target {WASM}");
    let added = Command::new("rustup")
        .args(["target", "add", WASM])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if added.is_ok_and(|status| status.success())
        && let Some(found) = installed(in_folder)
    {
        return Ok(found);
    }
    with_sources(in_folder)
        .ok_or_else(|| anyhow!("no installed Rust toolchain builds for {WASM}: {HOW_TO_INSTALL}"))
}

/// Finds an installed toolchain for WebAssembly, without installing any. No file of the working folder has a
/// say in it.
pub(crate) fn find_installed() -> Option<Toolchain> {
    installed(None).or_else(|| with_sources(None))
}

/// The toolchain on `PATH`, if it has the target's standard library.
fn installed(folder: Option<&Path>) -> Option<Toolchain> {
    let library = sysroot(None, folder)?.join(format!("lib/rustlib/{WASM}/lib"));
    library.is_dir().then_some(Toolchain::Target)
}

/// A toolchain with the sources of the standard library: the one on `PATH`, or Debian's.
fn with_sources(folder: Option<&Path>) -> Option<Toolchain> {
    let has_sources = |rustc: Option<PathBuf>| {
        let sources = "lib/rustlib/src/rust/library/std";
        sysroot(rustc, folder).is_some_and(|sysroot| sysroot.join(sources).is_dir())
    };
    let debian = Path::new(DEBIAN);
    let has_debian = || has_sources(Some(debian.join("rustc"))) && debian.join("cargo").is_file();
    if has_sources(None) {
        return Some(Toolchain::Sources);
    }
    has_debian().then_some(Toolchain::Debian)
}

/// The folder of the toolchain of a `rustc`, or of the one on `PATH`. In a folder that is built, rustup
/// chooses the toolchain that the folder names, and may install it. Elsewhere it must do neither.
fn sysroot(rustc: Option<PathBuf>, folder: Option<&Path>) -> Option<PathBuf> {
    let on_path = || find_program(&env::var_os("PATH")?, "rustc");
    let mut command = Command::new(rustc.or_else(on_path)?);
    command.args(["--print", "sysroot"]);
    let time = match folder {
        Some(folder) => {
            command.current_dir(folder);
            Duration::from_secs(600)
        }
        None => {
            command.current_dir("/").env("RUSTUP_AUTO_INSTALL", "0");
            command.env_remove("RUSTUP_TOOLCHAIN");
            ANSWER_TIME
        }
    };
    let printed = answer(&mut command, time).ok()?;
    Some(PathBuf::from(printed.trim_end()))
}

impl Toolchain {
    fn command(self, folder: &Path) -> Command {
        let mut command = match self {
            Self::Debian => cargo_in(&Path::new(DEBIAN).join("cargo"), folder),
            Self::Target | Self::Sources => cargo_in(Path::new("cargo"), folder),
        };
        command.args(["--target", WASM]);
        // SIMD instructions, and as little code as possible, because it is compiled when loaded.
        for setting in [
            "target.wasm32-unknown-unknown.rustflags=[\"-Ctarget-feature=+simd128\"]",
            "profile.release.opt-level=3",
            "profile.release.lto=\"fat\"",
            "profile.release.codegen-units=1",
            "profile.release.panic=\"abort\"",
            "profile.release.debug=false",
            "profile.release.strip=\"symbols\"",
        ] {
            command.args(["--config", setting]);
        }
        if self != Self::Target {
            command.arg("-Zbuild-std=std,panic_abort");
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        if self == Self::Debian {
            let mut path = OsString::from(format!("{DEBIAN}:"));
            path.push(env::var_os("PATH").unwrap_or_default());
            command.env("PATH", path);
            command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }
}

fn cargo_in(cargo: &Path, folder: &Path) -> Command {
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--lib"])
        .current_dir(folder);
    // If cargo runs this program, it has set variables about a different package. Flags and targets of
    // other builds would replace those that a plugin needs.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command
}

/// A message of cargo, a line of JSON, about a crate that it has built.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    target: ArtifactTarget,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    kind: Vec<String>,
}

/// The module or library that cargo's messages report.
fn find_plugin(messages: &str, folder: &Path) -> Result<Built> {
    let artifacts = messages.lines();
    let mut artifacts = artifacts.filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let is_library = |artifact: &Artifact| artifact.target.kind.iter().any(|kind| kind == "cdylib");
    let is_plugin = |file: &PathBuf| {
        let extension = file.extension().unwrap_or_default();
        extension == "wasm" || extension == env::consts::DLL_EXTENSION
    };
    let plugin = artifacts.rfind(is_library).and_then(|artifact| {
        Some(Built {
            package: package_name(&artifact.package_id).to_owned(),
            file: artifact.filenames.into_iter().find(is_plugin)?,
        })
    });
    plugin.with_context(|| {
        format!(
            "{} does not build a plugin: its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
            folder.display()
        )
    })
}

/// The name in a package's identifier: `path+file:///…/folder#name@0.1.0`, or
/// `path+file:///…/name#0.1.0`.
fn package_name(id: &str) -> &str {
    let (path, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_read_from_identifiers() {
        assert_eq!(package_name("path+file:///a/b#c-d@0.1.0"), "c-d");
        assert_eq!(package_name("path+file:///a/soft-glow#0.1.0"), "soft-glow");
    }

    #[test]
    fn the_module_is_found_in_cargo_s_messages() {
        let message = |kind: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///a/x#0.1.0","target":{{"kind":["{kind}"]}},"filenames":["{file}"]}}"#
            )
        };
        let messages = [
            message("cdylib", "/t/x.wasm"),
            "not JSON".to_owned(),
            message("lib", "/t/x.rlib"),
        ];
        let found = find_plugin(&messages.join("\n"), Path::new("x")).unwrap();
        assert_eq!(
            (found.package.as_str(), found.file),
            ("x", PathBuf::from("/t/x.wasm"))
        );
        let error = find_plugin(&messages[2], Path::new("x")).err().unwrap();
        assert!(error.to_string().contains("crate-type"), "{error}");
    }
}
