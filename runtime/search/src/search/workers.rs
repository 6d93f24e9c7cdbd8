//! Work that is done side by side: folds, and trainings.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::{mem, panic};

use super::SearchError;
use crate::event::Event;
use crate::judge::{Judge, StopFlag};
use crate::run::RunDirectory;

/// What all workers of a run share.
pub(crate) struct Shared<'a> {
    /// Where everything is written.
    pub(crate) run: &'a RunDirectory,
    /// Set on request, and once a worker has failed.
    stop: StopFlag,
    observe: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
}

/// A judge at work.
pub(crate) struct Worker<'w, 'a, J> {
    pub(crate) judge: &'w mut J,
    pub(crate) shared: &'w Shared<'a>,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        run: &'a RunDirectory,
        stop: &StopFlag,
        observe: &'a mut (dyn FnMut(Event) + Send),
    ) -> Self {
        Self {
            run,
            stop: stop.child(),
            observe: Mutex::new(observe),
        }
    }

    pub(crate) fn stop(&self) -> &StopFlag {
        &self.stop
    }

    pub(crate) fn tell(&self, event: Event) {
        let mut observe = self.observe.lock().unwrap_or_else(PoisonError::into_inner);
        observe(event);
    }

    /// Does all jobs, each by the next judge that is free; the results are in the order of the jobs.
    ///
    /// # Errors
    ///
    /// A failure; the other judges are then stopped, as they are where one panics.
    pub(crate) fn side_by_side<J: Judge, T: Send, R: Send>(
        &self,
        judges: &mut [J],
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(&mut Worker<'_, '_, J>, T) -> Result<R, SearchError> + Sync,
    ) -> Result<Vec<R>, SearchError> {
        let jobs: Vec<T> = jobs.into_iter().collect();
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work_off = |judge| {
            let failure = StopOnDrop(&self.stop);
            let mut worker = Worker {
                judge,
                shared: self,
            };
            let mut done = Vec::new();
            while let Some((place, job)) = next() {
                done.push((place, work(&mut worker, job)?));
            }
            mem::forget(failure);
            Ok(done)
        };
        let ended: Vec<Result<Vec<(usize, R)>, SearchError>> = thread::scope(|scope| {
            let spawn = |judge| scope.spawn(|| work_off(judge));
            let workers: Vec<_> = judges.iter_mut().map(spawn).collect();
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
                // It may only have heard of another's failure, which says more.
                Err(SearchError::Stopped) => stopped = Some(SearchError::Stopped),
                Err(error) => return Err(error),
            }
        }
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        done.sort_unstable_by_key(|(place, _)| *place);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

/// Sets the flag where a worker ends before its time.
struct StopOnDrop<'a>(&'a StopFlag);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}
