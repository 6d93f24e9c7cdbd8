#![doc = include_str!("../README.md")]
//!
//! **What is different.** The pixels are those of Pillow 13.0 on x86-64, byte for byte. torchvision,
//! timm and OpenCV have ops of the same names that round, sample or fill differently. Beyond Pillow:
//!
//! - Colour ops leave the alpha of RGBA images alone; geometric ops move it with its pixel, and what
//!   they bring in from outside the image is 0 in every channel. Where Pillow refuses a mode or a
//!   value, the op's page says what happens here.
//! - If a factor of Pillow's enhancers (Contrast, Color, Brightness, Sharpness) overflows an `f32`,
//!   Pillow clears the alpha of RGBA images; here it stays.
//! - All randomness comes from the call's seed: an op draws from [`Call::stream`](faa_op::Call::stream)
//!   what its page names, in that order, and nothing else. The sign of a mirrored op's value is not
//!   drawn by the op but by its caller, such as a policy's executor.
//! - [`Op::apply_from`] writes from one image into another without copying first, except for ops that
//!   paint over a part of the image; the source may be a part of a larger image.
//! - Every op says where it takes pixels from ([`Op::warp`]), and [`move_labels`] moves a mask there
//!   exactly as the op moves an image.
//! - The vector instructions are chosen at run time ([`SimdLevel`]): AVX2 or AVX-512 on x86-64, NEON on
//!   aarch64. The pixels are the same at every level: the tests force each.
//!
//! `BENCHMARKS.md` compares the speed with Pillow, torchvision and albumentations.
//!
//! **Untrusted input.** No image, no value and no seed makes an op panic, and an op allocates nothing
//! but the call's scratch, which is as large as the image. Values outside the range of the
//! specification work; the range only bounds what policies and searches draw. A value that is not
//! finite is [`OpErrorKind::NotFinite`](faa_op::OpErrorKind::NotFinite), except to an op without a value, which
//! ignores it. `unsafe` code is limited to vector instructions and to samples whose position was
//! checked; Miri and a fuzzer run the ops.
//!
//! The crate needs no `std`.

#![no_std]

extern crate alloc;

mod affine;
mod blend;
mod builtin;
mod color;
mod enhance;
mod erase;
mod flip_crop;
mod geometry;
mod histogram;
mod lookup;
mod mask;
mod mixing;
mod normalise;
mod pixels;
mod planes;
mod reverse;
mod sharpness;
mod simd;
#[cfg(test)]
mod testing;
mod tone;

use alloc::sync::Arc;

use faa_op::{Op, OpSet};

pub use enhance::{Brightness, Color, Contrast};
pub use erase::{Cutout, CutoutAbs};
pub use flip_crop::{CropPad, FlipX, FlipY, Identity};
pub use geometry::{Rotate, ShearX, ShearY, TranslateX, TranslateXAbs, TranslateY, TranslateYAbs};
pub use histogram::{AutoContrast, Equalize};
pub use lookup::{map_levels, map_levels_from};
pub use mask::{Label, move_labels};
pub use mixing::SamplePairing;
pub use normalise::Normaliser;
pub use planes::{interleave, separate};
pub use sharpness::Sharpness;
pub use simd::SimdLevel;
pub use tone::{Invert, Posterize, PosterizeBits, Solarize, SolarizeAdd};

/// All built-in ops: those of the Fast AutoAugment paper in the order of its table, then the
/// supporting ones.
///
/// [`CutoutAbs`] has its default fill. A trainer that knows its data set's mean colour replaces it:
///
/// ```
/// use faa_ops_builtin::{CutoutAbs, builtin_ops};
///
/// let mut ops = builtin_ops();
/// ops.replace(std::sync::Arc::new(CutoutAbs::with_fill([125, 123, 114])));
/// ```
pub fn builtin_ops() -> OpSet {
    builtin_ops_at(SimdLevel::best())
}

/// All built-in ops, limited to these vector instructions. The pixels are the same at every level.
/// An executor's passes over several ops at once use the best level.
pub fn builtin_ops_at(level: SimdLevel) -> OpSet {
    macro_rules! ops {
        ($($op:ident),+ $(,)?) => { [$(Arc::new($op::at(level)) as Arc<dyn Op>),+] };
    }
    let ops = ops! {
        ShearX, ShearY, TranslateX, TranslateY, Rotate, AutoContrast, Invert, Equalize, Solarize,
        Posterize, Contrast, Color, Brightness, Sharpness, Cutout, SamplePairing, Identity, FlipX,
        FlipY, CropPad, CutoutAbs, TranslateXAbs, TranslateYAbs, SolarizeAdd, PosterizeBits,
    };
    let mut set = OpSet::new();
    for op in ops {
        set.replace(op);
    }
    set
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use faa_op::{
        Call, Channels, ImageMut, ImageRef, LookupTables, OpError, OpErrorKind, OpSpec, Scratch,
    };

    use super::*;
    use crate::testing::{apply, noise, shapes, try_apply};

    /// Name, low, high, unit, mirrored; as in the design's table.
    const TABLE: [(&str, f64, f64, &str, bool); 25] = [
        ("ShearX", -0.3, 0.3, "shear factor", true),
        ("ShearY", -0.3, 0.3, "shear factor", true),
        ("TranslateX", -0.45, 0.45, "fraction of width", true),
        ("TranslateY", -0.45, 0.45, "fraction of height", true),
        ("Rotate", -30.0, 30.0, "degrees", true),
        ("AutoContrast", 0.0, 0.0, "", false),
        ("Invert", 0.0, 0.0, "", false),
        ("Equalize", 0.0, 0.0, "", false),
        ("Solarize", 0.0, 256.0, "threshold", false),
        ("Posterize", 4.0, 8.0, "bits", false),
        ("Contrast", 0.1, 1.9, "factor", false),
        ("Color", 0.1, 1.9, "factor", false),
        ("Brightness", 0.1, 1.9, "factor", false),
        ("Sharpness", 0.1, 1.9, "factor", false),
        ("Cutout", 0.0, 0.2, "fraction of width", false),
        ("SamplePairing", 0.0, 0.4, "weight", false),
        ("Identity", 0.0, 0.0, "", false),
        ("FlipX", 0.0, 0.0, "", false),
        ("FlipY", 0.0, 0.0, "", false),
        ("CropPad", 0.0, 16.0, "pixels", false),
        ("CutoutAbs", 0.0, 64.0, "pixels", false),
        ("TranslateXAbs", -150.0, 150.0, "pixels", true),
        ("TranslateYAbs", -150.0, 150.0, "pixels", true),
        ("SolarizeAdd", 0.0, 110.0, "levels", false),
        ("PosterizeBits", 0.0, 8.0, "bits", false),
    ];

    #[test]
    fn names_and_ranges_are_those_of_the_design() {
        let ops = builtin_ops();
        assert_eq!(ops.iter().count(), TABLE.len());
        for (op, (name, low, high, unit, mirrored)) in ops.iter().zip(TABLE) {
            let spec = op.spec();
            assert_eq!(spec.name(), name);
            assert!(!spec.summary().is_empty(), "{name}");
            let found = spec
                .value_range()
                .map(|range| (range.low, range.high, &*range.unit, range.centre));
            let centre = mirrored.then_some(0.0);
            let expected = (!unit.is_empty()).then_some((low, high, unit, centre));
            assert_eq!(found, expected, "{name}");
        }
    }

    /// In place, from a source, and from a part of a larger image; with fresh and with used scratch;
    /// at every level of vector instructions.
    #[test]
    fn any_shape_and_value_gives_the_same_bytes_every_way_and_never_a_panic() {
        let sets: Vec<OpSet> = SimdLevel::available().map(builtin_ops_at).collect();
        let mut used = Scratch::new();
        for (shape, channels) in shapes().chain(LONG_SHAPES) {
            let (width, height) = shape;
            let source = noise(shape, channels);
            let source = ImageRef::new(&source, width, height, channels).unwrap();
            let padded = padded(source);
            let part = ImageRef::new(&padded, width + 5, height + 3, channels)
                .and_then(|whole| whole.crop(2, 1, width, height))
                .unwrap();
            let partner: Vec<u8> = source.rows().flatten().map(|level| !level).collect();
            let partner = ImageRef::new(&partner, width, height, channels).unwrap();
            for (index, op) in sets[0].iter().enumerate() {
                let name = op.spec().name();
                for value in values(op.spec()) {
                    let mut expected = None;
                    for set in &sets {
                        let op = set.iter().nth(index).unwrap();
                        let mut run = |from: Option<ImageRef<'_>>, scratch: &mut Scratch| {
                            let mut samples = vec![77; source.contiguous().unwrap().len()];
                            let mut image =
                                ImageMut::new(&mut samples, width, height, channels).unwrap();
                            let mut call = Call::new(7, scratch).with_partner(partner);
                            match from {
                                Some(from) => op.apply_from(from, &mut image, value, &mut call),
                                None => {
                                    image.copy_from(source).unwrap();
                                    op.apply(&mut image, value, &mut call)
                                }
                            }
                            .unwrap();
                            let expected = expected.get_or_insert_with(|| samples.clone());
                            assert!(
                                samples == *expected,
                                "{name} {value} {shape:?} {channels:?}"
                            );
                        };
                        if !cfg!(miri) {
                            run(None, &mut Scratch::new());
                        }
                        run(None, &mut used);
                        run(Some(source), &mut used);
                        run(Some(part), &mut used);
                    }
                }
            }
        }
    }

    /// Long enough for whole blocks of every kind, and for the rest after them.
    #[cfg(not(miri))]
    const LONG_SHAPES: [((usize, usize), Channels); 6] = [
        ((301, 3), Channels::L),
        ((301, 3), Channels::Rgb),
        ((301, 3), Channels::Rgba),
        ((5, 167), Channels::Rgb),
        ((67, 64), Channels::Rgba),
        ((64, 64), Channels::Rgb),
    ];

    /// As few pixels as are long enough, because a pixel takes Miri a thousand times as long.
    #[cfg(miri)]
    const LONG_SHAPES: [((usize, usize), Channels); 1] = [((67, 3), Channels::Rgb)];

    /// The image with noise about it: two columns to its left, three to its right, a row above it
    /// and two below.
    fn padded(image: ImageRef<'_>) -> Vec<u8> {
        let channels = image.channels();
        let mut samples = noise((image.width() + 5, image.height() + 3), channels);
        let stride = (image.width() + 5) * channels.count();
        for (row, to) in image.rows().zip(samples.chunks_exact_mut(stride).skip(1)) {
            to[2 * channels.count()..][..row.len()].copy_from_slice(row);
        }
        samples
    }

    #[test]
    fn tables_do_what_the_op_does() {
        let levels: Vec<u8> = (0..=255).cycle().take(3 * 256).collect();
        let mut with_tables = 0;
        for op in builtin_ops().iter() {
            for value in values(op.spec()) {
                let Some(tables) = op.lookup_tables(value, Channels::Rgb) else {
                    continue;
                };
                with_tables += 1;
                let mut by_tables = levels.clone();
                let mut image = ImageMut::new(&mut by_tables, 256, 1, Channels::Rgb).unwrap();
                tables.apply(&mut image);
                let shape = (256, 1);
                let applied = apply(op.spec().name(), value, 0, shape, Channels::Rgb, &levels);
                assert_eq!(by_tables, applied, "{} {value}", op.spec().name());
            }
        }
        assert!(with_tables > 10);
    }

    /// Tables that differ from channel to channel, which no op has at every level and shape.
    #[test]
    fn levels_are_looked_up_alike_at_every_level() {
        let table = |factor: usize| core::array::from_fn(|level| (level * factor + 3) as u8);
        let each = LookupTables::per_channel([table(7), table(11), table(13)]);
        for tables in [each, LookupTables::uniform(|level| level.wrapping_mul(5))] {
            for (shape, channels) in shapes().chain(LONG_SHAPES) {
                let (width, height) = shape;
                let source = noise(shape, channels);
                let mut expected = source.clone();
                tables.apply(&mut ImageMut::new(&mut expected, width, height, channels).unwrap());
                let source = ImageRef::new(&source, width, height, channels).unwrap();
                for level in SimdLevel::available() {
                    let mut found = vec![0; expected.len()];
                    let mut image = ImageMut::new(&mut found, width, height, channels).unwrap();
                    map_levels_from(level, &tables, source, &mut image).unwrap();
                    assert_eq!(image.samples(), expected, "{level} {shape:?} {channels:?}");
                    image.copy_from(source).unwrap();
                    map_levels(level, &tables, &mut image);
                    assert_eq!(found, expected, "{level} {shape:?} {channels:?}");
                }
            }
        }
    }

    /// Values within the range, at ten times its ends, and absurd ones.
    fn values(spec: &OpSpec) -> Vec<f64> {
        let Some(range) = spec.value_range() else {
            return vec![0.0, f64::NAN];
        };
        if cfg!(miri) {
            // One for each way to compute, such as the two of shears.
            return vec![range.value_at(0.77), 1e300];
        }
        let mut values: Vec<f64> = [0.0, 0.1, 0.5, 0.77, 1.0]
            .map(|magnitude| range.value_at(magnitude))
            .into();
        for far in [10.0 * range.high, 1e6, 1e40, 1e300, f64::MAX] {
            values.extend([far, -far]);
        }
        values.extend([0.0, -0.0, 5e-324, 90.0, 180.0, 270.0]);
        values
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_where_there_is_a_value() {
        for op in builtin_ops().iter() {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let result = try_apply(op.as_ref(), value, 0, (1, 1), Channels::Rgb, &[1, 2, 3]);
                let not_finite =
                    |error: OpError| matches!(error.kind(), OpErrorKind::NotFinite { .. });
                let (refused, spec) = (result.is_err_and(not_finite), op.spec());
                assert_eq!(refused, spec.value_range().is_some(), "{}", spec.name());
            }
        }
    }

    /// The names and values in a list such as `ShearX 0, Rotate -360`.
    fn named_values(list: &str) -> impl Iterator<Item = (&str, f64)> {
        let named = list.split(", ").map(|one| one.split_once(' ').unwrap());
        named.map(|(name, value)| (name, value.parse().unwrap()))
    }

    #[test]
    fn neutral_values_change_nothing() {
        let neutral = "ShearX 0, ShearY 0, TranslateX 0, TranslateY 0, Rotate 0, Rotate -360, \
            Solarize 256, Posterize 8, Contrast 1, Color 1, Brightness 1, Sharpness 1, Cutout 0, \
            Identity 0, CropPad 0.9, CutoutAbs 1.9, SamplePairing 0, TranslateXAbs 0, \
            TranslateYAbs 0, SolarizeAdd 0.9, PosterizeBits 8";
        for (shape, channels) in shapes() {
            let source = noise(shape, channels);
            for (name, value) in named_values(neutral) {
                let result = apply(name, value, 3, shape, channels, &source);
                assert_eq!(result, source, "{name} {shape:?} {channels:?}");
            }
        }
    }

    #[test]
    fn an_op_that_draws_nothing_does_not_depend_on_its_seed() {
        const DRAWING: [&str; 3] = ["Cutout", "CropPad", "CutoutAbs"];
        let shape = (23, 19);
        let source = noise(shape, Channels::Rgb);
        for op in builtin_ops().iter() {
            let spec = op.spec();
            let value = spec.value_range().map_or(0.0, |range| range.value_at(0.2));
            let results = [1, u64::MAX].map(|seed| {
                try_apply(op.as_ref(), value, seed, shape, Channels::Rgb, &source).unwrap()
            });
            let draws = DRAWING.contains(&spec.name());
            assert_eq!(results[0] != results[1], draws, "{}", spec.name());
        }
    }

    #[test]
    fn color_ops_leave_alpha_alone() {
        let values = "AutoContrast 0, Invert 0, Equalize 0, Solarize 77, Posterize 2, Contrast 1.7, \
            Color -0.4, Brightness 1e300, Sharpness 3, Cutout 0.7, CutoutAbs 6, SolarizeAdd 90, \
            PosterizeBits 0";
        // Enough pixels for Equalize to have an effect.
        let shape = (23, 19);
        let source = noise(shape, Channels::Rgba);
        for (name, value) in named_values(values) {
            let result = apply(name, value, 3, shape, Channels::Rgba, &source);
            assert_ne!(result, source, "{name}");
            let alpha = |samples: &[u8]| -> Vec<u8> {
                samples.iter().skip(3).step_by(4).copied().collect()
            };
            assert_eq!(alpha(&result), alpha(&source), "{name}");
        }
    }
}
