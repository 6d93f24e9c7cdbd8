//! Random values: within an op's range, close to its special values, and far outside.

use faa_op::{Channels, OpSpec, Stream};

use crate::cases::pick;

/// A value for an op and an image's shape; 0 for ops without a value.
pub(crate) fn draw_value(
    stream: &mut Stream,
    spec: &OpSpec,
    shape: (usize, usize, Channels),
) -> f64 {
    let Some(range) = spec.value_range() else {
        return 0.0;
    };
    let name = spec.name();
    let (width, height, channels) = shape;
    let span = range.high - range.low;
    let value = match stream.below(10) {
        0..4 => range.value_at(stream.unit()),
        4 => *pick(stream, &[range.low, range.high, 0.0, -0.0, 1.0, 0.5]),
        5 | 6 => range.low - 5.0 * span + 11.0 * span * stream.unit(),
        7 | 8 => special(stream, name, width as f64, height as f64),
        _ => *pick(stream, extreme(name, channels)),
    };
    // Pillow needs memory for the padding, and with much of it no pixel of the image is left.
    if name == "CropPad" {
        value.min(200.0)
    } else {
        value
    }
}

/// Extreme values, except those for which Pillow's result is different on purpose.
fn extreme(name: &str, channels: Channels) -> &'static [f64] {
    let all = &[
        1e6, -1e6, 32768.0, -40000.0, 1e20, -1e20, 1e37, -1e37, 5e-324, -5e-324, 1e300, -1e300,
    ];
    let enhances = ["Contrast", "Color", "Brightness", "Sharpness"].contains(&name);
    if enhances && channels == Channels::Rgba {
        // With a factor that overflows single precision, Pillow sets alpha to 0, while our ops keep it.
        // That is the only difference, so the last two values are excluded.
        &all[..10]
    } else {
        all
    }
}

/// A value close to a discontinuity of the op.
fn special(stream: &mut Stream, name: &str, width: f64, height: f64) -> f64 {
    let value = match name {
        // Shifts by half a pixel, and corners whose coordinates overflow 16 bits.
        "ShearX" => corner(stream) / height,
        "ShearY" => corner(stream) / width,
        "TranslateX" => pixels(stream, width) / width,
        "TranslateY" => pixels(stream, height) / height,
        "TranslateXAbs" => pixels(stream, width),
        "TranslateYAbs" => pixels(stream, height),
        "Rotate" => 15.0 * (stream.below(97) as f64 - 48.0),
        "Cutout" => pixels(stream, width) / width,
        _ => stream.below(300) as f64 / 2.0 - 10.0,
    };
    // Sometimes the next number, to test rounding on both sides of the discontinuity.
    match stream.below(6) {
        0 => value.next_up(),
        1 => value.next_down(),
        _ => value,
    }
}

fn corner(stream: &mut Stream) -> f64 {
    let far = [32767.0, -32768.0, 32768.0, 33000.0, -32767.9999, 32767.999];
    match stream.below(3) {
        0 => *pick(stream, &far),
        _ => stream.below(41) as f64 / 4.0 - 5.0,
    }
}

/// A multiple of half a pixel, close to either end of a side.
fn pixels(stream: &mut Stream, side: f64) -> f64 {
    let near = stream.below(17) as f64 / 2.0 - 4.0;
    match stream.below(3) {
        0 => side - near,
        1 => near - side,
        _ => near,
    }
}
