//! What is printed on standard error. Standard output has [`print`](crate::commands::print).

use std::env;
use std::io::{Write, stderr};
use std::process;

use faa_op::text::{clean_lines, is_display_control};

/// Prints a line. An error is ignored, because there is nowhere to report it.
pub(crate) fn note(line: &str) {
    let _ = writeln!(stderr(), "{}", clean_lines(line));
}

/// Prints help or an error of the option parser, in colours, and exits.
pub(crate) fn exit(message: &clap::Error) -> ! {
    let mut arguments = env::args_os();
    if !arguments.any(|argument| argument.to_string_lossy().contains(is_display_control)) {
        message.exit();
    }
    // The message names arguments, which a pattern of the shell may have made of the names of files.
    let _ = write!(stderr(), "{}", clean_lines(&message.to_string()));
    process::exit(message.exit_code());
}
