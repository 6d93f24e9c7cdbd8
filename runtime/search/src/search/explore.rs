//! The trials of a fold.

use std::path::{Path, PathBuf};
use std::time::Instant;

use faa_policy::{Policy, SubPolicy};

use super::{Search, SearchError, check_finite, failed, trials_file};
use crate::event::Event;
use crate::files::{append_line, read_lines};
use crate::folds::Fold;
use crate::judge::{Judge, JudgeTask};
use crate::merge::best_sub_policies;
use crate::sampler::Sampler;
use crate::seeds::{Purpose, derive};
use crate::space::Space;
use crate::trial::Trial;

/// A round of trials on one fold.
struct Round<'a> {
    fold: usize,
    round: usize,
    /// D_A.
    images: &'a [usize],
    log: PathBuf,
}

impl<J: Judge> Search<'_, J> {
    /// The sub-policies that one fold contributes.
    pub(super) fn search_fold(
        &mut self,
        number: usize,
        fold: &Fold,
    ) -> Result<Vec<SubPolicy>, SearchError> {
        let network = self.fold_network(number, fold)?;
        let log = trials_file(&self.run.fold(number)?);
        let recorded = read_lines::<Trial>(&log)?;
        self.check_recorded(&log, &recorded)?;
        let (trials, kept) = (
            self.config.explore.trials.get(),
            self.config.explore.kept.get(),
        );
        let mut recorded = recorded.into_iter();
        let mut sub_policies = Vec::new();
        for round in 0..self.config.explore.rounds.get() {
            let mut made: Vec<Trial> = recorded.by_ref().take(trials).collect();
            let log = log.clone();
            let round = Round {
                fold: number,
                round,
                images: &fold.judge,
                log,
            };
            self.make_trials(&round, &network, &mut made)?;
            sub_policies.extend(best_sub_policies(&made, kept));
        }
        Ok(sub_policies)
    }

    /// Makes the trials of a round that are not recorded yet.
    fn make_trials(
        &mut self,
        round: &Round<'_>,
        network: &J::Network,
        trials: &mut Vec<Trial>,
    ) -> Result<(), SearchError> {
        let space = Space::new(&self.config.explore);
        let mut sampler = Sampler::new(&space.dimensions());
        for trial in trials.iter() {
            let point = space
                .point(&trial.candidate)
                .expect("recorded trials were checked");
            sampler.observe(&point, -trial.reward)?;
        }
        let count = self.config.explore.trials.get();
        (self.observe)(Event::RoundStarted {
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
        self.stop.check().map_err(failed(&stage))?;
        let seed = |purpose| {
            let places = [round.fold as u64, round.round as u64, number as u64];
            derive(self.config.seed, purpose, &places)
        };
        let point = sampler.propose(seed(Purpose::Sampler));
        let sub_policies = space.candidate(&point);
        let candidate = Policy::of_sub_policies("candidate", sub_policies.clone());
        let task = JudgeTask {
            images: round.images,
            recipe: &self.config.training,
            candidate: &candidate,
            draws: self.config.explore.draws.get(),
            seed: seed(Purpose::Trial),
        };
        let started = Instant::now();
        let verdict = self
            .judge
            .judge(network, &task, self.stop)
            .map_err(failed(&stage))?;
        check_finite(&stage, &[verdict.any, verdict.mean, verdict.loss])?;
        let trial = Trial {
            round: round.round,
            trial: number,
            reward: verdict.reward(self.config.explore.reward),
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
        (self.observe)(Event::TrialDone {
            fold: round.fold,
            round: round.round,
            trial: last.trial,
            reward: last.reward,
            best: rewards.fold(f64::NEG_INFINITY, f64::max),
            images: round.images.len() * self.config.explore.draws.get(),
            seconds: last.seconds,
        });
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
