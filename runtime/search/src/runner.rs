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
mod round;
mod scoring;
mod training;
mod workers;

use std::fmt;
use std::num::NonZeroUsize;

use faa_op::OpSet;
use faa_policy::Policy;

use self::audit::AuditStage;
use self::final_trainings::Trainer;
use self::fold::FoldSearch;
use self::halving::Halving;
use self::plan::Planner;
use self::scoring::{FoldContext, SharedScorings};
use self::workers::{Worker, Workers};
use crate::backend::{NetworkFiles, StopFlag};
use crate::config::RunConfig;
use crate::directory::RunDirectory;
use crate::environment::Environment;
use crate::event::Event;
use crate::folds::{Fold, Labels};
use crate::jobs;
use crate::layout::TrainingId;
use crate::records::Records;
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
        let prepared = self.prepare(None, stop, observe)?;
        let Prepared {
            config,
            directory,
            ref parts,
            records,
            seeds,
            ..
        } = prepared;
        let backends = prepared.backends;
        let workers = Workers::new(
            directory,
            stop,
            (&prepared.environment, !prepared.is_reported),
            observe,
        );
        if let Some(stage) = parts.audit(config) {
            workers.run_parallel(backends, [stage], |worker, stage| stage.run(worker))?;
        }
        let folds = 0..parts.folds.len();
        let folds: Vec<_> = folds
            .filter_map(|number| parts.search(config, number))
            .collect();
        let scorings = SharedScorings::new(folds.len());
        workers.run_and_help(
            backends,
            folds,
            |worker, fold| {
                let done = fold.run(worker, &scorings);
                scorings.fold_done();
                done
            },
            |worker| scorings.help(worker),
        )?;
        let (audited, density) = (records.audited()?.made(), records.density()?.made());
        let (density, reliability) = density.unzip();
        if let Some(Some(reliability)) = &reliability {
            workers.report(Event::ReliabilityMeasured(reliability.clone()));
        }
        let (found, halved) = match parts.halving(config, records, audited.clone(), density.clone())
        {
            Some(halving) => {
                let progress = halving.run(&workers, backends)?;
                let winner = records.winner(&progress);
                let (policy, result) = winner.ok_or_else(RunError::all_diverged)?;
                workers.report(Event::HalvingDone(result.clone()));
                (Some(policy), Some(result))
            }
            None if config.audit.is_none() && config.search.is_none() => (None, None),
            // An audit and a search by density matching are together only in halving.
            None => (
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
        let results = parts
            .trainer(config, policy)
            .train(seeds, &workers, backends)?;
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

    /// Does one job of the run, if it is not yet done. It gives the same records as in a run of all jobs. One
    /// backend works on it; the others help to score the candidates of a fold. Nothing of the run as a whole is written.
    ///
    /// # Errors
    ///
    /// [`RunError`]: among others [`RunErrorKind::InUse`] if a different process works on the job, and
    /// [`RunErrorKind::NotReady`] if jobs are missing that it needs.
    pub fn run_job(
        self,
        job: TrainingId,
        stop: &StopFlag,
        observe: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let prepared = self.prepare(Some(job), stop, observe)?;
        let Prepared {
            config,
            directory,
            ref parts,
            records,
            ..
        } = prepared;
        let workers = Workers::new(
            directory,
            stop,
            (&prepared.environment, !prepared.is_reported),
            observe,
        );
        let scorings = SharedScorings::new(usize::from(matches!(job, TrainingId::Fold(_))));
        let run = |worker: &mut Worker<'_, '_, B>, job| match job {
            TrainingId::Audit => {
                let stage = parts.audit(config).ok_or_else(|| no_such_job(job))?;
                stage.run(worker)
            }
            TrainingId::Fold(number) => {
                let fold = parts
                    .search(config, number)
                    .ok_or_else(|| no_such_job(job))?;
                let done = fold.run(worker, &scorings);
                scorings.fold_done();
                done
            }
            TrainingId::Halving {
                rung,
                entrant,
                seed,
            } => {
                let audited = records.audited()?.made();
                let density = records.density()?.made().map(|(policy, _)| policy);
                let halving = parts.halving(config, records, audited, density);
                let phases = records.phases()?;
                let mut known = phases.known.iter().flatten();
                let entrant = known.find(|it| (it.rung, it.entrant) == (rung, entrant));
                let (halving, entrant) = halving.zip(entrant).ok_or_else(|| no_such_job(job))?;
                halving.train_one(worker, entrant, seed).map(drop)
            }
            TrainingId::Final { augmentation, seed } => {
                let policy = records.policy()?.made();
                let trainer = parts.trainer(config, policy.as_ref());
                trainer.train_one(worker, augmentation, seed).map(drop)
            }
        };
        workers.run_and_help(prepared.backends, [job], run, |worker| {
            scorings.help(worker);
        })?;
        Ok(())
    }

    /// Checks and plans the run or this job of it.
    fn prepare(
        self,
        job: Option<TrainingId>,
        stop: &StopFlag,
        observe: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Prepared<'a, B>, RunError> {
        let Self {
            config,
            directory,
            labels,
            ops,
            ..
        } = self;
        config.check(ops)?;
        let parts = Parts {
            folds: config.folds(labels)?,
            audit: config.audit_fold(labels)?,
            halving: config.halving_fold(labels)?,
            labels,
        };
        let records = Records {
            config,
            ops,
            layout: directory,
        };
        if let Some(job) = job {
            check_job(records, job)?;
        }
        directory.notices().for_each(&mut *observe);
        let images = labels.classes.len();
        let environment = self.environment.map(|it| it.with_jobs(self.backends.len()));
        let planner = Planner {
            config,
            audit: parts.audit.as_ref(),
            halving: parts.halving.as_ref(),
            folds: &parts.folds,
            images,
            directory,
            environment: environment.as_ref(),
            chooses_jobs: self.chooses_jobs,
            job,
        };
        let (plan, seeds) = planner.plan(self.backends, stop)?;
        let backends = &mut self.backends[..plan.jobs];
        let environment = environment.map(|it| it.with_jobs(plan.jobs));
        let mut is_reported = false;
        // What a job is done in, is recorded with the job.
        if let Some(current) = environment.as_ref().filter(|_| job.is_none())
            && let Some(recorded) = directory.record_environment(current)?
        {
            let (recorded, current) = (Box::new(recorded), Box::new(current.clone()));
            observe(Event::EnvironmentChanged { recorded, current });
            is_reported = true;
        }
        observe(Event::Planned(plan));
        Ok(Prepared {
            config,
            directory,
            parts,
            records,
            seeds,
            environment: environment.unwrap_or_default(),
            is_reported,
            backends,
        })
    }
}

/// A run that was checked and planned.
struct Prepared<'a, B> {
    config: &'a RunConfig,
    directory: &'a RunDirectory,
    parts: Parts<'a>,
    records: Records<'a>,
    /// The number of seeds of final trainings.
    seeds: NonZeroUsize,
    environment: Environment,
    /// Whether it was reported that this is a different environment than the run's last one.
    is_reported: bool,
    backends: &'a mut [B],
}

/// The images of each part of a run.
struct Parts<'a> {
    folds: Vec<Fold>,
    audit: Option<Fold>,
    halving: Option<Fold>,
    labels: Labels<'a>,
}

impl<'a> Parts<'a> {
    fn audit(&'a self, config: &'a RunConfig) -> Option<AuditStage<'a>> {
        Some(AuditStage {
            common: &config.common,
            audit: config.audit.as_ref()?,
            fold: self.audit.as_ref()?,
            groups: self.labels.groups,
        })
    }

    /// The search on a fold.
    fn search(&'a self, config: &'a RunConfig, number: usize) -> Option<FoldSearch<'a>> {
        Some(FoldSearch(FoldContext {
            common: &config.common,
            search: config.search.as_ref()?,
            number,
            fold: self.folds.get(number)?,
        }))
    }

    fn halving(
        &'a self,
        config: &'a RunConfig,
        records: Records<'a>,
        audited: Option<Policy>,
        density: Option<Policy>,
    ) -> Option<Halving<'a>> {
        Some(Halving {
            config,
            fold: self.halving.as_ref()?,
            bracket: records.bracket(audited, density)?,
        })
    }

    fn trainer(&self, config: &'a RunConfig, policy: Option<&'a Policy>) -> Trainer<'a> {
        Trainer {
            config,
            images: self.labels.classes.len(),
            policy,
        }
    }
}

/// Checks that the run has this job, and that those are done which it needs.
fn check_job(records: Records<'_>, job: TrainingId) -> Result<(), RunError> {
    let (phases, seeds) = (records.phases()?, jobs::seeds(records)?);
    let needs = jobs::needs(records, &phases, seeds, job);
    let needs = needs.ok_or_else(|| no_such_job(job))?;
    let mut missing = Vec::new();
    for need in needs {
        if !records.is_done(need)? {
            missing.push(need.folder());
        }
    }
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(RunError::new(
            RunErrorKind::NotReady,
            jobs::not_ready(job, missing),
        )),
    }
}

fn no_such_job(job: TrainingId) -> RunError {
    RunError::new(RunErrorKind::Config, jobs::no_such_job(job))
}
