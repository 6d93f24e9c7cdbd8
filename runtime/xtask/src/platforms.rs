//! `cargo xtask platforms`: what compiles for Windows and macOS.

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use faa_system::log_line;

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::toolchain::Toolchain;

/// Each platform, and the packages that are checked there beside [`PACKAGES`].
const PLATFORMS: &[&str] = &[
    "x86_64-pc-windows-msvc",
    "x86_64-pc-windows-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
];

/// What compiles on each: all libraries that need no C compiler.
const PACKAGES: &[&str] = &[
    "faa-op",
    "faa-ops-builtin",
    "faa-policy",
    "faa-plugin-sdk",
    "faa-system",
    "faa-data",
    "faa-search",
    "faa-report",
    "faa-capi",
];

/// Checks the packages on each platform, without linking or running anything.
pub(crate) fn run(host: &Host) -> Result<ExitCode> {
    for platform in PLATFORMS {
        steps::step(platform, || {
            let toolchain = Toolchain::find(host, platform)?;
            log_line!("checking with {toolchain}");
            let mut check = toolchain.cargo(host, platform, "check --release --lib");
            check.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
            steps::run(&mut check, &mut io::stdout(), &mut Tally::default())
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
