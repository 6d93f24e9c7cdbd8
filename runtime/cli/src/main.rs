//! `faa-runtime`: find, inspect and apply image-augmentation policies.
//!
//! The program starts in milliseconds, because it does not link libtorch. The commands that need
//! libtorch start a second program, `faa-runtime-torch`.

mod arguments;
mod commands;
mod display;
mod labels;
mod libtorch;
mod measure;
mod output_files;
mod overlay;
mod pictures;
mod plugins;
mod progress;
mod stop;
mod table;
mod template;
mod torch_process;
mod wasm_toolchain;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::{self, ExitCode};

use clap::{CommandFactory, Parser};
use faa_op::text::is_display_control;
use faa_system::{flush_log, log_error, log_line};

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
    let code = run();
    flush_log();
    code
}

fn run() -> ExitCode {
    let arguments = arguments::parse::<Arguments>().unwrap_or_else(|message| exit(&message));
    let Err(error) = arguments.command.run(Arguments::command) else {
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
    log_error(error.as_ref());
    ExitCode::from(match () {
        () if error.is::<commands::Usage>() => 2,
        () if error.is::<commands::InUse>() => 75,
        () => 1,
    })
}

/// Prints help or an error of the option parser, and exits.
fn exit(message: &clap::Error) -> ! {
    let is_hostile = |argument: OsString| argument.to_string_lossy().contains(is_display_control);
    if message.use_stderr() && env::args_os().any(is_hostile) {
        // The message has arguments, which a pattern of the shell may have made of the names of files.
        log_line!("{}", message.to_string().trim_end());
        flush_log();
        process::exit(message.exit_code());
    }
    // In colours.
    message.exit()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().map(io::Error::kind);
    error
        .chain()
        .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
