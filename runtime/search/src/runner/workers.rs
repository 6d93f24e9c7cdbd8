//! Runs folds and trainings in parallel.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::{mem, panic};

use faa_policy::Policy;

use super::error::{RunError, RunErrorKind};
use crate::backend::{Backend, StopFlag};
use crate::directory::RunDirectory;
use crate::environment::Environment;
use crate::event::Event;
use crate::files::{FileError, Files};
use crate::job_lock::JobLock;
use crate::layout::TrainingId;

/// The state that all workers of a run share.
pub(super) struct Workers<'a> {
    directory: &'a RunDirectory,
    /// Set on request, or when a worker fails.
    stop: StopFlag,
    environment: &'a Environment,
    /// Whether it is reported for each job that it continues in a different environment.
    reports_environments: bool,
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

    /// Locks a job for this process, and records who works on it. `policy` is what its training depends on
    /// besides the run.
    pub(super) fn begin(
        &self,
        job: TrainingId,
        policy: Option<&Policy>,
    ) -> Result<JobLock<'a>, FileError> {
        let (directory, environment) = (self.directory(), self.shared.environment);
        let (lock, before) = directory.begin(job, policy, environment)?;
        if !lock.is_locked() && directory.is_for_job() {
            let run = directory.path().to_owned();
            self.report(Event::NotLocked { run });
        }
        if let Some(recorded) = before.filter(|_| self.shared.reports_environments)
            && recorded != *environment
        {
            let (recorded, current) = (Box::new(recorded), Box::new(environment.clone()));
            self.report(Event::EnvironmentChanged { recorded, current });
        }
        Ok(lock)
    }

    /// Checks that a job was done with this policy, and with what this run depends on.
    pub(super) fn check_inputs(
        &self,
        job: TrainingId,
        policy: Option<&Policy>,
    ) -> Result<(), FileError> {
        let build = &self.shared.environment.build;
        self.directory().check_inputs(job, policy, build).map(drop)
    }
}

impl<'a> Workers<'a> {
    pub(super) fn new(
        directory: &'a RunDirectory,
        stop: &StopFlag,
        (environment, reports_environments): (&'a Environment, bool),
        observe: &'a mut (dyn FnMut(Event) + Send),
    ) -> Self {
        Self {
            directory,
            stop: stop.child(),
            environment,
            reports_environments,
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
    /// The first failure in the order of the backends. A failure or panic stops the other workers, but not that
    /// a different process works on a job: all other jobs are then done first.
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
            let (mut done, mut in_use) = (Vec::new(), Ok(()));
            while let Some((index, job)) = next() {
                match work(&mut worker, job) {
                    Ok(result) => done.push((index, result)),
                    Err(error) if error.kind() == RunErrorKind::InUse => in_use = Err(error),
                    Err(error) => return Err(error),
                }
            }
            help(&mut worker);
            mem::forget(stop_on_failure);
            in_use.map(|()| done)
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
        let (mut stopped, mut in_use) = (Ok(()), Ok(()));
        for result in results {
            match result {
                Ok(results) => done.extend(results),
                Err(error) if error.kind() == RunErrorKind::InUse => in_use = Err(error),
                // It may have been stopped by the failure of a different worker, which is more useful.
                Err(error) if error.kind() == RunErrorKind::Stopped => stopped = Err(error),
                Err(error) => return Err(error),
            }
        }
        stopped.and(in_use)?;
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
