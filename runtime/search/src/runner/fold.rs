//! The search on one fold: the training of its network, and its trials.

use std::time::Instant;

use faa_policy::{Policy, SubPolicy};

use super::error::{RunError, failed};
use super::merge::best_sub_policies;
use super::workers::Worker;
use crate::backend::{Images, NetworkFiles, ScoringTask, TrainTask};
use crate::config::{CommonConfig, SearchConfig};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind, Log};
use crate::folds::Fold;
use crate::layout::TrainingId;
use crate::results::Outcome;
use crate::sampler::Sampler;
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

impl FoldSearch<'_> {
    /// Trains the fold's network and runs its trials. Returns the sub-policies of the best candidates.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
    ) -> Result<Outcome<Vec<SubPolicy>>, RunError> {
        let id = TrainingId::Fold(self.number);
        // Before hours of training, since the log may be damaged or belong to a different search.
        let log = worker.directory().create_training(id)?.trials();
        let recorded = log.read()?;
        self.check_recorded(&log, &recorded)?;
        let task = TrainTask {
            images: &self.fold.train,
            training: &self.common.training,
            policy: None,
            seed: derive(
                self.common.seed,
                Purpose::FoldTraining,
                &[self.number as u64],
            ),
        };
        let validation = Images::Train(&self.fold.validation);
        let network = match worker.train(id, &task, validation)? {
            Outcome::Done((network, _)) => network,
            Outcome::Diverged(divergence) => return Ok(Outcome::Diverged(divergence)),
        };
        let mut recorded = recorded.into_iter();
        let mut sub_policies = Vec::new();
        for number in 0..self.search.rounds.get() {
            let trials = recorded.by_ref().take(self.search.trials.get()).collect();
            let mut round = Round::new(*self, number, log.clone(), trials);
            round.finish(worker, &network)?;
            sub_policies.extend(best_sub_policies(&round.trials, self.search.top_n.get()));
        }
        Ok(Outcome::Done(sub_policies))
    }

    /// Checks that the recorded trials are the first trials of this search.
    fn check_recorded(&self, log: &Log<Trial>, recorded: &[Trial]) -> Result<(), FileError> {
        let space = Space::new(self.search);
        let trials = self.search.trials.get();
        for (index, trial) in recorded.iter().enumerate() {
            let mut expected = format!("{}.{}", index / trials, index % trials);
            let mut found = format!("{}.{}", trial.round, trial.trial);
            if expected == found {
                if space.point(&trial.candidate).is_some() {
                    continue;
                }
                expected += " with this search's ops";
                found = "different ops".to_owned();
            }
            let (path, line) = (log.path().display(), index + 1);
            let message = format!(
                "{path}, line {line}: expected trial {expected}, found {found}: move the file away \
                 to repeat its trials"
            );
            return Err(FileError::new(FileErrorKind::Damaged, message));
        }
        Ok(())
    }
}

/// A round of trials on one fold.
struct Round<'a> {
    fold: FoldSearch<'a>,
    number: usize,
    log: Log<Trial>,
    space: Space,
    sampler: Sampler,
    /// The trials so far.
    trials: Vec<Trial>,
}

impl<'a> Round<'a> {
    fn new(fold: FoldSearch<'a>, number: usize, log: Log<Trial>, trials: Vec<Trial>) -> Self {
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
            log,
            space,
            sampler,
            trials,
        }
    }

    /// Runs the trials that are not yet recorded.
    fn finish<B: NetworkFiles>(
        &mut self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
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
            let trial = self.run_trial(worker, network, number)?;
            best = best.max(trial.reward);
            worker.report(Event::TrialDone {
                fold: fold.number,
                round,
                trial: number,
                reward: trial.reward,
                best,
                images: fold.fold.validation.len() * fold.search.draws.get(),
                seconds: trial.seconds,
            });
            self.trials.push(trial);
        }
        Ok(())
    }

    /// Proposes a candidate, has it scored, and records the trial.
    fn run_trial<B: NetworkFiles>(
        &mut self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        number: usize,
    ) -> Result<Trial, RunError> {
        let FoldSearch {
            common,
            search,
            number: fold,
            fold: Fold { validation, .. },
        } = self.fold;
        let stage = format!("trial {number} of round {} on fold {fold}", self.number);
        worker.stop().check().map_err(failed(&stage))?;
        let seed = |purpose| {
            let indices = [fold as u64, self.number as u64, number as u64];
            derive(common.seed, purpose, &indices)
        };
        let point = self.sampler.propose(seed(Purpose::Sampler));
        let sub_policies = self.space.candidate(&point);
        let candidate = Policy::of_sub_policies("candidate", sub_policies.clone());
        let task = ScoringTask {
            images: validation,
            training: &common.training,
            candidate: &candidate,
            draws: search.draws.get(),
            seed: seed(Purpose::Trial),
        };
        let started = Instant::now();
        let stop = worker.stop();
        let score = worker
            .backend
            .score(network, &task, stop)
            .map_err(failed(&stage))?;
        // JSON cannot represent infinity and NaN, and the search could not be resumed from them.
        if ![score.any, score.mean, score.loss]
            .iter()
            .all(|it| it.is_finite())
        {
            return Err(RunError::not_finite(&stage));
        }
        let trial = Trial {
            round: self.number,
            trial: number,
            reward: score.reward(search.reward),
            score,
            seconds: started.elapsed().as_secs_f64(),
            candidate: sub_policies,
        };
        self.log.append(worker.files(), &trial)?;
        observe(&mut self.sampler, &point, &trial);
        Ok(trial)
    }
}

fn observe(sampler: &mut Sampler, point: &[f64], trial: &Trial) {
    let observed = sampler.observe(point, -trial.reward);
    observed.expect("the point is in the space, and the reward is a finite number");
}
