//! Boxes and keypoints end where Pillow moves the pixels that mark them.
//!
//! `goldens/markers.txt` has a line per case, written with Pillow by `oracle/markers.py`. After a change to that
//! script, run `cargo xtask parity --write-goldens`.

use faa_op::{Channels, ImageMut, Size};
use faa_ops_builtin::builtin_ops;
use faa_policy::{BoundingBox, Keypoint, Plan, PlannedStep, RotatedBox, Targets, Workspace};

const MARKERS: &str = include_str!("../goldens/markers.txt");

/// By how much a step's sampling can round a position, in pixels.
const ROUNDING: f64 = 0.5;

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

fn step(text: &str) -> PlannedStep {
    let [op, value, seed] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("not a step: {text}");
    };
    PlannedStep::new(0, op, value.parse().unwrap(), seed.parse().unwrap(), None)
}

#[test]
fn boxes_and_points_follow_pillow_s_pixels() {
    let ops = builtin_ops();
    let own = &mut Workspace::new();
    let (mut boxes_compared, mut points_compared) = (0, 0);
    for line in MARKERS.lines().filter(|line| !line.starts_with('#')) {
        let [given, steps, rectangle, square] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a case: {line}");
        };
        let [width, height, left, top, right, bottom, x, y] = numbers(given)[..] else {
            panic!("not a case: {line}");
        };
        let mut steps: Vec<_> = steps.split(", ").map(step).collect();
        for step in &mut steps {
            if step.op.starts_with("Flip") {
                step.value = 0.0;
            }
        }
        let tolerance = 0.01 + ROUNDING * steps.len() as f64;
        let plan = Plan::new(None, steps);
        let size = Size {
            width: width as usize,
            height: height as usize,
        };
        let mut pixels = vec![0; size.width * size.height];
        let mut image = ImageMut::new(&mut pixels, size.width, size.height, Channels::L).unwrap();
        let mut boxes = [BoundingBox::new(left, top, right, bottom)];
        let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
        let mut rotated = [RotatedBox::new(middle, right - left, bottom - top, 0.0)];
        let mut points = [Keypoint::new(x + 0.5, y + 0.5)];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        targets.rotated_boxes = &mut rotated;
        targets.keypoints = &mut points;
        targets.limits.min_size = 0.0;
        plan.replay_with_targets(&ops, &mut image, &mut targets, own)
            .unwrap();

        let found = boxes[0];
        let area = (right - left) * (bottom - top);
        let border = 2.0 * tolerance * ((right - left) + (bottom - top));
        let [count, edges @ ..] = &numbers(rectangle)[..] else {
            panic!("not a case: {line}");
        };
        assert!(
            (found.visible * area - count).abs() < border,
            "{found:?} {line}"
        );
        assert!(
            (rotated[0].visible - found.visible).abs() < 1e-9,
            "{rotated:?} {line}"
        );
        if *count > 0.0 && found.is_kept() {
            boxes_compared += 1;
            let ours = [found.left, found.top, found.right, found.bottom];
            let directions = [1.0, 1.0, -1.0, -1.0];
            for ((ours, pillow), direction) in ours.iter().zip(edges).zip(directions) {
                // By how much the box is larger. At a corner it is more, since the pixels at its tip have their
                // centres outside.
                let larger = (pillow - ours) * direction;
                assert!(
                    larger > -tolerance && larger < tolerance + 8.0,
                    "{found:?} {line}"
                );
            }
        }
        let [count, mean @ ..] = &numbers(square)[..] else {
            panic!("not a case: {line}");
        };
        if *count >= 47.0 {
            points_compared += 1;
            assert!(points[0].visible, "{line}");
            for (ours, pillow) in points[0].position.iter().zip(mean) {
                assert!(
                    (ours - pillow).abs() < tolerance + 0.25,
                    "{points:?} {line}"
                );
            }
        }
        assert!(*count > 0.0 || !points[0].visible, "{points:?} {line}");
    }
    assert!(
        boxes_compared > 400 && points_compared > 100,
        "{boxes_compared} {points_compared}"
    );
}
