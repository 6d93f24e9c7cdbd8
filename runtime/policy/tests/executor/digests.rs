//! What is drawn for an image, and what becomes of it, is the same on every processor, and stays the same
//! within a version of the policy format.

use faa_op::{Channels, ImageMut};
use faa_ops_builtin::SimdLevel;
use faa_policy::{Executor, Workspace, shipped};

use crate::doubles::{key, noise};

/// A digest of what each shipped policy makes of the images below. Where it differs on all processors, the draws
/// or the pixels of this version have changed.
const DIGESTS: [(&str, u64); 8] = [
    ("autoaugment-cifar10", 0xd70d_e0ba_2387_daae),
    ("autoaugment-svhn", 0x49bb_aa25_4e3b_b74c),
    ("autoaugment-imagenet", 0xff37_7b5f_a8d9_8175),
    ("randaugment", 0x3e19_4295_9d2a_b20c),
    ("trivialaugment-wide", 0x74cf_c758_3587_a8d6),
    ("trivialaugment-detection", 0x104b_1a7c_4d42_4195),
    ("glyphs-wrn-10-1", 0xaa86_bc20_c2ae_4684),
    ("cifar10-jpeg-wrn-40-2", 0xbee2_8e58_2085_bbfb),
];

const IMAGES: usize = 200;
const SHAPE: (usize, usize) = (53, 41);

#[cfg_attr(miri, ignore = "takes hours there")]
#[test]
fn every_shipped_policy_gives_the_committed_digest_at_every_level() {
    for level in SimdLevel::available() {
        let digests: Vec<_> = shipped()
            .iter()
            .map(|shipped| {
                let executor = Executor::builtin(&shipped.policy().unwrap()).unwrap();
                (shipped.name, digest(&executor.limited_to(level)))
            })
            .collect();
        assert_eq!(digests, DIGESTS, "{level}");
    }
}

/// FNV-1a, with 64 bits, of the samples of all images.
fn digest(executor: &Executor) -> u64 {
    let mut images = noise(IMAGES, SHAPE, Channels::Rgb);
    // Of a smaller range, so that levels are not all there already.
    images.iter_mut().for_each(|level| *level = 40 + *level / 2);
    let mut workspace = Workspace::new();
    let (images, _) = images.as_chunks_mut::<{ SHAPE.0 * SHAPE.1 * 3 }>();
    for (index, samples) in images.iter_mut().enumerate() {
        let mut image = ImageMut::new(samples, SHAPE.0, SHAPE.1, Channels::Rgb).unwrap();
        let key = key(17, 3, index as u64);
        executor.apply(&mut image, key, &mut workspace).unwrap();
    }
    let samples = images.as_flattened().iter();
    samples.fold(0xcbf2_9ce4_8422_2325, |hash: u64, &sample| {
        (hash ^ u64::from(sample)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
