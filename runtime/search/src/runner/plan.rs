//! The remaining work of a run, and an estimate of its duration.

use super::error::{RunError, failed};
use super::final_trainings::all_trainings;
use crate::backend::{Backend, StopFlag};
use crate::config::RunConfig;
use crate::directory::RunDirectory;
use crate::event::Plan;
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::Rates;
use crate::trial::Trial;

/// The plan of a run on `images` training images. If the records do not show the speed of this machine,
/// the first backend measures it.
pub(super) fn plan<B: Backend>(
    config: &RunConfig,
    folds: &[Fold],
    images: usize,
    directory: &RunDirectory,
    backends: &mut [B],
    stop: &StopFlag,
) -> Result<Plan, RunError> {
    let trials = (config.search.as_ref()).map_or(0, |it| it.rounds.get() * it.trials.get());
    let final_trainings = all_trainings(&config.final_trainings).count();
    let remaining = RemainingWork::of(config, folds, images, directory)?;
    let training = &config.common.training;
    let per_backend = match remaining.recorded_rates() {
        Some(rates) => rates,
        None => (backends[0].rates(training, stop)).map_err(failed("measuring the speed"))?,
    };
    let jobs = folds.len().max(final_trainings);
    let parallel = backends.len().min(jobs).max(1) as f64;
    let rates = Rates::new(
        per_backend.train * parallel,
        per_backend.classify * parallel,
    );
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
        final_trainings,
        images_to_train: remaining.train,
        images_to_classify: remaining.classify,
        rates,
        estimated_seconds: remaining.train as f64 / rates.train
            + remaining.classify as f64 / rates.classify,
    })
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
