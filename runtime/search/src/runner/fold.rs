//! The search on one fold: the training of its network, and its rounds.

use faa_policy::SubPolicy;

use super::error::RunError;
use super::round::Round;
use super::scoring::{FoldContext, SharedScorings};
use super::workers::Worker;
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::FoldAugment;
use crate::files::{FileError, Log};
use crate::layout::TrainingId;
use crate::results::Outcome;
use crate::seeds::{Purpose, derive};
use crate::space::Space;
use crate::trial::Trial;

/// The search on one fold.
#[derive(Clone, Copy)]
pub(super) struct FoldSearch<'a>(pub(super) FoldContext<'a>);

/// What the search on a fold found.
#[derive(Default)]
pub(super) struct FoldResult {
    /// The sub-policies of the best candidates of all rounds.
    pub(super) sub_policies: Vec<SubPolicy>,
    /// The first and second rewards of random candidates.
    pub(super) random_rewards: Vec<[f64; 2]>,
}

impl<'a> FoldSearch<'a> {
    /// Trains the fold's network and runs its rounds. Other workers may help to score candidates.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        scorings: &'a SharedScorings<'a>,
    ) -> Result<Outcome<FoldResult>, RunError> {
        let FoldContext {
            common,
            search,
            number,
            fold,
        } = self.0;
        let id = TrainingId::Fold(number);
        // Before hours of training, since the logs may be damaged or belong to a different search.
        let files = worker.directory().create_training(id)?;
        let (trials, rescorings) = (files.trials(), files.rescorings());
        let (recorded, rescored) = (trials.read()?, rescorings.read()?);
        self.check_recorded(&trials, &recorded)?;
        let policy = match search.fold_augment {
            FoldAugment::Base => None,
            FoldAugment::Uniform => Some(Space::new(search).uniform_policy()),
        };
        let task = TrainTask {
            images: &fold.train,
            training: &common.training,
            policy: policy.as_ref(),
            seed: derive(common.seed, Purpose::FoldTraining, &[number as u64]),
        };
        let validation = Images::Train(&fold.validation);
        let network = match worker.train(id, &task, validation)? {
            Outcome::Done((network, _)) => network,
            Outcome::Diverged(divergence) => return Ok(Outcome::Diverged(divergence)),
        };
        let mut recorded = recorded.into_iter();
        let mut rescored = (1..).zip(rescored);
        let mut result = FoldResult::default();
        for number in 0..search.rounds.get() {
            let recorded = recorded.by_ref().take(search.trials.get());
            let mut round = Round::new(self.0, number, scorings, recorded.collect());
            round.run_trials(worker, &network, &trials)?;
            round.rescore(worker, &network, &rescorings, &mut rescored)?;
            let results = round.results();
            (result.sub_policies).extend(results.sub_policies(search));
            (result.random_rewards).extend(results.random_rewards(search));
        }
        match rescored.next() {
            Some((line, it)) => {
                let found = format!("{}.{}", it.round, it.trial);
                let path = rescorings.path();
                Err(FileError::different_trial(path, line, "no further trial", &found).into())
            }
            None => Ok(Outcome::Done(result)),
        }
    }

    /// Checks that the recorded trials are the first trials of this search.
    fn check_recorded(&self, log: &Log<Trial>, recorded: &[Trial]) -> Result<(), FileError> {
        let space = Space::new(self.0.search);
        let trials = self.0.search.trials.get();
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
            let path = log.path();
            return Err(FileError::different_trial(
                path,
                index + 1,
                &expected,
                &found,
            ));
        }
        Ok(())
    }
}
