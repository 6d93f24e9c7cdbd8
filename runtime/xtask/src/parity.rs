//! `cargo xtask parity`: compares random cases with Pillow, and writes the goldens, which are committed
//! results of Pillow.

use std::hash::{BuildHasher, RandomState};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use faa_system::log_line;

use crate::host::Host;
use crate::{downloads, program, steps};

/// The program that generates cases, an example of `faa-tests`.
const PROGRAM: &str = "parity";

/// The scripts that run Pillow, from the root of the checkout.
const COMPARE: &str = "tests/oracle/parity.py";
const MAKE_GOLDENS: &str = "tests/oracle/make_goldens.py";

/// The goldens, from the root of the checkout. Those of markers are written beside them.
const GOLDENS: &str = "tests/goldens/ops.txt";

/// The options of `cargo xtask parity`.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of cases.
    #[arg(long, default_value_t = 20_000)]
    cases: u64,
    /// Seed of the cases [default: random].
    #[arg(long)]
    seed: Option<u64>,
    /// Index of the first case, to repeat a case that differs.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Write tests/goldens/ops.txt and markers.txt instead of comparing.
    #[arg(long, conflicts_with_all = ["cases", "seed", "first"])]
    write_goldens: bool,
}

/// Generates cases with the built-in ops and passes them to a script that compares them with Pillow, up to
/// the first that differs.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let mut python = downloads::python_with_pillow(host)?;
    if options.write_goldens {
        return write_goldens(host, &mut python);
    }
    log_line!("building {PROGRAM} …");
    let build = "build --release -p faa-tests --example parity";
    let program = program::build(host, build, PROGRAM, "example")?;
    // The standard library's hash keys are random; half of the bits are easier to type.
    let random = || RandomState::new().hash_one(0) >> 32;
    let seed = options.seed.unwrap_or_else(random);
    let mut ours = Command::new(&program);
    ours.args([seed, options.first, options.cases].map(|number| number.to_string()))
        .stdout(Stdio::piped());
    let mut ours = ours
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let cases = ours.stdout.take().context("standard output is not piped")?;
    let compared = python.arg(host.root.join(COMPARE)).stdin(cases).status();
    // The script has ended, so the pipe is closed and the generator ends too.
    let status = ours.wait()?;
    if compared.context("cannot run Python")?.success() {
        ensure!(status.success(), "{PROGRAM} ended with {status}");
        return Ok(ExitCode::SUCCESS);
    }
    // The script itself has printed the difference.
    Ok(ExitCode::FAILURE)
}

/// Writes the goldens with Pillow.
fn write_goldens(host: &Host, python: &mut Command) -> Result<ExitCode> {
    let python = python.args([MAKE_GOLDENS, GOLDENS]).current_dir(&host.root);
    steps::complete(python)?;
    Ok(ExitCode::SUCCESS)
}
