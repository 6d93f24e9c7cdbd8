use core::ops::RangeInclusive;

use faa_plugin_sdk::{Call, ImageMut, Op, OpResult, OpSpec, Size, Warp};

use crate::blend::{ONE, blend};

/// The level of a flake's centre.
const WHITE: u8 = 255;

/// The maximum radius of a flake, as a fraction of the shorter side.
const MAX_RADIUS: f64 = 0.02;

/// Adds flakes of snow.
///
/// The value is the number of flakes per square whose side is the shorter side of the image, 0 … 200;
/// at 0 or below the image is unchanged. The number in the whole image is proportional to its area,
/// rounded down, and at most that of its pixels. A flake is white in its centre; at a distance of `d`
/// pixels from there, a level becomes `level + (255 − level) · (1 − (d / radius)²)`. L and RGB alike;
/// RGBA keeps its alpha.
///
/// Draws each flake's centre, its column as `below(width)` and its row as `below(height)`, and then
/// its radius as `unit()` times 0.02 of the shorter side, at least a pixel.
#[derive(Clone, Debug)]
pub struct Snow(OpSpec);

impl Default for Snow {
    fn default() -> Self {
        Self(OpSpec::new("Snow", "adds flakes of snow").range(0.0, 200.0, "flakes per square"))
    }
}

impl Op for Snow {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        let (width, height) = (image.width() as u64, image.height() as u64);
        let (shorter, longer) = (width.min(height) as f64, width.max(height) as f64);
        // The cast turns negative numbers into 0.
        let flakes = ((value * longer / shorter) as u64).min(width * height);
        let mut stream = call.stream();
        for _ in 0..flakes {
            let x = stream.below(width) as usize;
            let y = stream.below(height) as usize;
            let radius = (stream.unit() * MAX_RADIUS * shorter).max(1.0);
            draw(image, x, y, radius);
        }
        Ok(())
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

fn draw(image: &mut ImageMut<'_>, x: usize, y: usize, radius: f64) {
    let channels = image.channels();
    let columns = covered(x, radius, image.width());
    for row in covered(y, radius, image.height()) {
        let down = row.abs_diff(y) as f64;
        let samples = columns.start() * channels.count()..(columns.end() + 1) * channels.count();
        let pixels = image.row_mut(row)[samples].chunks_exact_mut(channels.count());
        for (column, pixel) in columns.clone().zip(pixels) {
            let across = column.abs_diff(x) as f64;
            let weight = 1.0 - (across * across + down * down) / (radius * radius);
            // The cast turns negative weights, in the corners, into 0.
            let weight = (weight * f64::from(ONE)) as u32;
            blend(&mut pixel[..channels.color_count()], WHITE, weight);
        }
    }
}

/// The columns or rows that a flake covers, within a side of `length` pixels.
fn covered(centre: usize, radius: f64, length: usize) -> RangeInclusive<usize> {
    let radius = radius as usize;
    centre.saturating_sub(radius)..=(centre + radius).min(length - 1)
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::Channels;

    use super::*;
    use crate::testing::apply;

    fn snowy(
        value: f64,
        seed: u64,
        (width, height): (usize, usize),
        channels: Channels,
    ) -> Vec<u8> {
        let mut samples = vec![0; width * height * channels.count()];
        let shape = (width, height, channels);
        apply(&Snow::default(), value, seed, shape, &mut samples);
        samples
    }

    fn count_white(samples: &[u8]) -> usize {
        samples.iter().filter(|&&level| level == 255).count()
    }

    #[test]
    fn a_flake_fades_from_its_centre() {
        let mut samples = [0; 35];
        let mut image = ImageMut::new(&mut samples, 7, 5, Channels::L).unwrap();
        draw(&mut image, 2, 0, 2.0);
        let [first, second, third, ..] = samples.as_chunks::<7>().0 else {
            unreachable!("there are five rows");
        };
        assert_eq!(*first, [0, 191, 255, 191, 0, 0, 0]);
        assert_eq!(*second, [0, 128, 191, 128, 0, 0, 0]);
        assert_eq!(*third, [0; 7]);
    }

    #[test]
    fn the_value_is_the_number_of_flakes_per_square() {
        // The image is so small that every flake is one pixel, and some overlap.
        let white = |value, size| count_white(&snowy(value, 6, size, Channels::L));
        assert_eq!(white(1.0, (40, 40)), 1);
        assert_eq!(white(1.9, (40, 40)), 1);
        assert!((20..=30).contains(&white(10.0, (90, 30))));
        for value in [0.0, -7.0, f64::MIN] {
            assert_eq!(white(value, (40, 40)), 0);
        }
    }

    #[test]
    fn the_seed_determines_where_flakes_fall() {
        let image = |seed| snowy(200.0, seed, (200, 150), Channels::Rgb);
        assert_eq!(image(1), image(1));
        assert_ne!(image(1), image(2));
    }

    #[test]
    fn alpha_is_unchanged_and_any_size_and_value_works() {
        let image = snowy(f64::MAX, 1, (9, 5), Channels::Rgba);
        let (pixels, _) = image.as_chunks::<4>();
        assert!(pixels.iter().all(|pixel| pixel[3] == 0));
        assert!(count_white(&image) > 0);
        for size in [(1, 1), (1, 9), (9, 1)] {
            assert!(count_white(&snowy(50.0, 1, size, Channels::L)) > 0);
        }
    }
}
