use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faa_search::report::{ReportOptions, write};

use super::work::print_line;
use crate::plugins::PluginOptions;

/// Write a run as one HTML page: configuration, curves, rewards, ops, policy, images, errors.
#[derive(Args)]
#[command(after_help = "\
The page needs nothing else, neither scripts nor other files. A run may be unfinished, and a search
may still be writing to it.

Examples:
  faa-runtime report runs/demo
  faa-runtime report runs/pets --images 12 --out pets.html")]
pub(crate) struct Report {
    /// The run directory.
    run: PathBuf,
    /// Where the page is written; RUN/report.html where not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Images that are shown under the policy; 0 to do without the data set.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(0..=50))]
    images: u16,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Report {
    pub(crate) fn run(self) -> Result<()> {
        let options = ReportOptions {
            out: self.out,
            ops: self.plugins.known_ops()?.ops,
            images: usize::from(self.images),
        };
        print_line(&write(&self.run, &options)?.display().to_string())
    }
}
