//! Ops that show what they were given, and short ways to make policies.

use std::sync::Arc;

use faa_op::{
    Call, Channels, DrawKey, ImageMut, Op, OpError, OpErrorKind, OpResult, OpSet, OpSpec,
};
use faa_policy::{Executor, Policy, Rule, Sampler, SamplerOp, SamplerValues, Step, Strength};

struct Double {
    spec: OpSpec,
    apply: Apply,
}

type Apply = fn(&mut ImageMut<'_>, f64, &mut Call<'_>) -> OpResult;

impl Op for Double {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        (self.apply)(image, value, call)
    }
}

/// Writes what it was given into the image, so that a test can see the draws.
fn record(image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
    let value = value.to_le_bytes().into_iter();
    let record = value.chain(call.seed.to_le_bytes());
    for (sample, byte) in image.samples_mut().iter_mut().zip(record) {
        *sample = sample.rotate_left(1) ^ byte;
    }
    Ok(())
}

fn mix(image: &mut ImageMut<'_>, _: f64, call: &mut Call<'_>) -> OpResult {
    let partner = call.partner.ok_or(OpErrorKind::NoPartner)?;
    for (y, from) in partner.rows().enumerate() {
        for (to, from) in image.row_mut(y).iter_mut().zip(from) {
            *to = to.wrapping_add(*from);
        }
    }
    Ok(())
}

pub(crate) fn doubles() -> OpSet {
    let mirrored = OpSpec::new("Mirrored", "").range(-2.0, 2.0, "").mirrored();
    let plain = OpSpec::new("Plain", "").range(0.0, 10.0, "");
    let mixing = OpSpec::new("Mixing", "").range(0.0, 1.0, "").with_partner();
    let doubles: [(OpSpec, Apply); 5] = [
        (mirrored, record),
        (plain, record),
        (OpSpec::new("Fixed", ""), record),
        (OpSpec::new("Failing", ""), |_, _, _| {
            Err(OpError::failed("on purpose"))
        }),
        (mixing, mix),
    ];
    let mut ops = OpSet::new();
    for (spec, apply) in doubles {
        ops.insert(Arc::new(Double { spec, apply })).unwrap();
    }
    ops
}

/// A policy of steps (op, probability, magnitude).
pub(crate) fn policy(sub_policies: &[&[(&str, f64, f64)]]) -> Policy {
    let step = |&(op, probability, magnitude): &(&str, f64, f64)| {
        Step::new(op, probability, Strength::Magnitude(magnitude))
    };
    let sub_policies = sub_policies
        .iter()
        .map(|steps| steps.iter().map(step).collect());
    Policy::of_sub_policies("test", sub_policies.collect())
}

pub(crate) fn executor(policy: &Policy) -> Executor {
    Executor::new(policy, &doubles()).unwrap()
}

/// A sampler over `Mirrored` with its own range, `Plain` with custom values, and `Fixed`.
pub(crate) fn sampler(count: u32, bin: Option<u32>) -> Policy {
    let mut values = SamplerValues::new(8.0, -4.0, Some(1.0));
    values.integer = true;
    let ops = [("Mirrored", None), ("Plain", Some(values)), ("Fixed", None)];
    let ops = ops.map(|(op, values)| SamplerOp::new(op, values)).into();
    Policy::new("sampler", Rule::Sampler(Sampler::new(count, 11, bin, ops)))
}

pub(crate) fn key(seed: u64, epoch: u32, index: u64) -> DrawKey {
    DrawKey::new(seed, epoch, index)
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
