//! Rust toolchains that build for a different platform than this one.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use faa_system::log_line;
use faa_system::programs::{ANSWER_TIME, answer};

use crate::host::Host;

/// The folder of Debian's cargo and rustc.
const DEBIAN: &str = "/usr/bin";

/// How long rustup may take to download a standard library.
const DOWNLOAD_TIME: Duration = Duration::from_secs(300);

/// A way to build for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The cargo of this checkout, whose toolchain has the target's standard library.
    Target,
    /// The same cargo, which builds the standard library from its sources too.
    Sources,
    /// Debian's cargo, which does the same.
    Debian,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "cargo and the target's standard library",
            Self::Sources => "cargo and the sources of the standard library",
            Self::Debian => "Debian's cargo and the sources of the standard library",
        })
    }
}

impl Toolchain {
    /// Finds a toolchain for a target. If its standard library is missing, asks rustup to install it.
    pub(crate) fn find(host: &Host, target: &str) -> Result<Self> {
        let library = format!("lib/rustlib/{target}/lib");
        if has(host, "rustc", &library) {
            return Ok(Self::Target);
        }
        log_line!("asking rustup for the target {target}");
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", target]);
        let _ = answer(rustup.current_dir(&host.root), DOWNLOAD_TIME);
        const SOURCES: &str = "lib/rustlib/src/rust/library/std";
        let debian = Path::new(DEBIAN).join("rustc");
        let ways = [
            (Self::Target, Path::new("rustc"), library.as_str()),
            (Self::Sources, Path::new("rustc"), SOURCES),
            (Self::Debian, &debian, SOURCES),
        ];
        let found = ways
            .into_iter()
            .find(|(_, rustc, folder)| has(host, rustc, folder));
        let Some((found, ..)) = found else {
            bail!(
                "no installed Rust toolchain builds for {target}: run `rustup target add {target}`, or \
                 `rustup component add rust-src`, or on Debian \
                 `apt-get install rustc-web cargo-web rust-web-src`"
            );
        };
        Ok(found)
    }

    /// A cargo command for the target, in the root of the checkout, with arguments that are separated by spaces.
    pub(crate) fn cargo(self, host: &Host, target: &str, arguments: &str) -> Command {
        let mut command = host.cargo(arguments);
        if self == Self::Debian {
            let mut debian = Command::new(Path::new(DEBIAN).join("cargo"));
            debian.args(command.get_args()).current_dir(&host.root);
            // Those of this process name the compiler and the libraries of a different toolchain.
            for name in [
                "CARGO",
                "RUSTC",
                "RUSTDOC",
                "RUSTUP_TOOLCHAIN",
                "LD_LIBRARY_PATH",
            ] {
                debian.env_remove(name);
            }
            let mut path = OsString::from(format!("{DEBIAN}:"));
            path.push(host.variable("PATH").unwrap_or_default());
            debian.env("PATH", path).env("PYO3_NO_PYTHON", "1");
            command = debian;
        }
        command.args(["--target", target]);
        if self != Self::Target {
            command.arg("-Zbuild-std").env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}

/// Whether the toolchain of a `rustc` has a folder.
fn has(host: &Host, rustc: impl AsRef<Path>, folder: &str) -> bool {
    let mut command = Command::new(rustc.as_ref());
    command.args(["--print", "sysroot"]).current_dir(&host.root);
    let sysroot = answer(&mut command, ANSWER_TIME);
    sysroot.is_ok_and(|printed| PathBuf::from(printed.trim_end()).join(folder).is_dir())
}
