//! Work that is done side by side: folds, and trainings.

use std::sync::{Mutex, PoisonError};
use std::thread;

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
    /// The first failure; the other judges are then stopped.
    pub(crate) fn side_by_side<J: Judge, T: Send, R: Send>(
        &self,
        judges: &mut [J],
        jobs: impl IntoIterator<Item = T>,
        work: impl Fn(&mut Worker<'_, '_, J>, T) -> Result<R, SearchError> + Sync,
    ) -> Result<Vec<R>, SearchError> {
        let jobs: Vec<T> = jobs.into_iter().collect();
        let results = Mutex::new(Vec::new());
        results
            .lock()
            .expect("new")
            .resize_with(jobs.len(), || None);
        let queue = Mutex::new(jobs.into_iter().enumerate());
        let failure = Mutex::new(None);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for judge in judges {
                scope.spawn(|| {
                    let mut worker = Worker {
                        judge,
                        shared: self,
                    };
                    while let Some((place, job)) = next() {
                        match work(&mut worker, job) {
                            Ok(result) => {
                                let mut results =
                                    results.lock().unwrap_or_else(PoisonError::into_inner);
                                results[place] = Some(result);
                            }
                            Err(error) => {
                                self.stop.set();
                                let mut failure =
                                    failure.lock().unwrap_or_else(PoisonError::into_inner);
                                failure.get_or_insert(error);
                                break;
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(results.into_iter().flatten().collect())
    }
}
