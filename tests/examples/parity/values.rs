//! Random values: within an op's range, at what is special to the op, and far beyond.

use faa_op::{Channels, OpSpec, Stream};

use crate::cases::pick;

/// A value for the op of that specification on an image of that shape; 0 for an op without one.
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
        _ => *pick(stream, absurd(name, channels)),
    };
    // Padding costs Pillow memory, and there is nothing to compare if no pixel stays.
    if name == "CropPad" {
        value.min(200.0)
    } else {
        value
    }
}

/// Values from which little is left of any image, as far as Pillow agrees with our rules.
fn absurd(name: &str, channels: Channels) -> &'static [f64] {
    let all = &[
        1e6, -1e6, 32768.0, -40000.0, 1e20, -1e20, 1e37, -1e37, 5e-324, -5e-324, 1e300, -1e300,
    ];
    let enhances = ["Contrast", "Color", "Brightness", "Sharpness"].contains(&name);
    if enhances && channels == Channels::Rgba {
        // A factor that overflows a single makes Pillow's alpha 0, and leaves ours alone: the one
        // rule of ours where Pillow has another. So the last two are not for these.
        &all[..10]
    } else {
        all
    }
}

/// A value close to where the op's result jumps.
fn special(stream: &mut Stream, name: &str, width: f64, height: f64) -> f64 {
    let value = match name {
        // Shifts by half a pixel, and corners that leave 16-bit coordinates.
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
    // Now and then a neighbour, to see on which side of the jump rounding leads.
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

/// Some halves of pixels, at either end of a side.
fn pixels(stream: &mut Stream, side: f64) -> f64 {
    let near = stream.below(17) as f64 / 2.0 - 4.0;
    match stream.below(3) {
        0 => side - near,
        1 => near - side,
        _ => near,
    }
}
