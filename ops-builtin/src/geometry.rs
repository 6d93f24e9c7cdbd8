use core::f64::consts::PI;

use faa_op::{Affine, ImageMut, ImageRef, OpSpec, Size, Warp, math};

use crate::SimdLevel;
use crate::affine;
use crate::builtin::builtin;
use crate::pixels::by_channels;

builtin! {
    /// Slants the image sideways: the pixel at (x, y) is taken from (x + value · y, y).
    ///
    /// The value is a shear factor, −0.3 … 0.3, mirrored.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, value, 0, 0, 1, 0))`.
    ShearX,
    OpSpec::new("ShearX", "shears the image horizontally")
        .range(-0.3, 0.3, "shear factor")
        .mirrored(),
    transforms |value, _, _| [1.0, value, 0.0, 0.0, 1.0, 0.0]
}

builtin! {
    /// Slants the image up or down: the pixel at (x, y) is taken from (x, y + value · x).
    ///
    /// The value is a shear factor, −0.3 … 0.3, mirrored.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, 0, 0, value, 1, 0))`.
    ShearY,
    OpSpec::new("ShearY", "shears the image vertically")
        .range(-0.3, 0.3, "shear factor")
        .mirrored(),
    transforms |value, _, _| [1.0, 0.0, 0.0, value, 1.0, 0.0]
}

builtin! {
    /// Moves the image sideways, to the left for positive values: the pixel at (x, y) is taken from
    /// (x + value · width, y).
    ///
    /// The value is a fraction of the width, −0.45 … 0.45, mirrored.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, 0, value * width, 0, 1, 0))`.
    TranslateX,
    OpSpec::new("TranslateX", "moves the image horizontally")
        .range(-0.45, 0.45, "fraction of width")
        .mirrored(),
    transforms |value, width, _| [1.0, 0.0, value * width, 0.0, 1.0, 0.0]
}

builtin! {
    /// Moves the image up or down, up for positive values: the pixel at (x, y) is taken from
    /// (x, y + value · height).
    ///
    /// The value is a fraction of the height, −0.45 … 0.45, mirrored.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, 0, 0, 0, 1, value * height))`.
    TranslateY,
    OpSpec::new("TranslateY", "moves the image vertically")
        .range(-0.45, 0.45, "fraction of height")
        .mirrored(),
    transforms |value, _, height| [1.0, 0.0, 0.0, 0.0, 1.0, value * height]
}

builtin! {
    /// Moves the image sideways by pixels, to the left for positive values: the pixel at (x, y) is
    /// taken from (x + value, y).
    ///
    /// The value is in pixels, −150 … 150, mirrored; fractions count.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, 0, value, 0, 1, 0))`.
    TranslateXAbs,
    OpSpec::new("TranslateXAbs", "moves the image horizontally, by pixels")
        .range(-150.0, 150.0, "pixels")
        .mirrored(),
    transforms |value, _, _| [1.0, 0.0, value, 0.0, 1.0, 0.0]
}

builtin! {
    /// Moves the image up or down by pixels, up for positive values: the pixel at (x, y) is taken
    /// from (x, y + value).
    ///
    /// The value is in pixels, −150 … 150, mirrored; fractions count.
    ///
    /// Source: Pillow's `Image.transform(size, AFFINE, (1, 0, 0, 0, 1, value))`.
    TranslateYAbs,
    OpSpec::new("TranslateYAbs", "moves the image vertically, by pixels")
        .range(-150.0, 150.0, "pixels")
        .mirrored(),
    transforms |value, _, _| [1.0, 0.0, 0.0, 0.0, 1.0, value]
}

builtin! {
    /// Turns the image about its centre, counter-clockwise for positive values; its size stays.
    ///
    /// The value is in degrees, −30 … 30, mirrored. Pixels are sampled with nearest neighbour; what
    /// lies outside is 0. Multiples of 180°, and on square images of 90°, move every pixel exactly.
    /// L, RGB and RGBA alike: alpha moves with its pixel. Draws nothing from its seed.
    ///
    /// Source: Pillow's `Image.rotate(value)`.
    Rotate,
    OpSpec::new("Rotate", "rotates the image about its centre")
        .range(-30.0, 30.0, "degrees")
        .mirrored(),
    moves rotate,
    warp turn
}

fn rotate(level: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, value: f64, _: u64) {
    let angle = angle(value);
    let (width, height) = (image.width(), image.height());
    let (right, bottom) = (width - 1, height - 1);
    let square = width == height;
    if angle == 0.0 {
        remap(source, image, |x, y| (x, y));
    } else if angle == 180.0 {
        remap(source, image, |x, y| (right - x, bottom - y));
    } else if square && angle == 90.0 {
        remap(source, image, |x, y| (right - y, x));
    } else if square && angle == 270.0 {
        remap(source, image, |x, y| (y, right - x));
    } else {
        affine::transform(level, source, image, rotation(angle, width, height));
    }
}

/// From 0 to 360 degrees.
fn angle(value: f64) -> f64 {
    // The remainder is exact, so it is the same on every platform.
    let angle = value % 360.0;
    if angle < 0.0 {
        // Rounding makes 360 of the tiniest negative angles. That is no multiple of 90° above or below, and
        // its matrix is the identity all the same.
        angle + 360.0
    } else {
        angle
    }
}

/// The map of `rotate`. Where that moves pixels exactly, its numbers are integers, and so exact too.
fn turn(value: f64, size: Size, _: u64) -> Warp {
    let (width, height) = (size.width as f64, size.height as f64);
    let square = size.width == size.height;
    let angle = angle(value);
    Warp::Affine(Affine(if angle == 0.0 {
        Affine::IDENTITY.0
    } else if angle == 180.0 {
        [-1.0, 0.0, width, 0.0, -1.0, height]
    } else if square && angle == 90.0 {
        [0.0, -1.0, width, 1.0, 0.0, 0.0]
    } else if square && angle == 270.0 {
        [0.0, 1.0, 0.0, -1.0, 0.0, width]
    } else {
        rotation(angle, size.width, size.height)
    }))
}

/// The matrix of a turn about the centre, its sines rounded to 15 decimal places as Pillow does.
fn rotation(angle: f64, width: usize, height: usize) -> affine::Matrix {
    let radians = -(angle * (PI / 180.0));
    let cos = round_15(math::cos(radians));
    let sin = round_15(math::sin(radians));
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    let right = cos * -x + sin * -y + x;
    let down = -sin * -x + cos * -y + y;
    [cos, sin, right, -sin, cos, down]
}

/// Python's `round(value, 15)` for |value| ≤ 1: the decimal nearest to the exact binary value, the
/// even one of two, and then the double nearest to that decimal.
///
/// Multiplying by 10¹⁵ in double precision would round twice and miss it on some values.
fn round_15(value: f64) -> f64 {
    const SCALE: u64 = 1_000_000_000_000_000;
    let bits = value.abs().to_bits();
    let exponent = (bits >> 52) as u32;
    let mantissa = bits & ((1 << 52) - 1) | (1 << 52);
    // The value is mantissa · 2^−shift. Subnormals are taken for larger than they are, but are so
    // small that they become 0 all the same.
    let shift = 1075 - exponent;
    let product = u128::from(mantissa) * u128::from(SCALE);
    let decimal = if shift < u128::BITS {
        let (quotient, half) = (product >> shift, 1 << (shift - 1));
        let rest = product - (quotient << shift);
        let up = rest > half || rest == half && quotient & 1 == 1;
        (quotient + u128::from(up)) as u64
    } else {
        0
    };
    // Both numbers are below 2⁵³, so only the division rounds.
    (decimal as f64 / SCALE as f64).copysign(value)
}

/// Takes the pixel at (x, y) from `from(x, y)`, which lies within the image.
fn remap(
    source: ImageRef<'_>,
    image: &mut ImageMut<'_>,
    from: impl Fn(usize, usize) -> (usize, usize),
) {
    let samples = source.strided_samples();
    by_channels!(image.channels(), N => for y in 0..image.height() {
        let row = image.row_mut(y).as_chunks_mut::<N>().0;
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = from(x, y);
            pixel.copy_from_slice(&samples[y * source.stride() + x * N..][..N]);
        }
    });
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use faa_op::Channels;

    use super::*;
    use crate::testing::{Shape, apply, noise};

    /// What Pillow 13.0 makes of the L image with the samples 1, 2, 3 … in rows.
    #[rustfmt::skip]
    const BY_PILLOW: &[(&str, f64, Shape, &[u8])] = &[
        ("ShearX", 0.3, (5, 4), &[
            1, 2, 3, 4, 5,
            6, 7, 8, 9, 10,
            12, 13, 14, 15, 0,
            17, 18, 19, 20, 0,
        ]),
        ("ShearY", 0.3, (5, 4), &[
            1, 2, 8, 9, 10,
            6, 7, 13, 14, 15,
            11, 12, 18, 19, 20,
            16, 17, 0, 0, 0,
        ]),
        ("TranslateX", 0.3, (5, 4), &[
            3, 4, 5, 0, 0,
            8, 9, 10, 0, 0,
            13, 14, 15, 0, 0,
            18, 19, 20, 0, 0,
        ]),
        // A hair more than half a pixel: the first step of one rounds to 1, and column 0 is lost.
        ("TranslateX", -0.10000000000000002, (5, 2), &[
            0, 1, 3, 4, 5,
            0, 6, 8, 9, 10,
        ]),
        ("TranslateY", 0.45, (5, 4), &[
            11, 12, 13, 14, 15,
            16, 17, 18, 19, 20,
            0, 0, 0, 0, 0,
            0, 0, 0, 0, 0,
        ]),
        ("Rotate", 30.0, (5, 4), &[
            0, 3, 4, 10, 10,
            2, 7, 8, 14, 15,
            6, 7, 13, 14, 19,
            11, 11, 17, 18, 0,
        ]),
        ("Rotate", 45.0, (4, 4), &[
            0, 3, 8, 0,
            2, 7, 11, 12,
            5, 10, 11, 15,
            0, 9, 14, 0,
        ]),
        ("Rotate", 90.0, (3, 3), &[
            3, 6, 9,
            2, 5, 8,
            1, 4, 7,
        ]),
        ("Rotate", -90.0, (3, 3), &[
            7, 4, 1,
            8, 5, 2,
            9, 6, 3,
        ]),
        ("Rotate", 540.0, (3, 2), &[
            6, 5, 4,
            3, 2, 1,
        ]),
        ("Rotate", 90.0, (5, 4), &[
            5, 10, 15, 20, 0,
            4, 9, 14, 19, 0,
            3, 8, 13, 18, 0,
            2, 7, 12, 17, 0,
        ]),
    ];

    #[test]
    fn pixels_go_where_pillow_puts_them() {
        for &(name, value, shape, expected) in BY_PILLOW {
            let source: Vec<u8> = (1..=(shape.0 * shape.1) as u8).collect();
            let result = apply(name, value, 0, shape, Channels::L, &source);
            assert_eq!(result, expected, "{name} {value} {shape:?}");
        }
    }

    #[test]
    fn all_channels_move_together() {
        for &(name, value, shape, _) in BY_PILLOW {
            for channels in [Channels::Rgb, Channels::Rgba] {
                let source = noise(shape, channels);
                let result = apply(name, value, 0, shape, channels, &source);
                for channel in 0..channels.count() {
                    let plane = |samples: &[u8]| -> Vec<u8> {
                        let plane = samples.iter().skip(channel).step_by(channels.count());
                        plane.copied().collect()
                    };
                    let alone = apply(name, value, 0, shape, Channels::L, &plane(&source));
                    assert_eq!(plane(&result), alone, "{name} {value} {channels:?}");
                }
            }
        }
    }

    /// In fixed point, columns from 32,768 on would become negative and their pixels 0.
    #[test]
    #[cfg_attr(
        miri,
        ignore = "that many pixels take a minute, and large values lead here too"
    )]
    fn images_beyond_the_reach_of_fixed_point_keep_their_pixels() {
        let shape = (33_000, 1);
        let source = noise(shape, Channels::L);
        assert_eq!(apply("ShearX", 0.3, 0, shape, Channels::L, &source), source);
    }

    #[test]
    fn sines_are_rounded_as_in_python() {
        let cases = [
            (0.5, 0.5),
            (0.8660254037844387, 0.866025403784439),
            (-0.09983341664682815, -0.099833416646828),
            (0.9999999999999999, 1.0),
            // Ties, between an even and an odd last place.
            (1.52587890625e-05, 1.5258789062e-05),
            (4.57763671875e-05, 4.5776367188e-05),
            (-3e-16, -0.0),
            (5e-324, 0.0),
        ];
        for (value, rounded) in cases {
            assert_eq!(round_15(value).to_bits(), f64::to_bits(rounded), "{value}");
        }
    }
}
