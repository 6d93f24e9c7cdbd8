//! A round on one fold: its trials, and the second scoring of some of their candidates.

use std::fmt;
use std::time::Instant;

use faa_policy::{Policy, SubPolicy};

use super::error::{RunError, failed};
use super::workers::Worker;
use crate::backend::{NetworkFiles, ScoringTask};
use crate::config::{CommonConfig, SearchConfig, TrialDraws};
use crate::event::Event;
use crate::files::Log;
use crate::folds::Fold;
use crate::records::check_rescoring;
use crate::results::Score;
use crate::sampler::Sampler;
use crate::seeds::{Purpose, derive};
use crate::selection::RoundResults;
use crate::space::Space;
use crate::trial::{Rescoring, Trial};

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
    fn images_per_scoring(&self) -> usize {
        self.fold.validation.len() * self.search.draws.get()
    }
}

/// A round on one fold.
pub(super) struct Round<'a> {
    fold: FoldContext<'a>,
    number: usize,
    space: Space,
    sampler: Sampler,
    /// The trials so far.
    trials: Vec<Trial>,
}

impl<'a> Round<'a> {
    /// A round with these recorded trials.
    pub(super) fn new(fold: FoldContext<'a>, number: usize, trials: Vec<Trial>) -> Self {
        let space = Space::new(fold.search);
        let mut sampler = Sampler::new(&space.dimensions(), &fold.search.sampler);
        for trial in &trials {
            let point = space.point(&trial.candidate);
            let point = point.expect("recorded trials were checked");
            observe(&mut sampler, &point, trial);
        }
        Self {
            fold,
            number,
            space,
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
        let rewards = self.trials.iter().map(|trial| trial.reward);
        let mut best = rewards.fold(f64::NEG_INFINITY, f64::max);
        for number in self.trials.len()..count {
            let trial = self.run_trial(worker, network, log, number)?;
            best = best.max(trial.reward);
            worker.report(Event::TrialDone {
                fold: fold.number,
                round,
                trial: number,
                reward: trial.reward,
                best,
                images: fold.images_per_scoring(),
                seconds: trial.seconds,
            });
            self.trials.push(trial);
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
        for (index, number) in to_rescore.into_iter().enumerate() {
            let trial = &self.trials[number];
            if let Some((line, recorded)) = recorded.next() {
                check_rescoring(log, line, trial, &recorded)?;
                continue;
            }
            let rescoring = self.run_rescoring(worker, network, trial)?;
            log.append(worker.files(), &rescoring)?;
            worker.report(Event::TrialRescored {
                fold: self.fold.number,
                round: self.number,
                trial: number,
                first: trial.reward,
                reward: rescoring.reward,
                done: index + 1,
                candidates,
                images: self.fold.images_per_scoring(),
                seconds: rescoring.seconds,
            });
        }
        Ok(())
    }

    /// Proposes a candidate, has it scored, and records the trial.
    fn run_trial<B: NetworkFiles>(
        &mut self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        log: &Log<Trial>,
        number: usize,
    ) -> Result<Trial, RunError> {
        let stage = format!("trial {number} of {self}");
        worker.stop().check().map_err(failed(&stage))?;
        let number_of_trial = Some(number as u64);
        let point = (self.sampler).propose(self.seed(Purpose::Sampler, number_of_trial));
        let candidate = self.space.candidate(&point);
        let seed = match self.fold.search.trial_draws {
            TrialDraws::Fresh => self.seed(Purpose::Trial, number_of_trial),
            TrialDraws::Common => self.seed(Purpose::Round, None),
        };
        let (score, seconds) = self.score(worker, network, &candidate, seed, &stage)?;
        let trial = Trial {
            round: self.number,
            trial: number,
            reward: score.reward(self.fold.search.reward),
            score,
            seconds,
            candidate,
        };
        log.append(worker.files(), &trial)?;
        observe(&mut self.sampler, &point, &trial);
        Ok(trial)
    }

    fn run_rescoring<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        trial: &Trial,
    ) -> Result<Rescoring, RunError> {
        let stage = format!("the second scoring of trial {} of {self}", trial.trial);
        worker.stop().check().map_err(failed(&stage))?;
        let seed = self.seed(Purpose::Rescoring, None);
        let (score, seconds) = self.score(worker, network, &trial.candidate, seed, &stage)?;
        Ok(Rescoring {
            round: self.number,
            trial: trial.trial,
            first: trial.reward,
            reward: score.reward(self.fold.search.reward),
            score,
            seconds,
        })
    }

    /// Has a candidate scored, which takes the returned number of seconds.
    fn score<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        candidate: &[SubPolicy],
        seed: u64,
        stage: &str,
    ) -> Result<(Score, f64), RunError> {
        let candidate = Policy::of_sub_policies("candidate", candidate.to_vec());
        let task = ScoringTask {
            images: &self.fold.fold.validation,
            training: &self.fold.common.training,
            candidate: &candidate,
            draws: self.fold.search.draws.get(),
            seed,
        };
        let started = Instant::now();
        let stop = worker.stop();
        let score = worker.backend.score(network, &task, stop);
        let score = score.map_err(failed(stage))?;
        // JSON cannot represent infinity and NaN, and the search could not be resumed from them.
        let mut values = [score.any, score.mean, score.loss].into_iter();
        match values.all(f64::is_finite) {
            true => Ok((score, started.elapsed().as_secs_f64())),
            false => Err(RunError::not_finite(stage)),
        }
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

fn observe(sampler: &mut Sampler, point: &[f64], trial: &Trial) {
    let observed = sampler.observe(point, -trial.reward);
    observed.expect("the point is in the space, and the reward is a finite number");
}
