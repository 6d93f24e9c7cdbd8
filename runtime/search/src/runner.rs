//! A run: Fast AutoAugment (Lim, Kim, Kim, Kim and Kim, *Fast AutoAugment*, NeurIPS 2019,
//! algorithm 1), successive halving over short trainings, and the final trainings that evaluate the
//! policy.

mod audit;
mod error;
mod estimate;
mod final_trainings;
mod fold;
mod halving;
mod measure;
mod plan;
mod policy;
mod round;
mod scoring;
mod training;
mod workers;

use std::fmt;

use faa_op::OpSet;
use faa_policy::Policy;

use self::audit::AuditStage;
use self::final_trainings::Trainer;
use self::fold::FoldSearch;
use self::halving::{Halving, fixed_policies};
use self::plan::Planner;
use self::scoring::{FoldContext, SharedScorings};
use self::workers::{Worker, Workers};
use crate::backend::{NetworkFiles, StopFlag};
use crate::config::{RunConfig, SearchConfig};
use crate::directory::RunDirectory;
use crate::environment::Environment;
use crate::event::Event;
use crate::folds::{Fold, Labels};
use crate::reliability::Reliability;
use crate::results::Outcome;
use crate::summary::Summary;

pub use self::error::{RunError, RunErrorKind};

/// A run and its resources.
pub struct Run<'a, B: NetworkFiles> {
    config: &'a RunConfig,
    labels: Labels<'a>,
    ops: &'a OpSet,
    backends: &'a mut [B],
    chooses_jobs: bool,
    directory: &'a RunDirectory,
    environment: Option<Environment>,
}

impl<B: NetworkFiles> fmt::Debug for Run<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("config", &self.config)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl<'a, B: NetworkFiles> Run<'a, B> {
    /// A run on training images of these classes, with these ops. Each of the backends, at least one,
    /// works on one fold or training at a time, in parallel with the others. The directory receives all
    /// files, from which a later attempt continues.
    pub fn new(
        config: &'a RunConfig,
        labels: impl Into<Labels<'a>>,
        ops: &'a OpSet,
        backends: &'a mut [B],
        directory: &'a RunDirectory,
    ) -> Self {
        Self {
            config,
            labels: labels.into(),
            ops,
            backends,
            chooses_jobs: false,
            directory,
            environment: None,
        }
    }

    /// Lets only as many of the backends work as are the fastest together, which is measured first.
    #[must_use]
    pub fn choosing_jobs(mut self) -> Self {
        self.chooses_jobs = true;
        self
    }

    /// Records this environment in the run directory, with the number of jobs; and reports if the run has
    /// been worked on in a different one, whose records then do not show the speed.
    #[must_use]
    pub fn in_environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Does the work of the run that is not yet recorded in the run directory, until it is done or the
    /// flag stops it cleanly. `observe` receives every event.
    ///
    /// # Errors
    ///
    /// [`RunError`]; finished work stays in the run directory.
    pub fn run(
        self,
        stop: &StopFlag,
        observe: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Summary, RunError> {
        let Self {
            config, directory, ..
        } = self;
        config.check(self.ops)?;
        let folds = config.folds(self.labels)?;
        let audit_fold = config.audit_fold(self.labels)?;
        let halving_fold = config.halving_fold(self.labels)?;
        directory.notices().for_each(&mut *observe);
        let images = self.labels.classes.len();
        let environment = self.environment.map(|it| it.with_jobs(self.backends.len()));
        let planner = Planner {
            config,
            audit: audit_fold.as_ref(),
            halving: halving_fold.as_ref(),
            folds: &folds,
            images,
            directory,
            environment: environment.as_ref(),
            chooses_jobs: self.chooses_jobs,
        };
        let (plan, seeds) = planner.plan(self.backends, stop)?;
        let backends = &mut self.backends[..plan.jobs];
        if let Some(environment) = environment.map(|it| it.with_jobs(plan.jobs))
            && let Some(recorded) = directory.record_environment(&environment)?
        {
            let (recorded, current) = (Box::new(recorded), Box::new(environment));
            observe(Event::EnvironmentChanged { recorded, current });
        }
        observe(Event::Planned(plan));

        let workers = Workers::new(directory, stop, observe);
        let audited = match (&config.audit, &audit_fold) {
            (Some(audit), Some(fold)) => {
                let common = &config.common;
                let stage = AuditStage {
                    common,
                    audit,
                    fold,
                    groups: self.labels.groups,
                };
                self::audit::safe_policy(config, stage, self.ops, &workers, backends)?
            }
            _ => None,
        };
        let density = match &config.search {
            Some(search) => find_policy(config, search, &folds, &workers, backends)?,
            None => None,
        };
        let (density, reliability) = density.unzip();
        let (found, halved) = match (&config.halving, &halving_fold) {
            (Some(halving), Some(fold)) => {
                let halving = Halving {
                    config,
                    halving,
                    fold,
                    fixed: fixed_policies(audited, density),
                };
                let (policy, result) = halving.run(&workers, backends)?;
                (Some(policy), Some(result))
            }
            _ if config.audit.is_none() && config.search.is_none() => (None, None),
            // An audit and a search by density matching are together only in halving.
            _ => (
                Some(audited.or(density).ok_or_else(RunError::all_diverged)?),
                None,
            ),
        };
        let policy = found.as_ref().or(config.final_trainings.policy.as_ref());
        let sub_policies = policy.map_or(0, |policy| policy.sub_policies().len());
        let (files, file) = (directory.files(), directory.policy_file());
        if let Some(policy) = policy {
            files.write(&file, policy.to_json().as_bytes())?;
        }
        if found.is_some() {
            let file = file.clone();
            workers.report(Event::PolicyWritten { file, sub_policies });
        }
        let trainer = Trainer {
            config,
            images,
            seeds,
            policy,
        };
        let results = trainer.train(&workers, backends)?;
        let mut summary = Summary::new(policy.map(|_| file), sub_policies, results);
        // Without a file, its training has diverged.
        let audit_file = Some(directory.audit_file()).filter(|_| config.audit.is_some());
        summary.audit = audit_file.filter(|file| file.exists());
        summary.reliability = reliability.flatten();
        summary.halving = halved;
        files.write_json(&directory.summary_file(), &summary)?;
        let mut results = summary.final_trainings.iter();
        if found.is_none() && results.all(|it| it.errors.is_empty()) {
            return Err(RunError::all_diverged());
        }
        workers.report(Event::Finished(summary.clone()));
        Ok(summary)
    }
}

/// Searches on every fold, merges the sub-policies found, and measures the reliability of their rewards.
/// `None` if the trainings of all folds have diverged.
fn find_policy<B: NetworkFiles>(
    config: &RunConfig,
    search: &SearchConfig,
    folds: &[Fold],
    workers: &Workers<'_>,
    backends: &mut [B],
) -> Result<Option<(Policy, Option<Reliability>)>, RunError> {
    let numbered = folds.iter().enumerate();
    let scorings = SharedScorings::new(folds.len());
    let run = |worker: &mut Worker<'_, '_, B>, (number, fold)| {
        let fold = FoldContext {
            common: &config.common,
            search,
            number,
            fold,
        };
        let outcome = FoldSearch(fold).run(worker, &scorings)?;
        scorings.fold_done();
        Ok(outcome)
    };
    let outcomes = workers.run_and_help(backends, numbered, run, |worker| scorings.help(worker))?;
    let (mut sub_policies, mut diverged) = (Vec::new(), Vec::new());
    let mut random_rewards = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Done(found) => {
                sub_policies.extend(found.sub_policies);
                random_rewards.push((number, found.random_rewards));
            }
            Outcome::Diverged(_) => diverged.push(number),
        }
    }
    if sub_policies.is_empty() {
        return Ok(None);
    }
    let random_rewards = random_rewards.iter();
    let random_rewards = random_rewards.map(|(fold, rewards)| (*fold, rewards.as_slice()));
    let reliability = Reliability::of(random_rewards);
    if let Some(reliability) = &reliability {
        workers.report(Event::ReliabilityMeasured(reliability.clone()));
    }
    let policy = policy::merged(config, sub_policies, &diverged);
    Ok(Some((policy, reliability)))
}
