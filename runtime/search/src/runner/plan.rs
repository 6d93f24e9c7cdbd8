//! The remaining work of a run, and an estimate of its duration.

use std::{panic, thread};

use super::error::{RunError, failed};
use super::final_trainings::all_trainings;
use super::halving::fixed_policies;
use crate::backend::{Backend, BackendError, StopFlag};
use crate::config::{HalvingConfig, RunConfig, TrainingConfig};
use crate::directory::RunDirectory;
use crate::event::Plan;
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::Rates;
use crate::trial::Trial;

/// The images of a run.
#[derive(Clone, Copy)]
pub(super) struct RunSize<'a> {
    pub(super) folds: &'a [Fold],
    /// The images of successive halving.
    pub(super) halving: Option<&'a Fold>,
    /// The number of images in the training split.
    pub(super) images: usize,
}

/// The plan of a run. If the records do not show the speed of this machine,
/// as many backends measure it as will work side by side.
pub(super) fn plan<B: Backend>(
    config: &RunConfig,
    size: RunSize<'_>,
    directory: &RunDirectory,
    backends: &mut [B],
    stop: &StopFlag,
) -> Result<Plan, RunError> {
    let trials = (config.search.as_ref()).map_or(0, |it| it.rounds.get() * it.trials.get());
    let final_trainings = all_trainings(&config.final_trainings).count();
    let remaining = RemainingWork::of(config, size, directory)?;
    let training = &config.common.training;
    let (folds, halving) = (size.folds.len(), config.halving.as_ref());
    let rung_trainings = halving.map_or(0, |it| trainings_in_rungs(config, it).iter().sum());
    let jobs = [folds, rung_trainings, final_trainings, 1];
    let jobs = jobs.into_iter().max().unwrap_or(1);
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
        folds,
        trials: folds.saturating_mul(trials),
        rung_trainings,
        final_trainings,
        images_to_train: remaining.train,
        images_to_classify: remaining.classify,
        rates,
        estimated_seconds: remaining.train as f64 / rates.train
            + remaining.classify as f64 / rates.classify,
    })
}

/// The number of trainings of each rung, if none diverges.
fn trainings_in_rungs(config: &RunConfig, halving: &HalvingConfig) -> Vec<usize> {
    let fixed = fixed_policies(None).len() + usize::from(config.search.is_some());
    let in_rung = |rung| {
        let fixed = if halving.has_fixed(rung) { fixed } else { 0 };
        (halving.entrants_in(rung) + fixed) * halving.seeds_in(rung)
    };
    (0..halving.rungs.get()).map(in_rung).collect()
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
        size: RunSize<'_>,
        directory: &RunDirectory,
    ) -> Result<Self, RunError> {
        let mut remaining = Self::default();
        for (number, fold) in size.folds.iter().enumerate() {
            let files = directory.training(TrainingId::Fold(number));
            let epochs = config.common.training.epochs.get();
            remaining.add_training(&files, fold.train.len(), epochs, files.is_trained())?;
            if let Some(search) = &config.search
                && !files.diverged().exists()
            {
                let all = search.rounds.get() * search.trials.get();
                let images = fold.validation.len().saturating_mul(search.draws.get());
                remaining.add_trials(&files.trials().read()?, all, images);
            }
        }
        if let (Some(halving), Some(fold)) = (&config.halving, size.halving) {
            let planned = trainings_in_rungs(config, halving);
            remaining.add_rungs(halving, &planned, fold.train.len(), directory)?;
        }
        for (augmentation, seed) in all_trainings(&config.final_trainings) {
            let id = TrainingId::Final { augmentation, seed };
            let epochs = config.final_epochs().get();
            let files = directory.training(id);
            remaining.add_training(&files, size.images, epochs, files.is_evaluated())?;
        }
        Ok(remaining)
    }

    fn add_training(
        &mut self,
        files: &TrainingFiles,
        images: usize,
        epochs: usize,
        is_finished: bool,
    ) -> Result<(), RunError> {
        let recorded = files.epochs().read()?;
        for epoch in &recorded {
            self.trained.add(epoch.images, epoch.seconds);
        }
        if !is_finished {
            let epochs = epochs.saturating_sub(recorded.len());
            self.train = self.train.saturating_add(images.saturating_mul(epochs));
        }
        Ok(())
    }

    /// Adds the trainings of all rungs. Who takes part in later rungs is not known yet, so those that are
    /// not begun are only counted.
    fn add_rungs(
        &mut self,
        halving: &HalvingConfig,
        planned: &[usize],
        images: usize,
        directory: &RunDirectory,
    ) -> Result<(), RunError> {
        let begun = directory.trainings()?;
        for (number, planned) in planned.iter().enumerate() {
            let epochs = halving.epochs_in(number).get();
            let is_here = |id: &&TrainingId| matches!(id, TrainingId::Halving { rung, .. } if *rung == number);
            let begun: Vec<_> = begun.iter().filter(is_here).collect();
            for id in &begun {
                let files = directory.training(**id);
                self.add_training(&files, images, epochs, files.is_evaluated())?;
            }
            let rest = planned.saturating_sub(begun.len()).saturating_mul(epochs);
            self.train = self.train.saturating_add(rest.saturating_mul(images));
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
