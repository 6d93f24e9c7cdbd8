use std::sync::Arc;

use faa_op::{Channels, Op, OpSet, Size, Warp};

use crate::object::JsonPath;
use crate::policy::nearest_name;
use crate::{
    Policy, PolicyError, PolicyErrorKind, Rule, Sampler, SamplerOp, SamplerValues, Step, Strength,
    SubPolicy,
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
        self.find(|op, _| op.spec().needs_partner())
    }

    /// The name of the first op that does not say where it moves pixels.
    pub(crate) fn op_without_warp(&self) -> Option<&str> {
        // It says so for a value that the policy has, and does for all images or for none.
        let (width, height) = (32, 32);
        self.find(|op, value| op.warp(value, Size { width, height }, 0) == Warp::Unknown)
    }

    /// The name of the first op for which something holds, with one of its values.
    fn find(&self, mut holds: impl FnMut(&dyn Op, f64) -> bool) -> Option<&str> {
        let op = match self {
            Self::SubPolicies(all) => (all.iter().flatten())
                .map(|step| (&step.op, step.value))
                .find(|(op, value)| holds(op.as_ref(), *value)),
            Self::Sampler(sampler) => (sampler.ops.iter())
                .map(|op| (&op.op, op.values.map_or(0.0, |values| values.low)))
                .find(|(op, value)| holds(op.as_ref(), *value)),
        };
        op.map(|(op, _)| op.spec().name())
    }
}

impl Policy {
    pub(crate) fn resolve(&self, ops: &OpSet) -> Result<Resolved, PolicyError> {
        match &self.rule {
            Rule::SubPolicies(sub_policies) => {
                let path = JsonPath::root().key("sub_policies");
                let resolve = |(i, steps): (usize, &SubPolicy)| {
                    let path = path.item(i);
                    let steps = path.not_empty(steps)?.iter().enumerate();
                    steps
                        .map(|(j, step)| step.resolve(ops, &path.item(j)))
                        .collect()
                };
                let sub_policies = path.not_empty(sub_policies)?.iter().enumerate();
                let resolved: Result<_, _> = sub_policies.map(resolve).collect();
                resolved.map(Resolved::SubPolicies)
            }
            Rule::Sampler(sampler) => sampler.resolve(ops).map(Resolved::Sampler),
        }
    }
}

impl Step {
    fn resolve(&self, ops: &OpSet, path: &JsonPath) -> Result<ResolvedStep, PolicyError> {
        let op = resolve_op(&self.op, ops, &path.key("op"))?;
        let probability = path.key("probability").unit_interval(self.probability)?;
        let magnitude = path.key("magnitude");
        if let Strength::Magnitude(value) = self.strength {
            magnitude.unit_interval(value)?;
        }
        let range = op.spec().value_range();
        let value = match (range, self.strength) {
            (None, Strength::Value(_)) => {
                return Err(path.key("value").error(PolicyErrorKind::NoValue));
            }
            (None, _) => 0.0,
            (Some(_), Strength::Unstated) => return Err(magnitude.error(PolicyErrorKind::Missing)),
            (Some(range), Strength::Magnitude(magnitude)) => range.value_at(magnitude),
            (Some(range), Strength::Value(value)) => {
                path.key("value").within(value, range.low, range.high)?
            }
        };
        Ok(ResolvedStep {
            op: op.clone(),
            probability,
            value,
            centre: range.and_then(|range| range.centre),
            fusing: Fusing::of(op.as_ref(), value),
        })
    }
}

impl Sampler {
    fn resolve(&self, ops: &OpSet) -> Result<ResolvedSampler, PolicyError> {
        self.check_numbers()?;
        let path = JsonPath::root().key("sampler").key("ops");
        let resolve = |(index, op): (usize, &SamplerOp)| op.resolve(ops, &path.item(index));
        Ok(ResolvedSampler {
            count: self.count,
            bins: self.bins,
            bin: self.bin,
            ops: (self.ops.iter().enumerate().map(resolve)).collect::<Result<_, _>>()?,
        })
    }
}

impl SamplerOp {
    fn resolve(&self, ops: &OpSet, path: &JsonPath) -> Result<ResolvedOp, PolicyError> {
        let op = resolve_op(&self.op, ops, &path.key("op"))?;
        let values = match (op.spec().value_range(), self.values) {
            (None, Some(_)) => return Err(path.key("low").error(PolicyErrorKind::NoValue)),
            (None, None) => None,
            (Some(_), Some(stated)) => Some(stated),
            (Some(range), None) => Some(SamplerValues::new(range.low, range.high, range.centre)),
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
    path: &JsonPath,
) -> Result<&'a Arc<dyn Op>, PolicyError> {
    ops.get(name).ok_or_else(|| {
        path.error(PolicyErrorKind::UnknownOp {
            op: name.to_owned(),
            nearest: nearest_name(name, ops.iter().map(|op| op.spec().name())),
        })
    })
}
