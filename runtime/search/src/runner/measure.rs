//! Measures how fast several backends are in parallel.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::workers::StopOnDrop;
use crate::backend::{Backend, BackendError, BackendErrorKind, StopFlag};
use crate::config::TrainingConfig;
use crate::results::{JobRates, Rates};

/// A higher number of jobs must be faster by this factor for a yet higher one to be tried.
const MIN_GAIN: f64 = 1.05;

/// The rates of each of these numbers of jobs.
pub(super) fn rates_of<B: Backend>(
    counts: &[usize],
    backends: &mut [B],
    training: &TrainingConfig,
    stop: &StopFlag,
) -> Result<Vec<JobRates>, BackendError> {
    measured(backends, training, stop, |measure| {
        let counts = counts.iter();
        counts
            .map(|jobs| Ok(JobRates::new(*jobs, measure(*jobs)?)))
            .collect()
    })
}

/// The rates of `first` jobs, of twice as many, and so on, up to all backends, for as long as more jobs
/// take less time: `seconds` is the duration of the work at given rates. Numbers of jobs that need more
/// memory than there is are left out.
pub(super) fn rates_while_faster<B: Backend>(
    first: usize,
    seconds: impl Fn(Rates) -> f64,
    backends: &mut [B],
    training: &TrainingConfig,
    stop: &StopFlag,
) -> Result<Vec<JobRates>, BackendError> {
    let max = backends.len();
    measured(backends, training, stop, |measure| {
        let mut jobs = first.min(max);
        let mut all = vec![JobRates::new(jobs, measure(jobs)?)];
        let mut before = seconds(all[0].rates);
        while jobs < max {
            jobs = (2 * jobs).min(max);
            let rates = match measure(jobs) {
                Err(error) if error.kind() == BackendErrorKind::OutOfMemory => break,
                rates => rates?,
            };
            all.push(JobRates::new(jobs, rates));
            let now = seconds(rates);
            if before / now < MIN_GAIN {
                break;
            }
            before = now;
        }
        Ok(all)
    })
}

/// Calls `choose` with a function that measures a number of jobs in parallel, and returns their rates
/// together.
///
/// Each backend has one thread for all measurements, because libraries keep for each thread what they
/// have prepared, such as cuDNN its choice of algorithms. So it is prepared once.
fn measured<B: Backend, R>(
    backends: &mut [B],
    training: &TrainingConfig,
    stop: &StopFlag,
    choose: impl FnOnce(&mut dyn FnMut(usize) -> Result<Rates, BackendError>) -> Result<R, BackendError>,
) -> Result<R, BackendError> {
    // It waits for all threads, and panics if one has panicked.
    thread::scope(|scope| {
        let threads = backends.iter_mut().map(|backend: &mut B| {
            let (sender, measurements) = channel::<Measurement>();
            scope.spawn(move || {
                for measurement in measurements {
                    measurement.take(backend, training);
                }
            });
            sender
        });
        let threads: Vec<_> = threads.collect();
        choose(&mut |jobs| {
            let (sender, rates) = channel();
            let measurement = Measurement {
                in_step: Arc::new(InStep::new(jobs)),
                stop: stop.child(),
                rates: sender,
            };
            for thread in &threads[..jobs] {
                let sent = thread.send(measurement.clone());
                sent.map_err(|_| BackendError::other("a backend has panicked"))?;
            }
            drop(measurement);
            total(rates, jobs)
        })
    })
}

/// The rates of all backends together.
fn total(rates: Receiver<Result<Rates, BackendError>>, jobs: usize) -> Result<Rates, BackendError> {
    let (rates, errors): (Vec<_>, Vec<_>) = rates.into_iter().partition(Result::is_ok);
    // A failure stops the other backends, and a lack of memory may be the cause of different failures.
    let relevance = |error: &BackendError| match error.kind() {
        BackendErrorKind::Stopped => 0,
        BackendErrorKind::OutOfMemory => 2,
        _ => 1,
    };
    if let Some(error) = (errors.into_iter().filter_map(Result::err)).max_by_key(relevance) {
        return Err(error);
    }
    if rates.len() < jobs {
        return Err(BackendError::other("a backend has panicked"));
    }
    let sum =
        |sum: Rates, one: Rates| Rates::new(sum.train + one.train, sum.classify + one.classify);
    Ok((rates.into_iter().flatten()).fold(Rates::new(0.0, 0.0), sum))
}

/// A measurement in which several backends take part.
#[derive(Clone)]
struct Measurement {
    in_step: Arc<InStep>,
    /// Set on request, or when a backend fails.
    stop: StopFlag,
    rates: Sender<Result<Rates, BackendError>>,
}

impl Measurement {
    fn take<B: Backend>(self, backend: &mut B, training: &TrainingConfig) {
        let member = Member(&self.in_step);
        // Dropped before `member`, so that nobody who waits for this thread goes on measuring.
        let stop_on_failure = StopOnDrop(&self.stop);
        let rates = backend.rates(training, &self.stop, &|| self.in_step.wait());
        if rates.is_ok() {
            mem::forget(stop_on_failure);
        }
        drop(member);
        // Nobody receives it if a different thread could not be reached.
        let _ = self.rates.send(rates);
    }
}

/// Lets threads wait until all others have come as far, as [`std::sync::Barrier`] does, but not for those
/// that have ended.
struct InStep {
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    members: usize,
    waiting: usize,
    /// How often all of them were released.
    releases: usize,
}

impl InStep {
    fn new(members: usize) -> Self {
        let state = State {
            members,
            waiting: 0,
            releases: 0,
        };
        Self {
            state: Mutex::new(state),
            released: Condvar::new(),
        }
    }

    /// Waits until all members wait.
    fn wait(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        let releases = state.releases;
        self.release_if_complete(&mut state);
        let waits = |state: &mut State| state.releases == releases;
        let end = self.released.wait_while(state, waits);
        drop(end.unwrap_or_else(PoisonError::into_inner));
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.members -= 1;
        self.release_if_complete(&mut state);
    }

    fn release_if_complete(&self, state: &mut State) {
        if state.waiting == state.members {
            state.waiting = 0;
            state.releases += 1;
            self.released.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves when it is dropped, also by a panic.
struct Member<'a>(&'a InStep);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
