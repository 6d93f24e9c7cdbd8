//! One pass or several, in place or from a source: the bytes are the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faa_op::{
    Call, Channels, ImageMut, ImageRef, Op, OpError, OpSet, OpSpec, PointTables, Scratch, Stream,
};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, Plan, Policy, Step, Strength, Workspace};

use crate::doubles::{key, noise, policy};

/// A threshold that has tables, and counts how it is used.
struct Point {
    spec: OpSpec,
    tables: Arc<AtomicUsize>,
    passes: Arc<AtomicUsize>,
}

impl Op for Point {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> Result<(), OpError> {
        self.passes.fetch_add(1, Ordering::Relaxed);
        let tables = self.point(value, image.channels()).expect("for any value");
        tables.apply(image);
        Ok(())
    }

    fn point(&self, value: f64, _: Channels) -> Option<PointTables> {
        self.tables.fetch_add(1, Ordering::Relaxed);
        let shift = value as u8;
        Some(PointTables::uniform(|level| level.rotate_left(3) ^ shift))
    }
}

/// The built-in ops, and two point ops, `A` and `B`, with their counts of tables and passes.
fn ops() -> (OpSet, [Arc<AtomicUsize>; 2]) {
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let mut ops = builtin_ops();
    for name in ["A", "B"] {
        let op = Point {
            spec: OpSpec::new(name, "").range(0.0, 255.0, "bits"),
            tables: counts[0].clone(),
            passes: counts[1].clone(),
        };
        ops.insert(Arc::new(op)).unwrap();
    }
    (ops, counts)
}

/// A policy of `count` sub-policies of four steps each, every choice random.
fn random_policy(ops: &OpSet, count: usize, seed: u64) -> Policy {
    let stream = &mut Stream::for_op(seed);
    let names: Vec<_> = ops
        .iter()
        .filter(|op| !op.spec().mixes())
        .map(|op| op.spec().name())
        .collect();
    let mut step = || Step {
        op: names[stream.below(names.len() as u64) as usize].to_owned(),
        probability: stream.unit().sqrt(),
        strength: Strength::Magnitude(stream.unit()),
    };
    let sub_policies = (0..count).map(|_| (0..4).map(|_| step()).collect());
    Policy::of_sub_policies("random", sub_policies.collect())
}

/// What the plan's ops give, one after the other.
fn one_by_one(plan: &Plan, ops: &OpSet, image: &mut ImageMut<'_>) {
    let scratch = &mut Scratch::new();
    for step in &plan.steps {
        let op = ops.get(&step.op).unwrap();
        op.apply(image, step.value, &mut Call::new(step.seed, scratch))
            .unwrap();
    }
}

fn of<'a>(shape: ImageRef<'_>, pixels: &'a mut [u8]) -> ImageMut<'a> {
    ImageMut::new(pixels, shape.width(), shape.height(), shape.channels()).unwrap()
}

#[test]
fn every_way_to_apply_gives_the_bytes_of_one_op_after_the_other() {
    let (ops, _) = ops();
    let own = &mut Workspace::new();
    for (shape, channels) in [
        ((9, 7), Channels::Rgb),
        ((5, 11), Channels::Rgba),
        ((13, 4), Channels::L),
    ] {
        let source = noise(1, shape, channels);
        let view = ImageRef::new(&source, shape.0, shape.1, channels).unwrap();
        let executor = Executor::new(&random_policy(&ops, 300, 1), &ops).unwrap();
        for index in 0..1500 {
            let key = key(1, 0, index);
            let plan = executor.plan(key);
            let (mut expected, mut found) = (source.clone(), source.clone());
            one_by_one(&plan, &ops, &mut of(view, &mut expected));
            executor.apply(&mut of(view, &mut found), key, own).unwrap();
            assert_eq!(found, expected, "{plan:?}");

            found.fill(0);
            executor
                .apply_to(view, &mut of(view, &mut found), key, own)
                .unwrap();
            assert_eq!(found, expected, "from a source: {plan:?}");

            found.copy_from_slice(&source);
            let written = Plan::parse(plan.to_json().as_bytes()).unwrap();
            written
                .replay(&ops, &mut of(view, &mut found), None, own)
                .unwrap();
            assert_eq!(found, expected, "replayed: {plan:?}");
        }
    }
}

#[test]
fn neighbours_with_tables_are_one_pass_and_a_lone_op_has_no_table() {
    let (ops, [tables, passes]) = ops();
    let counted = |steps: &[(&str, f64, f64)]| {
        let executor = Executor::new(&policy(&[steps]), &ops).unwrap();
        let before = [&tables, &passes].map(|count| count.load(Ordering::Relaxed));
        let mut pixels = [1, 2, 3];
        let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::Rgb).unwrap();
        executor
            .apply(&mut image, key(0, 0, 0), &mut Workspace::new())
            .unwrap();
        let after = [&tables, &passes].map(|count| count.load(Ordering::Relaxed));
        [after[0] - before[0], after[1] - before[1]]
    };
    let (a, b, between) = (("A", 1.0, 0.3), ("B", 1.0, 0.6), ("Rotate", 1.0, 0.9));
    assert_eq!(counted(&[a, b, a]), [3, 0]);
    assert_eq!(counted(&[a, b, between, b, a]), [4, 0]);
    // The double's own pass asks for its table.
    assert_eq!(counted(&[a]), [1, 1]);
    assert_eq!(counted(&[a, between, b]), [2, 2]);
}

#[test]
fn where_nothing_is_applied_the_source_is_copied() {
    let executor = Executor::builtin(&policy(&[&[("Rotate", 0.0, 0.5)]])).unwrap();
    let pixels: Vec<u8> = (0..30).collect();
    let whole = ImageRef::new(&pixels, 5, 6, Channels::L).unwrap();
    let mut result = [0; 6];
    let mut image = ImageMut::new(&mut result, 2, 3, Channels::L).unwrap();
    let own = &mut Workspace::new();
    let part = whole.crop(3, 1, 2, 3).unwrap();
    executor
        .apply_to(part, &mut image, key(0, 0, 0), own)
        .unwrap();
    let error = executor
        .apply_to(whole, &mut image, key(0, 0, 0), own)
        .unwrap_err();
    assert_eq!((error.op(), error.cause()), (None, &OpError::SourceShape));
    assert_eq!(result, [8, 9, 13, 14, 18, 19]);
}
