use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faa_report::page::{ReportOptions, write};

use super::print;
use crate::plugins::PluginOptions;

/// Write an HTML report of a run: configuration, curves, rewards, ops, policy, images and errors.
#[derive(Args)]
#[command(after_help = "\
The page uses no scripts and no other files. The run may be unfinished, or still in progress.
A run directory from elsewhere can name any folder on this machine, so its images are shown only
with --images N.

Examples:
  faa-runtime report runs/demo
  faa-runtime report runs/pets --images 12 --out pets.html")]
pub(crate) struct Report {
    /// Run directory of a search, a training or an audit.
    run: PathBuf,
    /// Output file [default: RUN/report.html].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Number of images to show augmented by the policy, from 0 to 50; with 0, the data set is not
    /// loaded [default: 6 for built-in data and your own runs on this machine,
    /// otherwise 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=50))]
    images: Option<u16>,
    /// Overwrite FILE even if it is not a report.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Report {
    pub(crate) fn run(self) -> Result<()> {
        let mut options = ReportOptions::default();
        options.out = self.out;
        options.ops = self.plugins.known_ops()?.ops;
        options.images = self.images.map(usize::from);
        options.overwrite = self.force;
        print(&format!("{}\n", write(&self.run, &options)?.display()))
    }
}
