use std::error::Error;
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

/// Writes an error and its causes to standard error, one per line, as [`log_line!`](crate::log_line) does.
pub fn log_error(error: &(dyn Error + 'static)) {
    crate::log_line!("error: {error}");
    let mut causes = error.source();
    while let Some(cause) = causes {
        crate::log_line!("  because: {cause}");
        causes = cause.source();
    }
}

/// The function of [`log_line!`](crate::log_line).
#[doc(hidden)]
pub fn write_log_line(text: fmt::Arguments<'_>) {
    // One write per line, so that lines of several programs do not mix.
    let line = clean_lines(&format!("{text}\n"));
    let _ = io::stderr().write_all(line.as_bytes());
}
