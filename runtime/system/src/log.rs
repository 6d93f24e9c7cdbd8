use std::fmt;
use std::io::{self, Write};

use faa_op::text::clean_lines;

/// Writes a line to standard error, like `eprintln!`, which would panic where that fails. A message that
/// nobody can read, because the disk is full or the terminal was closed, is no reason to stop the work.
/// Names in it cannot control the terminal: it goes through
/// [`clean_lines`](faa_op::text::clean_lines).
#[macro_export]
macro_rules! log_line {
    ($($text:tt)*) => { $crate::write_log_line(format_args!($($text)*)) };
}

/// The function of [`log_line!`](crate::log_line).
#[doc(hidden)]
pub fn write_log_line(text: fmt::Arguments<'_>) {
    // One write per line, so that lines of several programs do not mix.
    let line = clean_lines(&format!("{text}\n"));
    let _ = io::stderr().write_all(line.as_bytes());
}
