//! How an op is applied to be measured.

use faa_policy::{Policy, Rule, Sampler, SamplerOp, SamplerValues};

use crate::config::TrainingConfig;
use crate::seeds::{Purpose, derive};

/// The policy that applies one op at exactly this value, without mirroring, to every image. Values beyond
/// the op's own range are possible.
pub fn policy_at(op: &str, value: Option<f64>) -> Policy {
    let values = value.map(|value| SamplerValues::new(value, value, None));
    let ops = vec![SamplerOp::new(op, values)];
    Policy::new("one op", Rule::Sampler(Sampler::new(1, 2, Some(0), ops)))
}

/// The seed of the augmentation of held-out images: the same for all ops and values, so that points
/// differ by the op and not by its random numbers.
pub fn augmentation_seed(run_seed: u64) -> u64 {
    derive(run_seed, Purpose::Audit, &[1])
}

/// A training configuration without crop, flip and Cutout, so that the op is all that changes an image.
pub fn without_base_augmentation(training: &TrainingConfig) -> TrainingConfig {
    TrainingConfig {
        crop_padding: 0,
        flip: false,
        cutout: 0,
        ..training.clone()
    }
}
