//! Random policies with masks, boxes and points, which must be where their pixels are.

use std::sync::Arc;

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpResult, OpSet, OpSpec, Size, Stream, Warp};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    BoundingBox, Executor, Keypoint, Mask, PackedImages, Policy, RotatedBox, Step, Strength,
    Targets, Workspace,
};

use crate::doubles::{key, noise};

const CASES: u64 = if cfg!(miri) { 10 } else { 3_000 };

/// Sub-policies of up to three steps of any built-in op, all applied.
pub(crate) fn random_policy(ops: &OpSet, stream: &mut Stream) -> Policy {
    let names: Vec<&str> = ops.iter().map(|op| op.spec().name()).collect();
    let mut steps = || {
        let count = 1 + stream.below(3);
        let step = |_| {
            let name = names[stream.below(names.len() as u64) as usize];
            Step::new(name, 1.0, Strength::Magnitude(stream.unit()))
        };
        (0..count).map(step).collect()
    };
    Policy::of_sub_policies("random", vec![steps(), steps()])
}

type Way<'w> = &'w dyn Fn(&mut ImageMut<'_>, &mut Targets<'_, '_>, &mut Workspace<'_>);

#[test]
fn masks_are_what_the_ops_of_the_draw_make_of_them_as_images() {
    let ops = ops_with_bend();
    let stream = &mut Stream::for_op(5);
    let own_memory = &mut Workspace::new();
    for case in 0..CASES {
        let (width, height) = (1 + stream.below(15) as usize, 1 + stream.below(17) as usize);
        let size = Size { width, height };
        let pixels = noise(3, (width, height), Channels::Rgb);
        let partners = PackedImages::new(&pixels, width, height, Channels::Rgb).unwrap();
        let executor = Executor::new(&random_policy(&ops, stream), &ops).unwrap();
        let key = key(case, 2, 3);
        let mut own = std::mem::take(own_memory).replace_partners(Some(&partners));
        let plan = executor.plan(key, &own);

        let mut truth: Vec<u8> = (1..=(width * height) as u8).collect();
        let labels = truth.clone();
        let mut by_ops = ImageMut::new(&mut truth, width, height, Channels::L).unwrap();
        for step in &plan.steps {
            let op = ops.get(&step.op).unwrap();
            if matches!(
                op.warp(step.value, size, step.seed),
                Warp::Affine(_) | Warp::Field
            ) {
                let scratch = &mut faa_op::Scratch::new();
                let mut call = Call::new(step.seed, scratch);
                op.apply(&mut by_ops, step.value, &mut call).unwrap();
            }
        }

        let source = partners_image(&pixels, width, height);
        let mut expected = vec![0; width * height * 3];
        let mut image = ImageMut::new(&mut expected, width, height, Channels::Rgb).unwrap();
        executor
            .apply_to(source, &mut image, key, &mut own)
            .unwrap();

        let ways: [Way<'_>; 4] = [
            &|image, targets, own| {
                image.copy_from(source).unwrap();
                executor
                    .apply_with_targets(image, targets, key, own)
                    .unwrap();
            },
            &|image, targets, own| {
                executor
                    .apply_to_with_targets(source, image, targets, key, own)
                    .unwrap();
            },
            &|image, targets, own| {
                image.copy_from(source).unwrap();
                plan.replay_with_targets(&ops, image, targets, own).unwrap();
            },
            &|image, targets, own| {
                plan.replay_to_with_targets(&ops, source, image, targets, own)
                    .unwrap();
            },
        ];
        for way in ways {
            let mut narrow = labels.clone();
            let mut wide: Vec<u16> = labels.iter().map(|label| u16::from(*label) * 257).collect();
            let mut other = source.contiguous().unwrap().to_vec();
            let mut found = vec![0; width * height * 3];
            let mut masks = [
                Mask::u8(&mut narrow, size, 0).unwrap(),
                Mask::u16(&mut wide, size, 0).unwrap(),
            ];
            let mut images = [ImageMut::new(&mut other, width, height, Channels::Rgb).unwrap()];
            let mut targets = Targets::new();
            (targets.masks, targets.images) = (&mut masks, &mut images);
            let mut image = ImageMut::new(&mut found, width, height, Channels::Rgb).unwrap();
            way(&mut image, &mut targets, &mut own);
            assert_eq!(narrow, truth, "{plan:?}");
            assert!(
                wide.iter()
                    .zip(&truth)
                    .all(|(wide, label)| *wide == u16::from(*label) * 257)
            );
            assert_eq!(found, expected, "{plan:?}");
            assert_eq!(other, expected, "{plan:?}");
        }
        *own_memory = own.replace_partners(None);
    }
}

fn partners_image(pixels: &[u8], width: usize, height: usize) -> ImageRef<'_> {
    ImageRef::new(&pixels[..width * height * 3], width, height, Channels::Rgb).unwrap()
}

/// An op that bends the image: rows are moved sideways by up to the value, most in the middle.
struct Bend(OpSpec);

impl Bend {
    fn source(value: f64, size: Size, [x, y]: [usize; 2]) -> [i32; 2] {
        let height = size.height as f64;
        let at = (y as f64 + 0.5) / height;
        let across = x as f64 + 0.5 + value * 4.0 * at * (1.0 - at);
        [across, y as f64 + 0.5].map(|at| (at * 256.0).floor() as i32)
    }
}

impl Op for Bend {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> OpResult {
        let (size, source) = (image.size(), image.samples().to_vec());
        for y in 0..size.height {
            let channels = image.channels().count();
            for (x, pixel) in image.row_mut(y).chunks_exact_mut(channels).enumerate() {
                let [from, _] = Self::source(value, size, [x, y]).map(|at| at >> 8);
                if (0..size.width as i32).contains(&from) {
                    let from = (y * size.width + from as usize) * channels;
                    pixel.copy_from_slice(&source[from..][..channels]);
                } else {
                    pixel.fill(0);
                }
            }
        }
        Ok(())
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Field
    }

    fn field(&self, value: f64, size: Size, _: u64, sources: &mut [[i32; 2]]) -> OpResult {
        for (index, source) in sources.iter_mut().enumerate() {
            *source = Self::source(value, size, [index % size.width, index / size.width]);
        }
        Ok(())
    }
}

/// The built-in ops, and one that has a field.
fn ops_with_bend() -> OpSet {
    let mut ops = builtin_ops();
    let spec = OpSpec::new("Bend", "").range(-9.0, 9.0, "pixels");
    ops.insert(Arc::new(Bend(spec))).unwrap();
    ops
}

/// The mask of a box is the truth about it: what pixels of it are left, and where.
#[test]
fn boxes_and_points_are_where_their_pixels_are() {
    let ops = ops_with_bend();
    let stream = &mut Stream::for_op(6);
    let mut compared = 0;
    for case in 0..CASES {
        let size = Size {
            width: 40 + stream.below(60) as usize,
            height: 40 + stream.below(60) as usize,
        };
        let (width, height) = (size.width, size.height);
        let pixels = noise(2, (width, height), Channels::L);
        let partners = PackedImages::new(&pixels, width, height, Channels::L).unwrap();
        let policy = random_policy(&ops, stream);
        let executor = Executor::new(&policy, &ops).unwrap();
        let mut span = |length: usize| {
            let start = stream.below(length as u64 - 8) as usize;
            start..start + 8 + stream.below((length - start - 8) as u64 + 1) as usize
        };
        let (columns, rows) = (span(width), span(height));
        let mut labels = vec![0; width * height];
        for y in rows.clone() {
            labels[y * width..][columns.clone()].fill(1);
        }
        // A point of four pixels, all of which mostly stay together.
        let [x, y] = [columns.start + 3, rows.start + 2];
        for y in [y - 1, y] {
            labels[y * width + x - 1..][..2].fill(2);
        }
        let edges = [columns.start, rows.start, columns.end, rows.end].map(|edge| edge as f64);
        let [left, top, right, bottom] = edges;
        let mut boxes = [BoundingBox::new(left, top, right, bottom)];
        let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
        // The same box, turned by a right angle.
        let turned = RotatedBox::new(middle, bottom - top, right - left, 90.0);
        let mut rotated = [turned];
        let mut points = [Keypoint::new(x as f64, y as f64)];
        // All of the box, and without its lower right quarter, as an outline and as a mask.
        let cut = [
            columns.start + columns.len() / 2,
            rows.start + rows.len() / 2,
        ];
        let mut quarters = vec![0; width * height];
        for y in rows.clone() {
            let end = if y < cut[1] { columns.end } else { cut[0] };
            quarters[y * width..][columns.start..end].fill(1);
        }
        let [cut_x, cut_y] = cut.map(|at| at as f64);
        let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
        let hook = [
            corners[0],
            corners[1],
            [right, cut_y],
            [cut_x, cut_y],
            [cut_x, bottom],
            corners[3],
        ];
        let mut polygons = [corners.to_vec(), hook.to_vec()];
        let mut masks = [
            Mask::u8(&mut labels, size, 0).unwrap(),
            Mask::u8(&mut quarters, size, 0).unwrap(),
        ];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        targets.polygons = &mut polygons;
        targets.rotated_boxes = &mut rotated;
        targets.keypoints = &mut points;
        targets.masks = &mut masks;
        targets.limits.min_size = 0.0;
        let mut found = pixels[..width * height].to_vec();
        let mut image = ImageMut::new(&mut found, width, height, Channels::L).unwrap();
        let own = &mut Workspace::with_partners(&partners);
        executor
            .apply_with_targets(&mut image, &mut targets, key(case, 0, 1), own)
            .unwrap();

        let positions = |wanted: fn(u8) -> bool| -> Vec<[f64; 2]> {
            let all = labels
                .iter()
                .enumerate()
                .filter(|(_, label)| wanted(**label));
            all.map(|(index, _)| [(index % width) as f64, (index / width) as f64])
                .collect()
        };
        // A step rounds by half a pixel.
        let tolerance = 0.51 * 3.0;
        let (whole, marked) = (positions(|label| label > 0), positions(|label| label == 2));
        let found = boxes[0];
        let context = format!("{:?} {policy:?}", executor.plan(key(case, 0, 1), own));
        let area = (right - left) * (bottom - top);
        let border = 2.0 * tolerance * ((right - left) + (bottom - top)) / area;
        let counted = whole.len() as f64 / area;
        assert!(
            (found.visible - counted).abs() < border,
            "{found:?} {counted} {context}"
        );
        assert!((0.0..=1.0).contains(&found.visible));
        assert!(0.0 <= found.left && found.left <= found.right && found.right <= width as f64);
        assert!(0.0 <= found.top && found.top <= found.bottom && found.bottom <= height as f64);
        if !whole.is_empty() && found.is_kept() {
            compared += 1;
            for (axis, (low, high)) in [(found.left, found.right), (found.top, found.bottom)]
                .into_iter()
                .enumerate()
            {
                let least = whole
                    .iter()
                    .map(|point| point[axis])
                    .fold(f64::MAX, f64::min);
                let most = whole
                    .iter()
                    .map(|point| point[axis] + 1.0)
                    .fold(0.0, f64::max);
                // Nothing of the box is outside.
                assert!(
                    low <= least + tolerance && most - tolerance <= high,
                    "{found:?} {context}"
                );
                // A thin corner can hold no pixel's centre, so a box may be larger by a few pixels.
                assert!(
                    (low - least).abs() < 8.0 && (high - most).abs() < 8.0,
                    "{found:?} {context}"
                );
            }
        }
        // Its outline ends where it ends, and an outline with a corner that points inwards has the area of its mask.
        assert_eq!(
            polygons[0].is_empty(),
            !found.is_kept(),
            "{found:?} {context}"
        );
        if found.is_kept() {
            for (axis, ends) in [[found.left, found.right], [found.top, found.bottom]]
                .iter()
                .enumerate()
            {
                let positions = polygons[0].iter().map(|point| point[axis]);
                let low = positions.clone().fold(f64::MAX, f64::min);
                let high = positions.fold(0.0, f64::max);
                let away = (low - ends[0]).abs().max((high - ends[1]).abs());
                assert!(away < 1e-9, "{polygons:?} {found:?} {context}");
            }
        }
        let counted = quarters.iter().filter(|label| **label == 1).count() as f64;
        let outlined = shoelace(&polygons[1]);
        assert!(
            (outlined - counted).abs() < border * area,
            "{outlined} {counted} {context}"
        );
        // A box at an angle is the same area, and what is visible of it is the same.
        assert!(
            (rotated[0].visible - found.visible).abs() < 1e-9,
            "{rotated:?} {found:?} {context}"
        );
        if rotated[0].is_kept() {
            assert!(rotated[0].width * rotated[0].height > 0.0);
            assert!(rotated[0].angle.abs() <= 180.0);
        }
        if marked.len() >= 3 && points[0].visible {
            for axis in [0, 1] {
                let mean = marked.iter().map(|point| point[axis] + 0.5).sum::<f64>();
                let mean = mean / marked.len() as f64;
                let away = (points[0].position[axis] - mean).abs();
                assert!(away < tolerance + 0.5, "{points:?} {marked:?} {context}");
            }
        }
        if points[0].visible {
            let [x, y] = points[0].position;
            let tiny = 1e-9;
            assert!(
                -tiny <= x && x <= width as f64 + tiny && -tiny <= y && y <= height as f64 + tiny
            );
        }
    }
    assert!(compared as u64 > CASES / 2, "{compared}");
}

/// The area of a polygon.
fn shoelace(corners: &[[f64; 2]]) -> f64 {
    let next = corners.iter().cycle().skip(1);
    let sides = corners.iter().zip(next);
    sides
        .map(|(from, to)| from[0] * to[1] - to[0] * from[1])
        .sum::<f64>()
        .abs()
        / 2.0
}
