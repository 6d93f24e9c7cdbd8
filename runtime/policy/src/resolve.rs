use std::sync::Arc;

use faa_op::{Channels, Op, OpSet};

use crate::error::within;
use crate::policy::nearest_name;
use crate::sampler::sampler_op_path;
use crate::{
    Policy, PolicyError, PolicyErrorKind, Rule, Sampler, SamplerOp, SamplerValues, Step, Strength,
};

/// A rule with its ops looked up and its values computed.
pub(crate) enum Resolved {
    SubPolicies(Vec<Vec<ResolvedStep>>),
    Sampler(ResolvedSampler),
}

/// A step with its op looked up. `value` is the one before mirroring, and 0 if the op has none.
pub(crate) struct ResolvedStep {
    pub(crate) op: Arc<dyn Op>,
    pub(crate) probability: f64,
    pub(crate) value: f64,
    pub(crate) centre: Option<f64>,
    pub(crate) fusing: Fusing,
}

pub(crate) struct ResolvedSampler {
    pub(crate) count: u32,
    pub(crate) bins: u32,
    pub(crate) bin: Option<u32>,
    pub(crate) ops: Vec<ResolvedOp>,
}

/// An op of a sampler, looked up. `values` is `None` if the op has no value.
pub(crate) struct ResolvedOp {
    pub(crate) op: Arc<dyn Op>,
    pub(crate) values: Option<SamplerValues>,
    pub(crate) fusing: Fusing,
}

/// For which channels it is worth asking an op for its tables.
///
/// A table costs about as much as a small image, so tables are made only if two neighbours are
/// likely to have them.
#[derive(Clone, Copy)]
pub(crate) struct Fusing(u8);

impl Fusing {
    pub(crate) const ALWAYS: Self = Self(u8::MAX);

    fn of(op: &dyn Op, value: f64) -> Self {
        let all = [Channels::L, Channels::Rgb, Channels::Rgba];
        let likely = all.into_iter().filter(|channels| {
            !op.spec().needs_partner() && op.lookup_tables(value, *channels).is_some()
        });
        Self(likely.fold(0, |bits, channels| bits | Self::bit(channels)))
    }

    pub(crate) fn likely(self, channels: Channels) -> bool {
        self.0 & Self::bit(channels) != 0
    }

    fn bit(channels: Channels) -> u8 {
        1 << channels.count()
    }
}

impl Resolved {
    /// The name of the first op that needs a partner.
    pub(crate) fn partner_op(&self) -> Option<&str> {
        let needs_partner = |op: &&Arc<dyn Op>| op.spec().needs_partner();
        let op = match self {
            Self::SubPolicies(all) => all
                .iter()
                .flatten()
                .map(|step| &step.op)
                .find(needs_partner),
            Self::Sampler(sampler) => sampler.ops.iter().map(|op| &op.op).find(needs_partner),
        };
        op.map(|op| op.spec().name())
    }
}

impl Policy {
    pub(crate) fn resolve(&self, ops: &OpSet) -> Result<Resolved, PolicyError> {
        match &self.rule {
            Rule::SubPolicies(sub_policies) => {
                if sub_policies.is_empty() {
                    return Err(PolicyError::new("sub_policies", PolicyErrorKind::Empty));
                }
                let resolve = |(i, steps): (usize, &Vec<Step>)| resolve_steps(i, steps, ops);
                let resolved: Result<_, _> = sub_policies.iter().enumerate().map(resolve).collect();
                resolved.map(Resolved::SubPolicies)
            }
            Rule::Sampler(sampler) => sampler.resolve(ops).map(Resolved::Sampler),
        }
    }
}

fn resolve_steps(
    sub_policy: usize,
    steps: &[Step],
    ops: &OpSet,
) -> Result<Vec<ResolvedStep>, PolicyError> {
    if steps.is_empty() {
        let path = format!("sub_policies[{sub_policy}]");
        return Err(PolicyError::new(path, PolicyErrorKind::Empty));
    }
    let resolve = |(index, step): (usize, &Step)| {
        step.resolve(ops).map_err(|(key, kind)| {
            PolicyError::new(format!("sub_policies[{sub_policy}][{index}].{key}"), kind)
        })
    };
    steps.iter().enumerate().map(resolve).collect()
}

impl Step {
    /// An error comes with the key at fault.
    fn resolve(&self, ops: &OpSet) -> Result<ResolvedStep, (&'static str, PolicyErrorKind)> {
        let op = resolve_op(&self.op, ops).map_err(|kind| ("op", kind))?;
        let unit_interval = |key, value| within(value, 0.0, 1.0).map_err(|kind| (key, kind));
        unit_interval("probability", self.probability)?;
        if let Strength::Magnitude(magnitude) = self.strength {
            unit_interval("magnitude", magnitude)?;
        }
        let range = op.spec().value_range();
        let value = match (range, self.strength) {
            (None, Strength::Value(_)) => return Err(("value", PolicyErrorKind::NoValue)),
            (None, _) => 0.0,
            (Some(_), Strength::Unstated) => return Err(("magnitude", PolicyErrorKind::Missing)),
            (Some(range), Strength::Magnitude(magnitude)) => range.value_at(magnitude),
            (Some(range), Strength::Value(value)) => {
                within(value, range.low, range.high).map_err(|kind| ("value", kind))?;
                value
            }
        };
        Ok(ResolvedStep {
            op: op.clone(),
            probability: self.probability,
            value,
            centre: range.and_then(|range| range.centre),
            fusing: Fusing::of(op.as_ref(), value),
        })
    }
}

impl Sampler {
    fn resolve(&self, ops: &OpSet) -> Result<ResolvedSampler, PolicyError> {
        self.check_numbers()?;
        let resolve = |(index, op): (usize, &SamplerOp)| {
            op.resolve(ops)
                .map_err(|(key, kind)| PolicyError::new(sampler_op_path(index, key), kind))
        };
        Ok(ResolvedSampler {
            count: self.count,
            bins: self.bins,
            bin: self.bin,
            ops: (self.ops.iter().enumerate().map(resolve)).collect::<Result<_, _>>()?,
        })
    }
}

impl SamplerOp {
    /// An error comes with the key at fault.
    fn resolve(&self, ops: &OpSet) -> Result<ResolvedOp, (&'static str, PolicyErrorKind)> {
        let op = resolve_op(&self.op, ops).map_err(|kind| ("op", kind))?;
        let values = match (op.spec().value_range(), self.values) {
            (None, Some(_)) => return Err(("low", PolicyErrorKind::NoValue)),
            (None, None) => None,
            (Some(_), Some(stated)) => Some(stated),
            (Some(range), None) => Some(SamplerValues {
                low: range.low,
                high: range.high,
                centre: range.centre,
                integer: false,
            }),
        };
        Ok(ResolvedOp {
            op: op.clone(),
            values,
            fusing: Fusing::of(op.as_ref(), values.map_or(0.0, |values| values.low)),
        })
    }
}

pub(crate) fn resolve_op<'a>(
    name: &str,
    ops: &'a OpSet,
) -> Result<&'a Arc<dyn Op>, PolicyErrorKind> {
    ops.get(name).ok_or_else(|| PolicyErrorKind::UnknownOp {
        op: name.to_owned(),
        nearest: nearest_name(name, ops.iter().map(|op| op.spec().name())),
    })
}
