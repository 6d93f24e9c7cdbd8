//! Masks, boxes and keypoints that move along with an image.

use std::sync::Arc;

use faa_op::{
    Affine, Call, Channels, ImageMut, Op, OpErrorKind, OpResult, OpSpec, Size, Stream, Warp,
};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    ApplyError, BoundingBox, BoxLimits, Erased, Executor, Keypoint, Mask, Plan, Policy,
    ReplayErrorKind, RotatedBox, Step, Strength, Targets, Workspace,
};

use crate::doubles::key;

const CASES: usize = if cfg!(miri) { 10 } else { 3_000 };

/// A policy of one step with a value.
fn single(op: &str, value: Option<f64>) -> Executor {
    let strength = value.map_or(Strength::Unstated, Strength::Value);
    let policy = Policy::of_sub_policies("single", vec![vec![Step::new(op, 1.0, strength)]]);
    Executor::builtin(&policy).unwrap()
}

/// Moves boxes with one draw of an executor over a grey image.
fn moved(executor: &Executor, size: Size, targets: &mut Targets<'_, '_>) {
    let mut pixels = vec![7; size.width * size.height];
    let mut image = ImageMut::new(&mut pixels, size.width, size.height, Channels::L).unwrap();
    let own = &mut Workspace::new();
    executor
        .apply_with_targets(&mut image, targets, key(1, 0, 0), own)
        .unwrap();
}

fn moved_box(executor: &Executor, size: Size, target: BoundingBox) -> BoundingBox {
    let mut boxes = [target];
    let mut targets = Targets::new();
    targets.boxes = &mut boxes;
    moved(executor, size, &mut targets);
    boxes[0]
}

const SIZE: Size = Size {
    width: 64,
    height: 48,
};

#[test]
fn exact_moves_move_boxes_exactly() {
    let target = BoundingBox::new(4.0, 8.0, 20.0, 32.0);
    let edges = |executor: &Executor, size| {
        let found = moved_box(executor, size, target);
        (
            [found.left, found.top, found.right, found.bottom],
            found.visible,
        )
    };
    let flipped = edges(&single("FlipX", None), SIZE);
    assert_eq!(flipped, ([44.0, 8.0, 60.0, 32.0], 1.0));
    let flipped = edges(&single("FlipY", None), SIZE);
    assert_eq!(flipped, ([4.0, 16.0, 20.0, 40.0], 1.0));
    // To the right, because a positive value moves to the left, and a third out of the image.
    let shifted = edges(&single("TranslateYAbs", Some(16.0)), SIZE);
    assert!(
        [
            ([4.0, 0.0, 20.0, 16.0], 2.0 / 3.0),
            ([4.0, 24.0, 20.0, 48.0], 1.0)
        ]
        .contains(&shifted),
        "{shifted:?}"
    );
    let same = edges(&single("Invert", None), SIZE);
    assert_eq!(same, ([4.0, 8.0, 20.0, 32.0], 1.0));
}

/// What left the image with one op is not back after the next.
#[test]
fn what_left_the_image_is_gone() {
    let step = |magnitude| Step::new("TranslateX", 1.0, Strength::Magnitude(magnitude));
    let policy = Policy::of_sub_policies("there and back", vec![vec![step(0.0), step(1.0)]]);
    let executor = Executor::builtin(&policy).unwrap();
    let own = &mut Workspace::new();
    let mut seen = 0;
    for index in 0..40 {
        let plan = executor.plan(key(1, 0, index), own);
        if plan.steps[0].value == plan.steps[1].value {
            continue;
        }
        seen += 1;
        let mut pixels = vec![0; 1000];
        let mut image = ImageMut::new(&mut pixels, 100, 10, Channels::L).unwrap();
        let mut boxes = [BoundingBox::new(20.0, 0.0, 80.0, 10.0)];
        let mut points = [Keypoint::new(25.0, 5.0), Keypoint::new(75.0, 5.0)];
        let mut targets = Targets::new();
        (targets.boxes, targets.keypoints) = (&mut boxes, &mut points);
        (executor.apply_with_targets(&mut image, &mut targets, key(1, 0, index), own)).unwrap();
        // 45 columns were lost on one side.
        let [left, right] = match plan.steps[0].value > 0.0 {
            true => [45.0, 80.0],
            false => [20.0, 55.0],
        };
        assert!(
            (boxes[0].left - left).abs() + (boxes[0].right - right).abs() < 1e-9,
            "{boxes:?}"
        );
        assert!((boxes[0].visible - 35.0 / 60.0).abs() < 1e-9);
        let visible = plan.steps[0].value < 0.0;
        assert_eq!(points.map(|point| point.visible), [visible, !visible]);
        assert_eq!(points.map(|point| point.position[1]), [5.0; 2]);
        assert!((points[0].position[0] - 25.0).abs() < 1e-9);
    }
    assert!(seen > 5);
}

#[test]
fn rotated_boxes_turn_with_the_image() {
    let size = Size {
        width: 100,
        height: 100,
    };
    for (op, value) in [
        ("Rotate", Some(30.0)),
        ("Rotate", Some(-17.5)),
        ("FlipX", None),
        ("FlipY", None),
    ] {
        let executor = single(op, value);
        let mut rotated = [RotatedBox::new([50.0, 50.0], 20.0, 8.0, -20.0)];
        let mut targets = Targets::new();
        targets.rotated_boxes = &mut rotated;
        moved(&executor, size, &mut targets);
        let found = rotated[0];
        let turn = executor.plan(key(1, 0, 0), &Workspace::new()).steps[0].value;
        let expected = if op == "Rotate" { -20.0 + turn } else { 20.0 };
        let apart = (found.angle - expected).rem_euclid(180.0);
        assert!(apart.min(180.0 - apart) < 1e-9, "{op} {turn} {found:?}");
        assert!((found.centre[0] - 50.0).abs() + (found.centre[1] - 50.0).abs() < 1e-9);
        assert!(
            (found.width - 20.0).abs() + (found.height - 8.0).abs() < 1e-9,
            "{found:?}"
        );
        assert_eq!(found.visible, 1.0);
    }
    // Untouched, to the last bit.
    let given = RotatedBox::new([31.3, 47.1], 20.7, 8.9, 123.456);
    let mut rotated = [given];
    let mut targets = Targets::new();
    targets.rotated_boxes = &mut rotated;
    moved(&single("Equalize", None), size, &mut targets);
    assert_eq!(rotated, [given]);
    // A box of width and height at angle 0 is one at a right angle with both exchanged.
    let executor = single("ShearX", Some(0.3));
    let mut rotated = [
        RotatedBox::new([50.0, 50.0], 30.0, 10.0, 0.0),
        RotatedBox::new([50.0, 50.0], 10.0, 30.0, 90.0),
    ];
    let mut targets = Targets::new();
    targets.rotated_boxes = &mut rotated;
    moved(&executor, size, &mut targets);
    let [first, second] = rotated;
    assert!((first.width - second.height).abs() + (first.height - second.width).abs() < 1e-9);
    // 30 and 0.3 · 10 along the longer side, which stays horizontal.
    assert!(
        (first.width - 33.0).abs() + (first.height - 10.0).abs() < 1e-9,
        "{first:?}"
    );
}

#[test]
fn boxes_with_too_little_left_are_dropped() {
    let executor = single("TranslateXAbs", Some(48.0));
    let drop = |min_visible, min_size| {
        let mut boxes = [
            BoundingBox::new(0.0, 0.0, 60.0, 10.0),
            BoundingBox::new(4.0, 0.0, 64.0, 10.0),
            BoundingBox::new(0.0, 0.0, 64.0, 10.0),
        ];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        (targets.limits.min_visible, targets.limits.min_size) = (min_visible, min_size);
        moved(&executor, SIZE, &mut targets);
        boxes.map(|found| found.is_kept())
    };
    assert!(drop(0.0, 1.0)[2]);
    assert!(!drop(0.26, 1.0)[2], "a quarter is left");
    assert!(drop(0.24, 1.0)[2]);
    assert!(!drop(0.0, 16.5)[2], "16 columns are left");
    assert_eq!(drop(0.0, 10.5), [false; 3], "10 rows are left");
    assert_eq!(drop(0.0, 0.0), [true; 3]);
    let invisible = BoundingBox::new(-20.0, 0.0, -2.0, 10.0);
    let found = moved_box(&single("Invert", None), SIZE, invisible);
    assert_eq!((found.visible, found.right), (0.0, 0.0));
    assert_eq!(BoxLimits::default().min_size, 1.0);
}

#[test]
fn the_caller_chooses_what_cutout_means() {
    let executor = single("CutoutAbs", Some(24.0));
    let size = Size {
        width: 32,
        height: 32,
    };
    let plan = executor.plan(key(1, 0, 0), &Workspace::new());
    let ops = builtin_ops();
    let op = ops.get("CutoutAbs").unwrap();
    let Warp::Erase(area) = op.warp(24.0, size, plan.steps[0].seed) else {
        panic!("nothing is erased");
    };
    let erased = ((area.right - area.left) * (area.bottom - area.top)) as f64;
    let inside = [area.left as f64 + 0.5, area.top as f64 + 0.5];
    for (choice, share, label) in [
        (Erased::Occluded, 1.0, 5),
        (Erased::Removed, 1.0 - erased / 1024.0, 9),
    ] {
        let mut labels = vec![5; 1024];
        let mut masks = [Mask::u8(&mut labels, size, 9).unwrap()];
        let mut boxes = [BoundingBox::new(0.0, 0.0, 32.0, 32.0)];
        let mut rotated = [RotatedBox::new([16.0; 2], 32.0, 32.0, 0.0)];
        let mut points = [Keypoint::new(inside[0], inside[1])];
        let mut targets = Targets::new();
        targets.masks = &mut masks;
        targets.boxes = &mut boxes;
        targets.rotated_boxes = &mut rotated;
        targets.keypoints = &mut points;
        targets.erased = choice;
        moved(&executor, size, &mut targets);
        assert!((boxes[0].visible - share).abs() < 1e-12, "{boxes:?}");
        assert_eq!([boxes[0].left, boxes[0].bottom], [0.0, 32.0]);
        assert!((rotated[0].visible - share).abs() < 1e-12, "{rotated:?}");
        assert_eq!(points[0].visible, choice == Erased::Occluded);
        assert_eq!(points[0].position, inside);
        assert_eq!(labels[area.top * 32 + area.left], label);
        let filled = labels.iter().filter(|label| **label == 9).count() as f64;
        assert_eq!(filled, if label == 9 { erased } else { 0.0 });
    }
}

#[test]
fn erased_areas_add_up() {
    // Where they overlap too.
    let erase = || Step::new("CutoutAbs", 1.0, Strength::Value(24.0));
    let policy = Policy::of_sub_policies("twice", vec![vec![erase(), erase()]]);
    let executor = Executor::builtin(&policy).unwrap();
    let size = Size {
        width: 32,
        height: 32,
    };
    let ops = builtin_ops();
    let op = ops.get("CutoutAbs").unwrap();
    let mut apart = 0;
    for index in 0..200 {
        let own = &mut Workspace::new();
        let plan = executor.plan(key(1, 0, index), own);
        let areas = [0, 1].map(|step| match op.warp(24.0, size, plan.steps[step].seed) {
            Warp::Erase(area) => area,
            other => panic!("{other:?}"),
        });
        let area = |it: faa_op::Rectangle| ((it.right - it.left) * (it.bottom - it.top)) as f64;
        let [a, b] = areas;
        let overlap = a.right.min(b.right).saturating_sub(a.left.max(b.left))
            * a.bottom.min(b.bottom).saturating_sub(a.top.max(b.top));
        let mut pixels = vec![0; 1024];
        let mut image = ImageMut::new(&mut pixels, 32, 32, Channels::L).unwrap();
        let mut boxes = [BoundingBox::new(0.0, 0.0, 32.0, 32.0)];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        targets.erased = Erased::Removed;
        (executor.apply_with_targets(&mut image, &mut targets, key(1, 0, index), own)).unwrap();
        let left = (1.0 - (area(a) + area(b)) / 1024.0).max(0.0);
        assert!(
            (boxes[0].visible - left).abs() < 1e-9,
            "{boxes:?} {areas:?}"
        );
        apart += usize::from(overlap == 0);
    }
    assert!(apart > 5, "{apart}");
}

#[test]
fn numbers_that_are_no_boxes_are_dropped_without_harm() {
    let bad = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e300,
        -1e300,
        5.0,
        0.0,
        -0.0,
    ];
    let executors = [
        single("Rotate", Some(20.0)),
        single("ShearX", Some(0.3)),
        single("Cutout", Some(0.2)),
        single("Invert", None),
    ];
    let stream = &mut Stream::for_op(8);
    let mut number = || bad[stream.below(bad.len() as u64) as usize];
    for case in 0..CASES {
        let mut boxes = [BoundingBox::new(number(), number(), number(), number())];
        let mut rotated = [RotatedBox::new(
            [number(), number()],
            number(),
            number(),
            number(),
        )];
        let mut points = [Keypoint::new(number(), number())];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        targets.rotated_boxes = &mut rotated;
        targets.keypoints = &mut points;
        targets.erased = [Erased::Removed, Erased::Occluded][case % 2];
        moved(&executors[case % 4], SIZE, &mut targets);
        let found = boxes[0];
        for (number, most) in [
            (found.left, 64.0),
            (found.right, 64.0),
            (found.top, 48.0),
            (found.bottom, 48.0),
            (found.visible, 1.0),
            (rotated[0].visible, 1.0),
        ] {
            assert!((0.0..=most).contains(&number), "{found:?}");
        }
        if rotated[0].is_kept() {
            let RotatedBox {
                centre: [x, y],
                width,
                height,
                angle,
                ..
            } = rotated[0];
            assert!(
                [x, y, width, height, angle]
                    .iter()
                    .all(|number| number.is_finite())
            );
        }
    }
}

/// An op that does what its warp says, or says nothing.
struct Moving(OpSpec, Warp);

impl Op for Moving {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> OpResult {
        image.samples_mut().fill(1);
        Ok(())
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        self.1
    }
}

#[test]
fn an_op_that_does_not_say_where_pixels_go_is_refused_by_name() {
    let singular = Warp::Affine(Affine([1.0, 1.0, 0.0, 1.0, 1.0, 0.0]));
    let mut ops = builtin_ops();
    let beyond = Warp::Erase(faa_op::Rectangle {
        left: 2,
        top: 7,
        right: 9,
        bottom: 8,
    });
    let warps = [
        ("Silent", Warp::Unknown),
        ("Flat", singular),
        ("Beyond", beyond),
    ];
    for (name, warp) in warps {
        ops.insert(Arc::new(Moving(OpSpec::new(name, ""), warp)))
            .unwrap();
    }
    let policy = |op: &str, probability| {
        let flip = Step::new("FlipX", 1.0, Strength::Unstated);
        let steps = vec![flip, Step::new(op, probability, Strength::Unstated)];
        Policy::of_sub_policies("test", vec![steps])
    };
    let mut pixels = [3; 12];
    let mut labels = [4; 12];
    let size = Size {
        width: 4,
        height: 3,
    };
    let mut image = ImageMut::new(&mut pixels, 4, 3, Channels::L).unwrap();
    let mut masks = [Mask::u8(&mut labels, size, 9).unwrap()];
    let mut boxes = [BoundingBox::new(0.0, 0.0, 4.0, 3.0)];
    let mut points = [Keypoint::new(1.0, 1.0)];
    let mut targets = Targets::new();
    targets.masks = &mut masks;
    targets.boxes = &mut boxes;
    targets.keypoints = &mut points;
    let own = &mut Workspace::new();

    // Drawn or not.
    let refused = Err(ApplyError::new(Some("Silent"), OpErrorKind::UnknownWarp));
    for probability in [0.0, 1.0] {
        let executor = Executor::new(&policy("Silent", probability), &ops).unwrap();
        assert_eq!(executor.op_without_warp(), Some("Silent"));
        let result = executor.apply_with_targets(&mut image, &mut targets, key(1, 0, 0), own);
        assert_eq!(result, refused);
        let plan = executor.plan(key(1, 0, 0), own);
        let replayed = plan.replay_with_targets(&ops, &mut image, &mut targets, own);
        match replayed {
            Ok(()) => assert_eq!(probability, 0.0),
            Err(error) => {
                let refused = ReplayErrorKind::Apply(refused.clone().unwrap_err());
                assert_eq!(error.kind(), &refused);
            }
        }
        // Without targets it is an op like any other.
        assert_eq!(image.samples(), [3; 12]);
    }
    let executor = Executor::new(&policy("Flat", 1.0), &ops).unwrap();
    assert_eq!(executor.op_without_warp(), None);
    executor
        .apply_with_targets(&mut image, &mut targets, key(1, 0, 0), own)
        .unwrap();
    assert!(!targets.boxes[0].is_kept() && !targets.keypoints[0].visible);
    let executor = Executor::new(&policy("Beyond", 1.0), &ops).unwrap();
    targets.erased = Erased::Removed;
    executor
        .apply_with_targets(&mut image, &mut targets, key(1, 0, 0), own)
        .unwrap();

    let mut wrong = [0; 12];
    let other = Size {
        width: 3,
        height: 4,
    };
    let mut masks = [Mask::u8(&mut wrong, other, 0).unwrap()];
    let mut targets = Targets::new();
    targets.masks = &mut masks;
    let executor = Executor::new(&policy("Invert", 1.0), &ops).unwrap();
    let result = executor.apply_with_targets(&mut image, &mut targets, key(1, 0, 0), own);
    assert_eq!(result, Err(ApplyError::new(None, OpErrorKind::MaskSize)));
    let replayed = Plan::new(None, vec![]).replay_with_targets(&ops, &mut image, &mut targets, own);
    let refused = ReplayErrorKind::Apply(ApplyError::new(None, OpErrorKind::MaskSize));
    assert_eq!(replayed.unwrap_err().kind(), &refused);
    assert!(
        Mask::u16(
            &mut [0; 12],
            Size {
                width: 4,
                height: 4
            },
            0
        )
        .is_err()
    );
    assert!(
        Mask::u8(
            &mut [0; 12],
            Size {
                width: 0,
                height: 4
            },
            0
        )
        .is_err()
    );
    assert!(
        Mask::u8(
            &mut [],
            Size {
                width: usize::MAX,
                height: 4
            },
            0
        )
        .is_err()
    );
}

#[test]
fn samplers_move_targets_too() {
    let shipped = faa_policy::shipped();
    for name in ["trivialaugment-wide", "randaugment", "autoaugment-imagenet"] {
        let policy = shipped.iter().find(|policy| policy.name == name).unwrap();
        let executor = Executor::builtin(&policy.policy().unwrap()).unwrap();
        assert_eq!(executor.op_without_warp(), None, "{name}");
        let mut changed = 0;
        for index in 0..if cfg!(miri) { 3 } else { 60 } {
            let mut boxes = [BoundingBox::new(10.0, 8.0, 50.0, 40.0)];
            let mut targets = Targets::new();
            targets.boxes = &mut boxes;
            let mut pixels = vec![7; 64 * 48];
            let mut image = ImageMut::new(&mut pixels, 64, 48, Channels::L).unwrap();
            let own = &mut Workspace::new();
            executor
                .apply_with_targets(&mut image, &mut targets, key(1, 0, index), own)
                .unwrap();
            changed += usize::from(boxes[0].left != 10.0 || boxes[0].top != 8.0);
        }
        assert!(cfg!(miri) || (5..55).contains(&changed), "{name} {changed}");
    }
}
