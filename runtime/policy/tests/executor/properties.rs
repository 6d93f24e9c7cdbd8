//! What holds for boxes and points under any draw of the built-in ops, without a second way to compute it.

use faa_op::{Channels, ImageMut, OpSet, Point, Size, Stream, Warp};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    BoundingBox, Erased, Executor, Keypoint, PackedImages, Plan, RotatedBox, Targets, Workspace,
};

use crate::doubles::{key, noise};
use crate::random_targets::random_policy;

const CASES: u64 = if cfg!(miri) { 5 } else { 3_000 };

/// What rounding may add up to, in pixels.
const TINY: f64 = 1e-6;

/// A box, one in it, a point in that, and the outer one as a box at an angle.
#[derive(Clone, Copy)]
struct Nested {
    outer: BoundingBox,
    inner: BoundingBox,
    turned: RotatedBox,
    point: Point,
}

impl Nested {
    /// Somewhere about an image, and now and then beyond it.
    fn random(stream: &mut Stream, size: Size) -> Self {
        let mut between = |low: f64, high: f64| low + stream.unit() * (high - low);
        let mut span = |length: usize| {
            let length = length as f64;
            let start = between(-0.1 * length, 0.9 * length);
            let end = between(start + 2.0, 1.1 * length + 2.0);
            let inner = between(start, end - 1.0);
            let inner_end = between(inner + 1.0, end);
            [start, end, inner, inner_end, between(inner, inner_end)]
        };
        let ([l, r, il, ir, x], [t, b, it, ib, y]) = (span(size.width), span(size.height));
        Self {
            outer: BoundingBox::new(l, t, r, b),
            inner: BoundingBox::new(il, it, ir, ib),
            turned: RotatedBox::new([(l + r) / 2.0, (t + b) / 2.0], r - l, b - t, 0.0),
            point: [x, y],
        }
    }
}

/// The boxes (outer and inner in turn), the boxes at an angle and the points after a plan.
fn moved(
    ops: &OpSet,
    plan: &Plan,
    size: Size,
    given: &[Nested],
    erased: Erased,
    own: &mut Workspace<'_>,
) -> (Vec<BoundingBox>, Vec<RotatedBox>, Vec<Keypoint>) {
    let mut pixels = noise(1, (size.width, size.height), Channels::L);
    let mut image = ImageMut::new(&mut pixels, size.width, size.height, Channels::L).unwrap();
    let mut boxes: Vec<_> = given.iter().flat_map(|it| [it.outer, it.inner]).collect();
    let mut rotated: Vec<_> = given.iter().map(|it| it.turned).collect();
    let mut points: Vec<_> = (given.iter())
        .map(|it| Keypoint::new(it.point[0], it.point[1]))
        .collect();
    let mut targets = Targets::new();
    targets.boxes = &mut boxes;
    targets.rotated_boxes = &mut rotated;
    targets.keypoints = &mut points;
    targets.limits.min_size = 0.0;
    targets.erased = erased;
    plan.replay_with_targets(ops, &mut image, &mut targets, own)
        .unwrap();
    (boxes, rotated, points)
}

fn edges(it: &BoundingBox) -> [f64; 4] {
    [it.left, it.top, it.right, it.bottom]
}

fn area(it: &BoundingBox) -> f64 {
    (it.right - it.left) * (it.bottom - it.top)
}

/// A position from the centre of a box along its sides.
fn within(it: &RotatedBox, [x, y]: Point) -> Point {
    let (sin, cos) = it.angle.to_radians().sin_cos();
    let (x, y) = (x - it.centre[0], y - it.centre[1]);
    [x * cos - y * sin, x * sin + y * cos]
}

#[test]
fn what_is_in_a_box_stays_in_it_in_its_place_in_the_list_and_in_the_image() {
    let ops = builtin_ops();
    let stream = &mut Stream::for_op(11);
    let (mut nested, mut dropped) = (0, 0);
    for case in 0..CASES {
        let size = Size {
            width: 12 + stream.below(90) as usize,
            height: 12 + stream.below(90) as usize,
        };
        let (width, height) = (size.width as f64, size.height as f64);
        let pixels = noise(2, (size.width, size.height), Channels::L);
        let partners = PackedImages::new(&pixels, size.width, size.height, Channels::L).unwrap();
        let own = &mut Workspace::with_partners(&partners);
        let executor = Executor::new(&random_policy(&ops, stream), &ops).unwrap();
        let plan = executor.plan(key(case, 1, 2), own);
        let given = [(); 4].map(|()| Nested::random(stream, size));
        // Areas are multiplied by this, the same everywhere.
        let factor: f64 = (plan.steps.iter())
            .map(
                |step| match ops.get(&step.op).unwrap().warp(step.value, size, step.seed) {
                    Warp::Affine(map) => map.inverse().unwrap().determinant().abs(),
                    _ => 1.0,
                },
            )
            .product();
        let (boxes, rotated, points) = moved(&ops, &plan, size, &given, Erased::Occluded, own);
        for (index, before) in given.iter().enumerate() {
            let context = format!("{before:?} {plan:?} {size:?}", before = before.outer);
            let (outer, inner) = (&boxes[2 * index], &boxes[2 * index + 1]);
            let (turned, point) = (&rotated[index], &points[index]);
            for it in [outer, inner] {
                let [left, top, right, bottom] = edges(it);
                assert!(
                    0.0 <= left && left <= right && right <= width,
                    "{it:?} {context}"
                );
                assert!(
                    0.0 <= top && top <= bottom && bottom <= height,
                    "{it:?} {context}"
                );
                assert!((0.0..=1.0).contains(&it.visible), "{it:?} {context}");
                assert!(it.is_kept() || edges(it) == [0.0; 4], "{it:?} {context}");
                dropped += usize::from(!it.is_kept());
            }
            // The box about what is seen is not smaller than that.
            if outer.is_kept() {
                let seen = outer.visible * area(&before.outer) * factor;
                assert!(
                    area(outer) >= seen - TINY * width * height,
                    "{outer:?} {context}"
                );
                assert!(turned.width * turned.height >= seen - TINY * width * height);
            }
            assert!(
                (turned.visible - outer.visible).abs() < TINY,
                "{turned:?} {context}"
            );
            if inner.is_kept() {
                nested += 1;
                let ([l, t, r, b], [il, it, ir, ib]) = (edges(outer), edges(inner));
                assert!(
                    l <= il + TINY && t <= it + TINY,
                    "{outer:?} {inner:?} {context}"
                );
                assert!(
                    ir <= r + TINY && ib <= b + TINY,
                    "{outer:?} {inner:?} {context}"
                );
            }
            if point.visible {
                let [x, y] = point.position;
                let [l, t, r, b] = edges(inner);
                assert!(inner.is_kept(), "{point:?} {context}");
                assert!(
                    l - TINY <= x && x <= r + TINY,
                    "{point:?} {inner:?} {context}"
                );
                assert!(
                    t - TINY <= y && y <= b + TINY,
                    "{point:?} {inner:?} {context}"
                );
                assert!(-TINY <= x && x <= width + TINY && -TINY <= y && y <= height + TINY);
                let [across, down] = within(turned, point.position);
                let inside = across.abs() <= turned.width / 2.0 + TINY
                    && down.abs() <= turned.height / 2.0 + TINY;
                assert!(inside, "{point:?} {turned:?} {context}");
            }
            // None depends on the others, or on where it is in the list.
            let alone = moved(&ops, &plan, size, &[*before], Erased::Occluded, own);
            let own_boxes = boxes[2 * index..][..2].to_vec();
            assert_eq!(alone, (own_boxes, vec![*turned], vec![*point]), "{context}");
        }
        // What is erased can only be missed.
        let removed = moved(&ops, &plan, size, &given, Erased::Removed, own);
        for (less, more) in removed.0.iter().zip(&boxes) {
            assert!(
                less.visible <= more.visible + TINY,
                "{less:?} {more:?} {plan:?}"
            );
            assert!(!less.is_kept() || edges(less) == edges(more));
        }
        for (less, more) in removed.2.iter().zip(&points) {
            assert!(less.position == more.position && less.visible <= more.visible);
        }
    }
    let all = CASES as usize * 4;
    assert!(
        nested > all / 2 && dropped > all / 50,
        "{nested} {dropped} of {all}"
    );
}

#[test]
fn the_inverse_of_each_op_leads_back() {
    let ops = builtin_ops();
    let stream = &mut Stream::for_op(12);
    let mut maps = 0;
    for case in 0..CASES {
        let size = Size {
            width: 1 + stream.below(4000) as usize,
            height: 1 + stream.below(4000) as usize,
        };
        let (width, height) = (size.width as f64, size.height as f64);
        let all: Vec<_> = ops.iter().collect();
        let op = all[stream.below(all.len() as u64) as usize];
        let value = op
            .spec()
            .value_range()
            .map_or(0.0, |it| it.value_at(stream.unit()));
        let Warp::Affine(map) = op.warp(value, size, case) else {
            continue;
        };
        maps += 1;
        let inverse = map.inverse().unwrap();
        let name = op.spec().name();
        // None changes areas.
        assert!(
            (map.determinant().abs() - 1.0).abs() < 1e-9,
            "{name} {value}"
        );
        assert!((map.determinant() * inverse.determinant() - 1.0).abs() < 1e-9);
        let point = [stream.unit() * width, stream.unit() * height];
        for back in [map.map(inverse.map(point)), inverse.map(map.map(point))] {
            let away = (back[0] - point[0]).abs().max((back[1] - point[1]).abs());
            assert!(away < 1e-8, "{name} {value} {size:?} {point:?} {back:?}");
        }
    }
    assert!(maps > CASES / 5, "{maps}");
}
