//! `cargo xtask test`: everything that continuous integration checks.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, iter};

use anyhow::{Result, ensure};
use faa_system::{log_error, log_line};

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::{downloads, packages, python};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Check only the formatting, and run only the tests that need no libtorch.
    #[arg(long)]
    fast: bool,
    /// Use the installed Rust even if it is not the version in rust-toolchain.toml: lints, formatting and
    /// the compiler's messages may differ.
    #[arg(long)]
    any_rust: bool,
}

/// The file that names the version of Rust.
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");

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
pub(crate) fn run(host: &Host, options: &Options) -> ExitCode {
    let mut tally = Tally::default();
    let result = match options.any_rust {
        true => Ok(()),
        false => need_pinned_rust(host),
    };
    let result = result.and_then(|()| match options.fast {
        true => run_all(host, FAST, None, &mut tally),
        false => run_full(host, &mut tally),
    });
    if let Err(error) = &result {
        log_error(error.as_ref());
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

/// Fails with any Rust but that of `rust-toolchain.toml`, which rustup obeys and other installations do not.
fn need_pinned_rust(host: &Host) -> Result<()> {
    let pinned = pinned_rust();
    let output = host.cargo("--version").output();
    let current = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let current = current.unwrap_or_default();
    ensure!(
        current.split(' ').nth(1) == Some(pinned),
        "the checks are made for Rust {pinned}, but this is `{current}`: install rustup, which installs and \
         uses the version in rust-toolchain.toml, or add --any-rust to run them all the same"
    );
    Ok(())
}

fn pinned_rust() -> &'static str {
    let line = TOOLCHAIN
        .lines()
        .find_map(|it| it.strip_prefix("channel = "));
    line.expect("the file names a channel").trim_matches('"')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_rust_is_the_one_that_the_workspace_states() {
        let (minor, _) = pinned_rust().rsplit_once('.').unwrap();
        assert_eq!(minor, env!("CARGO_PKG_RUST_VERSION"));
    }

    #[cfg(unix)]
    #[test]
    fn a_different_rust_is_refused_by_its_version() {
        use std::path::PathBuf;

        use crate::host::tests::{host, script};

        let folder = tempfile::tempdir().unwrap();
        for (name, version) in [("pinned", pinned_rust()), ("other", "1.50.0")] {
            script(
                folder.path(),
                name,
                &format!("echo 'cargo {version} (f2d3ce0bd)'"),
            );
            let cargo: PathBuf = folder.path().join(name);
            let result = need_pinned_rust(&host(folder.path(), &[("CARGO", &cargo)]));
            let error = result.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(
                error.contains("this is `cargo 1.50.0"),
                name == "other",
                "{error}"
            );
        }
    }
}
