//! Measures what masks and boxes add to an op: `target_rates SIDE`.
//!
//! Prints a line of JSON for each op and for a policy: the nanoseconds of an image alone, and with a mask and 20 boxes.

use std::env;
use std::hint::black_box;
use std::time::Instant;

use faa_op::{Channels, DrawKey, ImageMut, ImageRef, Size};
use faa_policy::{
    BoundingBox, Executor, Mask, Policy, Step, Strength, Targets, Workspace, shipped,
};

/// The ops, each with the value at which it is measured.
const OPS: [(&str, Option<f64>); 9] = [
    ("Identity", None),
    ("ShearX", Some(0.2)),
    ("ShearY", Some(0.2)),
    ("TranslateX", Some(0.2)),
    ("TranslateY", Some(0.2)),
    ("Rotate", Some(20.0)),
    ("FlipX", None),
    ("FlipY", None),
    ("Cutout", Some(0.2)),
];

const POLICIES: [&str; 2] = ["trivialaugment-detection", "autoaugment-imagenet"];

const BOXES: usize = 20;
const IMAGES: u64 = 64;
const ROUNDS: usize = 7;

fn main() {
    let side = env::args()
        .nth(1)
        .and_then(|side| side.parse().ok())
        .unwrap_or(224);
    for (op, value) in OPS {
        let strength = value.map_or(Strength::Unstated, Strength::Value);
        let policy = Policy::of_sub_policies(op, vec![vec![Step::new(op, 1.0, strength)]]);
        measure(&policy, side);
    }
    for name in POLICIES {
        let shipped = shipped().iter().find(|policy| policy.name == name);
        measure(
            &shipped
                .expect("it is shipped")
                .policy()
                .expect("it is valid"),
            side,
        );
    }
}

fn measure(policy: &Policy, side: usize) {
    let executor = Executor::builtin(policy).expect("the ops are built in");
    let size = Size {
        width: side,
        height: side,
    };
    let pixels: Vec<u8> = (0..side * side * 3)
        .map(|index| (index / 7) as u8)
        .collect();
    let mut result = pixels.clone();
    let labels: Vec<u8> = (0..side * side).map(|index| (index / 999) as u8).collect();
    let mut moved = labels.clone();
    let mut own = Workspace::new();
    let mut image_alone = |key| {
        // The mask is made anew for every draw, which is not part of what is measured.
        moved.copy_from_slice(&labels);
        black_box(&mut moved);
        let source = ImageRef::new(&pixels, side, side, Channels::Rgb).expect("the shape fits");
        let mut image = ImageMut::new(&mut result, side, side, Channels::Rgb).expect("it fits");
        executor
            .apply_to(source, &mut image, key, &mut own)
            .expect("it is applied");
        black_box(&mut result);
    };
    let alone = nanoseconds(&mut image_alone);
    let mut with_targets = |key, masks: bool, boxes: usize| {
        let source = ImageRef::new(&pixels, side, side, Channels::Rgb).expect("the shape fits");
        let mut image = ImageMut::new(&mut result, side, side, Channels::Rgb).expect("it fits");
        moved.copy_from_slice(&labels);
        let mut mask = [Mask::u8(&mut moved, size, 255).expect("it fits")];
        let mut all = [BoundingBox::new(0.0, 0.0, 1.0, 1.0); BOXES];
        for (index, target) in all.iter_mut().enumerate() {
            let at = |part: usize| side as f64 * part as f64 / 40.0;
            *target = BoundingBox::new(at(index), at(20 - index), at(index + 12), at(30 - index));
        }
        let mut targets = Targets::new();
        targets.masks = if masks { &mut mask } else { &mut [] };
        targets.boxes = &mut all[..boxes];
        (executor.apply_to_with_targets(source, &mut image, &mut targets, key, &mut own))
            .expect("it is applied");
        black_box(&mut result);
    };
    let masks = nanoseconds(&mut |key| with_targets(key, true, 0));
    let boxes = nanoseconds(&mut |key| with_targets(key, false, BOXES));
    let both = nanoseconds(&mut |key| with_targets(key, true, BOXES));
    println!(
        r#"{{"what": "{}", "size": {side}, "image": {alone:.0}, "with_mask": {masks:.0}, "with_boxes": {boxes:.0}, "with_both": {both:.0}}}"#,
        policy.name
    );
}

/// The median time of an image.
fn nanoseconds(apply: &mut dyn FnMut(DrawKey)) -> f64 {
    let mut round = || {
        let start = Instant::now();
        (0..IMAGES).for_each(|index| apply(DrawKey::new(1, 0, index)));
        start.elapsed().as_nanos() as f64 / IMAGES as f64
    };
    round();
    let mut times = [(); ROUNDS].map(|()| round());
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
