//! What is left to do, and how long it will take.

use super::training::TrainingFiles;
use super::{SearchError, failed};
use crate::config::{Control, Recipe};
use crate::event::Plan;
use crate::judge::{Judge, Rates, StopFlag};
use crate::run::RunDirectory;
use crate::trial::Trial;

/// What is left, and what the records say about how fast it goes.
#[derive(Default)]
pub(crate) struct Left {
    learn: usize,
    classify: usize,
    learnt: Done,
    classified: Done,
}

/// What is recorded.
#[derive(Default)]
struct Done {
    images: usize,
    seconds: f64,
}

/// What a run consists of.
pub(crate) struct Parts {
    pub(crate) folds: usize,
    pub(crate) trials: usize,
    pub(crate) finals: usize,
}

impl Left {
    /// Adds a training of so many epochs on so many images.
    pub(crate) fn add_training(
        &mut self,
        files: &TrainingFiles,
        images: usize,
        epochs: usize,
    ) -> Result<(), SearchError> {
        let recorded = files.recorded()?;
        for epoch in &recorded {
            self.learnt.add(epoch.images, epoch.seconds);
        }
        if !files.is_finished() {
            self.learn += images * epochs.saturating_sub(recorded.len());
        }
        Ok(())
    }

    /// Adds every final training.
    pub(crate) fn add_finals(
        &mut self,
        run: &RunDirectory,
        trainings: impl Iterator<Item = (Control, usize)>,
        images: usize,
        epochs: usize,
    ) -> Result<(), SearchError> {
        for (control, seed) in trainings {
            let files = TrainingFiles::of(&run.final_training(control, seed)?);
            self.add_training(&files, images, epochs)?;
        }
        Ok(())
    }

    /// Adds a fold's trials, `all` in the end, which classify so many images each.
    pub(crate) fn add_trials(&mut self, recorded: &[Trial], all: usize, images: usize) {
        for trial in recorded {
            self.classified.add(images, trial.seconds);
        }
        self.classify += all.saturating_sub(recorded.len()) * images;
    }

    /// The plan for people. Where the records do not tell how fast this machine is, the first judge
    /// measures it.
    pub(crate) fn plan<J: Judge>(
        &self,
        judges: &mut [J],
        recipe: &Recipe,
        stop: &StopFlag,
        (run, device): (&RunDirectory, &str),
        parts: &Parts,
    ) -> Result<Plan, SearchError> {
        let of_one = match self.recorded_rates() {
            Some(rates) => rates,
            None => (judges[0].rates(recipe, stop)).map_err(failed("the first measurement"))?,
        };
        let side_by_side = judges.len().min(parts.folds.max(parts.finals)).max(1) as f64;
        let rates = Rates {
            train: of_one.train * side_by_side,
            classify: of_one.classify * side_by_side,
        };
        let facts = judges[0].facts();
        Ok(Plan {
            run: run.path().to_owned(),
            device: device.to_owned(),
            images: facts.images,
            size: facts.size,
            classes: facts.classes,
            folds: parts.folds,
            trials: parts.trials,
            finals: parts.finals,
            images_to_learn: self.learn,
            images_to_classify: self.classify,
            rates,
            estimated_seconds: self.learn as f64 / rates.train
                + self.classify as f64 / rates.classify,
        })
    }

    /// `None` where a rate is needed that nothing is recorded of.
    fn recorded_rates(&self) -> Option<Rates> {
        Some(Rates {
            train: self.learnt.rate(self.learn)?,
            classify: self.classified.rate(self.classify)?,
        })
    }
}

impl Done {
    fn add(&mut self, images: usize, seconds: f64) {
        self.images += images;
        self.seconds += seconds;
    }

    fn rate(&self, needed: usize) -> Option<f64> {
        match self.images {
            0 if needed > 0 => None,
            // Nothing is left that it could be used for.
            0 => Some(1.0),
            images => Some(images as f64 / self.seconds.max(1e-9)),
        }
    }
}
