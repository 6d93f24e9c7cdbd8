use faa_plugin_sdk::{Call, ImageMut, Op, OpError, OpSpec};

use crate::blend::{ALL, blend};

/// The level of a drop, which is half transparent.
const GREY: u8 = 210;

/// One pixel of so many is under a streak, where streaks do not cross.
const SPARSENESS: u64 = 20;

/// Columns are in fixed point, with so many bits after the point.
const FRACTION_BITS: u32 = 16;

/// Draws streaks of rain, which the wind may slant.
///
/// The value is how many columns a drop moves to the right for each row that it falls, −1 … 1,
/// mirrored; 0 is rain without wind, and beyond −1 … 1 the value is taken as −1 or 1. Streaks are a
/// pixel wide and a sixth of the shorter side high, a pixel at least; there are as many as cover a
/// twentieth of the image. Their colour is halfway between what is there and 210. L and RGB alike;
/// RGBA keeps its alpha.
///
/// Draws the upper end of each streak, its column as `below(width)` and its row as
/// `below(height + streak) − streak`. A streak that leaves the image to the left or right comes
/// back on the other side, so that no side is drier than the rest.
#[derive(Clone, Debug)]
pub struct Rain {
    spec: OpSpec,
}

impl Default for Rain {
    fn default() -> Self {
        let spec = OpSpec::new("Rain", "draws streaks of rain, slanted by the wind");
        Self {
            spec: spec.range(-1.0, 1.0, "columns a row").mirrored(),
        }
    }
}

impl Op for Rain {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        if !value.is_finite() {
            return Err(OpError::NotFinite { value });
        }
        // A streak slanted further would be a row of dots.
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
}

fn draw(image: &mut ImageMut<'_>, column: i64, top: i64, streak: i64, slant: i64) {
    let channels = image.channels();
    let (width, height) = (image.width() as i64, image.height() as i64);
    for y in top.max(0)..(top + streak).min(height) {
        let aside = (slant * (y - top)) >> FRACTION_BITS;
        let x = (column + aside).rem_euclid(width) as usize;
        let pixel = &mut image.row_mut(y as usize)[x * channels.count()..];
        blend(&mut pixel[..channels.color_count()], GREY, ALL / 2);
    }
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::{Channels, Scratch};

    use super::*;

    const SIDE: usize = 48;

    fn rainy(value: f64, seed: u64, channels: Channels) -> Vec<u8> {
        let mut samples = vec![0; SIDE * SIDE * channels.count()];
        let mut image = ImageMut::new(&mut samples, SIDE, SIDE, channels).unwrap();
        let mut scratch = Scratch::new();
        let call = &mut Call::new(seed, &mut scratch);
        Rain::default().apply(&mut image, value, call).unwrap();
        samples
    }

    /// How many wet pixels have a wet one below them, moved aside by so many columns.
    fn pairs(image: &[u8], aside: isize) -> usize {
        let wet = |x: usize, y: usize| image[y * SIDE + x % SIDE] != 0;
        let below = |x: usize| (x + SIDE).wrapping_add_signed(aside);
        (0..SIDE * (SIDE - 1))
            .map(|place| (place % SIDE, place / SIDE))
            .filter(|&(x, y)| wet(x, y) && wet(below(x), y + 1))
            .count()
    }

    #[test]
    fn the_wind_slants_the_rain() {
        for (value, aside) in [(-1.0, -1), (0.0, 0), (1.0, 1), (f64::MAX, 1)] {
            let image = rainy(value, 2, Channels::L);
            for other in [-1, 0, 1] {
                if other != aside {
                    assert!(pairs(&image, aside) > 4 * pairs(&image, other), "{value}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_image_is_wet_and_the_seed_says_which() {
        for seed in 0..20 {
            let image = rainy(0.3, seed, Channels::L);
            let wet = image.iter().filter(|&&level| level != 0).count();
            assert!(wet > image.len() / 40 && wet <= image.len() / 20, "{wet}");
            assert_eq!(image, rainy(0.3, seed, Channels::L));
            assert_ne!(image, rainy(0.3, seed + 1, Channels::L));
        }
    }

    #[test]
    fn alpha_stays_and_small_images_stay_dry() {
        let image = rainy(-0.5, 4, Channels::Rgba);
        let (pixels, _) = image.as_chunks::<4>();
        let is_grey =
            |&[red, green, blue, alpha]: &[u8; 4]| red == green && green == blue && alpha == 0;
        assert!(pixels.iter().all(is_grey));

        let mut samples = [5];
        let mut image = ImageMut::new(&mut samples, 1, 1, Channels::L).unwrap();
        let mut scratch = Scratch::new();
        let call = &mut Call::new(0, &mut scratch);
        Rain::default().apply(&mut image, 1.0, call).unwrap();
        assert_eq!(samples, [5]);
    }
}
