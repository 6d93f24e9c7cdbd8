//! The search on one fold: the training of its network, and its rounds.

use super::error::RunError;
use super::round::Round;
use super::scoring::{FoldContext, SharedScorings};
use super::workers::Worker;
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::FoldAugment;
use crate::event::Event;
use crate::layout::TrainingId;
use crate::records::{checked_trials, fold_result};
use crate::results::Outcome;
use crate::seeds::{Purpose, derive};
use crate::space::Space;

/// The search on one fold.
#[derive(Clone, Copy)]
pub(super) struct FoldSearch<'a>(pub(super) FoldContext<'a>);

impl<'a> FoldSearch<'a> {
    /// Trains the fold's network and runs its rounds, as far as that is not yet recorded. Other workers may help
    /// to score candidates.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        scorings: &'a SharedScorings<'a>,
    ) -> Result<(), RunError> {
        if self.is_done(worker)? {
            return Ok(());
        }
        let FoldContext {
            common,
            search,
            number,
            fold,
        } = self.0;
        let id = TrainingId::Fold(number);
        let job = worker.begin(id, None)?;
        // Before hours of training, since the logs may be damaged or belong to a different search.
        let files = worker.directory().training(id);
        let (trials, rescorings) = (files.trials(), files.rescorings());
        let (recorded, rescored) = (checked_trials(search, &trials)?, rescorings.read()?);
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
        if let Outcome::Done((network, _)) = worker.train(id, &task, validation)? {
            let mut recorded = recorded.into_iter();
            let mut rescored = (1..).zip(rescored);
            for number in 0..search.rounds.get() {
                let recorded = recorded.by_ref().take(search.trials.get());
                let mut round = Round::new(self.0, number, scorings, recorded.collect());
                round.run_trials(worker, &network, &trials)?;
                round.rescore(worker, &network, &rescorings, &mut rescored)?;
            }
        }
        Ok(job.end()?)
    }

    /// Whether nothing remains to be done, which is then reported. The network is not needed for that, and may
    /// be gone.
    fn is_done<B: NetworkFiles>(&self, worker: &mut Worker<'_, '_, B>) -> Result<bool, RunError> {
        let (search, fold) = (self.0.search, self.0.number);
        let id = TrainingId::Fold(fold);
        let files = worker.directory().training(id);
        let trials = checked_trials(search, &files.trials())?;
        let result = fold_result(search, &trials, &files.rescorings())?;
        if !files.is_recorded() || (result.is_none() && !files.has_diverged()) {
            return Ok(false);
        }
        if let Some(Outcome::Done(_)) = worker.recorded(id, None)? {
            let trials = search.trials.get();
            for round in 0..search.rounds.get() {
                worker.report(Event::RoundStarted {
                    fold,
                    round,
                    trials,
                    resumed: trials,
                });
            }
        }
        Ok(true)
    }
}
