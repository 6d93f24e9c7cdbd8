//! What a search tells while it works.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Control;
use crate::judge::{Divergence, Epoch, Evaluation, Rates};
use crate::run::WorkedWith;
use crate::search::Summary;

/// One step of a search, in the order of their happening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// What the search will do, told before it begins.
    Planned(Plan),
    /// The run goes on with another device, other threads or other numbers than before, so that
    /// figures may differ from those of an uninterrupted run in their rounding.
    MeansChanged {
        /// With what it was worked on.
        before: WorkedWith,
        /// With what it is now.
        now: WorkedWith,
    },
    /// A training begins or is found finished.
    TrainingStarted {
        /// Of what.
        training: Training,
        /// How many epochs it has.
        epochs: usize,
        /// How many of them were found in the run directory.
        resumed: usize,
    },
    /// An epoch is over.
    EpochDone {
        /// Of which training.
        training: Training,
        /// How it went.
        #[serde(flatten)]
        epoch: Epoch,
    },
    /// A training is over.
    TrainingDone {
        /// Which.
        training: Training,
        /// How its network does: on D_A for a fold, on the test split for a final training.
        evaluation: Evaluation,
        /// Whether it was found finished in the run directory.
        resumed: bool,
    },
    /// A training has ended early, because its loss became infinite or not a number. The rest of
    /// the run goes on without its network.
    TrainingDiverged {
        /// Which.
        training: Training,
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
        /// How many trials there are in all.
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

/// What a search will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where it is written.
    pub run: PathBuf,
    /// The device that the network works on.
    pub device: String,
    /// Images of the training split, and of the test split.
    pub images: [usize; 2],
    /// Width and height of the images.
    pub size: [usize; 2],
    /// The classes.
    pub classes: usize,
    /// The folds.
    pub folds: usize,
    /// The trials of all folds and rounds.
    pub trials: usize,
    /// The trainings at the end.
    pub finals: usize,
    /// Images to learn from that are still to come, in all trainings.
    pub images_to_learn: usize,
    /// Images to classify that are still to come, in all trials.
    pub images_to_classify: usize,
    /// What a short measurement gave.
    pub rates: Rates,
    /// How long all that will take, by these rates.
    pub estimated_seconds: f64,
}

/// Which training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Training {
    /// That of a fold.
    Fold(usize),
    /// One at the end.
    Final {
        /// What with.
        control: Control,
        /// Which of its seeds, from 0.
        seed: usize,
    },
}

impl fmt::Display for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fold(fold) => write!(f, "training of fold {fold}"),
            Self::Final { control, seed } => {
                write!(f, "final training with {}, seed {seed}", control.name())
            }
        }
    }
}
