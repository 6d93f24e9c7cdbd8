//! The remaining work of a run, and an estimate of its duration.

use std::{panic, thread};

use super::error::{RunError, failed};
use super::final_trainings::all_trainings;
use crate::backend::{Backend, BackendError, StopFlag};
use crate::config::{AuditConfig, RunConfig, TrainingConfig};
use crate::directory::RunDirectory;
use crate::event::Plan;
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::Rates;
use crate::trial::Trial;

/// The plan of a run on `images` training images. If the records do not show the speed of this machine,
/// as many backends measure it as will work side by side.
pub(super) fn plan<B: Backend>(
    config: &RunConfig,
    (audit, folds): (Option<&Fold>, &[Fold]),
    images: usize,
    directory: &RunDirectory,
    backends: &mut [B],
    stop: &StopFlag,
) -> Result<Plan, RunError> {
    let training = &config.common.training;
    let trials = (config.search.as_ref()).map_or(0, |it| it.rounds.get() * it.trials.get());
    let final_trainings = all_trainings(&config.final_trainings).count();
    let mut remaining = RemainingWork::of(config, folds, images, directory)?;
    if let Some((fold, audit)) = audit.zip(config.audit.as_ref()) {
        remaining.add_audit(
            &directory.training(TrainingId::Audit),
            fold,
            audit,
            training,
        )?;
    }
    let jobs = folds.len().max(final_trainings).max(1);
    let parallel = backends.len().min(jobs);
    let rates = match remaining.recorded_rates() {
        Some(Rates { train, classify }) => {
            Rates::new(train * parallel as f64, classify * parallel as f64)
        }
        None => measured_rates(&mut backends[..parallel], training, stop)
            .map_err(failed("measuring the speed"))?,
    };
    let mut devices: Vec<String> = backends.iter().map(Backend::device).collect();
    devices.sort();
    devices.dedup();
    let dataset = backends[0].dataset();
    Ok(Plan {
        run: directory.path().to_owned(),
        device: devices.join(", "),
        images: dataset.images,
        size: dataset.size,
        classes: dataset.classes,
        folds: folds.len(),
        trials: folds.len().saturating_mul(trials),
        points: config.audit.as_ref().map_or(0, |it| it.points().count()),
        final_trainings,
        images_to_train: remaining.train,
        images_to_classify: remaining.classify,
        rates,
        estimated_seconds: remaining.train as f64 / rates.train
            + remaining.classify as f64 / rates.classify,
    })
}

/// The rates of all backends together, measured side by side, since they may share a device.
fn measured_rates<B: Backend>(
    backends: &mut [B],
    training: &TrainingConfig,
    stop: &StopFlag,
) -> Result<Rates, BackendError> {
    thread::scope(|scope| {
        let measure = |backend| scope.spawn(move || B::rates(backend, training, stop));
        let threads: Vec<_> = backends.iter_mut().map(measure).collect();
        let rates = threads.into_iter().map(|thread| match thread.join() {
            Ok(rates) => rates,
            Err(panic) => panic::resume_unwind(panic),
        });
        rates.reduce(|sum, one| {
            let (sum, one) = (sum?, one?);
            Ok(Rates::new(
                sum.train + one.train,
                sum.classify + one.classify,
            ))
        })
    })
    .expect("there is at least one backend")
}

/// The number of images that remain, and the recorded throughput.
#[derive(Default)]
struct RemainingWork {
    train: usize,
    classify: usize,
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
    ) -> Result<Self, RunError> {
        let mut remaining = Self::default();
        for (number, fold) in folds.iter().enumerate() {
            let files = directory.training(TrainingId::Fold(number));
            let epochs = config.common.training.epochs.get();
            remaining.add_training(&files, fold.train.len(), epochs)?;
            if let Some(search) = &config.search
                && !files.diverged().exists()
            {
                let all = search.rounds.get() * search.trials.get();
                let images = fold.validation.len().saturating_mul(search.draws.get());
                remaining.add_trials(&files.trials().read()?, all, images);
            }
        }
        for (augmentation, seed) in all_trainings(&config.final_trainings) {
            let id = TrainingId::Final { augmentation, seed };
            let epochs = config.final_epochs().get();
            remaining.add_training(&directory.training(id), images, epochs)?;
        }
        Ok(remaining)
    }

    fn add_training(
        &mut self,
        files: &TrainingFiles,
        images: usize,
        epochs: usize,
    ) -> Result<(), RunError> {
        let recorded = files.epochs().read()?;
        for epoch in &recorded {
            self.trained.add(epoch.images, epoch.seconds);
        }
        if !files.is_finished() {
            let epochs = epochs.saturating_sub(recorded.len());
            self.train = self.train.saturating_add(images.saturating_mul(epochs));
        }
        Ok(())
    }

    /// Adds a fold's trials, each of which classifies `images`.
    fn add_trials(&mut self, recorded: &[Trial], all: usize, images: usize) {
        for trial in recorded {
            self.classified.add(images, trial.seconds);
        }
        let trials = all.saturating_sub(recorded.len());
        self.classify = self.classify.saturating_add(trials.saturating_mul(images));
    }

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
        self.classify = self
            .classify
            .saturating_add(fold.validation.len().saturating_mul(draws));
        match audit.network {
            Some(_) => Ok(()),
            None => self.add_training(files, fold.train.len(), training.epochs.get()),
        }
    }

    /// `None` if a rate is needed for which there are no records.
    fn recorded_rates(&self) -> Option<Rates> {
        Some(Rates {
            train: self.trained.rate(self.train)?,
            classify: self.classified.rate(self.classify)?,
        })
    }
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
