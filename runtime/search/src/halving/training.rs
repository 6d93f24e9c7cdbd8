//! The trainings of a rung.

use std::collections::BTreeMap;

use crate::results::Evaluation;
use crate::statistics;

/// A training of a rung.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RungTraining {
    /// The rung, from 0.
    pub rung: usize,
    /// The policy's number.
    pub entrant: usize,
    /// The number of the seed within the rung, from 0.
    pub seed: usize,
    /// The network's evaluation on the held-out images; `None` if the training diverged.
    pub evaluation: Option<Evaluation>,
}

impl RungTraining {
    /// A finished or diverged training.
    pub fn new(rung: usize, entrant: usize, seed: usize, evaluation: Option<Evaluation>) -> Self {
        Self {
            rung,
            entrant,
            seed,
            evaluation,
        }
    }
}

/// The mean validation loss of every policy in every rung, by rung and number. Those of which a training
/// diverged have none.
pub fn mean_losses(trainings: &[RungTraining]) -> BTreeMap<(usize, usize), f64> {
    let mut losses = BTreeMap::<_, Option<Vec<f64>>>::new();
    for training in trainings {
        let key = (training.rung, training.entrant);
        let known = losses.entry(key).or_insert_with(|| Some(Vec::new()));
        match (known.as_mut(), &training.evaluation) {
            (Some(known), Some(evaluation)) => known.push(evaluation.loss),
            _ => *known = None,
        }
    }
    let finite = losses
        .into_iter()
        .filter_map(|(key, losses)| Some((key, losses?)));
    finite.map(|(key, losses)| (key, mean(&losses))).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    statistics::mean(values).unwrap_or(f64::NAN)
}
