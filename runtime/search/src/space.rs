//! The space of candidate policies.

use std::iter;

use faa_op::Stream;
use faa_policy::{Policy, Rule, Sampler, SamplerOp, Step, Strength, SubPolicy};

use crate::config::SearchConfig;
use crate::sampler::Dimension;

/// All candidates that a search can propose. A sub-policy is an ordered list of ops, which may repeat,
/// each with a continuous probability and magnitude.
#[derive(Clone, Debug)]
pub struct Space {
    ops: Vec<String>,
    sub_policies: usize,
    steps: usize,
}

/// The dimensions that describe one step: which op, its probability, its magnitude.
const STEP_DIMENSIONS: usize = 3;

impl Space {
    /// The search space of a configuration.
    pub fn new(config: &SearchConfig) -> Self {
        let (sub_policies, steps) = (config.sub_policies.get(), config.ops_per_sub_policy.get());
        Self::of(&config.ops, sub_policies, steps)
    }

    /// The space of candidates with `sub_policies` sub-policies, each of `steps` of these ops.
    pub fn of(ops: &[String], sub_policies: usize, steps: usize) -> Self {
        Self {
            ops: ops.to_vec(),
            sub_policies,
            steps,
        }
    }

    /// The sampler's dimensions: op, probability and magnitude of every step.
    pub fn dimensions(&self) -> Vec<Dimension> {
        let options = self.ops.len();
        let step = [
            Dimension::Choice { options },
            Dimension::Unit,
            Dimension::Unit,
        ];
        step.repeat(self.sub_policies * self.steps)
    }

    /// The sub-policies at a point of the space.
    ///
    /// # Panics
    ///
    /// If the point does not have one coordinate per dimension.
    pub fn candidate(&self, point: &[f64]) -> Vec<SubPolicy> {
        assert_eq!(
            point.len(),
            self.sub_policies * self.steps * STEP_DIMENSIONS
        );
        let step = |step: &[f64]| {
            let op = &self.ops[step[0] as usize];
            Step::new(op, step[1], Strength::Magnitude(step[2]))
        };
        point
            .chunks_exact(self.steps * STEP_DIMENSIONS)
            .map(|steps| steps.chunks_exact(STEP_DIMENSIONS).map(step).collect())
            .collect()
    }

    /// The point for which [`Space::candidate`] returns these sub-policies; `None` if they are outside the
    /// space.
    pub fn point(&self, candidate: &[SubPolicy]) -> Option<Vec<f64>> {
        let fits = candidate.len() == self.sub_policies
            && candidate.iter().all(|steps| steps.len() == self.steps);
        if !fits {
            return None;
        }
        let coordinates = candidate.iter().flatten().map(|step| {
            let op = self.ops.iter().position(|op| *op == step.op)?;
            match step.strength {
                Strength::Magnitude(magnitude) => Some([op as f64, step.probability, magnitude]),
                _ => None,
            }
        });
        Some(coordinates.collect::<Option<Vec<_>>>()?.concat())
    }

    /// A policy of `count` sub-policies, uniformly drawn from the space.
    pub fn random_policy(&self, name: &str, count: usize, seed: u64) -> Policy {
        let stream = &mut Stream::for_op(seed);
        let mut step = || {
            let op = &self.ops[stream.below(self.ops.len() as u64) as usize];
            Step::new(op, stream.unit(), Strength::Magnitude(stream.unit()))
        };
        let sub_policies = (0..count).map(|_| (0..self.steps).map(|_| step()).collect());
        Policy::of_sub_policies(name, sub_policies.collect())
    }

    /// A policy that draws a uniformly random sub-policy of the space for each image.
    ///
    /// An op whose probability is uniform is applied to half of the images. So each step is an op of the
    /// space in one half of the draws, and `Identity` in the other. Magnitudes are uniform in as many bins
    /// as a sampler may have.
    pub fn uniform_policy(&self) -> Policy {
        let identity = iter::repeat_n("Identity", self.ops.len());
        let ops = self.ops.iter().map(String::as_str).chain(identity);
        let ops = ops.map(|op| SamplerOp::new(op, None)).collect();
        // Configurations allow at most 16 steps.
        let sampler = Sampler::new(self.steps as u32, Sampler::MAX_BINS, None, ops);
        Policy::new("uniform", Rule::Sampler(sampler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn space() -> Space {
        Space::new(&SearchConfig::preset(Preset::Cifar10))
    }

    #[test]
    fn the_papers_space_has_ten_choices_and_twenty_continuous_dimensions() {
        let dimensions = space().dimensions();
        let choice = Dimension::Choice { options: 15 };
        let choices = dimensions.iter().filter(|it| **it == choice).count();
        assert_eq!((dimensions.len(), choices), (30, 10));
    }

    #[test]
    fn points_and_candidates_convert_into_each_other() {
        let step = |op| {
            [
                f64::from(op),
                f64::from(op) / 10.0,
                1.0 - f64::from(op) / 10.0,
            ]
        };
        let point: Vec<f64> = (0..10).flat_map(step).collect();
        let candidate = space().candidate(&point);
        let ops: Vec<_> = candidate[1].iter().map(|step| step.op.as_str()).collect();
        assert_eq!(ops, ["TranslateX", "TranslateY"]);
        assert_eq!(space().point(&candidate), Some(point));
        assert_eq!(space().point(&candidate[1..]), None);
    }

    #[test]
    fn ops_may_repeat_in_any_order() {
        let point = [4.0, 0.5, 0.5, 4.0, 0.1, 0.9].repeat(5);
        let candidate = space().candidate(&point);
        assert_eq!(candidate[0][0].op, "Rotate");
        assert_eq!(candidate[0][1].op, "Rotate");
        assert_ne!(candidate[0][0].strength, candidate[0][1].strength);
    }

    #[test]
    fn a_policy_file_preserves_the_order_of_ops_and_their_parameters() {
        let policy = space().random_policy("random", 40, 1);
        let read = Policy::parse(policy.to_json().as_bytes()).unwrap();
        assert_eq!(read.sub_policies(), policy.sub_policies());
    }

    #[test]
    fn geometric_ops_of_a_candidate_go_in_both_directions() {
        for op in ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"] {
            let step = Step::new(op, 1.0, Strength::Magnitude(0.9));
            let policy = Policy::of_sub_policies("one", vec![vec![step]]);
            let executor = faa_policy::Executor::builtin(&policy).unwrap();
            let value = |index| {
                let (seed, epoch) = (1, 0);
                let key = faa_op::DrawKey { seed, epoch, index };
                executor.plan(key, &faa_policy::Workspace::new()).steps[0].value
            };
            let negative = (0..1000).filter(|index| value(*index) < 0.0).count();
            // Six standard deviations of a binomial(1000, 1/2).
            assert!((405..=595).contains(&negative), "{op}: {negative}");
        }
    }

    #[test]
    fn a_random_policy_has_the_requested_size_and_depends_on_its_seed() {
        let policy = |seed| space().random_policy("random", 7, seed);
        assert_eq!(policy(1).sub_policies().len(), 7);
        let random = policy(1);
        assert!(random.sub_policies().iter().all(|steps| steps.len() == 2));
        assert_eq!(policy(1), policy(1));
        assert_ne!(policy(1), policy(2));
    }

    #[test]
    fn a_uniform_policy_applies_each_op_equally_often_and_in_half_of_its_draws() {
        let ops = ["Rotate", "Invert"].map(str::to_owned);
        let policy = Space::of(&ops, 5, 2).uniform_policy();
        let executor = faa_policy::Executor::builtin(&policy).unwrap();
        let key = |index| faa_op::DrawKey {
            seed: 1,
            epoch: 0,
            index,
        };
        let plan = |index| executor.plan(key(index), &faa_policy::Workspace::new());
        let steps: Vec<_> = (0..2000).flat_map(|index| plan(index).steps).collect();
        let count = |op: &str| steps.iter().filter(|step| step.op == op).count();
        // Six standard deviations of a binomial(4000, 1/4) are 164.
        assert!(count("Rotate").abs_diff(1000) < 164, "{}", count("Rotate"));
        assert!(count("Invert").abs_diff(1000) < 164, "{}", count("Invert"));
        let rotations = steps.iter().filter(|step| step.op == "Rotate");
        let angles: Vec<f64> = rotations.map(|step| step.value).collect();
        for quarter in [-30.0, -15.0, 0.0, 15.0] {
            let within = |angle: &&f64| (quarter..quarter + 15.0).contains(*angle);
            let count = angles.iter().filter(within).count();
            // Six standard deviations of a binomial(1000, 1/4) are 82, beside those above.
            assert!((150..=350).contains(&count), "{quarter}: {count}");
        }
    }
}
