//! The part of a run that knows networks, as the rest of it sees it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faa_policy::Policy;

use crate::config::TrainingConfig;
use crate::results::{Divergence, Epoch, Evaluation, Rates, Score};

/// Trains networks, and scores candidates with them.
///
/// The images are those of the data set that the backend was made with; images are named by their
/// index in its training split. A run may have several backends of one data set, each on a thread of
/// its own.
pub trait Backend: Send {
    /// A network, with what its training needs to continue.
    type Network;

    /// The device that it works on, for people: `cpu`, `cuda:0`.
    fn device(&self) -> String;

    /// The data set, for people.
    fn dataset(&self) -> DatasetInfo;

    /// A network with its first weights.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    fn begin(&mut self, task: &TrainTask<'_>) -> Result<Self::Network, BackendError>;

    /// Trains for one pass over the images: number `epoch`, from 0, of the configured ones.
    ///
    /// The result depends on the network, the task and the number alone.
    ///
    /// # Errors
    ///
    /// [`BackendError::Stopped`] once `stop` is set; [`BackendError::Diverged`] where the loss is
    /// infinite or NaN; what the network library reports.
    fn epoch(
        &mut self,
        network: &mut Self::Network,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError>;

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
    ) -> Result<Score, BackendError>;

    /// Classifies images without augmentation.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn evaluate(
        &mut self,
        network: &Self::Network,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Evaluation, BackendError>;

    /// Measures how fast it is, for an estimate of how long a run will take.
    ///
    /// # Errors
    ///
    /// As [`Backend::epoch`].
    fn rates(&mut self, training: &TrainingConfig, stop: &StopFlag) -> Result<Rates, BackendError>;
}

/// Keeps the networks of a [`Backend`] in files. Files are written whole or not at all.
pub trait NetworkFiles: Backend {
    /// Writes everything that a training continues from after `epochs` passes.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn save_checkpoint(
        &self,
        network: &Self::Network,
        epochs: usize,
        file: &Path,
    ) -> Result<(), BackendError>;

    /// Reads a checkpoint: the network, and how many passes it has seen.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not such a checkpoint.
    fn load_checkpoint(
        &mut self,
        task: &TrainTask<'_>,
        file: &Path,
    ) -> Result<(Self::Network, usize), BackendError>;

    /// Writes a trained network.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn save(&self, network: &Self::Network, file: &Path) -> Result<(), BackendError>;

    /// Reads a network that was trained with this configuration.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is not such a network.
    fn load(
        &mut self,
        training: &TrainingConfig,
        file: &Path,
    ) -> Result<Self::Network, BackendError>;
}

/// The size of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    /// Images of the training split, and of the test split.
    pub images: [usize; 2],
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
    /// The number of classes.
    pub classes: usize,
}

/// A training.
#[derive(Clone, Copy, Debug)]
pub struct TrainTask<'a> {
    /// The images to learn from.
    pub images: &'a [usize],
    /// The hyperparameters.
    pub training: &'a TrainingConfig,
    /// The policy that augments images before crop, flip and Cutout.
    pub policy: Option<&'a Policy>,
    /// The seed of first weights, order and augmentation.
    pub seed: u64,
}

/// The scoring of one candidate.
#[derive(Clone, Copy, Debug)]
pub struct ScoringTask<'a> {
    /// D_A.
    pub images: &'a [usize],
    /// Its crop, flip and Cutout follow the candidate.
    pub training: &'a TrainingConfig,
    /// The candidate.
    pub candidate: &'a Policy,
    /// How often each image is augmented.
    pub draws: usize,
    /// The seed of the augmentation.
    pub seed: u64,
}

/// Which images are classified.
#[derive(Clone, Copy, Debug)]
pub enum Images<'a> {
    /// These of the training split.
    Train(&'a [usize]),
    /// The whole test split.
    Test,
}

/// Set once to end a run cleanly.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    set: Arc<AtomicBool>,
    /// Those that this one follows.
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

    /// Asks for the end.
    pub fn set(&self) {
        self.set.store(true, Ordering::Relaxed);
    }

    /// Succeeds until the flag is set.
    ///
    /// # Errors
    ///
    /// [`BackendError::Stopped`].
    pub fn check(&self) -> Result<(), BackendError> {
        let mut flags = std::iter::once(&self.set).chain(&self.ancestors);
        match flags.any(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(BackendError::Stopped),
            false => Ok(()),
        }
    }
}

/// Why a backend could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The stop flag was set.
    #[error("stopped on request")]
    Stopped,
    /// The loss became infinite or NaN.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl BackendError {
    /// Wraps any other error.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
