//! The result of an evaluation.

use serde::{Deserialize, Serialize};

/// How well a network classifies images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The fraction of images that were classified wrongly, 0 to 1.
    pub error: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
}

impl Evaluation {
    /// An evaluation with this error and loss.
    pub fn new(error: f64, loss: f64) -> Self {
        Self { error, loss }
    }
}
