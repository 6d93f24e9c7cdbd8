//! A bound on the files that wait in memory for their turn in an archive.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The encoded files that wait, in bytes. The job whose turn it is exceeds it by the files that are not taken yet.
const MAX_BYTES: usize = 256 << 20;

/// Counts the bytes that wait, and has threads wait for room.
#[derive(Default)]
pub(super) struct Held {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: usize,
    /// The job whose files are taken.
    next: u64,
    is_over: bool,
}

impl Held {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Waits until there is room for a file of this job. The one whose turn it is never waits, so others wait for
    /// work, and not for each other.
    pub(super) fn add(&self, job: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let is_full =
            |it: &mut State| it.bytes + bytes > MAX_BYTES && it.next != job && !it.is_over;
        let waited = self.changed.wait_while(self.state(), is_full);
        waited.unwrap_or_else(PoisonError::into_inner).bytes += bytes;
    }

    /// Says that these files were taken.
    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.change(|it| it.bytes -= bytes);
        }
    }

    /// Says whose turn it is.
    pub(super) fn next(&self, job: u64) {
        self.change(|it| it.next = job);
    }

    /// Says that no more files are taken.
    pub(super) fn end(&self) {
        self.change(|it| it.is_over = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_job_waits_for_room_or_for_its_turn() {
        for release in [true, false] {
            let held = Held::new();
            held.add(0, MAX_BYTES);
            // The one whose turn it is does not wait.
            held.add(0, 1);
            thread::scope(|scope| {
                let waiting = scope.spawn(|| held.add(1, 2));
                match release {
                    true => held.release(MAX_BYTES),
                    false => held.next(1),
                }
                waiting.join().unwrap();
            });
            held.end();
            held.add(7, MAX_BYTES);
        }
    }
}
