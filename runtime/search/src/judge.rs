//! The part of a search that knows networks, as the search sees it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faa_policy::Policy;
use serde::{Deserialize, Serialize};

use crate::config::Recipe;
use crate::trial::Verdict;

/// Trains networks, and judges candidates with them.
///
/// The images are those of the data set that the judge was made with; images are named by their
/// places in its training split. A search may have several judges of one data set, each on a thread
/// of its own.
pub trait Judge: Send {
    /// A network, with what its training needs to go on.
    type Network;

    /// Facts about the data set, for people.
    fn facts(&self) -> Facts;

    /// A network with its first weights.
    ///
    /// # Errors
    ///
    /// Where there is no such network, or no room for it.
    fn begin(&mut self, task: &TrainTask<'_>) -> Result<Self::Network, JudgeError>;

    /// Trains for one pass over the images: number `epoch`, from 0, of the recipe's.
    ///
    /// The outcome depends on the network, the task and the number alone.
    ///
    /// # Errors
    ///
    /// [`JudgeError::Stopped`] once `stop` is set; [`JudgeError::Diverged`] where the loss is not a
    /// number; what the network library reports.
    fn epoch(
        &mut self,
        network: &mut Self::Network,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, JudgeError>;

    /// Writes everything that the training goes on from after `epochs` passes, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn checkpoint(
        &self,
        network: &Self::Network,
        epochs: usize,
        file: &Path,
    ) -> Result<(), JudgeError>;

    /// Reads what [`Judge::checkpoint`] wrote: the network, and how many passes it has seen.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or holds something else.
    fn resume(
        &mut self,
        task: &TrainTask<'_>,
        file: &Path,
    ) -> Result<(Self::Network, usize), JudgeError>;

    /// Judges a candidate.
    ///
    /// # Errors
    ///
    /// As [`Judge::epoch`].
    fn judge(
        &mut self,
        network: &Self::Network,
        task: &JudgeTask<'_>,
        stop: &StopFlag,
    ) -> Result<Verdict, JudgeError>;

    /// Classifies images as they are.
    ///
    /// # Errors
    ///
    /// As [`Judge::epoch`].
    fn evaluate(
        &mut self,
        network: &Self::Network,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Evaluation, JudgeError>;

    /// Writes a trained network to a file, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn save(&self, network: &Self::Network, file: &Path) -> Result<(), JudgeError>;

    /// Reads a network that was trained by this recipe.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or holds something else.
    fn load(&mut self, recipe: &Recipe, file: &Path) -> Result<Self::Network, JudgeError>;

    /// Measures, for an estimate of how long things will take.
    ///
    /// # Errors
    ///
    /// As [`Judge::epoch`].
    fn rates(&mut self, recipe: &Recipe, stop: &StopFlag) -> Result<Rates, JudgeError>;
}

/// Facts about a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
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
    /// How.
    pub recipe: &'a Recipe,
    /// The policy that augments the images before the recipe's crop, flip and Cutout.
    pub policy: Option<&'a Policy>,
    /// The seed of first weights, order and augmentation.
    pub seed: u64,
}

/// The judging of one candidate.
#[derive(Clone, Copy, Debug)]
pub struct JudgeTask<'a> {
    /// D_A.
    pub images: &'a [usize],
    /// Its crop, flip and Cutout follow the candidate.
    pub recipe: &'a Recipe,
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

/// How well images were classified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The share of images that were classified wrongly, 0 to 1.
    pub error: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
}

/// One pass over the training images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which, from 0.
    pub epoch: usize,
    /// Mean cross-entropy of the augmented images as the network learnt from them, in nats.
    pub loss: f64,
    /// The share of those images that were classified wrongly.
    pub error: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// How long it took.
    pub seconds: f64,
    /// Images learnt from.
    pub images: usize,
}

/// Images per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Learning from images.
    pub train: f64,
    /// Classifying them.
    pub classify: f64,
}

/// Set once to end a search cleanly.
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

    /// A flag that is set where this one is, and can be set without it.
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

    /// `Err(Stopped)` once the flag is set.
    ///
    /// # Errors
    ///
    /// [`JudgeError::Stopped`].
    pub fn check(&self) -> Result<(), JudgeError> {
        let mut flags = std::iter::once(&self.set).chain(&self.ancestors);
        match flags.any(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(JudgeError::Stopped),
            false => Ok(()),
        }
    }
}

/// A training whose loss became infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "the loss became infinite or not a number in epoch {} (learning rate {learning_rate}): \
     try a lower learning rate",
    epoch + 1
)]
pub struct Divergence {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f64,
}

/// Why a judge could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The stop flag was set.
    #[error("stopped on request")]
    Stopped,
    /// The loss became infinite or not a number.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl JudgeError {
    /// Wraps an error of a judge's own.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
