use faa_op::{Stream, math};

use super::SIDE;
use super::scene::{Colour, Scene, blend, luma};

/// Points along a pixel's side at which the scene is looked at.
const SAMPLES: usize = 4;

type Plane = [[Colour; SIDE]; SIDE];

/// Takes a picture of a scene, as a camera would: the scene through the lens, the state of air and
/// light, the sensor's noise, and at last 8-bit values.
pub(super) fn render(scene: &Scene, stream: &mut Stream, pixels: &mut [u8]) {
    let mut plane = expose(scene);
    // Blurring twice along each axis gives nearly the bell that a soft focus spreads light to.
    for _ in 0..2 {
        soften(&mut plane, scene.blur);
    }
    let bytes = pixels.as_chunks_mut::<3>().0;
    for (y, (row, row_bytes)) in plane.iter().zip(bytes.chunks_exact_mut(SIDE)).enumerate() {
        for (x, (&colour, pixel)) in row.iter().zip(row_bytes).enumerate() {
            let lit = light(colour, x, y, scene);
            *pixel = lit.map(|value| to_byte(value + scene.noise * bell(stream)));
        }
    }
}

fn expose(scene: &Scene) -> Plane {
    let mut plane = [[[0.0; 3]; SIDE]; SIDE];
    let place = |pixel: usize, sample: usize| pixel as f64 + (sample as f64 + 0.5) / SAMPLES as f64;
    for (y, row) in plane.iter_mut().enumerate() {
        for (x, sum) in row.iter_mut().enumerate() {
            for sample in 0..SAMPLES * SAMPLES {
                let (x, y) = (place(x, sample % SAMPLES), place(y, sample / SAMPLES));
                let colour = scene.colour(x, y);
                for (sum, part) in sum.iter_mut().zip(colour) {
                    *sum += part;
                }
            }
            *sum = sum.map(|part| part / (SAMPLES * SAMPLES) as f64);
        }
    }
    plane
}

/// Spreads every pixel over its neighbours, along both axes, so that the variance grows by half
/// the square of `blur`; what lies beyond the border is taken to be as the border.
fn soften(plane: &mut Plane, blur: f64) {
    // A kernel (s, 1 − 2s, s) has the variance 2s, and stays a bell up to s = ⅓.
    let share = (blur * blur / 4.0).min(1.0 / 3.0);
    let before = *plane;
    for (y, row) in plane.iter_mut().enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            *pixel = spread(
                before[y][x.saturating_sub(1)],
                before[y][x],
                before[y][(x + 1).min(SIDE - 1)],
                share,
            );
        }
    }
    let before = *plane;
    for (y, row) in plane.iter_mut().enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            *pixel = spread(
                before[y.saturating_sub(1)][x],
                before[y][x],
                before[(y + 1).min(SIDE - 1)][x],
                share,
            );
        }
    }
}

fn spread(one: Colour, middle: Colour, other: Colour, share: f64) -> Colour {
    [0, 1, 2].map(|channel| {
        middle[channel] + share * (one[channel] + other[channel] - 2.0 * middle[channel])
    })
}

/// A colour of the scene as it reaches the sensor at a pixel.
fn light(colour: Colour, x: usize, y: usize, scene: &Scene) -> Colour {
    let grey = luma(colour);
    let from_middle = [x, y].map(|place| (place as f64 + 0.5) / (SIDE as f64 / 2.0) - 1.0);
    let [across, down] = scene.falloff;
    let light = scene.exposure * (1.0 + across * from_middle[0] + down * from_middle[1]);
    colour.map(|part| {
        let coloured = blend(grey, part, scene.saturation);
        light * blend(0.5, coloured, scene.contrast)
    })
}

fn to_byte(value: f64) -> u8 {
    math::floor(value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// Noise of mean 0 and variance 1 that is nearly normal: the sum of three uniform numbers, each of
/// 10 bits, as finer ones would not show in 8-bit values.
fn bell(stream: &mut Stream) -> f64 {
    let bits = stream.next_u32();
    let sum = (bits & 1023) + (bits >> 10 & 1023) + (bits >> 20 & 1023);
    // The sum's mean is 3 × 1023 / 2 and its variance 3 × (1024² − 1) / 12, that is 512² all but.
    (f64::from(sum) - 1534.5) / 512.0
}
