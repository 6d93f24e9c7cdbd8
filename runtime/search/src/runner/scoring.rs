//! Scores candidates of a fold, several at the same time if there are workers without a fold.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use faa_policy::{Policy, SubPolicy};

use super::error::{RunError, failed};
use super::workers::Worker;
use crate::backend::{NetworkFiles, ScoringTask, StopFlag};
use crate::config::{CommonConfig, SearchConfig};
use crate::folds::Fold;
use crate::layout::TrainingId;
use crate::results::Score;

/// What a search works on in one fold.
#[derive(Clone, Copy)]
pub(super) struct FoldContext<'a> {
    pub(super) common: &'a CommonConfig,
    pub(super) search: &'a SearchConfig,
    pub(super) number: usize,
    pub(super) fold: &'a Fold,
}

impl FoldContext<'_> {
    /// The number of images that are classified to score a candidate, counting every draw.
    pub(super) fn images_per_scoring(&self) -> usize {
        self.fold.validation.len() * self.search.draws.get()
    }
}

/// The scoring of one candidate.
pub(super) struct Scoring<'a> {
    pub(super) fold: FoldContext<'a>,
    pub(super) candidate: Vec<SubPolicy>,
    pub(super) seed: u64,
    /// The step of the run, for errors.
    pub(super) stage: String,
}

/// A candidate with its score.
pub(super) struct Scored {
    pub(super) candidate: Vec<SubPolicy>,
    pub(super) score: Score,
    /// The duration of scoring.
    pub(super) seconds: f64,
}

/// The scorings that wait for a worker, of all folds.
pub(super) struct SharedScorings<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    waiting: VecDeque<Shared<'a>>,
    /// The number of folds that are not done.
    folds: usize,
}

struct Shared<'a> {
    scoring: Scoring<'a>,
    /// The position among those that it was shared with.
    index: usize,
    /// The file of the fold's network.
    network: PathBuf,
    results: Sender<(usize, Result<Scored, RunError>)>,
}

impl<'a> SharedScorings<'a> {
    /// Without scorings, for so many folds.
    pub(super) fn new(folds: usize) -> Self {
        let waiting = VecDeque::new();
        Self {
            state: Mutex::new(State { waiting, folds }),
            changed: Condvar::new(),
        }
    }

    /// Scores candidates of the worker's fold, whose network is in its file too. `record` receives the results
    /// in the order of the candidates, each as soon as it is known and those before it are.
    pub(super) fn score_all<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        scorings: Vec<Scoring<'a>>,
        mut record: impl FnMut(&Worker<'_, '_, B>, Scored) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let count = scorings.len();
        let mut scorings = scorings.into_iter();
        // The first is not shared, so that a single one is not scored with a copy of the network.
        let Some(first) = scorings.next() else {
            return Ok(());
        };
        let (fold, stage) = (first.fold.number, first.stage.clone());
        let file = worker
            .directory()
            .training(TrainingId::Fold(fold))
            .network();
        let (sender, results) = channel();
        let shared = (1..).zip(scorings).map(|(index, scoring)| Shared {
            scoring,
            index,
            network: file.clone(),
            results: sender.clone(),
        });
        self.lock().waiting.extend(shared);
        self.changed.notify_all();
        drop(sender);

        let mut first = Some((0, first));
        let mut scored = BTreeMap::new();
        for next in 0..count {
            while !scored.contains_key(&next) {
                scored.extend(results.try_iter());
                let own = first.take().or_else(|| self.take(fold));
                let (index, result) = match own {
                    Some((index, scoring)) => (index, scoring.score(worker, network)),
                    None if scored.contains_key(&next) => break,
                    // A worker that panics drops its sender. Then its panic is what is reported.
                    None => results.recv().or_else(|_| {
                        worker.stop().set();
                        let stopped = worker.stop().check().map_err(failed(&stage));
                        stopped.map(|()| unreachable!("the flag was set"))
                    })?,
                };
                scored.insert(index, result);
            }
            let scored = scored.remove(&next).expect("it was waited for");
            record(worker, scored?)?;
        }
        Ok(())
    }

    /// To be called when a fold is done.
    pub(super) fn fold_done(&self) {
        self.lock().folds -= 1;
        self.changed.notify_all();
    }

    /// Scores candidates of other workers' folds, until all folds are done or the run stops.
    pub(super) fn help<B: NetworkFiles>(&self, worker: &mut Worker<'_, '_, B>) {
        let mut loaded: Option<(usize, B::Network)> = None;
        while let Some(shared) = self.next(worker.stop()) {
            let FoldContext { number, common, .. } = shared.scoring.fold;
            // The memory of one network is freed before there is a second.
            loaded = loaded.filter(|(fold, _)| *fold == number);
            let network = match loaded.take() {
                Some((_, network)) => Ok(network),
                None => (worker.backend.load(&common.training, &shared.network))
                    .map_err(failed(&shared.scoring.stage)),
            };
            let result = network.and_then(|network| {
                let (_, network) = loaded.insert((number, network));
                shared.scoring.score(worker, network)
            });
            // Nobody receives it if the fold has failed.
            let _ = shared.results.send((shared.index, result));
        }
    }

    /// A scoring of a fold that no worker has begun.
    fn take(&self, fold: usize) -> Option<(usize, Scoring<'a>)> {
        let mut state = self.lock();
        let mut waiting = state.waiting.iter();
        let index = waiting.position(|it| it.scoring.fold.number == fold)?;
        let shared = state.waiting.remove(index)?;
        Some((shared.index, shared.scoring))
    }

    /// Waits for a scoring of any fold; `None` if there will be none.
    fn next(&self, stop: &StopFlag) -> Option<Shared<'a>> {
        /// How soon a stop is noticed.
        const INTERVAL: Duration = Duration::from_millis(50);
        let mut state = self.lock();
        loop {
            if state.folds == 0 || stop.check().is_err() {
                return None;
            }
            if let Some(shared) = state.waiting.pop_front() {
                return Some(shared);
            }
            let waited = self.changed.wait_timeout(state, INTERVAL);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scoring<'_> {
    fn score<B: NetworkFiles>(
        self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
    ) -> Result<Scored, RunError> {
        let stop = worker.stop();
        stop.check().map_err(failed(&self.stage))?;
        let candidate = Policy::of_sub_policies("candidate", self.candidate.clone());
        let task = ScoringTask {
            images: &self.fold.fold.validation,
            training: &self.fold.common.training,
            candidate: &candidate,
            draws: self.fold.search.draws.get(),
            seed: self.seed,
        };
        let started = Instant::now();
        let score = worker.backend.score(network, &task, stop);
        let score = score.map_err(failed(&self.stage))?;
        // JSON cannot represent infinity and NaN, and the search could not be resumed from them.
        let mut values = [score.any, score.mean, score.loss].into_iter();
        match values.all(f64::is_finite) {
            true => Ok(Scored {
                candidate: self.candidate,
                score,
                seconds: started.elapsed().as_secs_f64(),
            }),
            false => Err(RunError::not_finite(&self.stage)),
        }
    }
}
