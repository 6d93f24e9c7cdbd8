//! The trials of a fold.

use std::path::{Path, PathBuf};
use std::time::Instant;

use faa_policy::{Policy, SubPolicy};

use super::training::Trained;
use super::workers::Worker;
use super::{SearchError, check_finite, evaluation_file, failed, trials_file};
use crate::config::SearchConfig;
use crate::event::{Event, Training};
use crate::files::{append_line, read_json, read_lines, remove_if_there, write_json};
use crate::folds::Fold;
use crate::judge::{Evaluation, Images, Judge, JudgeTask, TrainTask};
use crate::merge::best_sub_policies;
use crate::sampler::Sampler;
use crate::seeds::{Purpose, derive};
use crate::space::Space;
use crate::trial::Trial;

/// The search on one fold.
pub(super) struct FoldSearch<'a> {
    pub(super) config: &'a SearchConfig,
    pub(super) number: usize,
    pub(super) fold: &'a Fold,
}

/// A round of trials on one fold.
struct Round<'a> {
    config: &'a SearchConfig,
    fold: usize,
    round: usize,
    /// D_A.
    images: &'a [usize],
    log: PathBuf,
}

impl FoldSearch<'_> {
    /// Trains the fold's network and makes its trials: the sub-policies that the fold contributes;
    /// `None` where its training diverged.
    pub(super) fn run<J: Judge>(
        &self,
        worker: &mut Worker<'_, '_, J>,
    ) -> Result<Option<Vec<SubPolicy>>, SearchError> {
        let (config, folder) = (self.config, worker.shared.run.fold(self.number)?);
        let log = trials_file(&folder);
        // Before hours of training: a log that is damaged or another search's.
        let recorded = read_lines::<Trial>(&log)?;
        self.check_recorded(&log, &recorded)?;
        let Some(network) = self.network(worker, &folder)? else {
            return Ok(None);
        };
        let (trials, kept) = (config.explore.trials.get(), config.explore.kept.get());
        let mut recorded = recorded.into_iter();
        let mut sub_policies = Vec::new();
        for round in 0..config.explore.rounds.get() {
            let mut made: Vec<Trial> = recorded.by_ref().take(trials).collect();
            let round = Round {
                config,
                fold: self.number,
                round,
                images: &self.fold.judge,
                log: log.clone(),
            };
            worker.make_trials(&round, &network, &mut made)?;
            sub_policies.extend(best_sub_policies(&made, kept));
        }
        Ok(Some(sub_policies))
    }

    /// The network of the fold: trained on D_M, without a policy.
    fn network<J: Judge>(
        &self,
        worker: &mut Worker<'_, '_, J>,
        folder: &Path,
    ) -> Result<Option<J::Network>, SearchError> {
        let training = Training::Fold(self.number);
        let task = TrainTask {
            images: &self.fold.train,
            recipe: &self.config.training,
            policy: None,
            seed: derive(
                self.config.seed,
                Purpose::FoldTraining,
                &[self.number as u64],
            ),
        };
        let Ok(Trained { network, found }) = worker.train(training, &task, folder)? else {
            return Ok(None);
        };
        let file = evaluation_file(folder);
        if !found {
            // Of a network that was moved away.
            remove_if_there(&file)?;
        }
        let evaluation = match read_json::<Evaluation>(&file)? {
            Some(evaluation) => evaluation,
            None => {
                let images = Images::Train(&self.fold.judge);
                let Ok(evaluation) = worker.evaluate(training, &network, images, folder)? else {
                    return Ok(None);
                };
                write_json(&file, &evaluation)?;
                evaluation
            }
        };
        worker.tell(Event::TrainingDone {
            training,
            evaluation,
            resumed: found,
        });
        Ok(Some(network))
    }

    /// Checks that the recorded trials are the first ones of this search.
    fn check_recorded(&self, log: &Path, recorded: &[Trial]) -> Result<(), SearchError> {
        let space = Space::new(&self.config.explore);
        let trials = self.config.explore.trials.get();
        for (place, trial) in recorded.iter().enumerate() {
            let foreign = |expected: String, found: String| SearchError::ForeignTrial {
                path: log.to_owned(),
                line: place + 1,
                expected,
                found,
            };
            let number = |round: usize, trial: usize| format!("{round}.{trial}");
            let (expected, found) = ((place / trials, place % trials), (trial.round, trial.trial));
            if expected != found {
                return Err(foreign(
                    number(expected.0, expected.1),
                    number(found.0, found.1),
                ));
            }
            if space.point(&trial.candidate).is_none() {
                let expected = format!("{} with this search's ops", number(found.0, found.1));
                return Err(foreign(expected, "others".to_owned()));
            }
        }
        Ok(())
    }
}

impl<J: Judge> Worker<'_, '_, J> {
    /// Makes the trials of a round that are not recorded yet.
    fn make_trials(
        &mut self,
        round: &Round<'_>,
        network: &J::Network,
        trials: &mut Vec<Trial>,
    ) -> Result<(), SearchError> {
        let space = Space::new(&round.config.explore);
        let mut sampler = Sampler::new(&space.dimensions(), &round.config.explore.sampler);
        for trial in trials.iter() {
            let point = space
                .point(&trial.candidate)
                .expect("recorded trials were checked");
            sampler.observe(&point, -trial.reward)?;
        }
        let count = round.config.explore.trials.get();
        self.tell(Event::RoundStarted {
            fold: round.fold,
            round: round.round,
            trials: count,
            resumed: trials.len(),
        });
        for number in trials.len()..count {
            let trial = self.make_trial(round, number, network, &space, &mut sampler)?;
            trials.push(trial);
            self.tell_trial(round, trials);
        }
        Ok(())
    }

    /// Proposes a candidate, has it judged, and writes that down.
    fn make_trial(
        &mut self,
        round: &Round<'_>,
        number: usize,
        network: &J::Network,
        space: &Space,
        sampler: &mut Sampler,
    ) -> Result<Trial, SearchError> {
        let stage = format!(
            "trial {number} of round {} on fold {}",
            round.round, round.fold
        );
        self.shared.stop().check().map_err(failed(&stage))?;
        let seed = |purpose| {
            let places = [round.fold as u64, round.round as u64, number as u64];
            derive(round.config.seed, purpose, &places)
        };
        let point = sampler.propose(seed(Purpose::Sampler));
        let sub_policies = space.candidate(&point);
        let candidate = Policy::of_sub_policies("candidate", sub_policies.clone());
        let task = JudgeTask {
            images: round.images,
            recipe: &round.config.training,
            candidate: &candidate,
            draws: round.config.explore.draws.get(),
            seed: seed(Purpose::Trial),
        };
        let started = Instant::now();
        let verdict = self
            .judge
            .judge(network, &task, self.shared.stop())
            .map_err(failed(&stage))?;
        check_finite(&stage, &[verdict.any, verdict.mean, verdict.loss])?;
        let trial = Trial {
            round: round.round,
            trial: number,
            reward: verdict.reward(round.config.explore.reward),
            verdict,
            seconds: started.elapsed().as_secs_f64(),
            candidate: sub_policies,
        };
        append_line(&round.log, &trial)?;
        sampler.observe(&point, -trial.reward)?;
        Ok(trial)
    }

    /// Tells of the last of a round's trials.
    fn tell_trial(&mut self, round: &Round<'_>, trials: &[Trial]) {
        let rewards = trials.iter().map(|trial| trial.reward);
        let Some(last) = trials.last() else { return };
        self.tell(Event::TrialDone {
            fold: round.fold,
            round: round.round,
            trial: last.trial,
            reward: last.reward,
            best: rewards.fold(f64::NEG_INFINITY, f64::max),
            images: round.images.len() * round.config.explore.draws.get(),
            seconds: last.seconds,
        });
    }
}
