//! `cargo xtask tables`: measures the ops beside those of other libraries, and writes the tables.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use faa_system::{log_line, programs};

use crate::host::Host;
use crate::{downloads, program, steps};

/// What measures, and where its tables are, from the root of the checkout.
const COMPARE: &str = "ops-builtin/benches/compare.py";
const TABLES: &str = "ops-builtin/BENCHMARKS.md";

/// The options of `cargo xtask tables`.
#[derive(Args)]
pub(crate) struct Options {
    /// Duration of the measurement of each rate, in seconds.
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
}

/// Builds `faa-runtime` and replaces this processor's section of the tables.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let python = downloads::python_with_numpy(host)?;
    log_line!("building faa-runtime …");
    let runtime = program::build(host, "build --release -p faa-runtime", "faa-runtime", "bin")?;
    let mut compare = programs::python(&python);
    compare
        .arg(COMPARE)
        .arg(&runtime)
        .arg(options.seconds.to_string());
    compare.args(["--write", TABLES]).current_dir(&host.root);
    steps::complete(&mut compare)?;
    Ok(ExitCode::SUCCESS)
}
