//! What a run reports while it works.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::layout::TrainingId;
use crate::results::{Divergence, Epoch, Evaluation, Rates, Summary};

/// One step of a run, in the order in which they happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// What the run will do, before it begins.
    Planned(Plan),
    /// The run continues with a different device, number of threads or precision, so that results may
    /// differ by rounding from those of an uninterrupted run.
    EnvironmentChanged {
        /// What it was worked on with before.
        recorded: Environment,
        /// What it is worked on with now.
        current: Environment,
    },
    /// A training begins, or is found finished.
    TrainingStarted {
        /// Which.
        training: TrainingId,
        /// How many epochs it has.
        epochs: usize,
        /// How many of them were found in the run directory.
        resumed: usize,
    },
    /// An epoch is over.
    EpochDone {
        /// Of which training.
        training: TrainingId,
        /// How it went.
        #[serde(flatten)]
        epoch: Epoch,
    },
    /// A training is over.
    TrainingDone {
        /// Which.
        training: TrainingId,
        /// How its network does: on D_A for a fold, on the test split for a final training.
        evaluation: Evaluation,
        /// Whether it was found finished in the run directory.
        resumed: bool,
    },
    /// A training ended early, because its loss became infinite or NaN. The rest of the run continues
    /// without its network.
    TrainingDiverged {
        /// Which.
        training: TrainingId,
        /// Where.
        #[serde(flatten)]
        divergence: Divergence,
    },
    /// The trials of a round begin.
    RoundStarted {
        /// The fold.
        fold: usize,
        /// The round.
        round: usize,
        /// How many trials it has.
        trials: usize,
        /// How many of them were found in the run directory.
        resumed: usize,
    },
    /// A trial is over.
    TrialDone {
        /// The fold.
        fold: usize,
        /// The round.
        round: usize,
        /// The trial.
        trial: usize,
        /// Its reward.
        reward: f64,
        /// The best reward of the round so far.
        best: f64,
        /// The images that were classified.
        images: usize,
        /// How long it took.
        seconds: f64,
    },
    /// A network was evaluated on the test split, on request.
    Evaluated {
        /// The network.
        file: PathBuf,
        /// How it does.
        evaluation: Evaluation,
    },
    /// The policy is written.
    PolicyWritten {
        /// Where.
        file: PathBuf,
        /// How many sub-policies it has.
        sub_policies: usize,
    },
    /// The end.
    Finished(Summary),
}

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run directory.
    pub run: PathBuf,
    /// The devices that networks work on.
    pub device: String,
    /// Images of the training split, and of the test split.
    pub images: [usize; 2],
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
    /// The number of classes.
    pub classes: usize,
    /// The number of folds; 0 without a search.
    pub folds: usize,
    /// The trials of all folds and rounds.
    pub trials: usize,
    /// The trainings at the end.
    pub final_trainings: usize,
    /// Images to train on that are still to come, in all trainings.
    pub images_to_train: usize,
    /// Images to classify that are still to come, in all trials.
    pub images_to_classify: usize,
    /// How fast that goes: as recorded, or as a short measurement showed.
    pub rates: Rates,
    /// How long all that will take, by these rates.
    pub estimated_seconds: f64,
}
