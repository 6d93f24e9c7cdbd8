//! The built-in ops of faa-runtime: those of AutoAugment and Fast AutoAugment, and the few that
//! training pipelines need beside them.
//!
//! ```
//! use faa_op::{Call, Channels, ImageMut, Scratch};
//!
//! let ops = faa_ops_builtin::builtin_ops();
//! let solarize = ops.get("Solarize").expect("a built-in op");
//! let mut pixels = [10, 200, 128, 90];
//! let mut image = ImageMut::new(&mut pixels, 2, 2, Channels::L)?;
//! solarize.apply(&mut image, 128.0, &mut Call::new(0, &mut Scratch::new()))?;
//! assert_eq!(pixels, [10, 55, 127, 90]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The semantics are those of Pillow 13.0 on x86-64, where torchvision, timm and OpenCV have others
//! under the same names. Where Pillow refuses a mode or a value, the op's page states a rule of
//! ours. In common to all ops:
//!
//! - Colour ops leave the alpha of RGBA images alone; geometric ops move it with its pixel, and what
//!   they bring in from outside the image is 0 in every channel.
//! - Values outside the range of the specification work too; the range only bounds what policies
//!   and searches draw. A value that is not finite is [`OpError::NotFinite`], except to an op
//!   without a value, which ignores it.
//! - An op draws from [`Call::stream`](faa_op::Call::stream) what its page names, in that order, and
//!   nothing else. The sign of a mirrored op's value is not among it: whoever draws the value
//!   mirrors it.
//! - No image and no value makes an op panic, and an op allocates nothing beyond the call's scratch.
//!
//! The crate needs no `std`.

#![no_std]

extern crate alloc;

/// Declares a built-in op: its public type, and the trait on top of a plain function.
///
/// The check of the value stands here because it is the same for all.
macro_rules! builtin {
    ($(#[$docs:meta])* $name:ident, $spec:expr, $apply:path) => {
        $(#[$docs])*
        #[derive(Clone, Debug)]
        pub struct $name(::faa_op::OpSpec);

        impl Default for $name {
            fn default() -> Self {
                Self($spec)
            }
        }

        impl ::faa_op::Op for $name {
            fn spec(&self) -> &::faa_op::OpSpec {
                &self.0
            }

            fn apply(
                &self,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                call: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::check_value(&self.0, value)?;
                $apply(image, value, call);
                Ok(())
            }
        }
    };
}

mod affine;
mod enhance;
mod erase;
mod flip_crop;
mod geometry;
mod histogram;
mod pixel;
mod sharpness;
#[cfg(test)]
mod testing;
mod tone;

use alloc::sync::Arc;

use faa_op::{Op, OpError, OpSet, OpSpec};

pub use enhance::{Brightness, Color, Contrast};
pub use erase::{Cutout, CutoutAbs};
pub use flip_crop::{CropPad, FlipX, Identity};
pub use geometry::{Rotate, ShearX, ShearY, TranslateX, TranslateY};
pub use histogram::{AutoContrast, Equalize};
pub use sharpness::Sharpness;
pub use tone::{Invert, Posterize, Solarize};

/// All built-in ops: those of the Fast AutoAugment paper in the order of its table, then the
/// supporting ones.
///
/// [`CutoutAbs`] is there with its default fill. A trainer that knows its data set's mean puts its
/// own in that place:
///
/// ```
/// use faa_ops_builtin::{CutoutAbs, builtin_ops};
///
/// let mut ops = builtin_ops();
/// ops.replace(std::sync::Arc::new(CutoutAbs::with_fill([125, 123, 114])));
/// ```
pub fn builtin_ops() -> OpSet {
    let ops: [Arc<dyn Op>; 19] = [
        Arc::new(ShearX::default()),
        Arc::new(ShearY::default()),
        Arc::new(TranslateX::default()),
        Arc::new(TranslateY::default()),
        Arc::new(Rotate::default()),
        Arc::new(AutoContrast::default()),
        Arc::new(Invert::default()),
        Arc::new(Equalize::default()),
        Arc::new(Solarize::default()),
        Arc::new(Posterize::default()),
        Arc::new(Contrast::default()),
        Arc::new(Color::default()),
        Arc::new(Brightness::default()),
        Arc::new(Sharpness::default()),
        Arc::new(Cutout::default()),
        Arc::new(Identity::default()),
        Arc::new(FlipX::default()),
        Arc::new(CropPad::default()),
        Arc::new(CutoutAbs::default()),
    ];
    let mut set = OpSet::new();
    for op in ops {
        set.replace(op);
    }
    set
}

fn check_value(spec: &OpSpec, value: f64) -> Result<(), OpError> {
    if spec.value_range().is_some() && !value.is_finite() {
        return Err(OpError::NotFinite { value });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use faa_op::{Call, Channels, ImageMut, Scratch};

    use super::*;
    use crate::testing::{SHAPES, apply, noise};

    /// Name, low, high, unit, mirrored; as in the design's table.
    const TABLE: [(&str, f64, f64, &str, bool); 19] = [
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
        ("Identity", 0.0, 0.0, "", false),
        ("FlipX", 0.0, 0.0, "", false),
        ("CropPad", 0.0, 16.0, "pixels", false),
        ("CutoutAbs", 0.0, 64.0, "pixels", false),
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

    #[test]
    fn any_shape_and_value_gives_the_same_bytes_twice_and_never_a_panic() {
        let ops = builtin_ops();
        let mut used = Scratch::new();
        for (shape, channels) in SHAPES {
            let source = noise(shape, channels);
            for op in ops.iter() {
                let spec = op.spec();
                for value in values(spec) {
                    let run = |scratch: &mut Scratch| {
                        let mut samples = source.clone();
                        let mut image =
                            ImageMut::new(&mut samples, shape.0, shape.1, channels).unwrap();
                        op.apply(&mut image, value, &mut Call::new(7, scratch))
                            .unwrap();
                        samples
                    };
                    let fresh = run(&mut Scratch::new());
                    assert_eq!(run(&mut used), fresh, "{} {value}", spec.name());
                }
            }
        }
    }

    /// Values within the range, at ten times its ends, and absurd ones.
    fn values(spec: &OpSpec) -> Vec<f64> {
        let Some(range) = spec.value_range() else {
            return vec![0.0, f64::NAN];
        };
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
                let mut samples = [1, 2, 3];
                let mut image = ImageMut::new(&mut samples, 1, 1, Channels::Rgb).unwrap();
                let result = op.apply(&mut image, value, &mut Call::new(0, &mut Scratch::new()));
                let refused = matches!(result, Err(OpError::NotFinite { .. }));
                let name = op.spec().name();
                assert_eq!(refused, op.spec().value_range().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn neutral_values_change_nothing() {
        let neutral = [
            ("ShearX", 0.0),
            ("ShearY", 0.0),
            ("TranslateX", 0.0),
            ("TranslateY", 0.0),
            ("Rotate", 0.0),
            ("Rotate", -360.0),
            ("Solarize", 256.0),
            ("Posterize", 8.0),
            ("Contrast", 1.0),
            ("Color", 1.0),
            ("Brightness", 1.0),
            ("Sharpness", 1.0),
            ("Cutout", 0.0),
            ("Identity", 0.0),
            ("CropPad", 0.9),
            ("CutoutAbs", 1.9),
        ];
        for (shape, channels) in SHAPES {
            let source = noise(shape, channels);
            for (name, value) in neutral {
                let result = apply(name, value, 3, shape, channels, &source);
                assert_eq!(result, source, "{name} {shape:?} {channels:?}");
            }
        }
    }

    #[test]
    fn color_ops_leave_alpha_alone() {
        let values = [
            ("AutoContrast", 0.0),
            ("Invert", 0.0),
            ("Equalize", 0.0),
            ("Solarize", 77.0),
            ("Posterize", 2.0),
            ("Contrast", 1.7),
            ("Color", -0.4),
            ("Brightness", 1e300),
            ("Sharpness", 3.0),
            ("Cutout", 0.7),
            ("CutoutAbs", 6.0),
        ];
        // Enough pixels for Equalize to have an effect.
        let shape = (23, 19);
        let source = noise(shape, Channels::Rgba);
        for (name, value) in values {
            let result = apply(name, value, 3, shape, Channels::Rgba, &source);
            assert_ne!(result, source, "{name}");
            let alpha = |samples: &[u8]| -> Vec<u8> {
                samples.iter().skip(3).step_by(4).copied().collect()
            };
            assert_eq!(alpha(&result), alpha(&source), "{name}");
        }
    }
}
