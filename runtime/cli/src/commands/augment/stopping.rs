//! What a stop of the command is.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::commands::Stopped;

/// Ends the command if it was asked to stop.
pub(super) fn check_stop(stop: &AtomicBool) -> Result<()> {
    match stop.load(Ordering::Relaxed) {
        true => bail!(stopped()),
        false => Ok(()),
    }
}

pub(super) fn stopped() -> Stopped {
    Stopped("stopped; the same command continues".to_owned())
}
