//! `cargo xtask ray`.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::{downloads, program, python};

/// The program with which nodes work, and what it needs.
const BUILD: &str = "build --release -p faa-runtime -p faa-torch -p faa-python --lib --bins";

/// The options of `cargo xtask ray`.
#[derive(Args)]
pub(crate) struct Options {
    /// Python with ray and pytest; repeat it for several.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: Vec<PathBuf>,
}

/// Tests the package on clusters, with each Python in turn.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let mut tally = Tally::default();
    downloads::libtorch(host)?;
    let program = steps::step("build", || {
        program::build(host, BUILD, "faa-runtime", "bin")
    })?;
    let folder = python::lay_out(host, &program)?;
    for python in &options.python {
        // Tests run in a different folder. A name without one is looked up on PATH.
        let python = match python.components().count() {
            1 => python.clone(),
            _ => env::current_dir()?.join(python),
        };
        steps::step(&format!("tests with {}", python.display()), || {
            // Its variables are also those of the processes that Ray starts.
            let pytest = downloads::python_with(&python, &[&folder])?;
            python::run_pytest(host, pytest, "tests_ray", &program, &mut tally)
        })?;
    }
    // A closed standard output is not an error.
    let _ = writeln!(io::stdout(), "{}", tally.summary());
    Ok(ExitCode::SUCCESS)
}
