use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use faa_op::text::clean_lines;

/// The maximum number of lines that wait for a reader that has paused. Later ones are counted.
const MAX_UNWRITTEN: usize = 100_000;

/// How long a line may take to be written before its writer goes on without it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Writes a line to standard error, like `eprintln!`, which would panic where that fails. A message that
/// nobody can read, because the disk is full or the terminal was closed, is no reason to stop the work;
/// nor is a reader that has paused, so a line that cannot be written now is written later, in order.
/// Before a program ends, it calls [`flush_log`](crate::flush_log). Names in the line cannot control the
/// terminal: it goes through [`clean_lines`](faa_op::text::clean_lines).
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

/// A thread writes the lines, since a write to a full pipe lasts until somebody reads.
static WRITER: LazyLock<Option<Sender<String>>> = LazyLock::new(|| {
    let (sender, lines) = mpsc::channel::<String>();
    let write = move || {
        for line in lines {
            write(&line);
            let mut unwritten = unwritten();
            unwritten.lines -= 1;
            if unwritten.lines == 0 && unwritten.left_out > 0 {
                let left_out = mem::take(&mut unwritten.left_out);
                write(&format!("({left_out} further lines were left out)\n"));
            }
            WRITTEN.notify_all();
        }
    };
    thread::Builder::new().spawn(write).ok().map(|_| sender)
});

/// The lines that the thread has not written.
static UNWRITTEN: Mutex<Unwritten> = Mutex::new(Unwritten {
    lines: 0,
    left_out: 0,
});
static WRITTEN: Condvar = Condvar::new();

struct Unwritten {
    lines: usize,
    /// How many more there would be.
    left_out: usize,
}

/// The function of [`log_line!`](crate::log_line).
#[doc(hidden)]
pub fn write_log_line(text: fmt::Arguments<'_>) {
    // One write per line, so that lines of several programs do not mix.
    let line = clean_lines(&format!("{text}\n"));
    let Some(writer) = &*WRITER else {
        return write(&line);
    };
    let mut unwritten = unwritten();
    if unwritten.lines >= MAX_UNWRITTEN {
        unwritten.left_out += 1;
        return;
    }
    let is_behind = unwritten.lines > 0;
    unwritten.lines += 1;
    // The thread ends with the program.
    let _ = writer.send(line);
    if !is_behind {
        // As a rule it is written at once, and what is printed otherwise comes after it.
        let waited = WRITTEN.wait_timeout_while(unwritten, PATIENCE, |it| it.lines > 0);
        drop(waited);
    }
}

/// Waits until all lines of [`log_line!`](crate::log_line) are written, or cannot be: without end if a pipe
/// is full and its reader neither reads nor closes it.
pub fn flush_log() {
    let all = WRITTEN.wait_while(unwritten(), |it| it.lines > 0);
    drop(all);
}

fn write(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

fn unwritten() -> MutexGuard<'static, Unwritten> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}
