//! What the records of a run amount to, without any work: a pure function of its configuration and files. So
//! whoever has the files gets the same policy, in whichever process and order they were made.

use faa_op::OpSet;
use faa_policy::{Policy, SubPolicy};

use crate::audit::{Audit, sampler};
use crate::config::{RunConfig, SearchConfig};
use crate::files::{FileError, Log, read_json};
use crate::found;
use crate::halving::{
    Bracket, Entrant, HalvingResult, Point, Progress, RungTraining, fixed_policies,
};
use crate::layout::{Layout, TrainingFiles, TrainingId};
use crate::reliability::Reliability;
use crate::results::{Divergence, Evaluation, Outcome};
use crate::selection::RoundResults;
use crate::space::Space;
use crate::trial::{Rescoring, Trial};

/// Reads the records of a run.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) ops: &'a OpSet,
    pub(crate) layout: &'a Layout,
}

/// What a part of a run makes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Product<T> {
    /// Some of its jobs are not done.
    Missing,
    /// There is none: it is not configured, or all of its trainings diverged.
    None,
    /// This.
    Made(T),
}

impl<T> Product<T> {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    pub(crate) fn made(self) -> Option<T> {
        match self {
            Self::Made(made) => Some(made),
            _ => None,
        }
    }
}

/// What the search on a fold found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FoldResult {
    /// The sub-policies of the best candidates of all rounds.
    pub(crate) sub_policies: Vec<SubPolicy>,
    /// The first and second rewards of random candidates.
    pub(crate) random_rewards: Vec<[f64; 2]>,
}

/// The phases of halving whose policies are known.
pub(crate) struct Phases {
    /// The policies of each phase: of all that are done, and of the one after them.
    pub(crate) known: Vec<Vec<Entrant>>,
    /// Those that are done.
    pub(crate) progress: Progress,
    /// Whether all phases are done.
    pub(crate) are_done: bool,
}

impl<'a> Records<'a> {
    /// Whether nothing remains to be done of a job.
    pub(crate) fn is_done(&self, job: TrainingId) -> Result<bool, FileError> {
        let files = self.layout.training(job);
        Ok(match job {
            TrainingId::Audit => !self.audited()?.is_missing(),
            TrainingId::Fold(_) => self.fold(&files)?.is_some() && files.is_recorded(),
            TrainingId::Halving { .. } => self.short_training(&files)?.is_some(),
            TrainingId::Final { .. } => files.is_recorded(),
        })
    }

    /// The policy that the audit made.
    pub(crate) fn audited(&self) -> Result<Product<Policy>, FileError> {
        let Some(audit) = &self.config.audit else {
            return Ok(Product::None);
        };
        let files = self.layout.training(TrainingId::Audit);
        if files.has_diverged() {
            return Ok(Product::None);
        }
        if files.points().read()?.len() < audit.points().count() {
            return Ok(Product::Missing);
        }
        Ok(match read_json::<Audit>(&self.layout.audit_file())? {
            Some(audit) => Product::Made(found::audited(self.config, sampler(&audit, self.ops))),
            None => Product::Missing,
        })
    }

    /// The policy that the search by density matching found on all folds, and the reliability of its rewards.
    pub(crate) fn density(&self) -> Result<Product<(Policy, Option<Reliability>)>, FileError> {
        let Some(search) = &self.config.search else {
            return Ok(Product::None);
        };
        let (mut sub_policies, mut diverged) = (Vec::new(), Vec::new());
        let mut random_rewards = Vec::new();
        for number in 0..search.folds.count.get() {
            let files = self.layout.training(TrainingId::Fold(number));
            match self.fold(&files)? {
                None => return Ok(Product::Missing),
                Some(Outcome::Done(found)) => {
                    sub_policies.extend(found.sub_policies);
                    random_rewards.push((number, found.random_rewards));
                }
                Some(Outcome::Diverged(_)) => diverged.push(number),
            }
        }
        if sub_policies.is_empty() {
            return Ok(Product::None);
        }
        let random_rewards = random_rewards.iter();
        let random_rewards = random_rewards.map(|(fold, rewards)| (*fold, rewards.as_slice()));
        let reliability = Reliability::of(random_rewards);
        let policy = found::merged(self.config, sub_policies, &diverged);
        Ok(Product::Made((policy, reliability)))
    }

    /// What was found on the fold with these files; `None` if something of it is missing.
    pub(crate) fn fold(
        &self,
        files: &TrainingFiles,
    ) -> Result<Option<Outcome<FoldResult>>, FileError> {
        if files.has_diverged() {
            let divergence = read_json::<Divergence>(&files.diverged())?;
            return Ok(divergence.map(Outcome::Diverged));
        }
        let Some(search) = &self.config.search else {
            return Ok(None);
        };
        let (trials, rescorings) = (files.trials(), files.rescorings());
        let result = fold_result(search, &checked_trials(search, &trials)?, &rescorings)?;
        Ok(result.map(Outcome::Done))
    }

    /// The policies of halving, as far as the trainings before them are done. Without halving, there are none.
    pub(crate) fn phases(&self) -> Result<Phases, FileError> {
        let mut phases = Phases {
            known: Vec::new(),
            progress: Progress::default(),
            are_done: false,
        };
        let (audited, density) = (self.audited()?, self.density()?);
        let lacks_fixed = audited.is_missing() || density.is_missing();
        let density = density.made().map(|(policy, _)| policy);
        let Some(bracket) = self.bracket(audited.made(), density) else {
            return Ok(phases);
        };
        for phase in 0..bracket.phases() {
            if bracket.has_fixed(phase) && lacks_fixed {
                return Ok(phases);
            }
            let entrants = bracket.entrants(phase, &phases.progress);
            phases.known.push(entrants.clone());
            let mut trainings = Vec::new();
            for id in self.trainings_of(&entrants) {
                let Some(evaluation) = self.short_training(&self.layout.training(id))? else {
                    return Ok(phases);
                };
                if let TrainingId::Halving {
                    rung,
                    entrant,
                    seed,
                } = id
                {
                    trainings.push(RungTraining::new(rung, entrant, seed, evaluation));
                }
            }
            phases.progress.entrants.extend(entrants);
            phases.progress.trainings.extend(trainings);
        }
        phases.are_done = true;
        Ok(phases)
    }

    /// The bracket of halving, with the policies that an audit and a search by density matching made.
    pub(crate) fn bracket(
        &self,
        audited: Option<Policy>,
        density: Option<Policy>,
    ) -> Option<Bracket<'a>> {
        Some(Bracket {
            seed: self.config.common.seed,
            halving: self.config.halving.as_ref()?,
            fixed: fixed_policies(audited, density),
        })
    }

    /// The trainings of policies in their rung, with every seed.
    pub(crate) fn trainings_of(&self, entrants: &[Entrant]) -> Vec<TrainingId> {
        let halving = self.config.halving.as_ref();
        let seeds = |rung| halving.map_or(0, |it| it.seeds_in(rung));
        let of = |it: &Entrant| {
            let (rung, entrant) = (it.rung, it.entrant);
            (0..seeds(rung)).map(move |seed| TrainingId::Halving {
                rung,
                entrant,
                seed,
            })
        };
        entrants.iter().flat_map(of).collect()
    }

    /// The policy that won halving, when all of its trainings are done.
    pub(crate) fn winner(&self, progress: &Progress) -> Option<(Policy, HalvingResult)> {
        let bracket = self.bracket(None, None)?;
        let Progress {
            entrants,
            trainings,
        } = progress;
        let result = HalvingResult::of(bracket.halving, entrants, trainings);
        let winner = result.winner()?;
        let winner = entrants.iter().find(|it| it.entrant == winner.entrant);
        let space = bracket.space();
        let identity = || space.policy("", &Point::new(1, Vec::new()));
        let found = winner?.policy(&space).unwrap_or_else(identity);
        Some((found::winner(self.config, found.rule, &result), result))
    }

    /// The policy of the final trainings: the one that was found or given.
    pub(crate) fn policy(&self) -> Result<Product<Policy>, FileError> {
        let config = self.config;
        if config.halving.is_some() {
            let phases = self.phases()?;
            return Ok(match phases.are_done {
                false => Product::Missing,
                true => match self.winner(&phases.progress) {
                    Some((policy, _)) => Product::Made(policy),
                    None => Product::None,
                },
            });
        }
        // Without halving, there is at most one of them.
        if config.audit.is_some() {
            return self.audited();
        }
        if config.search.is_none() {
            let given = config.final_trainings.policy.clone();
            return Ok(given.map_or(Product::None, Product::Made));
        }
        Ok(match self.density()? {
            Product::Made((policy, _)) => Product::Made(policy),
            Product::None => Product::None,
            Product::Missing => Product::Missing,
        })
    }

    /// The evaluation of a short training, which is `None` if it diverged; `None` if it is not done.
    fn short_training(
        &self,
        files: &TrainingFiles,
    ) -> Result<Option<Option<Evaluation>>, FileError> {
        if files.has_diverged() {
            return Ok(Some(None));
        }
        // Its network is removed last.
        match files.network().exists() {
            true => Ok(None),
            false => Ok(read_json(&files.evaluation())?.map(Some)),
        }
    }
}

/// The trials in a log, which must be the first trials of this search.
pub(crate) fn checked_trials(
    search: &SearchConfig,
    log: &Log<Trial>,
) -> Result<Vec<Trial>, FileError> {
    let (space, recorded) = (Space::new(search), log.read()?);
    let trials = search.trials.get();
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
        return Err(FileError::different_trial(
            log.path(),
            index + 1,
            &expected,
            &found,
        ));
    }
    Ok(recorded)
}

/// What a fold with these trials found; `None` if trials or second scorings are missing.
pub(crate) fn fold_result(
    search: &SearchConfig,
    trials: &[Trial],
    log: &Log<Rescoring>,
) -> Result<Option<FoldResult>, FileError> {
    let (per_round, rounds) = (search.trials.get(), search.rounds.get());
    if trials.len() < per_round.saturating_mul(rounds) {
        return Ok(None);
    }
    let recorded = log.read()?;
    let (mut result, mut line) = (FoldResult::default(), 0);
    for trials in trials.chunks(per_round).take(rounds) {
        let first = line;
        for number in RoundResults::new(trials, &[]).to_rescore(search) {
            let Some(rescoring) = recorded.get(line) else {
                return Ok(None);
            };
            line += 1;
            check_rescoring(log, line, &trials[number], rescoring)?;
        }
        let results = RoundResults::new(trials, &recorded[first..line]);
        result.sub_policies.extend(results.sub_policies(search));
        (result.random_rewards).extend(results.random_rewards(search));
    }
    match recorded.get(line) {
        Some(it) => {
            let found = format!("{}.{}", it.round, it.trial);
            let line = line + 1;
            Err(FileError::different_trial(
                log.path(),
                line,
                "no further trial",
                &found,
            ))
        }
        None => Ok(Some(result)),
    }
}

/// Checks that a line of a log is a second scoring of this trial.
pub(crate) fn check_rescoring(
    log: &Log<Rescoring>,
    line: usize,
    trial: &Trial,
    recorded: &Rescoring,
) -> Result<(), FileError> {
    let expected = (trial.round, trial.trial, trial.reward);
    let found = (recorded.round, recorded.trial, recorded.first);
    if expected == found {
        return Ok(());
    }
    let words = |(round, trial, reward)| format!("trial {round}.{trial} with the reward {reward}");
    let (expected, found) = (words(expected), words(found));
    Err(FileError::different_trial(
        log.path(),
        line,
        &expected,
        &found,
    ))
}
