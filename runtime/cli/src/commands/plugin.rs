mod bench;
mod build;
mod check;
mod new;

use anyhow::Result;
use clap::Subcommand;

/// Create, build, check and measure plugins: custom ops in WebAssembly.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    New(new::New),
    Build(build::Build),
    Check(check::Check),
    Bench(bench::Bench),
}

impl PluginCommand {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Check(check) => check.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}
