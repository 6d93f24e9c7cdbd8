//! What `tests/c/digests.c` prints, from the crates that Rust programs use.

use std::fmt::Write as _;

use faa_op::{Channels, DrawKey, ImageMut};
use faa_policy::{Executor, PackedImages, Policy, Workspace, shipped};

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
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// FNV-1a.
fn digest_of(bytes: &[u8]) -> u64 {
    let first = 14_695_981_039_346_656_037;
    let next = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211);
    bytes.iter().fold(first, next)
}
