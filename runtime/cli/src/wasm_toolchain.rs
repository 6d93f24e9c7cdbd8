//! A Rust tool chain that can build plugins.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

const WASM: &str = "wasm32-unknown-unknown";

/// Where Debian's packages put cargo and rustc.
const DEBIAN: &str = "/usr/bin";

/// What makes one.
pub(crate) const HOW_TO_GET_ONE: &str = "get one by `rustup target add wasm32-unknown-unknown`, by \
    `rustup component add rust-src`, or on Debian by \
    `apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22`";

/// What a plugin is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Wasm,
    Native,
}

/// A plugin that was built.
pub(crate) struct Built {
    /// The name of its package.
    pub(crate) package: String,
    pub(crate) file: PathBuf,
}

/// A way to build for WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    /// The folder of a tool chain that is not the one on the path.
    folder: Option<PathBuf>,
    /// Whether the standard library is built along, from its sources.
    build_std: bool,
    description: String,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// Builds the crate in a folder.
pub(crate) fn build(folder: &Path, target: Target) -> Result<Built> {
    let mut command = match target {
        Target::Wasm => {
            let toolchain = find(folder)?;
            eprintln!("building with {toolchain}");
            toolchain.command(folder)
        }
        Target::Native => {
            let mut command = cargo_in(Path::new("cargo"), folder);
            command.args(["--features", "faa-plugin-sdk/native"]);
            // Panics are caught, so they must unwind.
            command.args(["--config", "profile.release.panic=\"unwind\""]);
            command
        }
    };
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "cargo could not build {}: its messages stand above",
            folder.display()
        );
    }
    plugin_among(&String::from_utf8_lossy(&output.stdout), folder)
}

/// Finds a tool chain for WebAssembly, and has rustup add the target where it can.
pub(crate) fn find(folder: &Path) -> Result<Toolchain> {
    if let Some(found) = installed(folder) {
        return Ok(found);
    }
    eprintln!("asking rustup for the target {WASM}");
    let added = Command::new("rustup")
        .args(["target", "add", WASM])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if added.is_ok_and(|status| status.success())
        && let Some(found) = installed(folder)
    {
        return Ok(found);
    }
    with_sources(folder)
        .ok_or_else(|| anyhow!("no Rust tool chain here builds for {WASM}: {HOW_TO_GET_ONE}"))
}

/// What there is already, without asking anything of the network.
pub(crate) fn find_installed(folder: &Path) -> Option<Toolchain> {
    installed(folder).or_else(|| with_sources(folder))
}

/// cargo on the path, whose rustc has the target's standard library.
fn installed(folder: &Path) -> Option<Toolchain> {
    let sysroot = sysroot(Path::new("rustc"), folder)?;
    let library = sysroot.join("lib/rustlib").join(WASM).join("lib");
    library.is_dir().then(|| Toolchain {
        cargo: "cargo".into(),
        folder: None,
        build_std: false,
        description: format!("cargo and its target {WASM}"),
    })
}

/// A tool chain with the sources of the standard library: the one on the path, or Debian's.
fn with_sources(folder: &Path) -> Option<Toolchain> {
    let has_sources = |sysroot: &Path| {
        let sources = sysroot.join("lib/rustlib/src/rust/library/std");
        sources.is_dir()
    };
    if sysroot(Path::new("rustc"), folder).is_some_and(|sysroot| has_sources(&sysroot)) {
        return Some(Toolchain {
            cargo: "cargo".into(),
            folder: None,
            build_std: true,
            description: "cargo and the sources of the standard library".to_owned(),
        });
    }
    let debian = Path::new(DEBIAN);
    let found = sysroot(&debian.join("rustc"), folder).is_some_and(|sysroot| has_sources(&sysroot));
    (found && debian.join("cargo").is_file()).then(|| Toolchain {
        cargo: debian.join("cargo"),
        folder: Some(debian.to_owned()),
        build_std: true,
        description: "Debian's cargo and the sources of the standard library".to_owned(),
    })
}

fn sysroot(rustc: &Path, folder: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(PathBuf::from(
        String::from_utf8(output.stdout).ok()?.trim_end(),
    ))
}

impl Toolchain {
    fn command(&self, folder: &Path) -> Command {
        let mut command = cargo_in(&self.cargo, folder);
        command.args(["--target", WASM]);
        // Vector instructions, and as little code as possible to compile when it is loaded.
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
        if self.build_std {
            command.arg("-Zbuild-std=std,panic_abort");
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        if let Some(folder) = &self.folder {
            command.env("PATH", path_with_first(folder));
            command.env_remove("RUSTC");
            command.env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }
}

fn cargo_in(cargo: &Path, folder: &Path) -> Command {
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--lib"])
        .current_dir(folder);
    // What cargo sets for programs that it runs itself is about another package; and flags and
    // targets that are meant for other builds would replace those that a plugin needs.
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

fn path_with_first(folder: &Path) -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = [folder.to_owned()]
        .into_iter()
        .chain(env::split_paths(&rest));
    // Only a folder with a colon in its name cannot be joined, and the path held none.
    env::join_paths(folders).unwrap_or(rest)
}

/// The module or library among cargo's messages, a line of JSON each.
fn plugin_among(messages: &str, folder: &Path) -> Result<Built> {
    let is_library = |message: &Value| {
        let kinds = message["target"]["kind"].as_array();
        message["reason"] == "compiler-artifact"
            && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    };
    let artifact = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .rfind(is_library);
    let file = artifact.as_ref().and_then(|message| {
        let mut files = message["filenames"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str);
        let is_plugin = |file: &&str| {
            let extension = Path::new(file).extension().unwrap_or_default();
            extension == "wasm" || extension == env::consts::DLL_EXTENSION
        };
        files.find(is_plugin).map(PathBuf::from)
    });
    let (Some(message), Some(file)) = (artifact, file) else {
        bail!(
            "{} makes no plugin: its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
            folder.display()
        );
    };
    let id = message["package_id"].as_str().unwrap_or_default();
    Ok(Built {
        package: package_name(id).to_owned(),
        file,
    })
}

/// The name in a package's identifier: `path+file:///…/folder#name@0.1.0`, or without the name where
/// it is the folder's.
fn package_name(id: &str) -> &str {
    let (place, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_names_in_their_identifiers() {
        assert_eq!(package_name("path+file:///a/b#c-d@0.1.0"), "c-d");
        assert_eq!(package_name("path+file:///a/soft-glow#0.1.0"), "soft-glow");
    }

    #[test]
    fn a_module_is_found_among_the_messages() {
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
        let found = plugin_among(&messages.join("\n"), Path::new("x")).unwrap();
        assert_eq!(
            (found.package.as_str(), found.file),
            ("x", PathBuf::from("/t/x.wasm"))
        );
        let error = plugin_among(&messages[2], Path::new("x")).err().unwrap();
        assert!(error.to_string().contains("crate-type"), "{error}");
    }
}
