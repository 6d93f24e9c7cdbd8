//! One pass or several, in place or from a source: the bytes are the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faa_op::{Channels, DrawKey, Op, OpSet, OpSpec, Stream};
use faa_ops_builtin::builtin_ops;

use super::*;
use crate::draw::Draw;
use crate::{Executor, Plan, Policy, Step, Strength, Workspace};

/// An op that has tables, and counts how it is used.
struct Point {
    spec: OpSpec,
    tables: Arc<AtomicUsize>,
    passes: Arc<AtomicUsize>,
}

impl Op for Point {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> OpResult {
        self.passes.fetch_add(1, Ordering::Relaxed);
        table(value).apply(image);
        Ok(())
    }

    fn lookup_tables(&self, value: f64, _: Channels) -> Option<LookupTables> {
        self.tables.fetch_add(1, Ordering::Relaxed);
        Some(table(value))
    }
}

fn table(value: f64) -> LookupTables {
    let shift = value as u8;
    LookupTables::uniform(|level| level.rotate_left(3) ^ shift)
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

fn step(op: &str, probability: f64, magnitude: f64) -> Step {
    Step::new(op, probability, Strength::Magnitude(magnitude))
}

/// A policy of `count` sub-policies of four steps each, every choice random.
fn random_policy(ops: &OpSet, count: usize) -> Policy {
    let stream = &mut Stream::for_op(1);
    let singles = ops.iter().filter(|op| !op.spec().needs_partner());
    let names: Vec<_> = singles.map(|op| op.spec().name()).collect();
    let mut random_step = || {
        let op = names[stream.below(names.len() as u64) as usize];
        step(op, stream.unit().sqrt(), stream.unit())
    };
    let sub_policies = (0..count).map(|_| (0..4).map(|_| random_step()).collect());
    Policy::of_sub_policies("random", sub_policies.collect())
}

fn key(index: u64) -> DrawKey {
    DrawKey::new(1, 0, index)
}

fn apply(one_pass: bool, source: Option<ImageRef<'_>>, image: &mut ImageMut<'_>, draw: Draw<'_>) {
    let target = Target {
        source,
        image,
        partners: None,
        scratch: &mut Scratch::new(),
        one_pass,
    };
    target.apply(draw).unwrap();
}

/// What the plan's ops give, one after the other.
fn one_by_one(plan: &Plan, ops: &OpSet, image: &mut ImageMut<'_>) {
    let scratch = &mut Scratch::new();
    for step in &plan.steps {
        let op = ops.get(&step.op).unwrap();
        let mut call = Call::new(step.seed, scratch);
        op.apply(image, step.value, &mut call).unwrap();
    }
}

type Way<'a> = (&'a str, &'a dyn Fn(&mut ImageMut<'_>, &mut Workspace<'_>));

#[test]
fn every_way_to_apply_gives_the_bytes_of_one_op_after_the_other() {
    let (ops, _) = ops();
    let own = &mut Workspace::new();
    for (width, height, channels, images) in [
        (9, 7, Channels::Rgb, 2000),
        (5, 11, Channels::Rgba, 2000),
        (13, 4, Channels::L, 1000),
        (67, if cfg!(miri) { 2 } else { 31 }, Channels::L, 2000),
        // Large enough for fused passes.
        #[cfg(not(miri))]
        (71, 65, Channels::Rgb, 300),
    ] {
        // Miri takes a thousand times as long.
        let (images, sub_policies) = if cfg!(miri) { (4, 4) } else { (images, 500) };
        let length = width * height * channels.count();
        let source: Vec<u8> = (0..length).map(|index| (index * 37) as u8).collect();
        let view = ImageRef::new(&source, width, height, channels).unwrap();
        let policy = random_policy(&ops, sub_policies);
        let rule = policy.resolve(&ops).unwrap();
        let executor = Executor::new(&policy, &ops).unwrap();
        for key in (0..images).map(key) {
            let plan = executor.plan(key, own);
            let written = Plan::parse(plan.to_json().as_bytes()).unwrap();
            let draw = || Draw::new(&rule, key, 0);
            let ways: [Way<'_>; 6] = [
                ("apart", &|image, _| apply(false, None, image, draw())),
                ("fused", &|image, _| apply(true, None, image, draw())),
                ("fused, from a source", &|image, _| {
                    apply(true, Some(view), image, draw());
                }),
                ("in place", &|image, own| {
                    executor.apply(image, key, own).unwrap();
                }),
                ("from a source", &|image, own| {
                    executor.apply_to(view, image, key, own).unwrap();
                }),
                ("replayed", &|image, own| {
                    written.replay(&ops, image, own).unwrap();
                }),
            ];
            let mut expected = source.clone();
            let mut image = ImageMut::new(&mut expected, width, height, channels).unwrap();
            one_by_one(&plan, &ops, &mut image);
            for (way, apply) in ways {
                let mut found = source.clone();
                if way.ends_with("source") {
                    found.fill(0);
                }
                let mut image = ImageMut::new(&mut found, width, height, channels).unwrap();
                apply(&mut image, own);
                assert_eq!(found, expected, "{way}: {plan:?}");
            }
        }
    }
}

#[test]
fn where_nothing_is_applied_the_source_is_copied() {
    let policy = Policy::of_sub_policies("never", vec![vec![step("Rotate", 0.0, 0.5)]]);
    let executor = Executor::builtin(&policy).unwrap();
    let pixels: Vec<u8> = (0..30).collect();
    let whole = ImageRef::new(&pixels, 5, 6, Channels::L).unwrap();
    let mut result = [0; 6];
    let mut image = ImageMut::new(&mut result, 2, 3, Channels::L).unwrap();
    let mut apply_to = |part| executor.apply_to(part, &mut image, key(0), &mut Workspace::new());
    apply_to(whole.crop(3, 1, 2, 3).unwrap()).unwrap();
    let refused = ApplyError::new(None, OpErrorKind::SourceShape);
    assert_eq!(apply_to(whole), Err(refused));
    assert_eq!(result, [8, 9, 13, 14, 18, 19]);
}

#[test]
fn neighbours_with_tables_are_one_pass_and_a_lone_op_has_no_table() {
    let (ops, [tables, passes]) = ops();
    let counted = |one_pass: bool, names: &[&str]| {
        let steps = names.iter().map(|name| step(name, 1.0, 0.3)).collect();
        let policy = Policy::of_sub_policies("test", vec![steps]);
        let rule = policy.resolve(&ops).unwrap();
        let before = [&tables, &passes].map(|count| count.load(Ordering::Relaxed));
        let mut pixels = [1, 2, 3];
        let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::Rgb).unwrap();
        apply(one_pass, None, &mut image, Draw::new(&rule, key(0), 0));
        let after = [&tables, &passes].map(|count| count.load(Ordering::Relaxed));
        [after[0] - before[0], after[1] - before[1]]
    };
    assert_eq!(counted(true, &["A", "B", "A"]), [3, 0]);
    assert_eq!(counted(true, &["A", "B", "Rotate", "B", "A"]), [4, 0]);
    assert_eq!(counted(true, &["A"]), [0, 1]);
    assert_eq!(counted(true, &["A", "Rotate", "B"]), [0, 2]);
    assert_eq!(counted(false, &["A", "B", "A"]), [0, 3]);
}
