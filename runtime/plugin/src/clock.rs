//! How the time of calls into plugins is measured.

use std::thread;
use std::time::Duration;

use wasmtime::Engine;

use crate::error::HostErrorKind;

/// The resolution of time limits.
const TICK: Duration = Duration::from_millis(10);

/// Advances the engine's epoch every tick, for as long as the engine exists.
///
/// Each call has its own deadline, a number of ticks after the epoch in which it begins, so one
/// call's time limit never ends another call.
pub(crate) fn start(engine: &Engine) -> Result<(), HostErrorKind> {
    let engine = engine.weak();
    let clock = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new()
        .name("faa-plugin clock".to_owned())
        .spawn(clock)
        .map_err(HostErrorKind::Clock)?;
    Ok(())
}

/// A time limit in ticks, rounded up, plus one for the tick that has already begun.
pub(crate) fn ticks(limit: Duration) -> u64 {
    const MAX: u64 = u64::MAX / 2;
    let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(MAX).min(MAX) + 1
}
