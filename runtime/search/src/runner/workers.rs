//! Work that is done in parallel: folds, and trainings.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::{mem, panic};

use super::error::RunError;
use crate::backend::{Backend, StopFlag};
use crate::directory::RunDirectory;
use crate::event::Event;
use crate::files::Files;

/// What all workers of a run share.
pub(super) struct Workers<'a> {
    /// Where everything is written.
    directory: &'a RunDirectory,
    /// Set on request, and once a worker has failed.
    stop: StopFlag,
    observe: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
}

/// A backend at work, on a thread of its own.
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

    pub(super) fn report(&self, event: Event) {
        let mut observe = self.observe.lock().unwrap_or_else(PoisonError::into_inner);
        observe(event);
    }

    /// Does all jobs, each on the next backend that is free; the results are in the order of the jobs.
    ///
    /// # Errors
    ///
    /// A failure; the other workers are then stopped, as they are where one panics.
    pub(super) fn run_parallel<B: Backend, T: Send, R: Send>(
        &self,
        backends: &mut [B],
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(&mut Worker<'_, '_, B>, T) -> Result<R, RunError> + Sync,
    ) -> Result<Vec<R>, RunError> {
        let jobs: Vec<T> = jobs.into_iter().collect();
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let drain_queue = |backend| {
            let failure = StopOnDrop(&self.stop);
            let mut worker = Worker {
                backend,
                shared: self,
            };
            let mut done = Vec::new();
            while let Some((index, job)) = next() {
                done.push((index, work(&mut worker, job)?));
            }
            mem::forget(failure);
            Ok(done)
        };
        let ended: Vec<Result<Vec<(usize, R)>, RunError>> = thread::scope(|scope| {
            let spawn = |backend| scope.spawn(|| drain_queue(backend));
            let workers: Vec<_> = backends.iter_mut().map(spawn).collect();
            let join = |worker: ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(ended) => ended,
                Err(panic) => panic::resume_unwind(panic),
            };
            workers.into_iter().map(join).collect()
        });
        let mut done = Vec::new();
        let mut stopped = None;
        for ended in ended {
            match ended {
                Ok(results) => done.extend(results),
                // It may have been stopped by another's failure, which says more.
                Err(RunError::Stopped) => stopped = Some(RunError::Stopped),
                Err(error) => return Err(error),
            }
        }
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

/// Sets the flag where a worker ends early.
struct StopOnDrop<'a>(&'a StopFlag);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}
