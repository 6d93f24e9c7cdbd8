use faa_op::{ImageMut, ImageRef, OpError, OpSpec};

/// Declares a built-in op: its public type, and the trait on top of a plain function.
///
/// What the function is given depends on how it works:
///
/// - `maps`: each pixel is replaced by something that follows from itself (and from figures about
///   the whole image); `fn(SimdLevel, Pixels, value)`. With `points`, a `fn(value) -> PointTables`,
///   it is the op's tables that do it.
/// - `moves`: pixels are taken from other places; `fn(SimdLevel, source, &mut image, value, seed)`.
/// - `paints`: parts of the image are overwritten; `fn(&mut image, value, seed)`.
macro_rules! builtin {
    ($(#[$docs:meta])* $name:ident, $spec:expr, maps $map:path $(, points $point:path)?) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);

        impl ::faa_op::Op for $name {
            fn spec(&self) -> &::faa_op::OpSpec {
                &self.spec
            }

            fn apply(
                &self,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                _: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::builtin::check_value(&self.spec, value)?;
                $map(self.level, $crate::pixels::Pixels::InPlace(image), value);
                Ok(())
            }

            fn apply_from(
                &self,
                source: ::faa_op::ImageRef<'_>,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                _: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::builtin::check_value(&self.spec, value)?;
                $crate::builtin::check_source(source, image)?;
                $map(self.level, $crate::pixels::Pixels::Between(source, image), value);
                Ok(())
            }

            $(
                fn point(
                    &self,
                    value: f64,
                    _: ::faa_op::Channels,
                ) -> Option<::faa_op::PointTables> {
                    $crate::builtin::check_value(&self.spec, value).ok()?;
                    Some($point(value))
                }
            )?
        }
    };

    ($(#[$docs:meta])* $name:ident, $spec:expr, moves $move:path) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);

        impl ::faa_op::Op for $name {
            fn spec(&self) -> &::faa_op::OpSpec {
                &self.spec
            }

            fn apply(
                &self,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                call: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::builtin::check_value(&self.spec, value)?;
                let seed = call.seed;
                let source = $crate::builtin::copy(image, call);
                $move(self.level, source, image, value, seed);
                Ok(())
            }

            fn apply_from(
                &self,
                source: ::faa_op::ImageRef<'_>,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                call: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::builtin::check_value(&self.spec, value)?;
                $crate::builtin::check_source(source, image)?;
                $move(self.level, source, image, value, call.seed);
                Ok(())
            }
        }
    };

    ($(#[$docs:meta])* $name:ident, $spec:expr, paints $paint:path) => {
        $crate::builtin::declare!($(#[$docs])* $name, $spec);

        impl ::faa_op::Op for $name {
            fn spec(&self) -> &::faa_op::OpSpec {
                &self.spec
            }

            fn apply(
                &self,
                image: &mut ::faa_op::ImageMut<'_>,
                value: f64,
                call: &mut ::faa_op::Call<'_>,
            ) -> Result<(), ::faa_op::OpError> {
                $crate::builtin::check_value(&self.spec, value)?;
                $paint(image, value, call.seed);
                Ok(())
            }
        }
    };
}
pub(crate) use builtin;

macro_rules! declare {
    ($(#[$docs:meta])* $name:ident, $spec:expr) => {
        $(#[$docs])*
        #[derive(Clone, Debug)]
        pub struct $name {
            spec: ::faa_op::OpSpec,
            #[allow(dead_code, reason = "ops that only copy have no use for it")]
            level: $crate::SimdLevel,
        }

        impl $name {
            /// The op, made to use no better vector instructions than these.
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

pub(crate) fn check_value(spec: &OpSpec, value: f64) -> Result<(), OpError> {
    if spec.value_range().is_some() && !value.is_finite() {
        return Err(OpError::NotFinite { value });
    }
    Ok(())
}

pub(crate) fn check_source(source: ImageRef<'_>, image: &ImageMut<'_>) -> Result<(), OpError> {
    if image.has_shape_of(source) {
        Ok(())
    } else {
        Err(OpError::SourceShape)
    }
}

/// A copy of the image in the call's scratch.
pub(crate) fn copy<'s>(image: &ImageMut<'_>, call: &'s mut faa_op::Call<'_>) -> ImageRef<'s> {
    let samples = call.scratch.copy_of(image.samples());
    ImageRef::new(samples, image.width(), image.height(), image.channels())
        .expect("a copy has the shape of its original")
}
