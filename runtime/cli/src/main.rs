//! `faa-runtime`: find, inspect and apply image-augmentation policies.
//!
//! The program starts in milliseconds, because it does not link libtorch. The commands that need
//! libtorch start a second program, `faa-runtime-torch`.

/// Replaces the standard macro in this program: names and messages of strangers are cleaned, and a closed
/// standard error is no panic.
macro_rules! eprintln {
    ($($format:tt)*) => { $crate::terminal::note(&format!($($format)*)) };
}

mod arguments;
mod commands;
mod libtorch;
mod measure;
mod pictures;
mod plugins;
mod progress;
mod table;
mod template;
mod terminal;
mod torch_process;
mod wasm_toolchain;

use std::io;
use std::process::ExitCode;

use clap::Parser;

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
    let arguments = Arguments::try_parse().unwrap_or_else(|message| terminal::exit(&message));
    let Err(error) = arguments.command.run() else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&error) {
        // `faa-runtime ops | head` is not a failure.
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
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
