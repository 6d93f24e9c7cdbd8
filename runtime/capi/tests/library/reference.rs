//! What `tests/c/digests.c` and `tests/c/targets.c` print, from the crates that Rust programs use.

use std::fmt::Write as _;

use faa_op::{Channels, DrawKey, ImageMut, Size};
use faa_policy::{
    BoundingBox, Erased, Executor, Keypoint, Mask, PackedImages, Policy, RotatedBox, Targets,
    Workspace, shipped,
};

const SHAPES: [(usize, usize, Channels); 5] = [
    (32, 32, Channels::Rgb),
    (96, 80, Channels::Rgb),
    (17, 5, Channels::L),
    (33, 20, Channels::Rgba),
    (1, 1, Channels::Rgb),
];
const KEYS: u64 = 6;
const PARTNERS: usize = 3;

const MIXING: &str = r#"{"format": "faa-policy", "version": 1, "name": "mixing", "sub_policies": [
    [{"op": "SamplePairing", "probability": 0.8, "magnitude": 0.9},
     {"op": "Rotate", "probability": 0.5, "magnitude": 0.9}]]}"#;

/// A line for each draw: policy, shape, number of the key, digest.
pub(crate) fn digests() -> String {
    let mut policies: Vec<_> = shipped()
        .iter()
        .map(|shipped| (shipped.name, shipped.policy().unwrap()))
        .collect();
    policies.push(("mixing", Policy::parse(MIXING.as_bytes()).unwrap()));
    let mut lines = String::new();
    for (name, policy) in &policies {
        let executor = Executor::builtin(policy).unwrap();
        for (width, height, channels) in SHAPES {
            let bytes = channels.image_bytes(width, height).unwrap();
            let set = picture(PARTNERS * bytes, 77);
            let partners = PackedImages::new(&set, width, height, channels).unwrap();
            let mut own = match executor.partner_op() {
                Some(_) => Workspace::with_partners(&partners),
                None => Workspace::new(),
            };
            for number in 0..KEYS {
                let key = key_at(number);
                let mut samples = picture(bytes, key.index);
                let mut image = ImageMut::new(&mut samples, width, height, channels).unwrap();
                executor.apply(&mut image, key, &mut own).unwrap();
                let (channels, digest) = (channels.count(), digest_of(&samples));
                writeln!(
                    lines,
                    "{name} {width}x{height}x{channels} {number} {digest:016x}"
                )
                .unwrap();
            }
        }
    }
    lines
}

fn key_at(number: u64) -> DrawKey {
    DrawKey::new(number * number, number as u32 % 3, 1_000_003 * number)
}

fn picture(length: usize, number: u64) -> Vec<u8> {
    let mut state = number;
    let next = || (next_number(&mut state) >> 24) as u8;
    std::iter::repeat_with(next).take(length).collect()
}

fn next_number(state: &mut u64) -> u32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 32) as u32
}

/// FNV-1a.
fn digest_of(bytes: &[u8]) -> u64 {
    let first = 14_695_981_039_346_656_037;
    let next = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211);
    bytes.iter().fold(first, next)
}

const TARGET_SIZES: [(Size, Channels); 2] = [
    (
        Size {
            width: 40,
            height: 32,
        },
        Channels::Rgb,
    ),
    (
        Size {
            width: 17,
            height: 25,
        },
        Channels::L,
    ),
];

/// A line for each draw with targets: policy, size, number of the key, digest.
pub(crate) fn target_digests() -> String {
    let mut lines = String::new();
    for (number, shipped) in (0..).zip(shipped()) {
        let executor = Executor::builtin(&shipped.policy().unwrap()).unwrap();
        if executor.partner_op().is_some() {
            continue;
        }
        for (size, channels) in TARGET_SIZES {
            for index in 0..KEYS as u32 {
                let clip = DrawKey::new(number, index % 3, 1_000_003 * u64::from(index));
                let digest = target_digest(&executor, clip.for_frame(index), size, channels);
                let Size { width, height } = size;
                let name = shipped.name;
                writeln!(lines, "{name} {width}x{height} {index} {digest:016x}").unwrap();
            }
        }
    }
    lines
}

fn target_digest(executor: &Executor, key: DrawKey, size: Size, channels: Channels) -> u64 {
    let Size { width, height } = size;
    let state = &mut { key.index };
    let mut at = |length: usize| f64::from(next_number(state) % 1000) / 1000.0 * length as f64;
    let mut boxes =
        [(); 4].map(|()| BoundingBox::new(at(width), at(height), at(width), at(height)));
    let mut rotated_boxes = [(); 3].map(|()| {
        let centre = [at(width), at(height)];
        RotatedBox::new(centre, at(width), at(height), at(720))
    });
    let mut keypoints = [(Keypoint::new(0.0, 0.0), 0); 5];
    for (point, kind) in &mut keypoints {
        point.position = [width, height]
            .map(|length| f64::from(next_number(state) % 1000) / 1000.0 * length as f64);
        *kind = next_number(state) % 3;
        point.visible = *kind > 0;
    }
    let kinds = keypoints.map(|(_, kind)| kind);
    let mut keypoints = keypoints.map(|(point, _)| point);
    let area = width * height;
    let narrow: Vec<u8> = (1..=area).map(|label| label as u8).collect();
    let mut labels = (
        narrow.clone(),
        (1..=area as u16).collect::<Vec<u16>>(),
        narrow,
    );
    let bytes = channels.image_bytes(width, height).unwrap();
    let mut pixels = [
        picture(bytes, key.index),
        picture(bytes, 5),
        picture(9 * 12 * 4, 6),
    ];
    let [image, second, third] = &mut pixels;
    let mut image = ImageMut::new(image, width, height, channels).unwrap();
    let mut images = [
        ImageMut::new(second, width, height, channels).unwrap(),
        ImageMut::new(third, 9, 12, Channels::Rgba).unwrap(),
    ];
    let mut masks = [
        Mask::u8(&mut labels.0, size, 250).unwrap(),
        Mask::u16(&mut labels.1, size, 65_000).unwrap(),
        Mask::u8(&mut labels.2, size, 250).unwrap(),
    ];
    let mut targets = Targets::new();
    targets.images = &mut images;
    targets.masks = &mut masks;
    targets.boxes = &mut boxes;
    targets.rotated_boxes = &mut rotated_boxes;
    targets.keypoints = &mut keypoints;
    (targets.limits.min_visible, targets.limits.min_size) = (0.1, 1.5);
    targets.erased = match key.index % 2 {
        0 => Erased::Occluded,
        _ => Erased::Removed,
    };
    let own = &mut Workspace::new();
    executor
        .apply_with_targets(&mut image, &mut targets, key, own)
        .unwrap();

    let mut all = pixels.concat();
    all.extend(&labels.0);
    all.extend(labels.1.iter().flat_map(|label| label.to_ne_bytes()));
    all.extend(&labels.2);
    let mut add = |numbers: &[f64]| all.extend(numbers.iter().flat_map(|it| it.to_ne_bytes()));
    for it in boxes {
        add(&[it.left, it.top, it.right, it.bottom, it.visible]);
    }
    for it in rotated_boxes {
        let [x, y] = it.centre;
        add(&[x, y, it.width, it.height, it.angle, it.visible]);
    }
    for (it, kind) in keypoints.iter().zip(kinds) {
        let kind = if it.visible { kind } else { 0 };
        add(&[it.position[0], it.position[1], f64::from(kind)]);
    }
    digest_of(&all)
}
