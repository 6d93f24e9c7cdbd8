//! One pass or several, in place or from a source: the bytes are the same.

use faa_op::{Call, Channels, ImageMut, ImageRef, OpErrorKind, OpSet, Scratch, Stream};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, Plan, Policy, Step, Strength, Workspace};

use crate::doubles::{key, noise, policy};

/// A policy of `count` sub-policies of four steps each, every choice random.
fn random_policy(ops: &OpSet, count: usize, seed: u64) -> Policy {
    let stream = &mut Stream::for_op(seed);
    let names: Vec<_> = ops
        .iter()
        .filter(|op| !op.spec().needs_partner())
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
    let ops = builtin_ops();
    let own = &mut Workspace::new();
    for (shape, channels, images) in [
        ((9, 7), Channels::Rgb, 1000),
        ((5, 11), Channels::Rgba, 1000),
        ((13, 4), Channels::L, 1000),
        // Large enough for fused passes.
        #[cfg(not(miri))]
        ((71, 65), Channels::Rgb, 300),
    ] {
        // Miri takes a thousand times as long.
        let (images, sub_policies) = if cfg!(miri) { (4, 4) } else { (images, 300) };
        let source = noise(1, shape, channels);
        let view = ImageRef::new(&source, shape.0, shape.1, channels).unwrap();
        let executor = Executor::new(&random_policy(&ops, sub_policies, 1), &ops).unwrap();
        for index in 0..images {
            let key = key(1, 0, index);
            let plan = executor.plan(key, own);
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
                .replay(&ops, &mut of(view, &mut found), own)
                .unwrap();
            assert_eq!(found, expected, "replayed: {plan:?}");
        }
    }
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
    assert_eq!(
        (error.op(), error.kind()),
        (None, &OpErrorKind::SourceShape)
    );
    assert_eq!(result, [8, 9, 13, 14, 18, 19]);
}
