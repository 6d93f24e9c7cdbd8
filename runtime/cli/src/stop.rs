//! The first Ctrl-C stops cleanly, the second at once.

use std::process;
use std::thread;

use anyhow::{Context, Result};
use faa_system::log_line;

/// Calls `ask` at the first Ctrl-C, SIGTERM or SIGHUP. It returns `false` if the program is stopping already, as
/// at the second: then `kill` is called, and the program ends.
pub(crate) fn stop_on_signal(
    mut ask: impl FnMut() -> bool + Send + 'static,
    kill: impl Fn() + Send + 'static,
) -> Result<()> {
    let stop = move || {
        if !ask() {
            kill();
            process::exit(1);
        }
        // On a thread of its own: writing may wait for a reader, and the next signal must be heard.
        thread::spawn(|| log_line!("\nstopping; press Ctrl-C again to quit immediately"));
    };
    faa_system::on_stop(stop).context("cannot listen for signals")
}
