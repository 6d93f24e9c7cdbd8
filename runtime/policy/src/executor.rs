use std::sync::Arc;

use faa_op::{Call, DrawKey, ImageMut, Op, OpSet, Scratch, Stream};

use crate::policy::Resolved;
use crate::{ApplyError, Plan, PlannedStep, Policy, PolicyError};

/// A policy, ready to be applied: ops looked up and values computed. `Send + Sync`.
///
/// **Draws.** The stream of an image ([`Stream::for_image`]) is read in this order: the sub-policy
/// ([`Stream::below`]); then for each of its steps whether it is applied ([`Stream::chance`] of its
/// probability), and where it is: for a mirrored op, whether the value is mirrored (a chance of ½),
/// and the op's seed ([`Stream::next_u64`]).
pub struct Executor {
    sub_policies: Vec<Vec<ReadyStep>>,
}

struct ReadyStep {
    op: Arc<dyn Op>,
    probability: f64,
    value: f64,
    mirrored: Option<f64>,
}

impl From<Resolved> for ReadyStep {
    fn from(
        Resolved {
            op,
            probability,
            value,
        }: Resolved,
    ) -> Self {
        let centre = op.spec().value_range().and_then(|range| range.centre);
        let mirrored = centre.map(|centre| 2.0 * centre - value);
        Self {
            op,
            probability,
            value,
            mirrored,
        }
    }
}

/// Working memory of one thread, kept from image to image.
#[derive(Debug, Default)]
pub struct Workspace {
    scratch: Scratch,
}

impl Workspace {
    /// Empty working memory; it grows with the first images.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Executor {
    /// Makes a policy ready, with the built-in ops alone.
    ///
    /// # Errors
    ///
    /// As [`Executor::new`].
    #[cfg(feature = "builtin")]
    pub fn builtin(policy: &Policy) -> Result<Self, PolicyError> {
        Self::new(policy, &faa_ops_builtin::builtin_ops())
    }

    /// Makes a policy ready, with the ops of a set.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`].
    pub fn new(policy: &Policy, ops: &OpSet) -> Result<Self, PolicyError> {
        let ready = |steps: Vec<Resolved>| steps.into_iter().map(ReadyStep::from).collect();
        Ok(Self {
            sub_policies: policy.resolve(ops)?.into_iter().map(ready).collect(),
        })
    }

    /// What [`Executor::apply`] will do with this key, without doing it.
    pub fn plan(&self, key: DrawKey) -> Plan {
        let draw = self.draw(key);
        Plan {
            sub_policy: draw.sub_policy,
            steps: draw.map(|drawn| drawn.planned()).collect(),
        }
    }

    /// Applies the policy to one image, in place.
    ///
    /// # Errors
    ///
    /// The first op that fails; the image may then hold anything.
    pub fn apply(
        &self,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        for drawn in self.draw(key) {
            let call = &mut Call::new(drawn.seed, &mut workspace.scratch);
            let op = &drawn.step.op;
            op.apply(image, drawn.value, call)
                .map_err(|source| ApplyError {
                    op: op.spec().name().to_owned(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Applies the policy to many images, each with the key beside it; in parallel, on the current
    /// rayon pool, with the feature `rayon`. The result does not depend on order or threads.
    ///
    /// # Errors
    ///
    /// One of the failures; the images may then hold anything.
    pub fn apply_batch(&self, batch: &mut [(DrawKey, ImageMut<'_>)]) -> Result<(), ApplyError> {
        #[cfg(feature = "rayon")]
        {
            use rayon::prelude::*;
            batch
                .par_iter_mut()
                .try_for_each_init(Workspace::new, |workspace, (key, image)| {
                    self.apply(image, *key, workspace)
                })
        }
        #[cfg(not(feature = "rayon"))]
        {
            let mut workspace = Workspace::new();
            batch
                .iter_mut()
                .try_for_each(|(key, image)| self.apply(image, *key, &mut workspace))
        }
    }

    fn draw(&self, key: DrawKey) -> Draw<'_> {
        let mut stream = Stream::for_image(key);
        let sub_policy = stream.below(self.sub_policies.len() as u64) as usize;
        Draw {
            stream,
            sub_policy,
            steps: self.sub_policies[sub_policy].iter().enumerate(),
        }
    }
}

/// The ops that are applied to one image, drawn one after the other.
struct Draw<'a> {
    stream: Stream,
    sub_policy: usize,
    steps: std::iter::Enumerate<std::slice::Iter<'a, ReadyStep>>,
}

struct Drawn<'a> {
    place: usize,
    step: &'a ReadyStep,
    value: f64,
    seed: u64,
}

impl<'a> Iterator for Draw<'a> {
    type Item = Drawn<'a>;

    fn next(&mut self) -> Option<Drawn<'a>> {
        let stream = &mut self.stream;
        let (place, step) = self
            .steps
            .find(|(_, step)| stream.chance(step.probability))?;
        let value = match step.mirrored {
            Some(mirrored) if stream.chance(0.5) => mirrored,
            _ => step.value,
        };
        let seed = stream.next_u64();
        Some(Drawn {
            place,
            step,
            value,
            seed,
        })
    }
}

impl Drawn<'_> {
    fn planned(&self) -> PlannedStep {
        PlannedStep {
            step: self.place,
            op: self.step.op.spec().name().to_owned(),
            value: self.value,
            seed: self.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use faa_op::{Channels, OpError, OpSpec};

    use super::*;
    use crate::{Provenance, Step, Strength};

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
            Err(OpError::NoPartner)
        }
    }

    fn ops() -> OpSet {
        let mut ops = OpSet::new();
        let mirrored = OpSpec::new("Mirrored", "").range(-2.0, 2.0, "").mirrored();
        let plain = OpSpec::new("Plain", "").range(0.0, 10.0, "");
        ops.insert(Arc::new(Recorder(mirrored))).unwrap();
        ops.insert(Arc::new(Recorder(plain))).unwrap();
        ops.insert(Arc::new(Failing(OpSpec::new("Failing", ""))))
            .unwrap();
        ops
    }

    fn policy(sub_policies: &[&[(&str, f64, f64)]]) -> Policy {
        let step = |&(op, probability, magnitude): &(&str, f64, f64)| Step {
            op: op.to_owned(),
            probability,
            strength: Strength::Magnitude(magnitude),
        };
        Policy {
            name: "test".into(),
            sub_policies: sub_policies
                .iter()
                .map(|steps| steps.iter().map(step).collect())
                .collect(),
            provenance: Provenance::new(),
        }
    }

    fn keys(count: u64) -> impl Iterator<Item = DrawKey> {
        (0..count).map(|index| DrawKey {
            seed: 5,
            epoch: 2,
            index,
        })
    }

    #[test]
    fn order_and_repeats_of_ops_are_kept() {
        let policy = policy(&[&[
            ("Plain", 1.0, 0.5),
            ("Mirrored", 1.0, 1.0),
            ("Plain", 1.0, 0.1),
        ]]);
        let plan = Executor::new(&policy, &ops()).unwrap().plan(DrawKey {
            seed: 0,
            epoch: 0,
            index: 0,
        });
        let applied: Vec<_> = plan
            .steps
            .iter()
            .map(|step| (step.op.as_str(), step.value.abs()))
            .collect();
        assert_eq!(applied, [("Plain", 5.0), ("Mirrored", 2.0), ("Plain", 1.0)]);
    }

    /// Worked out by another program from the documented order of draws; it holds the order within
    /// version 1 of the policy format.
    #[test]
    fn draws_are_the_documented_ones() {
        type Steps = &'static [(usize, f64, u64)];
        let policy = policy(&[
            &[("Mirrored", 0.5, 1.0), ("Plain", 0.9, 0.5)],
            &[("Plain", 1.0, 0.25), ("Mirrored", 0.8, 0.75)],
            &[("Mirrored", 1.0, 0.25)],
        ]);
        let executor = Executor::new(&policy, &ops()).unwrap();
        let key = |seed, epoch, index| DrawKey { seed, epoch, index };
        let cases: [(DrawKey, usize, Steps); 3] = [
            (
                key(0x0123_4567_89ab_cdef, 3, 0x1_0000_0002),
                2,
                &[(0, -1.0, 0xef1f_2810_eba3_fb92)],
            ),
            (key(0, 0, 0), 2, &[(0, 1.0, 0x097e_ff67_b1a5_74eb)]),
            (
                key(7, 1, 5),
                1,
                &[
                    (0, 2.5, 0x4b90_487c_e9c2_e5a6),
                    (1, 1.0, 0xb0f4_9fc5_f18b_6e80),
                ],
            ),
        ];
        for (key, sub_policy, steps) in cases {
            let plan = executor.plan(key);
            let found: Vec<_> = plan
                .steps
                .iter()
                .map(|step| (step.step, step.value, step.seed))
                .collect();
            assert_eq!((plan.sub_policy, found.as_slice()), (sub_policy, steps));
        }
    }

    #[test]
    fn draws_follow_their_probabilities() {
        let policy = policy(&[&[("Mirrored", 0.25, 1.0)], &[("Plain", 0.0, 1.0)]]);
        let executor = Executor::new(&policy, &ops()).unwrap();
        let plans: Vec<_> = keys(40_000).map(|key| executor.plan(key)).collect();
        let count =
            |wanted: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| wanted(plan)).count();
        let value_is = |value: f64| {
            move |plan: &Plan| plan.steps.first().is_some_and(|step| step.value == value)
        };
        // Six standard deviations of the binomial counts are below 600 and 400.
        assert!(count(&|plan| plan.sub_policy == 0).abs_diff(20_000) < 600);
        assert!(count(&value_is(2.0)).abs_diff(2500) < 400);
        assert!(count(&value_is(-2.0)).abs_diff(2500) < 400);
        assert_eq!(
            count(&|plan| plan.sub_policy == 1 && !plan.steps.is_empty()),
            0
        );
    }

    #[test]
    fn a_batch_gives_what_single_images_give() {
        let policy = policy(&[
            &[("Mirrored", 0.5, 0.9), ("Plain", 0.5, 0.2)],
            &[("Plain", 0.7, 0.3)],
        ]);
        let executor = Executor::new(&policy, &ops()).unwrap();
        let mut single = vec![7; 50 * 16];
        let mut batch = single.clone();
        let mut workspace = Workspace::new();
        let backwards: Vec<_> = keys(50).zip(single.chunks_exact_mut(16)).collect();
        for (key, pixels) in backwards.into_iter().rev() {
            let mut image = ImageMut::new(pixels, 4, 4, Channels::L).unwrap();
            executor.apply(&mut image, key, &mut workspace).unwrap();
        }
        let mut images: Vec<_> = keys(50)
            .zip(batch.chunks_exact_mut(16))
            .map(|(key, pixels)| (key, ImageMut::new(pixels, 4, 4, Channels::L).unwrap()))
            .collect();
        executor.apply_batch(&mut images).unwrap();
        assert_eq!(single, batch);
        assert_ne!(single, vec![7; 50 * 16]);
    }

    #[test]
    fn epochs_differ() {
        let policy = policy(&[&[("Mirrored", 0.5, 0.9)], &[("Plain", 0.5, 0.2)]]);
        let executor = Executor::new(&policy, &ops()).unwrap();
        let plans = |epoch| -> Vec<Plan> {
            let key = |index| DrawKey {
                seed: 5,
                epoch,
                index,
            };
            (0..100).map(|index| executor.plan(key(index))).collect()
        };
        assert_ne!(plans(0), plans(1));
        assert_eq!(plans(1), plans(1));
    }

    #[test]
    fn a_failing_op_is_named() {
        let executor = Executor::new(&policy(&[&[("Failing", 1.0, 0.0)]]), &ops()).unwrap();
        let mut pixels = [0];
        let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::L).unwrap();
        let key = DrawKey {
            seed: 0,
            epoch: 0,
            index: 0,
        };
        let error = executor
            .apply(&mut image, key, &mut Workspace::new())
            .unwrap_err();
        assert_eq!(
            (error.op(), &error.source),
            ("Failing", &OpError::NoPartner)
        );
    }

    #[test]
    fn what_cannot_be_resolved_is_refused_with_its_place() {
        let error = |policy: &Policy| Executor::new(policy, &ops()).err().unwrap().to_string();
        let unknown = policy(&[&[("Plain", 1.0, 0.0)], &[("Miror", 1.0, 0.0)]]);
        let message = "sub_policies[1][0].op: no op is named `Miror`; did you mean `Mirrored`?";
        assert_eq!(error(&unknown), message);
        let mut beyond = policy(&[&[("Plain", 1.0, 0.0)]]);
        beyond.sub_policies[0][0].strength = Strength::Value(10.5);
        assert_eq!(
            error(&beyond),
            "sub_policies[0][0].value: 10.5 is not within 0…10"
        );
        beyond.sub_policies[0][0].strength = Strength::Magnitude(f64::NAN);
        assert_eq!(
            error(&beyond),
            "sub_policies[0][0].magnitude: NaN is not within 0…1"
        );
        beyond.sub_policies[0][0].strength = Strength::Unstated;
        assert_eq!(error(&beyond), "sub_policies[0][0].magnitude: missing");
        assert_eq!(
            error(&policy(&[])),
            "sub_policies: at least one element is needed"
        );
        assert_eq!(
            error(&policy(&[&[]])),
            "sub_policies[0]: at least one element is needed"
        );
        let likely = policy(&[&[("Plain", 1.5, 0.0)]]);
        assert_eq!(
            error(&likely),
            "sub_policies[0][0].probability: 1.5 is not within 0…1"
        );
        let mut valued = policy(&[&[("Failing", 1.0, 0.0)]]);
        valued.sub_policies[0][0].strength = Strength::Value(1.0);
        assert_eq!(
            error(&valued),
            "sub_policies[0][0].value: the op has no value"
        );
    }
}
