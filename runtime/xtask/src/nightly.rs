//! `cargo xtask fuzz` and `cargo xtask miri`, which need a nightly compiler.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::host::Host;
use crate::steps;

/// The package of the fuzz targets; path from the root of the checkout.
const FUZZ: &str = "tests/fuzz";

/// The fuzzer's dictionary for targets that read JSON.
const DICTIONARY: &str = "tests/fuzz/json.dict";

/// Miri's command: it tests the packages with unsafe code, and `faa-policy`, which uses them. The target is
/// fixed, because Miri can interpret it on every machine.
const MIRI: &str = "miri test --target x86_64-unknown-linux-gnu --no-fail-fast \
                    -p faa-op -p faa-ops-builtin -p faa-policy";

/// In Miri, a program detects only the SIMD instructions that it was compiled for. With these, the ops run
/// at all levels, the lowest of which uses none.
const BEST_LEVEL: &str =
    "-Ctarget-feature=+avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vbmi";

/// The options of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct FuzzOptions {
    /// Fuzz target [default: all, one after the other].
    target: Option<String>,
    /// Duration per target, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs fuzz targets up to the first finding.
pub(crate) fn fuzz(host: &Host, options: &FuzzOptions) -> Result<ExitCode> {
    need(host, "fuzz", "cargo install cargo-fuzz")?;
    let listed = nightly(host, "fuzz list --fuzz-dir tests/fuzz").output()?;
    ensure!(listed.status.success(), "cannot list the fuzz targets");
    let listed = String::from_utf8(listed.stdout)?;
    let mut targets: Vec<&str> = listed.lines().collect();
    if let Some(wanted) = &options.target {
        let all = targets.join(", ");
        targets.retain(|target| target == wanted);
        ensure!(
            !targets.is_empty(),
            "there is no fuzz target {wanted}; the targets are {all}"
        );
    }
    for target in targets {
        steps::step(target, || fuzz_one(host, target, options.seconds))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fuzz_one(host: &Host, target: &str, seconds: u32) -> Result<()> {
    let folder = |kind: &str| format!("{FUZZ}/{kind}/{target}");
    let corpus = folder("corpus");
    std::fs::create_dir_all(host.root.join(&corpus))
        .with_context(|| format!("cannot create the folder {corpus}"))?;
    let mut command = nightly(host, "fuzz run --fuzz-dir tests/fuzz");
    command.args([target, &corpus]);
    let [seeds, regressions] = ["seeds", "regressions"].map(folder);
    let inputs = [&seeds, &regressions].into_iter();
    command.args(inputs.filter(|folder| host.root.join(folder).is_dir()));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    // A policy of the maximum size may take longer, but the fuzzer does not generate one.
    command.args(["-timeout=20", "-print_final_stats=1"]);
    if host.root.join(&seeds).is_dir() {
        command.arg(format!("-dict={DICTIONARY}"));
    } else {
        // The bytes are numbers and not text, so there is no reason to begin with short inputs.
        command.args(["-max_len=512", "-len_control=0"]);
    }
    // The fuzzer itself prints the path of the input and how to repeat it.
    steps::complete(&mut command)
}

/// Runs the tests of the packages with unsafe code in Miri.
pub(crate) fn miri(host: &Host) -> Result<ExitCode> {
    let install = "rustup component add miri rust-src --toolchain nightly";
    need(host, "miri", install)?;
    let mut command = nightly(host, MIRI);
    // Proptest reads recorded failures from the source folder. The user's flags come last.
    let mut flags = OsString::from("-Zmiri-disable-isolation ");
    flags.push(host.variable("MIRIFLAGS").unwrap_or_default());
    command
        .env("MIRIFLAGS", flags)
        .env("RUSTFLAGS", BEST_LEVEL)
        .env("RUSTDOCFLAGS", BEST_LEVEL)
        .env("PROPTEST_CASES", "2");
    steps::complete(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// A command of nightly cargo, in the root of the checkout, with arguments that are separated by spaces.
fn nightly(host: &Host, arguments: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo"])
        .args(arguments.split(' '))
        .current_dir(&host.root)
        // They name the toolchain that built this program.
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .stdin(Stdio::null());
    command
}

/// Fails early if a command of nightly cargo is not installed, and names the command that installs it.
fn need(host: &Host, command: &str, install: &str) -> Result<()> {
    let nightly_runs = runs(&mut nightly(host, "--version"));
    ensure!(
        nightly_runs,
        "no nightly Rust: rustup toolchain install nightly"
    );
    let command_runs = runs(&mut nightly(host, &format!("{command} --version")));
    ensure!(command_runs, "`cargo {command}` is missing: {install}");
    Ok(())
}

/// Whether a command exists and succeeds.
fn runs(command: &mut Command) -> bool {
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;

    #[test]
    fn the_dictionary_and_the_targets_exist() {
        let root = Host::of_process().root;
        assert!(root.join(DICTIONARY).is_file());
        assert!(root.join(FUZZ).join("Cargo.toml").is_file());
    }

    #[test]
    fn a_missing_command_does_not_run() {
        assert!(!runs(&mut Command::new("no-such-program")));
        let folder = tempfile::tempdir().unwrap();
        let command = nightly(&host(folder.path(), &[]), "fuzz list");
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["run", "nightly", "cargo", "fuzz", "list"]);
    }
}
