//! One pass or several, in place or from a source: the bytes are the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faa_op::{Channels, DrawKey, Op, OpSet, OpSpec, Stream};
use faa_ops_builtin::builtin_ops;

use super::*;
use crate::draw::Draw;
use crate::{Policy, Step, Strength};

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

#[test]
fn fused_passes_give_the_bytes_of_one_op_after_the_other() {
    let (ops, _) = ops();
    // Miri takes a thousand times as long.
    let (sub_policies, images, height) = if cfg!(miri) {
        (4, 4, 2)
    } else {
        (500, 2000, 31)
    };
    let rule = random_policy(&ops, sub_policies).resolve(&ops).unwrap();
    for (width, height, channels) in [
        (9, 7, Channels::Rgb),
        (5, 11, Channels::Rgba),
        (67, height, Channels::L),
    ] {
        let length = width * height * channels.count();
        let source: Vec<u8> = (0..length).map(|index| (index * 37) as u8).collect();
        let view = ImageRef::new(&source, width, height, channels).unwrap();
        for index in 0..images {
            let draw = || Draw::new(&rule, key(index), 0);
            let (mut expected, mut found) = (source.clone(), source.clone());
            let mut image = ImageMut::new(&mut expected, width, height, channels).unwrap();
            apply(false, None, &mut image, draw());
            let mut image = ImageMut::new(&mut found, width, height, channels).unwrap();
            apply(true, None, &mut image, draw());
            assert_eq!(found, expected, "in place: image {index}");
            found.fill(0);
            let mut image = ImageMut::new(&mut found, width, height, channels).unwrap();
            apply(true, Some(view), &mut image, draw());
            assert_eq!(found, expected, "from a source: image {index}");
        }
    }
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
