//! The results of trainings, evaluations and trials.

use serde::{Deserialize, Serialize};

use crate::config::Reward;

/// One pass over the training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Epoch {
    /// Its number, from 0.
    pub epoch: usize,
    /// Mean cross-entropy of the augmented images, each in the forward pass that trained on it, in nats.
    pub loss: f64,
    /// The fraction of those images that were classified wrongly.
    pub error: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Its duration.
    pub seconds: f64,
    /// The number of images that were trained on.
    pub images: usize,
}

/// A network's answer to one image.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The image's class, an index.
    pub label: u32,
    /// The class that the network takes it for.
    pub class: u32,
    /// The cross-entropy, in nats.
    pub loss: f32,
}

impl Prediction {
    /// A prediction of `class` for an image of class `label`, with this cross-entropy in nats.
    pub fn new(label: u32, class: u32, loss: f32) -> Self {
        Self { label, class, loss }
    }

    /// Whether the network is right.
    pub fn is_correct(&self) -> bool {
        self.class == self.label
    }
}

/// How well a network classifies images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The fraction of images that were classified wrongly, 0 to 1.
    pub error: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// Every class of the data set, in order; empty in records of builds that did not count by class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_class: Vec<ClassErrors>,
}

/// How many images of one class were classified wrongly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassErrors {
    /// The name of the class.
    pub class: String,
    /// Its number of images.
    pub images: usize,
    /// The number of those that were classified wrongly.
    pub errors: usize,
}

impl ClassErrors {
    /// The errors of these predictions in every class; `classes` are the names.
    pub fn of(predictions: &[Prediction], classes: &[String]) -> Vec<Self> {
        let without_images = |class: &String| Self {
            class: class.clone(),
            ..Self::default()
        };
        let mut counts: Vec<Self> = classes.iter().map(without_images).collect();
        for prediction in predictions {
            if let Some(count) = counts.get_mut(prediction.label as usize) {
                count.images += 1;
                count.errors += usize::from(!prediction.is_correct());
            }
        }
        counts
    }

    /// The fraction of images that were classified wrongly; `None` if there are none.
    pub fn error(&self) -> Option<f64> {
        (self.images > 0).then(|| self.errors as f64 / self.images as f64)
    }
}

/// How well a network classifies images of D_A that a candidate has augmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// The fraction of images with at least one draw that is classified correctly.
    pub any: f64,
    /// The fraction of draws that are classified correctly.
    pub mean: f64,
    /// The mean cross-entropy of all draws, in nats.
    pub loss: f64,
}

impl Evaluation {
    /// An evaluation with this error and loss, without classes.
    pub fn new(error: f64, loss: f64) -> Self {
        Self {
            error,
            loss,
            by_class: Vec::new(),
        }
    }

    /// The evaluation that these predictions amount to; NaN without any.
    pub fn of(predictions: &[Prediction]) -> Self {
        let Score { mean, loss, .. } = Score::of(predictions, 1);
        Self::new(1.0 - mean, loss)
    }

    /// The evaluation that these predictions amount to, also by class; `classes` are the names.
    pub fn by_class(predictions: &[Prediction], classes: &[String]) -> Self {
        Self {
            by_class: ClassErrors::of(predictions, classes),
            ..Self::of(predictions)
        }
    }
}

impl Rates {
    /// Rates of training and classifying.
    pub fn new(train: f64, classify: f64) -> Self {
        Self { train, classify }
    }
}

impl JobRates {
    /// The rates of this many jobs together.
    pub fn new(jobs: usize, rates: Rates) -> Self {
        Self { jobs, rates }
    }
}

impl Score {
    /// A score with these fractions and this loss.
    pub fn new(any: f64, mean: f64, loss: f64) -> Self {
        Self { any, mean, loss }
    }

    /// The score that these predictions amount to, `draws` adjacent ones per image; NaN without any.
    ///
    /// # Panics
    ///
    /// If `draws` is 0.
    pub fn of(predictions: &[Prediction], draws: usize) -> Self {
        let mean = |sum: f64, count: usize| sum / count as f64;
        let right = |draws: &[Prediction]| draws.iter().filter(|it| it.is_correct()).count();
        let images = predictions.chunks(draws);
        let (all, any) = (predictions.len(), images.clone().filter(|it| right(it) > 0));
        let loss = predictions.iter().map(|it| f64::from(it.loss)).sum();
        Self {
            any: mean(any.count() as f64, images.len()),
            mean: mean(right(predictions) as f64, all),
            loss: mean(loss, all),
        }
    }

    /// The value that candidates are ranked by; higher is better.
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
#[non_exhaustive]
pub struct Divergence {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f64,
}

impl Divergence {
    /// The divergence of a training in this epoch, from 0, at this learning rate.
    pub fn new(epoch: usize, learning_rate: f64) -> Self {
        Self {
            epoch,
            learning_rate,
        }
    }
}

/// How a training ended that was not interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<T> {
    /// It is finished, with this result.
    Done(T),
    /// It diverged, and is not repeated, since the same seed would diverge again.
    Diverged(Divergence),
}

/// Images per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// Training.
    pub train: f64,
    /// Classifying.
    pub classify: f64,
}

/// The rates of several jobs in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRates {
    /// The number of jobs, at least 1.
    pub jobs: usize,
    /// Their rates together.
    #[serde(flatten)]
    pub rates: Rates,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_predictions() {
        let draw = |class, loss| Prediction::new(1, class, loss);
        // Two images with three draws each.
        let drawn = [(1, 0.5), (0, 2.0), (1, 0.5), (2, 3.0), (0, 4.0), (0, 2.0)];
        let predictions = drawn.map(|(class, loss)| draw(class, loss));
        let expected = Score::new(0.5, 1.0 / 3.0, 2.0);
        assert_eq!(Score::of(&predictions, 3), expected);
        let Evaluation { error, loss, .. } = Evaluation::of(&predictions);
        assert!((error - 2.0 / 3.0).abs() < 1e-15 && loss == 2.0);
        assert!(Evaluation::of(&[draw(1, f32::NAN)]).loss.is_nan());
    }

    #[test]
    fn errors_are_counted_by_class() {
        let answered = [(0, 0), (2, 0), (2, 2), (2, 1)];
        let predictions = answered.map(|(label, class)| Prediction::new(label, class, 1.0));
        let classes = ["cat", "dog", "owl"].map(str::to_owned);
        let by_class = Evaluation::by_class(&predictions, &classes).by_class;
        let counts = by_class
            .iter()
            .map(|it| (it.class.as_str(), it.images, it.errors));
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [("cat", 1, 0), ("dog", 0, 0), ("owl", 3, 2)]
        );
        let errors: Vec<_> = by_class.iter().map(ClassErrors::error).collect();
        assert_eq!(errors, [Some(0.0), None, Some(2.0 / 3.0)]);
        // As builds without classes have written it.
        let old = serde_json::from_str::<Evaluation>(r#"{"error": 0.5, "loss": 1.0}"#).unwrap();
        assert_eq!(old, Evaluation::new(0.5, 1.0));
    }
}
