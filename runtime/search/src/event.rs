//! The progress of a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::environment::Environment;
use crate::halving::HalvingResult;
use crate::layout::TrainingId;
use crate::reliability::Reliability;
use crate::results::{Divergence, Epoch, Evaluation, JobRates, Rates};
use crate::seed_count::SeedCount;
use crate::summary::Summary;

/// A step of a run. Events are reported in the order in which they happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// What the run will do, before it begins.
    Planned(Plan),
    /// The run continues with a different build, whose results may differ, or with a different device,
    /// number of threads or precision, so that results may differ by rounding from those of an
    /// uninterrupted run.
    EnvironmentChanged {
        /// The environment before.
        recorded: Box<Environment>,
        /// The environment now.
        current: Box<Environment>,
    },
    /// The run continues with the same images, which are now at a different path.
    DataMoved {
        /// The data set before, in the format of `--data`.
        recorded: String,
        /// The data set now.
        current: String,
    },
    /// The file system of the run directory has no locks: nothing prevents a second process from working
    /// on the run at the same time.
    NotLocked {
        /// The run directory.
        run: PathBuf,
    },
    /// A training starts, or was already finished.
    TrainingStarted {
        /// The training.
        training: TrainingId,
        /// Its number of epochs.
        epochs: usize,
        /// How many of them were already recorded.
        resumed: usize,
    },
    /// An epoch is finished.
    EpochDone {
        /// The training.
        training: TrainingId,
        /// Its results.
        #[serde(flatten)]
        epoch: Epoch,
    },
    /// A training is finished.
    TrainingDone {
        /// The training.
        training: TrainingId,
        /// The network's evaluation: on the test split for a final training, on the held-out images for
        /// all others.
        evaluation: Evaluation,
        /// Whether it was already finished.
        resumed: bool,
    },
    /// A training was stopped because its loss became infinite or NaN. The run continues without its
    /// network.
    TrainingDiverged {
        /// The training.
        training: TrainingId,
        /// The epoch.
        #[serde(flatten)]
        divergence: Divergence,
    },
    /// A round of trials starts.
    RoundStarted {
        /// The fold.
        fold: usize,
        /// The round.
        round: usize,
        /// Its number of trials.
        trials: usize,
        /// How many of them were already recorded.
        resumed: usize,
    },
    /// A trial is finished.
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
        /// The number of images that were classified, counting every draw.
        images: usize,
        /// Its duration.
        seconds: f64,
    },
    /// A candidate was scored again, with fresh draws.
    TrialRescored {
        /// The fold.
        fold: usize,
        /// The round.
        round: usize,
        /// The trial.
        trial: usize,
        /// Its first reward.
        first: f64,
        /// Its second reward.
        reward: f64,
        /// How many of the round's candidates have been scored again.
        done: usize,
        /// How many will be.
        candidates: usize,
        /// The number of images that were classified, counting every draw.
        images: usize,
        /// Its duration.
        seconds: f64,
    },
    /// The reliability of the reward is known, after the trials of all folds.
    ReliabilityMeasured(Reliability),
    /// The measurement of ops starts.
    AuditStarted {
        /// The number of points: ops at their values.
        points: usize,
        /// How many of them were already recorded.
        resumed: usize,
    },
    /// An op was measured at one value.
    PointDone {
        /// The op.
        op: String,
        /// The value; `None` if the op has none.
        value: Option<f64>,
        /// The number of images that were classified, counting every draw.
        images: usize,
        /// How many of them were classified correctly.
        correct: usize,
        /// Its duration.
        seconds: f64,
    },
    /// All ops are measured; these are safe.
    AuditDone(Box<Audit>),
    /// A rung of successive halving starts. The first rung starts with its random policies; more are
    /// proposed when those have been trained.
    RungStarted {
        /// The rung, from 0.
        rung: usize,
        /// The number of rungs.
        rungs: usize,
        /// The names of its policies so far.
        entrants: Vec<String>,
        /// The number of epochs per training.
        epochs: usize,
        /// The number of seeds per policy.
        seeds: usize,
    },
    /// Successive halving is finished.
    HalvingDone(HalvingResult),
    /// A network was evaluated on the test split, by `evaluate`.
    Evaluated {
        /// The network's file.
        file: PathBuf,
        /// The results.
        evaluation: Evaluation,
    },
    /// The policy is written.
    PolicyWritten {
        /// Its file.
        file: PathBuf,
        /// Its number of sub-policies; 0 for a sampler.
        sub_policies: usize,
    },
    /// The run is finished.
    Finished(Summary),
}

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The run directory.
    pub run: PathBuf,
    /// The devices of the networks.
    pub device: String,
    /// The number of images of the training split, and of the test split.
    pub images: [usize; 2],
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
    /// The number of classes.
    pub classes: usize,
    /// The number of folds; 0 without a search.
    pub folds: usize,
    /// The number of trials of all folds and rounds.
    pub trials: usize,
    /// The maximum number of candidates that are scored again.
    pub rescorings: usize,
    /// The number of points of an audit: ops at their values.
    pub points: usize,
    /// The number of short trainings of successive halving; 0 without it.
    pub rung_trainings: usize,
    /// The number of final trainings.
    pub final_trainings: usize,
    /// How the number of seeds of each was chosen; `None` if the configuration gives it.
    pub seed_count: Option<SeedCount>,
    /// The number of images that remain to be trained on, over all epochs and trainings.
    pub images_to_train: usize,
    /// The number of images that remain to be classified, over all draws, trials, points and at most all
    /// second scorings.
    pub images_to_classify: usize,
    /// The maximum number of folds or trainings that run in parallel.
    pub jobs: usize,
    /// The rates of all jobs together, from the records or a short measurement.
    pub rates: Rates,
    /// The rates that were measured of several numbers of jobs, in ascending order; empty if the rates
    /// are those of the records.
    pub measured: Vec<JobRates>,
    /// The remaining time.
    pub estimated_seconds: f64,
}
