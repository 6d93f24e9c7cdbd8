//! How the time of calls into plugins is measured.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

use crate::error::HostErrorKind;

/// The resolution of time limits.
const TICK: Duration = Duration::from_millis(10);

/// Advances the epochs of engines every tick while calls run, and sleeps otherwise.
///
/// Each call has its own deadline, a number of ticks after the epoch in which it begins, so one
/// call's time limit never ends another call.
#[derive(Default)]
pub(crate) struct Clock {
    /// The calls that run, counted apart for groups of threads, which would otherwise wait for each
    /// other's caches.
    calls: [Calls; 32],
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
#[repr(align(128))]
struct Calls(AtomicUsize);

/// A call that runs, and keeps the clock awake.
pub(crate) struct Running<'a>(&'a AtomicUsize);

impl Clock {
    /// Starts the thread of a clock for these engines. It ends with the clock.
    pub(crate) fn start(engines: Vec<Engine>) -> Result<Arc<Self>, HostErrorKind> {
        let clock = Arc::new(Self::default());
        let weak = Arc::downgrade(&clock);
        let started = thread::Builder::new()
            .name("faa-plugin clock".to_owned())
            .spawn(move || run(&weak, &engines))
            .map_err(HostErrorKind::Clock)?;
        let thread = started.thread().clone();
        clock.thread.get_or_init(|| thread);
        Ok(clock)
    }

    /// Must be called before a call's deadline is set, and the result kept until the call ends.
    pub(crate) fn begin(&self) -> Running<'_> {
        let Calls(count) = &self.calls[group() % self.calls.len()];
        // This and the load below are in one order with those of `may_sleep`: either the clock sees
        // the call, or the call sees that the clock is asleep.
        count.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Running(count)
    }

    fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let is_idle = |calls: &Calls| calls.0.load(Ordering::SeqCst) == 0;
        let idle = self.calls.iter().all(is_idle);
        if !idle {
            self.asleep.store(false, Ordering::SeqCst);
        }
        idle
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.wake();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn run(clock: &Weak<Clock>, engines: &[Engine]) {
    while let Some(running) = clock.upgrade() {
        let may_sleep = running.may_sleep();
        drop(running);
        if may_sleep {
            thread::park();
        } else {
            // One tick, even if it sleeps for longer: no call may end before its limit.
            thread::sleep(TICK);
            engines.iter().for_each(Engine::increment_epoch);
        }
    }
}

/// A number that few other threads share.
fn group() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static GROUP: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    GROUP.with(|group| *group)
}

/// A time limit in ticks, rounded up, plus one for the tick that has already begun.
pub(crate) fn ticks(limit: Duration) -> u64 {
    const MAX: u64 = u64::MAX / 2;
    let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(MAX).min(MAX) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits as long as it takes; a clock that never changes would hang the test.
    fn wait_until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_clock_runs_only_while_calls_do() {
        let clock = Clock::start(vec![Engine::default()]).unwrap();
        let is_asleep = || clock.asleep.load(Ordering::SeqCst);
        for _ in 0..3 {
            wait_until(is_asleep);
            let (first, second) = (clock.begin(), clock.begin());
            drop(first);
            // Whenever it looks, it sees the second call.
            assert!(!clock.may_sleep());
            wait_until(|| !is_asleep());
            drop(second);
        }
        wait_until(is_asleep);
    }

    #[test]
    fn a_clock_s_thread_ends_with_it() {
        let engine = Engine::default();
        let weak = engine.weak();
        let clock = Clock::start(vec![engine]).unwrap();
        wait_until(|| clock.asleep.load(Ordering::SeqCst));
        drop(clock);
        wait_until(|| weak.upgrade().is_none());
    }
}
