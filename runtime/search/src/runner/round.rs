//! A round on one fold: its trials, and the second scoring of some of their candidates.

use std::fmt;

use super::error::RunError;
use super::scoring::{FoldContext, Scoring, SharedScorings};
use super::workers::Worker;
use crate::backend::NetworkFiles;
use crate::config::TrialDraws;
use crate::event::Event;
use crate::files::Log;
use crate::records::check_rescoring;
use crate::sampler::Sampler;
use crate::seeds::{Purpose, derive};
use crate::selection::RoundResults;
use crate::space::Space;
use crate::trial::{Rescoring, Trial};

/// A round on one fold.
pub(super) struct Round<'a> {
    fold: FoldContext<'a>,
    number: usize,
    space: Space,
    scorings: &'a SharedScorings<'a>,
    /// Has observed the trials of all batches that are complete.
    sampler: Sampler,
    /// The trials so far.
    trials: Vec<Trial>,
}

impl<'a> Round<'a> {
    /// A round with these recorded trials.
    pub(super) fn new(
        fold: FoldContext<'a>,
        number: usize,
        scorings: &'a SharedScorings<'a>,
        trials: Vec<Trial>,
    ) -> Self {
        let space = Space::new(fold.search);
        let sampler = Sampler::new(&space.dimensions(), &fold.search.sampler);
        Self {
            fold,
            number,
            space,
            scorings,
            sampler,
            trials,
        }
    }

    /// Runs the trials that are not yet recorded.
    pub(super) fn run_trials<B: NetworkFiles>(
        &mut self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        log: &Log<Trial>,
    ) -> Result<(), RunError> {
        let (fold, round, count) = (self.fold, self.number, self.fold.search.trials.get());
        worker.report(Event::RoundStarted {
            fold: fold.number,
            round,
            trials: count,
            resumed: self.trials.len(),
        });
        for first in (0..count).step_by(fold.search.batch_proposals.get()) {
            self.run_batch(worker, network, log, first)?;
        }
        Ok(())
    }

    /// Runs the trials of a batch that are not yet recorded. All candidates are proposed before the first of
    /// them is scored, from the trials of the batches before.
    fn run_batch<B: NetworkFiles>(
        &mut self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        log: &Log<Trial>,
        first: usize,
    ) -> Result<(), RunError> {
        let (fold, search) = (self.fold, self.fold.search);
        let end = (first + search.batch_proposals.get()).min(search.trials.get());
        if self.trials.len() < end {
            let seed = |trial| self.seed(Purpose::Sampler, Some(trial as u64));
            let seeds: Vec<u64> = (first..end).map(seed).collect();
            let points = self.sampler.propose_batch(&seeds);
            let missing = (first..end).zip(points).skip(self.trials.len() - first);
            let scorings = missing.map(|(trial, point)| Scoring {
                fold,
                candidate: self.space.candidate(&point),
                seed: match search.trial_draws {
                    TrialDraws::Fresh => self.seed(Purpose::Trial, Some(trial as u64)),
                    TrialDraws::Common => self.seed(Purpose::Round, None),
                },
                stage: format!("trial {trial} of {self}"),
            });
            let (scorings, shared, round) = (scorings.collect(), self.scorings, self.number);
            let trials = &mut self.trials;
            let rewards = trials.iter().map(|trial| trial.reward);
            let mut best = rewards.fold(f64::NEG_INFINITY, f64::max);
            shared.score_all(worker, network, scorings, |worker, scored| {
                let trial = Trial {
                    round,
                    trial: trials.len(),
                    reward: scored.score.reward(search.reward),
                    score: scored.score,
                    seconds: scored.seconds,
                    candidate: scored.candidate,
                };
                log.append(worker.files(), &trial)?;
                best = best.max(trial.reward);
                worker.report(Event::TrialDone {
                    fold: fold.number,
                    round,
                    trial: trial.trial,
                    reward: trial.reward,
                    best,
                    images: fold.images_per_scoring(),
                    seconds: trial.seconds,
                });
                trials.push(trial);
                Ok(())
            })?;
        }
        for trial in &self.trials[first..end] {
            let point = self.space.point(&trial.candidate);
            let point = point.expect("recorded trials were checked");
            let observed = self.sampler.observe(&point, -trial.reward);
            observed.expect("the point is in the space, and the reward is a finite number");
        }
        Ok(())
    }

    /// Scores candidates again, all with the same fresh draws. `recorded` are the second scorings in the
    /// log that are not part of earlier rounds.
    pub(super) fn rescore<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        log: &Log<Rescoring>,
        recorded: &mut impl Iterator<Item = (usize, Rescoring)>,
    ) -> Result<(), RunError> {
        let to_rescore = RoundResults::new(&self.trials, &[]).to_rescore(self.fold.search);
        let candidates = to_rescore.len();
        let mut missing = Vec::new();
        for number in to_rescore {
            match recorded.next() {
                Some((line, recorded)) => {
                    check_rescoring(log, line, &self.trials[number], &recorded)?;
                }
                None => missing.push(number),
            }
        }
        let scorings = missing.iter().map(|&number| Scoring {
            fold: self.fold,
            candidate: self.trials[number].candidate.clone(),
            seed: self.seed(Purpose::Rescoring, None),
            stage: format!("the second scoring of trial {number} of {self}"),
        });
        let (scorings, recorded) = (scorings.collect(), candidates - missing.len());
        let (fold, round, shared) = (self.fold, self.number, self.scorings);
        let mut numbered = (recorded + 1..).zip(&missing);
        shared.score_all(worker, network, scorings, |worker, scored| {
            let (done, &number) = numbered.next().expect("there is one per score");
            let rescoring = Rescoring {
                round,
                trial: number,
                first: self.trials[number].reward,
                reward: scored.score.reward(fold.search.reward),
                score: scored.score,
                seconds: scored.seconds,
            };
            log.append(worker.files(), &rescoring)?;
            worker.report(Event::TrialRescored {
                fold: fold.number,
                round,
                trial: number,
                first: rescoring.first,
                reward: rescoring.reward,
                done,
                candidates,
                images: fold.images_per_scoring(),
                seconds: rescoring.seconds,
            });
            Ok(())
        })
    }

    /// A seed for this round, or for one of its trials.
    fn seed(&self, purpose: Purpose, trial: Option<u64>) -> u64 {
        let round = [self.fold.number as u64, self.number as u64];
        let indices: Vec<u64> = round.into_iter().chain(trial).collect();
        derive(self.fold.common.seed, purpose, &indices)
    }
}

impl fmt::Display for Round<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {} on fold {}", self.number, self.fold.number)
    }
}
