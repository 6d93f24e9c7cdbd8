//! `cargo xtask parity`: compares random cases with Pillow, and writes the goldens, which are committed
//! results of Pillow.

use std::hash::{BuildHasher, RandomState};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use faa_system::log_line;

use crate::host::Host;
use crate::{downloads, program, steps};

/// The program that generates cases, an example of `faa-tests`, and cargo's arguments that build it.
pub(crate) const PROGRAM: &str = "parity";
pub(crate) const BUILD: &str = "build --release -p faa-tests --example parity";

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
    if options.write_goldens {
        return write_goldens(host);
    }
    // Before the build: it may be missing.
    downloads::python_with_pillow(host)?;
    log_line!("building {PROGRAM} …");
    let program = program::build(host, BUILD, PROGRAM, "example")?;
    let cases = Cases {
        seed: options.seed.unwrap_or_else(random_seed),
        first: options.first,
        count: options.cases,
    };
    Ok(match compare(host, Command::new(program), &cases)? {
        true => ExitCode::SUCCESS,
        // The script itself has printed the difference.
        false => ExitCode::FAILURE,
    })
}

/// Which cases are compared.
pub(crate) struct Cases {
    seed: u64,
    first: u64,
    count: u64,
}

impl Cases {
    /// New ones.
    pub(crate) fn random(count: u64) -> Self {
        let seed = random_seed();
        Self {
            seed,
            first: 0,
            count,
        }
    }
}

fn random_seed() -> u64 {
    // The standard library's hash keys are random; half of the bits are easier to type.
    RandomState::new().hash_one(0) >> 32
}

/// Whether the cases that a command of the program generates have Pillow's results.
pub(crate) fn compare(host: &Host, mut ours: Command, cases: &Cases) -> Result<bool> {
    let mut python = downloads::python_with_pillow(host)?;
    ours.args([cases.seed, cases.first, cases.count].map(|number| number.to_string()))
        .stdout(Stdio::piped());
    let mut ours = ours.spawn().context("cannot run the program")?;
    let cases = ours.stdout.take().context("standard output is not piped")?;
    let compared = python.arg(host.root.join(COMPARE)).stdin(cases).status();
    // The script has ended, so the pipe is closed and the generator ends too.
    let status = ours.wait()?;
    let equal = compared.context("cannot run Python")?.success();
    ensure!(!equal || status.success(), "{PROGRAM} ended with {status}");
    Ok(equal)
}

/// Writes the goldens with Pillow.
fn write_goldens(host: &Host) -> Result<ExitCode> {
    let mut python = downloads::python_with_pillow(host)?;
    let python = python.args([MAKE_GOLDENS, GOLDENS]);
    steps::complete(python.current_dir(&host.root))?;
    Ok(ExitCode::SUCCESS)
}
