//! Runs folds and trainings in parallel.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::{mem, panic};

use super::error::{RunError, RunErrorKind};
use crate::backend::{Backend, StopFlag};
use crate::directory::RunDirectory;
use crate::event::Event;
use crate::files::Files;

/// The state that all workers of a run share.
pub(super) struct Workers<'a> {
    directory: &'a RunDirectory,
    /// Set on request, or when a worker fails.
    stop: StopFlag,
    observe: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
}

/// A backend with a thread of its own.
pub(super) struct Worker<'w, 'a, B> {
    pub(super) backend: &'w mut B,
    shared: &'w Workers<'a>,
}

impl<'w, 'a, B> Worker<'w, 'a, B> {
    pub(super) fn directory(&self) -> &'a RunDirectory {
        self.shared.directory
    }

    pub(super) fn files(&self) -> &'a Files {
        self.shared.directory.files()
    }

    pub(super) fn stop(&self) -> &'w StopFlag {
        &self.shared.stop
    }

    pub(super) fn report(&self, event: Event) {
        self.shared.report(event);
    }
}

impl<'a> Workers<'a> {
    pub(super) fn new(
        directory: &'a RunDirectory,
        stop: &StopFlag,
        observe: &'a mut (dyn FnMut(Event) + Send),
    ) -> Self {
        Self {
            directory,
            stop: stop.child(),
            observe: Mutex::new(observe),
        }
    }

    pub(super) fn directory(&self) -> &'a RunDirectory {
        self.directory
    }

    pub(super) fn report(&self, event: Event) {
        let mut observe = self.observe.lock().unwrap_or_else(PoisonError::into_inner);
        observe(event);
    }

    /// Does all jobs, each on the next free backend. The results are in the order of the jobs.
    ///
    /// # Errors
    ///
    /// The first failure in the order of the backends. A failure or panic stops the other workers.
    pub(super) fn run_parallel<B: Backend, T: Send, R: Send>(
        &self,
        backends: &mut [B],
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(&mut Worker<'_, '_, B>, T) -> Result<R, RunError> + Sync,
    ) -> Result<Vec<R>, RunError> {
        self.run_and_help(backends, jobs, work, |_| ())
    }

    /// As [`run_parallel`](Self::run_parallel); a worker for which no job is left helps the others.
    pub(super) fn run_and_help<B: Backend, T: Send, R: Send>(
        &self,
        backends: &mut [B],
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(&mut Worker<'_, '_, B>, T) -> Result<R, RunError> + Sync,
        help: impl Fn(&mut Worker<'_, '_, B>) + Sync,
    ) -> Result<Vec<R>, RunError> {
        let jobs: Vec<T> = jobs.into_iter().collect();
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let drain_queue = |backend| {
            let stop_on_failure = StopOnDrop(&self.stop);
            let mut worker = Worker {
                backend,
                shared: self,
            };
            let mut done = Vec::new();
            while let Some((index, job)) = next() {
                done.push((index, work(&mut worker, job)?));
            }
            help(&mut worker);
            mem::forget(stop_on_failure);
            Ok(done)
        };
        let results: Vec<Result<Vec<(usize, R)>, RunError>> = thread::scope(|scope| {
            let spawn = |backend| scope.spawn(|| drain_queue(backend));
            let workers: Vec<_> = backends.iter_mut().map(spawn).collect();
            let join = |worker: ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(result) => result,
                Err(panic) => panic::resume_unwind(panic),
            };
            workers.into_iter().map(join).collect()
        });
        let mut done = Vec::new();
        let mut stopped = Ok(());
        for result in results {
            match result {
                Ok(results) => done.extend(results),
                // It may have been stopped by the failure of a different worker, which is more useful.
                Err(error) if error.kind() == RunErrorKind::Stopped => stopped = Err(error),
                Err(error) => return Err(error),
            }
        }
        stopped?;
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

/// Sets the flag when it is dropped, by an error or a panic.
pub(super) struct StopOnDrop<'a>(pub(super) &'a StopFlag);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}
