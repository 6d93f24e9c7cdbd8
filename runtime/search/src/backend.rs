//! The interface between a run and the networks that it trains.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faa_policy::Policy;

use crate::config::TrainingConfig;
use crate::results::{Divergence, Epoch, Evaluation, Prediction, Rates, Score};

/// Trains networks, and scores candidates with them.
///
/// The images are those of the data set that the backend was created with, identified by their index in
/// its training split. A run may have several backends for one data set, each on a separate thread.
pub trait Backend: Send {
    /// A network, with the state of its training.
    type Network;

    /// The name of its device, for people: `cpu`, `cuda:0`.
    fn device(&self) -> String;

    /// The size of the data set and the names of its classes in the order of their labels, for people.
    fn dataset(&self) -> DatasetInfo;

    /// A network with initial weights.
    ///
    /// # Errors
    ///
    /// If there is too little memory.
    fn begin(&mut self, task: &TrainTask<'_>) -> Result<Self::Network, BackendError>;

    /// Trains for one epoch, whose number is counted from 0.
    ///
    /// The result depends only on the network, the task and the number.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::Stopped`] once `stop` is set; [`BackendErrorKind::Diverged`] if the loss is
    /// infinite or NaN; [`BackendErrorKind::OutOfMemory`] and [`BackendErrorKind::Other`] with errors of
    /// the network library.
    fn epoch(
        &mut self,
        network: &mut Self::Network,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError>;

    /// Classifies augmented images: the draws of the first image, then those of the second, and so on.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn classify_augmented(
        &mut self,
        network: &Self::Network,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError>;

    /// Classifies images without augmentation, in their order.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn classify(
        &mut self,
        network: &Self::Network,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError>;

    /// Scores a candidate.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn score(
        &mut self,
        network: &Self::Network,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Score, BackendError> {
        let predictions = self.classify_augmented(network, task, stop)?;
        Ok(Score::of(&predictions, task.draws))
    }

    /// Evaluates a network on images without augmentation.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn evaluate(
        &mut self,
        network: &Self::Network,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Evaluation, BackendError> {
        let predictions = self.classify(network, images, stop)?;
        Ok(Evaluation::by_class(&predictions, &self.dataset().classes))
    }

    /// Measures the rates of training and scoring, to estimate the duration of a run. Backends that will
    /// work in parallel measure at the same time, each on a thread of its own.
    ///
    /// `in_step` is to be called before each measurement, after memory was allocated and algorithms were
    /// chosen for it. It returns once all of these backends have called it as often, or have ended, so
    /// that none of them measures while a different one leaves the device idle.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn rates(
        &mut self,
        training: &TrainingConfig,
        stop: &StopFlag,
        in_step: &dyn Fn(),
    ) -> Result<Rates, BackendError>;
}

/// Saves and loads the networks of a [`Backend`]. Files are written atomically.
pub trait NetworkFiles: Backend {
    /// Writes all that a training needs to continue after `epochs` epochs.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    fn save_checkpoint(
        &self,
        network: &Self::Network,
        epochs: usize,
        file: &Path,
    ) -> Result<(), BackendError>;

    /// Reads a checkpoint: the network, and its number of epochs.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not a checkpoint of this task.
    fn load_checkpoint(
        &mut self,
        task: &TrainTask<'_>,
        file: &Path,
    ) -> Result<(Self::Network, usize), BackendError>;

    /// Writes a trained network.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    fn save(&self, network: &Self::Network, file: &Path) -> Result<(), BackendError>;

    /// Reads a network that was trained with this configuration.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not such a network.
    fn load(
        &mut self,
        training: &TrainingConfig,
        file: &Path,
    ) -> Result<Self::Network, BackendError>;

    /// Reads a network that was trained with any configuration, on images that may be others than those
    /// of this backend. Images are normalised as in its training.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds something else, or if its network has different classes or was
    /// trained on images of a different size.
    fn load_any(&mut self, file: &Path) -> Result<Self::Network, BackendError>;
}

/// The size of a data set, and its classes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetInfo {
    /// The number of images of the training split, and of the test split.
    pub images: [usize; 2],
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
    /// The names of the classes; a label is an index into them.
    pub classes: Vec<String>,
}

impl DatasetInfo {
    /// A data set of this size.
    pub fn new(images: [usize; 2], size: [usize; 2], classes: Vec<String>) -> Self {
        Self {
            images,
            size,
            classes,
        }
    }
}

/// A training.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrainTask<'a> {
    /// The images to train on.
    pub images: &'a [usize],
    /// The hyperparameters.
    pub training: &'a TrainingConfig,
    /// The policy that augments images before crop, flip and Cutout.
    pub policy: Option<&'a Policy>,
    /// The seed of initial weights, order of images and augmentation.
    pub seed: u64,
}

impl<'a> TrainTask<'a> {
    /// A training without a policy.
    pub fn new(images: &'a [usize], training: &'a TrainingConfig, seed: u64) -> Self {
        Self {
            images,
            training,
            policy: None,
            seed,
        }
    }
}

/// The scoring of one candidate.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScoringTask<'a> {
    /// D_A.
    pub images: &'a [usize],
    /// The hyperparameters, whose crop, flip and Cutout are applied after the candidate.
    pub training: &'a TrainingConfig,
    /// The candidate.
    pub candidate: &'a Policy,
    /// The number of augmented versions of each image.
    pub draws: usize,
    /// The seed of the augmentation.
    pub seed: u64,
}

impl<'a> ScoringTask<'a> {
    /// The scoring of a candidate with as many augmented versions of each image, and the seed 0.
    pub fn new(
        images: &'a [usize],
        training: &'a TrainingConfig,
        candidate: &'a Policy,
        draws: usize,
    ) -> Self {
        Self {
            images,
            training,
            candidate,
            draws,
            seed: 0,
        }
    }
}

/// The images to classify.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Images<'a> {
    /// Images of the training split, by index.
    Train(&'a [usize]),
    /// The whole test split.
    Test,
}

impl<'a> Images<'a> {
    /// The indices of images of the training split; `None` for the test split.
    pub fn of_training(self) -> Option<&'a [usize]> {
        match self {
            Self::Train(images) => Some(images),
            Self::Test => None,
        }
    }
}

/// A flag that stops a run cleanly once it is set.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    set: Arc<AtomicBool>,
    /// The flags that also set this one.
    ancestors: Vec<Arc<AtomicBool>>,
}

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that is set whenever this one is, and can also be set alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut ancestors = self.ancestors.clone();
        ancestors.push(Arc::clone(&self.set));
        Self {
            set: Arc::default(),
            ancestors,
        }
    }

    /// Sets the flag.
    pub fn set(&self) {
        self.set.store(true, Ordering::Relaxed);
    }

    /// Returns an error once the flag is set.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::Stopped`].
    pub fn check(&self) -> Result<(), BackendError> {
        let mut flags = std::iter::once(&self.set).chain(&self.ancestors);
        match flags.any(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(BackendError(Cause::Stopped)),
            false => Ok(()),
        }
    }
}

/// A backend could not do its work.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BackendError(Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("stopped on request")]
    Stopped,
    #[error(transparent)]
    Diverged(Divergence),
    #[error(transparent)]
    OutOfMemory(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

/// Why a backend could not do its work.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The stop flag was set.
    Stopped,
    /// The loss became infinite or NaN.
    Diverged(Divergence),
    /// The device has too little memory.
    OutOfMemory,
    /// Any other error.
    Other,
}

impl BackendError {
    /// Wraps any error as [`Other`](BackendErrorKind::Other).
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Cause::Other(error.into()))
    }

    /// Wraps an error that means that the device has too little memory, as
    /// [`OutOfMemory`](BackendErrorKind::OutOfMemory).
    pub fn out_of_memory(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Cause::OutOfMemory(error.into()))
    }

    /// Why the backend could not do its work.
    pub fn kind(&self) -> BackendErrorKind {
        match self.0 {
            Cause::Stopped => BackendErrorKind::Stopped,
            Cause::Diverged(divergence) => BackendErrorKind::Diverged(divergence),
            Cause::OutOfMemory(_) => BackendErrorKind::OutOfMemory,
            Cause::Other(_) => BackendErrorKind::Other,
        }
    }
}

impl From<Divergence> for BackendError {
    fn from(divergence: Divergence) -> Self {
        Self(Cause::Diverged(divergence))
    }
}
