//! The policies that halving searches over.

use faa_op::Stream;
use faa_policy::{Policy, Rule, Sampler, SamplerOp};
use serde::{Deserialize, Serialize};

use crate::config::RangedOp;

/// All policies that halving can propose: samplers that draw one or two ops per image, like
/// TrivialAugment. Every op is off, or on with values up to one of four ends, evenly spaced.
#[derive(Clone, Copy, Debug)]
pub struct PolicySpace<'a> {
    ops: &'a [RangedOp],
}

/// A policy of the space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Point {
    /// How many ops an image draws, 1 or 2.
    pub count: u8,
    /// The step of each op, in the order of the configuration: 0 if it is off, otherwise the quarters of
    /// its range that are used. An op without a value has step 1 if it is on.
    pub steps: Vec<u8>,
}

impl Point {
    /// The point of this count and these steps.
    pub fn new(count: u8, steps: Vec<u8>) -> Self {
        Self { count, steps }
    }

    /// The point with all ops on, up to the ends of their ranges.
    pub(crate) fn largest(space: &PolicySpace<'_>) -> Self {
        let steps = (0..space.ops.len()).map(|op| space.max_step(op));
        Self::new(PolicySpace::MAX_COUNT, steps.collect())
    }
}

impl<'a> PolicySpace<'a> {
    /// The maximum number of ops that an image draws.
    pub const MAX_COUNT: u8 = 2;
    /// The number of ends of an op's values.
    pub const STEPS: u8 = 4;
    /// The number of strengths into which an op's values are divided, TrivialAugment's.
    const BINS: u32 = 31;

    /// The space of policies of these ops.
    pub fn new(ops: &'a [RangedOp]) -> Self {
        Self { ops }
    }

    /// The ops.
    pub fn ops(&self) -> &'a [RangedOp] {
        self.ops
    }

    /// The highest step of an op, given by its index.
    pub fn max_step(&self, op: usize) -> u8 {
        match self.ops[op].values {
            Some(_) => Self::STEPS,
            None => 1,
        }
    }

    /// The value at which an op's range ends at this step; `None` for an op without a value.
    pub fn end(&self, op: usize, step: u8) -> Option<f64> {
        let values = self.ops[op].values.as_ref()?;
        Some(values.value_at(fraction(step)))
    }

    /// A uniformly drawn count, and ops that are each off with probability ½ and otherwise have a
    /// uniformly drawn step. At least one op is on.
    pub fn random(&self, stream: &mut Stream) -> Point {
        loop {
            let count = 1 + stream.below(Self::MAX_COUNT.into()) as u8;
            let step = |op| match stream.chance(0.5) {
                true => 1 + stream.below(self.max_step(op).into()) as u8,
                false => 0,
            };
            let steps: Vec<u8> = (0..self.ops.len()).map(step).collect();
            if steps.iter().any(|step| *step > 0) {
                return Point::new(count, steps);
            }
        }
    }

    /// The policy at a point. If no op is on, it is the identity.
    pub fn policy(&self, name: &str, point: &Point) -> Policy {
        let on = self.ops.iter().zip(&point.steps);
        let on = on.filter(|(_, step)| **step > 0);
        let mut ops: Vec<_> = on.map(|(op, step)| op.up_to(fraction(*step))).collect();
        if ops.is_empty() {
            ops.push(SamplerOp::new("Identity", None));
        }
        let sampler = Sampler::new(point.count.into(), Self::BINS, None, ops);
        Policy::new(name, Rule::Sampler(sampler))
    }

    /// The features of the additive model: for each op, whether its step is at least 1, 2, 3 and 4, and
    /// at the end, whether two ops are drawn.
    ///
    /// In this form the penalty of ridge regression draws neighbouring steps towards each other.
    pub(crate) fn features(&self, point: &Point) -> Vec<f64> {
        let steps = point.steps.iter().enumerate();
        let of_op = |(op, step): (usize, &u8)| {
            let step = *step;
            (1..=self.max_step(op)).map(move |at_least| f64::from(u8::from(step >= at_least)))
        };
        let mut features: Vec<f64> = steps.flat_map(of_op).collect();
        features.push(f64::from(point.count - 1));
        features
    }

    /// Whether a point belongs to this space.
    pub(crate) fn contains(&self, point: &Point) -> bool {
        let steps = point.steps.iter().enumerate();
        let mut fits = steps.map(|(op, step)| op < self.ops.len() && *step <= self.max_step(op));
        (1..=Self::MAX_COUNT).contains(&point.count)
            && point.steps.len() == self.ops.len()
            && fits.all(|fits| fits)
    }
}

fn fraction(step: u8) -> f64 {
    f64::from(step) / f64::from(PolicySpace::STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Augmentation, HalvingConfig, Preset};

    fn ops() -> Vec<RangedOp> {
        HalvingConfig::preset(Preset::Cifar10).ops
    }

    #[test]
    fn with_all_ops_in_full_range_the_policy_is_trivial_augment() {
        let ops = ops();
        let space = PolicySpace::new(&ops);
        let mut point = Point::largest(&space);
        point.count = 1;
        let trivial_augment = Augmentation::TrivialAugment.shipped_policy().unwrap();
        assert_eq!(space.policy("all", &point).rule, trivial_augment.rule);
    }

    #[test]
    fn a_point_without_ops_is_the_identity() {
        let ops = ops();
        let off = Point::new(1, vec![0; ops.len()]);
        let policy = PolicySpace::new(&ops).policy("off", &off);
        let sampler = policy.sampler().unwrap();
        assert_eq!(sampler.ops, [SamplerOp::new("Identity", None)]);
    }

    #[test]
    fn features_say_how_far_each_op_goes() {
        let ops: Vec<_> = ops().into_iter().skip(12).rev().collect();
        let mut ops = ops;
        ops.push(HalvingConfig::preset(Preset::Cifar10).ops[5].clone());
        let names: Vec<_> = ops.iter().map(|it| it.op.as_str()).collect();
        assert_eq!(names, ["Equalize", "AutoContrast", "Rotate"]);
        let space = PolicySpace::new(&ops);
        let features = space.features(&Point::new(2, vec![1, 0, 3]));
        assert_eq!(features, [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!((space.end(2, 3), space.end(0, 1)), (Some(101.25), None));
        assert!(space.contains(&Point::new(1, vec![1, 1, 4])));
        for (count, steps) in [
            (3, vec![0; 3]),
            (1, vec![2, 0, 0]),
            (1, vec![0; 4]),
            (0, vec![0; 3]),
        ] {
            assert!(!space.contains(&Point::new(count, steps)));
        }
    }

    #[test]
    fn half_of_the_ops_are_on_and_their_steps_are_equally_frequent() {
        let ops = ops();
        let space = PolicySpace::new(&ops);
        let mut stream = Stream::for_op(1);
        let mut found = [0_u32; 5];
        for _ in 0..1000 {
            let point = space.random(&mut stream);
            assert!(space.contains(&point));
            // Rotate.
            found[usize::from(point.steps[5])] += 1;
        }
        // Six standard deviations of a binomial(1000, 1/2), and of one of 1/8.
        assert!((405..=595).contains(&found[0]), "{found:?}");
        assert!(
            found[1..].iter().all(|count| (62..=188).contains(count)),
            "{found:?}"
        );
    }
}
