use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Interrupts a run at one of its writes, as a kill or a power cut would; for tests.
///
/// Writes are counted from 0 over all threads. The interrupted write leaves what a kill in its middle
/// can leave: half a line in a log, or half a new file beside the old one. It and all later writes
/// fail, since a killed process would make none.
#[derive(Clone, Debug, Default)]
pub struct FaultPoint(Option<Arc<Countdown>>);

#[derive(Debug)]
struct Countdown {
    writes: AtomicUsize,
    cut_at: usize,
}

impl FaultPoint {
    /// Interrupts the write with this number.
    pub fn at_write(number: usize) -> Self {
        Self(Some(Arc::new(Countdown {
            writes: AtomicUsize::new(0),
            cut_at: number,
        })))
    }

    /// Whether the write was interrupted.
    pub fn was_reached(&self) -> bool {
        let reached = |it: &Arc<Countdown>| it.writes.load(Ordering::Relaxed) > it.cut_at;
        self.0.as_ref().is_some_and(reached)
    }

    /// Counts a write. Fails if it is interrupted, after `tear` has left half of it.
    pub(super) fn pass(&self, tear: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let Some(countdown) = &self.0 else {
            return Ok(());
        };
        let number = countdown.writes.fetch_add(1, Ordering::Relaxed);
        if number < countdown.cut_at {
            return Ok(());
        }
        if number == countdown.cut_at {
            tear()?;
        }
        Err(io::Error::other("interrupted by a fault point"))
    }
}
