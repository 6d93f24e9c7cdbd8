//! Random policies, each with its plan for one image.

use std::error::Error;
use std::sync::Arc;

use faa_op::{Channels, DrawKey, Op, OpSet, Stream};
use faa_policy::{
    Executor, PackedImages, Plan, Policy, Rule, Sampler, SamplerOp, SamplerValues, Step, Strength,
    Workspace,
};
use faa_tests::ways::Picture;
use serde_json::{Value, json};

use crate::cases::{Applied, pick};

/// The number of partner images.
const PARTNERS: u64 = 3;

/// A policy, applied to one image.
pub(crate) struct PolicyRun {
    policy: Policy,
    key: DrawKey,
    way: PolicyWay,
    plan: Plan,
    steps: Vec<Applied>,
}

/// A way to apply a policy.
#[derive(Clone, Copy, Debug)]
enum PolicyWay {
    /// `Executor::apply`.
    InPlace,
    /// `Executor::apply_to` from a contiguous image.
    FromWhole,
    /// `Executor::apply_to` from part of a larger image.
    FromPart,
    /// `Plan::replay` of the plan, after it was written and read.
    Replay,
}

impl PolicyRun {
    /// A random policy, and its plan with these ops.
    pub(crate) fn draw(stream: &mut Stream, ops: &OpSet, channels: Channels) -> Self {
        let policy = draw_policy(stream, ops, channels);
        let key = DrawKey {
            seed: stream.next_u64(),
            epoch: stream.below(u64::from(u32::MAX)) as u32,
            index: stream.next_u64(),
        };
        // A plan depends on the number of partners, but not on their pixels.
        let partners = PackedImages::new(&[0; PARTNERS as usize], 1, 1, Channels::L)
            .expect("the shape is that of the samples");
        let plan = Executor::new(&policy, ops)
            .expect("all ops are known and all numbers in range")
            .plan(key, &Workspace::with_partners(&partners));
        let applied = plan.steps.iter().map(|step| Applied {
            op: step.op.clone(),
            value: step.value,
            seed: step.seed,
            partner: step.partner,
        });
        let ways = [
            PolicyWay::InPlace,
            PolicyWay::FromWhole,
            PolicyWay::FromPart,
            PolicyWay::Replay,
        ];
        Self {
            steps: applied.collect(),
            way: *pick(stream, &ways),
            policy,
            key,
            plan,
        }
    }

    /// The ops that Pillow must apply.
    pub(crate) fn plan(&self) -> &[Applied] {
        &self.steps
    }

    /// Adds everything that is needed to repeat the run.
    pub(crate) fn describe(&self, record: &mut Value) {
        let file: Value =
            serde_json::from_str(&self.policy.to_json()).expect("written policies are valid JSON");
        let rule = match self.policy.rule {
            Rule::SubPolicies(_) => "sub_policies",
            Rule::Sampler(_) => "sampler",
        };
        record["policy"] = json!({ rule: file[rule] });
        record["key"] = json!([self.key.seed, self.key.epoch, self.key.index]);
        record["way"] = json!(format!("{:?}", self.way));
    }

    /// The result of the policy on an image, with partners of these samples.
    pub(crate) fn result(
        &self,
        ops: &OpSet,
        image: &Picture,
        partner: impl Fn(u64) -> Vec<u8>,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let partners: Vec<u8> = (0..PARTNERS).flat_map(partner).collect();
        let partners = PackedImages::new(&partners, image.width, image.height, image.channels)?;
        let executor = Executor::new(&self.policy, ops)?;
        let own = &mut Workspace::with_partners(&partners);
        let mut result = image.blank();
        match self.way {
            PolicyWay::InPlace => {
                result = image.clone();
                executor.apply(&mut result.view_mut(), self.key, own)?;
            }
            PolicyWay::FromWhole => {
                executor.apply_to(image.view(), &mut result.view_mut(), self.key, own)?;
            }
            PolicyWay::FromPart => {
                let framed = image.framed();
                executor.apply_to(framed.part(), &mut result.view_mut(), self.key, own)?;
            }
            PolicyWay::Replay => {
                result = image.clone();
                let plan = Plan::parse(self.plan.to_json().as_bytes())?;
                plan.replay(ops, &mut result.view_mut(), own)?;
            }
        }
        Ok(result.samples)
    }
}

fn draw_policy(stream: &mut Stream, ops: &OpSet, channels: Channels) -> Policy {
    let mut ops: Vec<&Arc<dyn Op>> = ops.iter().collect();
    if stream.chance(0.3) {
        // Only ops with lookup tables, which are fused with neighbouring ops.
        ops.retain(|op| op.lookup_tables(5.0, channels).is_some());
    }
    let rule = if stream.chance(0.2) {
        Rule::Sampler(draw_sampler(stream, &ops))
    } else {
        let sub_policies = (0..=stream.below(3)).map(|_| {
            let steps = 0..=stream.below(4);
            steps.map(|_| draw_step(stream, &ops)).collect()
        });
        Rule::SubPolicies(sub_policies.collect())
    };
    Policy::new("parity", rule)
}

fn draw_step(stream: &mut Stream, ops: &[&Arc<dyn Op>]) -> Step {
    let spec = pick(stream, ops).spec();
    let probability = match stream.below(3) {
        0 => stream.unit(),
        _ => 1.0,
    };
    let magnitude = match stream.below(8) {
        0 => 0.0,
        1 => 1.0,
        _ => stream.unit(),
    };
    let strength = match spec.value_range() {
        Some(range) if stream.chance(0.2) => {
            // Rounding may give a value outside of the range, which is not allowed.
            let value = range.value_at(magnitude).round();
            Strength::Value(value.clamp(range.low, range.high))
        }
        _ => Strength::Magnitude(magnitude),
    };
    Step::new(spec.name(), probability, strength)
}

fn draw_sampler(stream: &mut Stream, ops: &[&Arc<dyn Op>]) -> Sampler {
    let bins = 2 + stream.below(30) as u32;
    let count = 1 + stream.below(4) as u32;
    let bin = stream.chance(0.5);
    let bin = bin.then(|| stream.below(u64::from(bins)) as u32);
    let ops = (0..=stream.below(6)).map(|_| draw_sampler_op(stream, ops));
    Sampler::new(count, bins, bin, ops.collect())
}

/// An op with its default range, or with a range up to three times as wide.
fn draw_sampler_op(stream: &mut Stream, ops: &[&Arc<dyn Op>]) -> SamplerOp {
    let spec = pick(stream, ops).spec();
    let own = spec.value_range().filter(|_| stream.chance(0.7));
    let values = own.map(|range| {
        let span = range.high - range.low;
        let low = range.low - span * stream.unit();
        let high = range.high + span * stream.unit();
        let centre = *pick(stream, &[None, Some(0.0), Some(1.0), Some(low)]);
        let mut values = SamplerValues::new(low, high, centre);
        values.integer = stream.chance(0.3);
        values
    });
    SamplerOp::new(spec.name(), values)
}
