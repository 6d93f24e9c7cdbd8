//! `cargo xtask parity`: the comparison of random cases with Pillow, and the
//! goldens, which are cases by Pillow that are committed.

use std::hash::{BuildHasher, RandomState};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::host::Host;
use crate::{program, python};

/// The program that makes cases, an example of `faa-tests`.
const PROGRAM: &str = "parity";

/// The scripts that run Pillow, from the root of the checkout.
const COMPARE: &str = "tests/oracle/parity.py";
const MAKE_GOLDENS: &str = "tests/oracle/make_goldens.py";

/// The goldens, from the root of the checkout.
const GOLDENS: &str = "tests/goldens/ops.txt";

/// The options of `cargo xtask parity`.
#[derive(Args)]
pub(crate) struct Options {
    /// How many cases to compare.
    #[arg(long, default_value_t = 20_000)]
    cases: u64,
    /// The seed of the cases [default: random].
    #[arg(long)]
    seed: Option<u64>,
    /// The number of the first case, to repeat one that differs.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Instead of comparing: write tests/goldens/ops.txt anew.
    #[arg(long, conflicts_with_all = ["cases", "seed", "first"])]
    write_goldens: bool,
}

/// Makes cases with our ops and hands them to Pillow, which stops at the first
/// that differs.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let mut python = python::with_pillow(host)?;
    if options.write_goldens {
        return write_goldens(host, &mut python);
    }
    eprintln!("building {PROGRAM} …");
    let build = [
        "build",
        "--release",
        "-p",
        "faa-tests",
        "--example",
        PROGRAM,
    ];
    let program = program::build(host, &build, PROGRAM, "example")?;
    // The standard library's own random keys; half of the bits are easier to
    // type again.
    let fresh = || RandomState::new().hash_one(0) >> 32;
    let seed = options.seed.unwrap_or_else(fresh);
    let mut ours = Command::new(&program);
    ours.args([seed, options.first, options.cases].map(|number| number.to_string()))
        .stdout(Stdio::piped());
    let mut ours = ours
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let cases = ours.stdout.take().context("the cases have no pipe")?;
    let compared = python.arg(host.root.join(COMPARE)).stdin(cases).status();
    // The script has ended, so nobody reads on and this program ends too.
    let made = ours.wait()?;
    if compared.context("cannot run Python")?.success() {
        ensure!(
            made.success(),
            "the program that makes the cases ended with {made}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    // The script has said itself what is wrong.
    Ok(ExitCode::FAILURE)
}

/// Has Pillow make the goldens again.
fn write_goldens(host: &Host, python: &mut Command) -> Result<ExitCode> {
    let status = python
        .args([MAKE_GOLDENS, GOLDENS])
        .current_dir(&host.root)
        .stdin(Stdio::null())
        .status()
        .context("cannot run Python")?;
    ensure!(status.success(), "{MAKE_GOLDENS} ended with {status}");
    Ok(ExitCode::SUCCESS)
}
