use faa_op::{Size, Warp};

/// Declares a built-in op: its public type, and the trait on top of a plain function.
///
/// What the function is given depends on how it works:
///
/// - `maps`: each pixel is replaced by something that follows from itself (and from figures about
///   the whole image); `fn(SimdLevel, Pixels, value)`. With `tables`, a `fn(value) -> LookupTables`,
///   neighbouring ops become one pass.
/// - `moves`: pixels are taken from other positions; `fn(SimdLevel, source, &mut image, value,
///   seed)`.
/// - `transforms`: pixels are taken from where a matrix says; `fn(value, width, height) -> Matrix`.
/// - `paints`: parts of the image are overwritten; `fn(&mut image, value, seed)`.
///
/// What `moves` or `paints` also states where pixels go, after `warp`: `fn(value, Size, seed) -> Warp`.
macro_rules! builtin {
    ($(#[$docs:meta])* $name:ident, $spec:expr, maps $map:path $(, tables $tables:path)?) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);
        $crate::builtin::implement!($name, |op, pixels, value, _call| {
            $map(op.level, pixels, value);
            Ok(())
        }, warp $crate::builtin::stay $(, tables $tables)?);
    };

    ($(#[$docs:meta])* $name:ident, $spec:expr, moves $move:path, warp $warp:path) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);
        $crate::builtin::implement!($name, |op, pixels, value, call| {
            let seed = call.seed;
            let (source, image) = pixels.apart(call.scratch);
            $move(op.level, source, image, value, seed);
            Ok(())
        }, warp $warp);
    };

    ($(#[$docs:meta])* $name:ident, $spec:expr, transforms $matrix:expr) => {
        $crate::builtin::declare!(
            $(#[$docs])*
            ///
            /// Pixels are sampled with nearest neighbour; what lies outside is 0. L, RGB and RGBA
            /// alike: alpha moves with its pixel. Draws nothing from its seed.
            $name, $spec
        );
        $crate::builtin::implement!($name, |op, pixels, value, call| {
            let (source, image) = pixels.apart(call.scratch);
            let matrix = Self::matrix(value, image.size());
            $crate::affine::transform(op.level, source, image, matrix);
            Ok(())
        }, warp |value, size, _| Warp::Affine(::faa_op::Affine(Self::matrix(value, size))));

        impl $name {
            fn matrix(value: f64, size: ::faa_op::Size) -> $crate::affine::Matrix {
                let matrix: fn(f64, f64, f64) -> $crate::affine::Matrix = $matrix;
                matrix(value, size.width as f64, size.height as f64)
            }
        }
    };

    ($(#[$docs:meta])* $name:ident, $spec:expr, paints $paint:path, warp $warp:path) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);
        $crate::builtin::implement!($name, |_op, pixels, value, call| {
            $paint(pixels.copied(), value, call.seed);
            Ok(())
        }, warp $warp);
    };
}
pub(crate) use builtin;

/// Implements the trait with one body for both ways to apply an op, and with the checks that all ops
/// have in common.
macro_rules! implement {
    (
        $name:ident,
        |$op:ident, $pixels:ident, $value:ident, $call:ident| $body:block,
        warp $warp:expr
        $(, tables $tables:path)?
    ) => {
        const _: () = {
            use ::faa_op::{Call, ImageMut, ImageRef, Op, OpResult, OpSpec, Size, Warp};
            use $crate::pixels;

            impl $name {
                #[inline(always)]
                fn run(&self, $pixels: pixels::Pixels<'_, '_>, $value: f64, $call: &mut Call<'_>) -> OpResult {
                    let $op = self;
                    $body
                }
            }

            impl Op for $name {
                fn spec(&self) -> &OpSpec {
                    &self.spec
                }

                fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
                    self.spec.check_value(value)?;
                    self.run(pixels::Pixels::InPlace(image), value, call)
                }

                fn apply_from(
                    &self,
                    source: ImageRef<'_>,
                    image: &mut ImageMut<'_>,
                    value: f64,
                    call: &mut Call<'_>,
                ) -> OpResult {
                    self.spec.check_value(value)?;
                    self.run(pixels::Pixels::between(source, image)?, value, call)
                }

                fn warp(&self, value: f64, size: Size, seed: u64) -> Warp {
                    let warp: fn(f64, Size, u64) -> Warp = $warp;
                    match self.spec.check_value(value) {
                        Ok(()) => warp(value, size, seed),
                        Err(_) => Warp::Unknown,
                    }
                }

                $(fn lookup_tables(
                    &self,
                    value: f64,
                    _: ::faa_op::Channels,
                ) -> Option<::faa_op::LookupTables> {
                    self.spec.check_value(value).ok()?;
                    Some($tables(value))
                })?
            }
        };
    };
}
pub(crate) use implement;

/// The warp of an op that moves no pixel.
pub(crate) fn stay(_: f64, _: Size, _: u64) -> Warp {
    Warp::Identity
}

macro_rules! declare {
    ($(#[$docs:meta])* $name:ident, $spec:expr) => {
        $(#[$docs])*
        #[derive(Clone, Debug)]
        pub struct $name {
            spec: ::faa_op::OpSpec,
            #[allow(dead_code, reason = "ops that only copy do not use it")]
            level: $crate::SimdLevel,
        }

        impl $name {
            /// The op, limited to these vector instructions.
            pub fn at(level: $crate::SimdLevel) -> Self {
                Self { spec: $spec, level }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::at($crate::SimdLevel::best())
            }
        }
    };
}
pub(crate) use declare;
