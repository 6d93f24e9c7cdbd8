//! `cargo xtask test`: everything that continuous integration checks.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, iter};

use anyhow::Result;
use faa_system::log_line;

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::{downloads, packages, python, report};

/// The checks of `--fast`, which need no libtorch: cargo's arguments.
const FAST: &[&str] = &["fmt --all --check", "test --release --no-fail-fast"];

/// All checks, the fastest first. All use the release profile, so most dependencies of a check have been
/// compiled by those before it.
///
/// A build of the whole workspace enables the features that any package asks for, which hides that another
/// package does not ask for a feature that it needs. So each library is also checked alone.
#[rustfmt::skip]
const ALL: &[&str] = &[
    "fmt --all --check",
    "clippy --release --workspace --all-targets --features faa-tests/torch,faa-capi/plugins -- -D warnings",
    "doc --release --workspace --no-deps",
    "check --release -p faa-op",
    "check --release -p faa-ops-builtin",
    "check --release -p faa-policy --no-default-features",
    "check --release -p faa-policy --no-default-features --features rayon",
    "check --release -p faa-policy",
    "test --release -p faa-policy --all-features --no-fail-fast",
    "check --release -p faa-data",
    "check --release -p faa-search",
    "check --release -p faa-report",
    "check --release -p faa-plugin-sdk --no-default-features",
    "test --release -p faa-plugin-sdk --all-features --no-fail-fast",
    // The C library as it is by default. The last test is that of the one with plugins.
    "test --release -p faa-capi --no-fail-fast",
    "test --release --workspace --doc --no-fail-fast",
    // `--all-targets` would run the benchmarks too.
    "test --release --workspace --lib --bins --tests --examples --features faa-tests/torch,faa-capi/plugins --no-fail-fast",
];

/// Runs the checks up to the first that fails, and prints the numbers of passed and failed tests.
pub(crate) fn run(host: &Host, fast: bool) -> ExitCode {
    warn_of_other_toolchain(host);
    let mut tally = Tally::default();
    let result = if fast {
        run_all(host, FAST, None, &mut tally)
    } else {
        run_full(host, &mut tally)
    };
    if let Err(error) = &result {
        report(error);
        // The set-up can fail before any check has counted a failure.
        tally.failed = tally.failed.max(1);
    }
    let _ = writeln!(io::stdout(), "{}", tally.summary());
    if result.is_ok() && tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a note if the compiler is not of the version with which the checks pass: lints differ between
/// versions. `rust-toolchain.toml` says why the version is not pinned.
fn warn_of_other_toolchain(host: &Host) {
    let known = env!("CARGO_PKG_RUST_VERSION");
    let output = host.cargo("--version").output();
    let current = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let current = current.unwrap_or_default();
    if !current.starts_with(&format!("cargo {known}.")) {
        log_line!("note: the checks pass with Rust {known}, but this is {current}");
    }
}

fn run_full(host: &Host, tally: &mut Tally) -> Result<()> {
    steps::step("licences and duplicates", || {
        if let Err(reason) = host.need_linux_x86_64("but cargo-deny can be downloaded") {
            log_line!("skipped: {reason}");
            return Ok(());
        }
        let mut deny = Command::new(downloads::cargo_deny(host)?);
        deny.args(["check", "licenses", "bans", "sources"]);
        steps::run(deny.current_dir(&host.root), &mut io::stdout(), tally)
    })?;
    let libtorch = steps::step("libtorch", || {
        host.need_cxx()?;
        downloads::libtorch(host)
    })?;
    run_all(host, ALL, Some(&libtorch.join("lib")), tally)?;
    steps::step("Python", || python::check(host, tally))?;
    steps::step("packages", || packages::check(host, tally))
}

fn run_all(
    host: &Host,
    checks: &[&str],
    libraries: Option<&Path>,
    tally: &mut Tally,
) -> Result<()> {
    for check in checks {
        steps::step(&format!("cargo {check}"), || {
            let mut command = host.cargo(check);
            if check.starts_with("doc ") {
                command.env("RUSTDOCFLAGS", "-D warnings");
            }
            // Lets all tests find libtorch. faa-torch writes the library's path into its own programs and
            // tests, but not into its documentation's examples or the tests of other packages.
            if let Some(folder) = libraries {
                let others = host.variable("LD_LIBRARY_PATH").unwrap_or_default();
                let folders = iter::once(folder.to_owned()).chain(env::split_paths(others));
                command.env("LD_LIBRARY_PATH", env::join_paths(folders)?);
            }
            steps::run(&mut command, &mut io::stdout(), tally)
        })?;
    }
    Ok(())
}
