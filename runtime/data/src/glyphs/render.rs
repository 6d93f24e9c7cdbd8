//! From a scene to pixels.

use faa_op::{Stream, math};

use super::scene::{Colour, Scene, blend, luma};

/// Sampling points along a pixel's side.
const SAMPLES: usize = 4;

/// Rows from top to bottom.
type Plane = Vec<Vec<Colour>>;

/// Takes a picture of a scene as a camera would: through the lens, then with haze and light, then with
/// the sensor's noise, as 8-bit values.
pub(super) fn render(scene: &Scene, stream: &mut Stream, pixels: &mut [u8]) {
    let mut plane = expose(scene);
    // Blurring twice along each axis gives nearly the bell that a soft focus spreads light to.
    for _ in 0..2 {
        soften(&mut plane, scene.blur);
    }
    let bytes = pixels.as_chunks_mut::<3>().0;
    for (y, (row, row_bytes)) in plane
        .iter()
        .zip(bytes.chunks_exact_mut(scene.side))
        .enumerate()
    {
        for (x, (&colour, pixel)) in row.iter().zip(row_bytes).enumerate() {
            let lit = light(colour, x, y, scene);
            *pixel = lit.map(|value| to_byte(value + scene.noise * bell(stream)));
        }
    }
}

fn expose(scene: &Scene) -> Plane {
    let position =
        |pixel: usize, sample: usize| pixel as f64 + (sample as f64 + 0.5) / SAMPLES as f64;
    let pixel = |x: usize, y: usize| {
        let mut sum = [0.0; 3];
        for sample in 0..SAMPLES * SAMPLES {
            let (x, y) = (position(x, sample % SAMPLES), position(y, sample / SAMPLES));
            for (sum, part) in sum.iter_mut().zip(scene.colour(x, y)) {
                *sum += part;
            }
        }
        sum.map(|part| part / (SAMPLES * SAMPLES) as f64)
    };
    plane(scene.side, pixel)
}

fn plane(side: usize, pixel: impl Fn(usize, usize) -> Colour) -> Plane {
    let row = |y| (0..side).map(|x| pixel(x, y)).collect();
    (0..side).map(row).collect()
}

/// Spreads every pixel over its neighbours, along both axes, so that the variance grows by half
/// the square of `blur`; beyond the border, the border continues.
fn soften(plane: &mut Plane, blur: f64) {
    // A kernel (s, 1 − 2s, s) has the variance 2s, and stays a bell up to s = ⅓.
    let weight = (blur * blur / 4.0).min(1.0 / 3.0);
    let last = plane.len() - 1;
    *plane = spread(plane, weight, |x, y| {
        [(x.saturating_sub(1), y), ((x + 1).min(last), y)]
    });
    *plane = spread(plane, weight, |x, y| {
        [(x, y.saturating_sub(1)), (x, (y + 1).min(last))]
    });
}

/// Every pixel with `weight` of each of its two neighbours.
fn spread(
    old: &Plane,
    weight: f64,
    neighbours: impl Fn(usize, usize) -> [(usize, usize); 2],
) -> Plane {
    let at = |(x, y): (usize, usize), channel: usize| old[y][x][channel];
    plane(old.len(), |x, y| {
        let [one, other] = neighbours(x, y);
        [0, 1, 2].map(|channel| {
            let middle = at((x, y), channel);
            middle + weight * (at(one, channel) + at(other, channel) - 2.0 * middle)
        })
    })
}

/// A colour of the scene as it reaches the sensor at a pixel.
fn light(colour: Colour, x: usize, y: usize, scene: &Scene) -> Colour {
    let grey = luma(colour);
    let from_middle = [x, y].map(|index| (index as f64 + 0.5) / (scene.side as f64 / 2.0) - 1.0);
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
