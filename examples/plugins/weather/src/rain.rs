use faa_plugin_sdk::{Call, ImageMut, Op, OpResult, OpSpec, Size, Warp};

use crate::blend::{ONE, blend};

/// The level of a drop, which is half transparent.
const GREY: u8 = 210;

/// One in this many pixels is under a streak, if streaks do not cross.
const SPARSENESS: u64 = 20;

/// The fractional bits of a column in fixed point.
const FRACTION_BITS: u32 = 16;

/// Adds streaks of rain, slanted by the wind.
///
/// The value is the number of columns that a drop moves to the right per row that it falls, −1 … 1,
/// mirrored; it is clamped to that range, and 0 is rain without wind. Streaks are a pixel wide and a
/// sixth of the shorter side high, at least a pixel; together they cover a twentieth of the image.
/// Their colour is the mean of the image's and 210. L and RGB alike; RGBA keeps its alpha.
///
/// Draws the upper end of each streak, its column as `below(width)` and its row as
/// `below(height + streak) − streak`. A streak that leaves the image on one side reappears on the
/// other, so that the rain is uniform.
#[derive(Clone, Debug)]
pub struct Rain(OpSpec);

impl Default for Rain {
    fn default() -> Self {
        Self(
            OpSpec::new("Rain", "adds streaks of rain, slanted by the wind")
                .range(-1.0, 1.0, "columns per row")
                .mirrored(),
        )
    }
}

impl Op for Rain {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        // With a larger slant, a streak would be a row of dots.
        let slant = (value.clamp(-1.0, 1.0) * f64::from(1 << FRACTION_BITS)) as i64;
        let (width, height) = (image.width() as u64, image.height() as u64);
        let streak = (width.min(height) / 6).max(1);
        let mut stream = call.stream();
        for _ in 0..width * height / (SPARSENESS * streak) {
            let column = stream.below(width) as i64;
            let top = stream.below(height + streak) as i64 - streak as i64;
            draw(image, column, top, streak as i64, slant);
        }
        Ok(())
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

fn draw(image: &mut ImageMut<'_>, column: i64, top: i64, streak: i64, slant: i64) {
    let channels = image.channels();
    let (width, height) = (image.width() as i64, image.height() as i64);
    for y in top.max(0)..(top + streak).min(height) {
        let shift = (slant * (y - top)) >> FRACTION_BITS;
        let x = (column + shift).rem_euclid(width) as usize;
        let pixel = &mut image.row_mut(y as usize)[x * channels.count()..];
        blend(&mut pixel[..channels.color_count()], GREY, ONE / 2);
    }
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::Channels;

    use super::*;
    use crate::testing::apply;

    const SIDE: usize = 48;

    fn rainy(value: f64, seed: u64, channels: Channels) -> Vec<u8> {
        let mut samples = vec![0; SIDE * SIDE * channels.count()];
        let shape = (SIDE, SIDE, channels);
        apply(&Rain::default(), value, seed, shape, &mut samples);
        samples
    }

    /// The number of wet pixels with a wet one in the next row, `shift` columns to the right.
    fn pairs(image: &[u8], shift: isize) -> usize {
        let wet = |x: usize, y: usize| image[y * SIDE + x % SIDE] != 0;
        let below = |x: usize| (x + SIDE).wrapping_add_signed(shift);
        (0..SIDE * (SIDE - 1))
            .map(|index| (index % SIDE, index / SIDE))
            .filter(|&(x, y)| wet(x, y) && wet(below(x), y + 1))
            .count()
    }

    #[test]
    fn the_wind_slants_the_rain() {
        for (value, shift) in [(-1.0, -1), (0.0, 0), (1.0, 1), (f64::MAX, 1)] {
            let image = rainy(value, 2, Channels::L);
            for other in [-1, 0, 1] {
                if other != shift {
                    assert!(pairs(&image, shift) > 4 * pairs(&image, other), "{value}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_image_that_depends_on_the_seed_is_wet() {
        for seed in 0..20 {
            let image = rainy(0.3, seed, Channels::L);
            let wet = image.iter().filter(|&&level| level != 0).count();
            assert!(wet > image.len() / 40 && wet <= image.len() / 20, "{wet}");
            assert_eq!(image, rainy(0.3, seed, Channels::L));
            assert_ne!(image, rainy(0.3, seed + 1, Channels::L));
        }
    }

    #[test]
    fn alpha_and_small_images_are_unchanged() {
        let image = rainy(-0.5, 4, Channels::Rgba);
        let (pixels, _) = image.as_chunks::<4>();
        let is_grey =
            |&[red, green, blue, alpha]: &[u8; 4]| red == green && green == blue && alpha == 0;
        assert!(pixels.iter().all(is_grey));

        let mut samples = [5];
        apply(&Rain::default(), 1.0, 0, (1, 1, Channels::L), &mut samples);
        assert_eq!(samples, [5]);
    }
}
