//! `faa-runtime`: find, inspect and apply image-augmentation policies.
//!
//! The program starts in milliseconds, because it does not link libtorch. The commands that need
//! libtorch start a second program, `faa-runtime-torch`.

mod arguments;
mod commands;
mod libtorch;
mod measure;
mod pictures;
mod plugins;
mod progress;
mod table;
mod template;
mod torch_process;
mod wasm_toolchain;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use faa_system::log_line;

/// Find, inspect and apply image-augmentation policies.
#[derive(Parser)]
#[command(
    name = "faa-runtime",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let Err(error) = arguments::parse::<Arguments>().command.run() else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&error) {
        // `faa-runtime ops | head` is not a failure.
        return ExitCode::SUCCESS;
    }
    if error.is::<commands::Stopped>() {
        log_line!("{error}");
        return ExitCode::FAILURE;
    }
    log_line!("error: {error}");
    for cause in error.chain().skip(1) {
        log_line!("  because: {cause}");
    }
    let wrong_usage = error.is::<commands::Usage>();
    ExitCode::from(if wrong_usage { 2 } else { 1 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().map(io::Error::kind);
    error
        .chain()
        .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
