//! Ops that show what they were given, and short ways to make policies.

use std::sync::Arc;

use faa_op::{Call, Channels, DrawKey, ImageMut, Op, OpError, OpSet, OpSpec};
use faa_policy::{Policy, Rule, Sampler, SamplerOp, SamplerValues, Step, Strength};

/// Writes what it was given into the image, so that a test can see the draws.
struct Recorder(OpSpec);

impl Op for Recorder {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let record = value
            .to_le_bytes()
            .into_iter()
            .chain(call.seed.to_le_bytes());
        for (sample, byte) in image.samples_mut().iter_mut().zip(record) {
            *sample = sample.rotate_left(1) ^ byte;
        }
        Ok(())
    }
}

struct Failing(OpSpec);

impl Op for Failing {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, _: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> Result<(), OpError> {
        Err(OpError::Failed("on purpose".into()))
    }
}

/// Adds the partner to the image.
struct Mixing(OpSpec);

impl Op for Mixing {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, _: f64, call: &mut Call<'_>) -> Result<(), OpError> {
        let partner = call.partner.ok_or(OpError::NoPartner)?;
        let row = image.width() * image.channels().count();
        for (to, from) in image
            .samples_mut()
            .chunks_exact_mut(row)
            .zip(partner.rows())
        {
            for (to, from) in to.iter_mut().zip(from) {
                *to = to.wrapping_add(*from);
            }
        }
        Ok(())
    }
}

pub(crate) fn doubles() -> OpSet {
    let mut ops = OpSet::new();
    let mirrored = OpSpec::new("Mirrored", "").range(-2.0, 2.0, "").mirrored();
    let plain = OpSpec::new("Plain", "").range(0.0, 10.0, "");
    ops.insert(Arc::new(Recorder(mirrored))).unwrap();
    ops.insert(Arc::new(Recorder(plain))).unwrap();
    ops.insert(Arc::new(Recorder(OpSpec::new("Fixed", ""))))
        .unwrap();
    ops.insert(Arc::new(Failing(OpSpec::new("Failing", ""))))
        .unwrap();
    let mixing = OpSpec::new("Mixing", "").range(0.0, 1.0, "").with_partner();
    ops.insert(Arc::new(Mixing(mixing))).unwrap();
    ops
}

/// A policy of steps (op, probability, magnitude).
pub(crate) fn policy(sub_policies: &[&[(&str, f64, f64)]]) -> Policy {
    let step = |&(op, probability, magnitude): &(&str, f64, f64)| Step {
        op: op.to_owned(),
        probability,
        strength: Strength::Magnitude(magnitude),
    };
    let sub_policies = sub_policies
        .iter()
        .map(|steps| steps.iter().map(step).collect());
    Policy::of_sub_policies("test", sub_policies.collect())
}

/// A sampler over `Mirrored` with its own range, `Plain` with values of its own, and `Fixed`.
pub(crate) fn sampler(count: u32, bin: Option<u32>) -> Policy {
    let op = |op: &str, values| SamplerOp {
        op: op.to_owned(),
        values,
    };
    let values = SamplerValues {
        low: 8.0,
        high: -4.0,
        centre: Some(1.0),
        integer: true,
    };
    let sampler = Sampler {
        count,
        bins: 11,
        bin,
        ops: vec![
            op("Mirrored", None),
            op("Plain", Some(values)),
            op("Fixed", None),
        ],
    };
    Policy::new("sampler", Rule::Sampler(sampler))
}

pub(crate) fn key(seed: u64, epoch: u32, index: u64) -> DrawKey {
    DrawKey { seed, epoch, index }
}

/// Images that differ, of one shape, one after the other.
pub(crate) fn noise(count: usize, (width, height): (usize, usize), channels: Channels) -> Vec<u8> {
    let length = count * width * height * channels.count();
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}
