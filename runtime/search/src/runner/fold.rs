//! The search on one fold: the training of its network, and its rounds.

use std::path::Path;

use faa_policy::SubPolicy;

use super::error::RunError;
use super::round::Round;
use super::workers::Worker;
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::{CommonConfig, FoldAugment, SearchConfig};
use crate::files::{FileError, FileErrorKind, Log};
use crate::folds::Fold;
use crate::layout::TrainingId;
use crate::results::Outcome;
use crate::seeds::{Purpose, derive};
use crate::space::Space;
use crate::trial::Trial;

/// The search on one fold.
#[derive(Clone, Copy)]
pub(super) struct FoldSearch<'a> {
    pub(super) common: &'a CommonConfig,
    pub(super) search: &'a SearchConfig,
    pub(super) number: usize,
    pub(super) fold: &'a Fold,
}

/// What the search on a fold found.
#[derive(Default)]
pub(super) struct FoldResult {
    /// The sub-policies of the best candidates of all rounds.
    pub(super) sub_policies: Vec<SubPolicy>,
    /// The first and second rewards of random candidates.
    pub(super) random_rewards: Vec<[f64; 2]>,
}

impl FoldSearch<'_> {
    /// Trains the fold's network and runs its rounds.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
    ) -> Result<Outcome<FoldResult>, RunError> {
        let id = TrainingId::Fold(self.number);
        // Before hours of training, since the logs may be damaged or belong to a different search.
        let files = worker.directory().create_training(id)?;
        let (trials, rescorings) = (files.trials(), files.rescorings());
        let (recorded, rescored) = (trials.read()?, rescorings.read()?);
        self.check_recorded(&trials, &recorded)?;
        let policy = match self.search.fold_augment {
            FoldAugment::Base => None,
            FoldAugment::Uniform => Some(Space::new(self.search).uniform_policy()),
        };
        let seed = self.common.seed;
        let task = TrainTask {
            images: &self.fold.train,
            training: &self.common.training,
            policy: policy.as_ref(),
            seed: derive(seed, Purpose::FoldTraining, &[self.number as u64]),
        };
        let validation = Images::Train(&self.fold.validation);
        let network = match worker.train(id, &task, validation)? {
            Outcome::Done((network, _)) => network,
            Outcome::Diverged(divergence) => return Ok(Outcome::Diverged(divergence)),
        };
        let mut recorded = recorded.into_iter();
        let mut rescored = (1..).zip(rescored);
        let mut result = FoldResult::default();
        for number in 0..self.search.rounds.get() {
            let recorded = recorded.by_ref().take(self.search.trials.get());
            let mut round = Round::new(*self, number, recorded.collect());
            round.run_trials(worker, &network, &trials)?;
            round.rescore(worker, &network, &rescorings, &mut rescored)?;
            let results = round.results();
            (result.sub_policies).extend(results.sub_policies(self.search));
            (result.random_rewards).extend(results.random_rewards(self.search));
        }
        match rescored.next() {
            Some((line, it)) => {
                let found = format!("{}.{}", it.round, it.trial);
                Err(damaged(rescorings.path(), line, "no further trial", &found).into())
            }
            None => Ok(Outcome::Done(result)),
        }
    }

    /// The number of images that are classified to score a candidate, counting every draw.
    pub(super) fn images_per_scoring(&self) -> usize {
        self.fold.validation.len() * self.search.draws.get()
    }

    /// Checks that the recorded trials are the first trials of this search.
    fn check_recorded(&self, log: &Log<Trial>, recorded: &[Trial]) -> Result<(), FileError> {
        let space = Space::new(self.search);
        let trials = self.search.trials.get();
        for (index, trial) in recorded.iter().enumerate() {
            let (round, number) = (index / trials, index % trials);
            let mut expected = format!("trial {round}.{number}");
            let mut found = format!("{}.{}", trial.round, trial.trial);
            if (trial.round, trial.trial) == (round, number) {
                if space.point(&trial.candidate).is_some() {
                    continue;
                }
                expected += " with this search's ops";
                found = "different ops".to_owned();
            }
            return Err(damaged(log.path(), index + 1, &expected, &found));
        }
        Ok(())
    }
}

/// A line of a log is not that of the expected trial.
pub(super) fn damaged(log: &Path, line: usize, expected: &str, found: &str) -> FileError {
    let message = format!(
        "{}, line {line}: expected {expected}, found {found}: move the file away to repeat its \
         trials",
        log.display()
    );
    FileError::new(FileErrorKind::Damaged, message)
}
