//! What trainings, evaluations and trials give.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Augmentation, Reward};

/// One pass over the training images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 0.
    pub epoch: usize,
    /// Mean cross-entropy of the augmented images as the network learned from them, in nats.
    pub loss: f64,
    /// The fraction of those images that were classified wrongly.
    pub error: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// How long it took.
    pub seconds: f64,
    /// Images learned from.
    pub images: usize,
}

/// How well images were classified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The fraction of images that were classified wrongly, 0 to 1.
    pub error: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
}

/// How a network does on augmented images of D_A.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The fraction of images that at least one draw gets right.
    pub any: f64,
    /// The fraction of draws that are right.
    pub mean: f64,
    /// The mean cross-entropy of all draws, in nats.
    pub loss: f64,
}

impl Score {
    /// The figure that candidates are ranked by; more is better.
    pub fn reward(&self, reward: Reward) -> f64 {
        match reward {
            Reward::Any => self.any,
            Reward::Mean => self.mean,
        }
    }
}

/// A training whose loss became infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "the loss became infinite or NaN in epoch {} (learning rate {learning_rate}): try a lower \
     learning rate",
    epoch + 1
)]
pub struct Divergence {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f64,
}

/// What became of a training that was not interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<T> {
    /// It has come to its end, with this result.
    Done(T),
    /// It is given up for good: the same seed would diverge again.
    Diverged(Divergence),
}

/// Images per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Training.
    pub train: f64,
    /// Classifying.
    pub classify: f64,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where the policy is, if there is one.
    pub policy: Option<PathBuf>,
    /// How many sub-policies it has.
    pub sub_policies: usize,
    /// The final trainings, in the order of the configuration.
    pub final_trainings: Vec<FinalResult>,
}

/// Test errors of one augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalResult {
    /// What the networks were trained with.
    pub augmentation: Augmentation,
    /// The fraction of test images that were classified wrongly after the last epoch, for each seed.
    pub errors: Vec<f64>,
    /// How many further seeds diverged.
    #[serde(default)]
    pub diverged: usize,
}
