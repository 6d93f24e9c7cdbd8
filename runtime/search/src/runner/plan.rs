//! The remaining work of a run, and an estimate of its duration.

use std::num::NonZeroUsize;

use super::error::{RunError, failed};
use super::estimate::{Speeds, Work};
use super::measure::{rates_of, rates_while_faster};
use crate::backend::{Backend, BackendError, StopFlag};
use crate::config::{AuditConfig, RunConfig, RungPhase, SEEDS, SearchConfig, TrainingConfig};
use crate::directory::RunDirectory;
use crate::environment::{Environment, Resources};
use crate::event::Plan;
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::{JobRates, Rates};
use crate::seed_count::SeedCount;
use crate::selection::{max_rescorings, scorings_left};

/// Plans a run.
pub(super) struct Planner<'a> {
    pub(super) config: &'a RunConfig,
    /// The split of the audit.
    pub(super) audit: Option<&'a Fold>,
    /// The split of halving.
    pub(super) halving: Option<&'a Fold>,
    pub(super) folds: &'a [Fold],
    /// The number of images in the training split.
    pub(super) images: usize,
    pub(super) directory: &'a RunDirectory,
    /// What the run continues in; `None` if it is not known.
    pub(super) environment: Option<&'a Environment>,
    /// Whether the number of backends that will work is still to be chosen.
    pub(super) chooses_jobs: bool,
    /// The only job that is planned; `None` for the whole run.
    pub(super) job: Option<TrainingId>,
}

impl Planner<'_> {
    /// The plan, and the number of seeds of the final trainings. If the records do not show the speed, it is
    /// measured.
    pub(super) fn plan<B: Backend>(
        &self,
        backends: &mut [B],
        stop: &StopFlag,
    ) -> Result<(Plan, NonZeroUsize), RunError> {
        let config = self.config;
        let mut seed_count = match config.final_trainings.seeds {
            Some(_) => None,
            None => SeedCount::read(self.directory)?,
        };
        let known = config.final_trainings.seeds;
        let known = known.or(seed_count.map(|it| it.seeds));
        // Until the number of seeds is chosen, the work is that of the largest number. The speed is measured
        // for it, and with fewer seeds a number of jobs that was not measured is guessed conservatively.
        let mut seeds = known.unwrap_or(SEEDS);
        let mut remaining = self.remaining(seeds)?;
        if !self.records_show_the_speed()? {
            remaining.trained = Throughput::default();
            remaining.classified = Throughput::default();
        }
        let mut devices: Vec<String> = backends.iter().map(Backend::device).collect();
        devices.sort();
        devices.dedup();
        let all = backends.len();
        let max = remaining.max_jobs(all);
        let (measured, speeds) = match remaining.recorded_rates() {
            // An epoch's duration is that of one job, beside as many others as there will be again.
            Some(rates) => (Vec::new(), Speeds::new(vec![JobRates::new(1, rates)])),
            None => {
                let measured = self.measure(&remaining, devices.len(), &mut backends[..max], stop);
                let measured = measured.map_err(failed("measuring the speed"))?;
                (measured.clone(), Speeds::new(measured))
            }
        };
        // Of several numbers that are as fast, the lowest.
        let fastest = |work: &RemainingWork| {
            let seconds = |jobs: &usize| work.seconds(&speeds, *jobs);
            let measured = measured.iter().map(|it| it.jobs.min(work.max_jobs(all)));
            let fastest = measured.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
            fastest.filter(|_| self.chooses_jobs).unwrap_or(all)
        };
        if known.is_none() && self.job.is_none() && !remaining.final_trainings.is_empty() {
            // All of them count, whatever is recorded, with as many jobs as would do them.
            let all = vec![self.final_training(); remaining.final_trainings.len()];
            let choice = SeedCount::choose(speeds.seconds(&all, fastest(&remaining)));
            let files = self.directory.files();
            files.write_json(&self.directory.seeds_file(), &choice)?;
            (seeds, seed_count) = (choice.seeds, Some(choice));
            remaining = self.remaining(seeds)?;
        }
        let jobs = fastest(&remaining);
        let search = config.search.as_ref();
        let trials = search.map_or(0, |it| it.rounds.get() * it.trials.get());
        let rescorings = search.map_or(0, all_rescorings);
        let rungs = config.rung_phases();
        let counts = |wanted: fn(TrainingId) -> bool, all: usize| match self.job {
            Some(job) => usize::from(wanted(job)),
            None => all,
        };
        let folds = counts(|it| matches!(it, TrainingId::Fold(_)), self.folds.len());
        let audits = counts(|it| it == TrainingId::Audit, 1);
        let rung_trainings = rungs.iter().map(RungPhase::trainings).sum();
        let is_short = |it| matches!(it, TrainingId::Halving { .. });
        let dataset = backends[0].dataset();
        let plan = Plan {
            run: self.directory.path().to_owned(),
            device: devices.join(", "),
            images: dataset.images,
            size: dataset.size,
            classes: dataset.classes.len(),
            folds,
            trials: folds.saturating_mul(trials),
            rescorings: folds.saturating_mul(rescorings),
            points: audits * config.audit.as_ref().map_or(0, |it| it.points().count()),
            rung_trainings: counts(is_short, rung_trainings),
            final_trainings: remaining.final_trainings.len(),
            seed_count,
            images_to_train: remaining.train,
            images_to_classify: remaining.classify,
            jobs,
            rates: speeds.of(jobs.min(remaining.max_jobs(all))),
            estimated_seconds: remaining.seconds(&speeds, jobs),
            measured,
        };
        Ok((plan, seeds))
    }

    fn remaining(&self, seeds: NonZeroUsize) -> Result<RemainingWork, RunError> {
        let (config, directory) = (self.config, self.directory);
        if let Some(job) = self.job {
            return self.remaining_of(job);
        }
        let mut remaining = RemainingWork::of(config, self.folds, self.images, directory, seeds)?;
        if let Some((fold, audit)) = self.audit.zip(config.audit.as_ref()) {
            let files = directory.training(TrainingId::Audit);
            remaining.add_audit(&files, fold, audit, &config.common.training)?;
        }
        if let Some(fold) = self.halving {
            remaining.add_rungs(config, fold, directory)?;
        }
        Ok(remaining)
    }

    /// The work of one job.
    fn remaining_of(&self, job: TrainingId) -> Result<RemainingWork, RunError> {
        let (config, mut remaining) = (self.config, RemainingWork::default());
        let (training, files) = (&config.common.training, self.directory.training(job));
        let is_done = files.is_evaluated();
        match job {
            TrainingId::Audit => {
                if let Some((fold, audit)) = self.audit.zip(config.audit.as_ref()) {
                    remaining.add_audit(&files, fold, audit, training)?;
                }
            }
            TrainingId::Fold(number) => {
                let work = remaining.add_fold(config, &self.folds[number], &files)?;
                remaining.add_folds(vec![work], config.search.as_ref());
            }
            TrainingId::Halving { rung, .. } => {
                let epochs = config
                    .halving
                    .as_ref()
                    .map_or(0, |it| it.epochs_in(rung).get());
                let images = self.halving.map_or(0, |fold| fold.train.len());
                let left = remaining.add_training(&files, training, images, epochs, is_done)?;
                remaining.phases.push(vec![Work::training(left)]);
            }
            TrainingId::Final { .. } => {
                let (images, epochs) = (self.images, config.final_epochs().get());
                let left = remaining.add_training(&files, training, images, epochs, is_done)?;
                remaining.final_trainings.push(Work::training(left));
            }
        }
        Ok(remaining)
    }

    /// The work of one final training.
    fn final_training(&self) -> Work {
        let epochs = self.config.final_epochs().get();
        Work::training(images_of_epochs(
            &self.config.common.training,
            self.images,
            epochs,
        ))
    }

    /// Whether all recorded durations are those of a job as it will run now.
    fn records_show_the_speed(&self) -> Result<bool, RunError> {
        if self.chooses_jobs {
            return Ok(false);
        }
        let recorded = match self.job {
            None => self.directory.environment().read()?,
            Some(job) => {
                let attempts = self.directory.training(job).attempts().read()?;
                attempts.into_iter().map(|it| it.environment).collect()
            }
        };
        let is_same = |current| (recorded.iter()).all(|it| it.is_same_hardware(current));
        Ok(self.environment.is_none_or(is_same))
    }

    /// Measures as many jobs as will work in parallel, or the numbers to choose from, which begin with one
    /// per device.
    fn measure<B: Backend>(
        &self,
        remaining: &RemainingWork,
        devices: usize,
        backends: &mut [B],
        stop: &StopFlag,
    ) -> Result<Vec<JobRates>, BackendError> {
        let training = &self.config.common.training;
        if self.chooses_jobs {
            let seconds = |rates| remaining.total().seconds(rates);
            return rates_while_faster(devices, seconds, backends, training, stop);
        }
        let counts = remaining.numbers_of_jobs(backends.len());
        rates_of(&counts, backends, training, stop)
    }
}

/// The number of images that remain, and the recorded throughput.
#[derive(Default)]
struct RemainingWork {
    train: usize,
    classify: usize,
    /// What jobs share before the final trainings, phase by phase, each of which begins when the one before
    /// is done: an audit, which is one item; all folds; and the phases of rungs.
    phases: Vec<Vec<Work>>,
    final_trainings: Vec<Work>,
    trained: Throughput,
    classified: Throughput,
}

/// Recorded work.
#[derive(Default)]
struct Throughput {
    images: usize,
    seconds: f64,
}

impl RemainingWork {
    fn of(
        config: &RunConfig,
        folds: &[Fold],
        images: usize,
        directory: &RunDirectory,
        seeds: NonZeroUsize,
    ) -> Result<Self, RunError> {
        let (mut remaining, training) = (Self::default(), &config.common.training);
        let mut folds_left = Vec::new();
        for (number, fold) in folds.iter().enumerate() {
            let files = directory.training(TrainingId::Fold(number));
            folds_left.push(remaining.add_fold(config, fold, &files)?);
        }
        remaining.add_folds(folds_left, config.search.as_ref());
        for (augmentation, seed) in config.final_trainings.trainings(seeds) {
            let id = TrainingId::Final { augmentation, seed };
            let epochs = config.final_epochs().get();
            let files = directory.training(id);
            let is_done = files.is_evaluated();
            let train = remaining.add_training(&files, training, images, epochs, is_done)?;
            remaining.final_trainings.push(Work::training(train));
        }
        Ok(remaining)
    }

    /// Adds a fold, and returns what remains of it.
    fn add_fold(
        &mut self,
        config: &RunConfig,
        fold: &Fold,
        files: &TrainingFiles,
    ) -> Result<Work, RunError> {
        let training = &config.common.training;
        let mut classify = 0;
        if let Some(search) = &config.search
            && !files.diverged().exists()
        {
            let images = fold.validation.len().saturating_mul(search.draws.get());
            classify = self.add_scorings(search, files, images)?;
        }
        // The network is needed for as long as candidates are scored.
        let is_done = files.is_trained() || (classify == 0 && files.is_evaluated());
        let (images, epochs) = (fold.train.len(), training.epochs.get());
        let train = self.add_training(files, training, images, epochs, is_done)?;
        Ok(Work {
            train: train as f64,
            classify: classify as f64,
        })
    }

    /// Adds the phase of all folds. With batches, as if all networks were trained before any candidate is
    /// scored: then a fold's candidates are shared by more workers than its training.
    fn add_folds(&mut self, folds: Vec<Work>, search: Option<&SearchConfig>) {
        let batch = search
            .map_or(1, SearchConfig::batch_size)
            .min(Resources::MAX_JOBS);
        if batch == 1 {
            self.phases.push(folds);
            return;
        }
        let part = |work: &Work| Work {
            train: 0.0,
            classify: work.classify / batch as f64,
        };
        let parts = folds.iter().map(part);
        let scorings = parts.flat_map(|part| std::iter::repeat_n(part, batch));
        let scorings = scorings.collect();
        let trainings = folds.into_iter().map(|work| Work {
            classify: 0.0,
            ..work
        });
        self.phases.push(trainings.collect());
        self.phases.push(scorings);
    }

    /// Adds a training, and returns the number of images that remain of it.
    fn add_training(
        &mut self,
        files: &TrainingFiles,
        training: &TrainingConfig,
        images: usize,
        epochs: usize,
        is_done: bool,
    ) -> Result<usize, RunError> {
        let recorded = files.epochs().read()?;
        for epoch in &recorded {
            self.trained.add(epoch.images, epoch.seconds);
        }
        let remaining = match is_done {
            true => 0,
            false => images_of_epochs(training, images, epochs.saturating_sub(recorded.len())),
        };
        self.train = self.train.saturating_add(remaining);
        Ok(remaining)
    }

    /// Adds a fold's trials and second scorings, each of which classifies `images`, and returns the number of
    /// images that remain of them, at most.
    fn add_scorings(
        &mut self,
        search: &SearchConfig,
        files: &TrainingFiles,
        images: usize,
    ) -> Result<usize, RunError> {
        let (trials, rescorings) = (files.trials().read()?, files.rescorings().read()?);
        let seconds = trials.iter().map(|it| it.seconds);
        for seconds in seconds.chain(rescorings.iter().map(|it| it.seconds)) {
            self.classified.add(images, seconds);
        }
        let scorings = scorings_left(search, &trials, &rescorings);
        let remaining = scorings.saturating_mul(images);
        self.classify = self.classify.saturating_add(remaining);
        Ok(remaining)
    }

    /// Adds the trainings of all rungs, which are trained on one part of `fold`. Which policies take part in
    /// later rungs is not known yet, so those that are not begun are only counted.
    fn add_rungs(
        &mut self,
        config: &RunConfig,
        fold: &Fold,
        directory: &RunDirectory,
    ) -> Result<(), RunError> {
        let Some(halving) = &config.halving else {
            return Ok(());
        };
        let (training, images) = (&config.common.training, fold.train.len());
        let begun = directory.trainings()?;
        let phases = config.rung_phases();
        for (index, phase) in phases.iter().enumerate() {
            let next = phases.get(index + 1).filter(|next| next.rung == phase.rung);
            let end = next.map_or(usize::MAX, |next| next.first);
            let epochs = halving.epochs_in(phase.rung).get();
            let mut work = Vec::new();
            for id in &begun {
                if let TrainingId::Halving { rung, entrant, .. } = id
                    && *rung == phase.rung
                    && (phase.first..end).contains(entrant)
                {
                    let files = directory.training(*id);
                    let is_done = files.is_evaluated();
                    let left = self.add_training(&files, training, images, epochs, is_done)?;
                    work.push(Work::training(left));
                }
            }
            let full = images_of_epochs(training, images, epochs);
            let rest = phase.trainings().saturating_sub(work.len());
            self.train = self.train.saturating_add(full.saturating_mul(rest));
            work.extend(std::iter::repeat_n(Work::training(full), rest));
            self.phases.push(work);
        }
        Ok(())
    }

    fn all_phases(&self) -> impl Iterator<Item = &Vec<Work>> {
        self.phases.iter().chain([&self.final_trainings])
    }

    /// Its duration with this many jobs.
    fn seconds(&self, speeds: &Speeds, jobs: usize) -> f64 {
        self.all_phases()
            .map(|work| speeds.seconds(work, jobs))
            .sum()
    }

    fn total(&self) -> Work {
        Work {
            train: self.train as f64,
            classify: self.classify as f64,
        }
    }

    /// The number of items of each phase that are not done.
    fn items(&self) -> impl Iterator<Item = usize> {
        self.all_phases()
            .map(|work| work.iter().filter(|work| !work.is_done()).count())
    }

    /// How many of the workers are ever busy at the same time, at least 1.
    fn max_jobs(&self, workers: usize) -> usize {
        workers.min(self.items().max().unwrap_or(0).max(1))
    }

    /// The numbers of workers that are busy at the same time, if equal items end at the same time: in the
    /// full rounds and in the last round of each phase.
    fn numbers_of_jobs(&self, workers: usize) -> Vec<usize> {
        let rounds = |items: usize| [workers.min(items), items % workers];
        let mut jobs: Vec<usize> = self.items().flat_map(rounds).collect();
        jobs.retain(|jobs| *jobs > 0);
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Adds an audit, whose network is trained on one part of `fold` and measured on the other.
    fn add_audit(
        &mut self,
        files: &TrainingFiles,
        fold: &Fold,
        audit: &AuditConfig,
        training: &TrainingConfig,
    ) -> Result<(), RunError> {
        let recorded = files.points().read()?;
        for point in &recorded {
            self.classified
                .add(fold.validation.len() * point.draws, point.seconds);
        }
        let remaining = audit.points().skip(recorded.len());
        let draws: usize = remaining.map(|(op, _)| op.draws.get()).sum();
        let classify = fold.validation.len().saturating_mul(draws);
        self.classify = self.classify.saturating_add(classify);
        let train = match audit.network {
            Some(_) => 0,
            None => {
                let (images, epochs) = (fold.train.len(), training.epochs.get());
                self.add_training(files, training, images, epochs, files.is_trained())?
            }
        };
        self.phases.push(vec![Work {
            train: train as f64,
            classify: classify as f64,
        }]);
        Ok(())
    }

    /// `None` if a rate is needed for which there are no records.
    fn recorded_rates(&self) -> Option<Rates> {
        Some(Rates {
            train: self.trained.rate(self.train)?,
            classify: self.classified.rate(self.classify)?,
        })
    }
}

/// How many candidates of a fold are scored again, at most.
fn all_rescorings(search: &SearchConfig) -> usize {
    let rounds = 0..search.rounds.get();
    rounds.map(|round| max_rescorings(search, round)).sum()
}

/// The number of images in all batches of these epochs of a training on `images`.
fn images_of_epochs(training: &TrainingConfig, images: usize, epochs: usize) -> usize {
    let (size, count) = training.batches(images);
    epochs.saturating_mul(size * count)
}

impl Throughput {
    fn add(&mut self, images: usize, seconds: f64) {
        self.images = self.images.saturating_add(images);
        self.seconds += seconds;
    }

    fn rate(&self, needed: usize) -> Option<f64> {
        match self.images {
            0 if needed > 0 => None,
            // Any rate will do, since no work remains.
            0 => Some(1.0),
            images => Some(images as f64 / self.seconds.max(1e-9)),
        }
    }
}
