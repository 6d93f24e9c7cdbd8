use faa_plugin_sdk::{Call, ImageMut, Op, OpResult, OpSpec, Size, Warp, blend_weighted};

/// The level of opaque fog.
const GREY: u8 = 225;

/// The fractional bits of weights, which are in 255ths.
const FRACTION_BITS: u32 = 16;
const ONE: i64 = 1 << FRACTION_BITS;

/// Adds fog of varying density.
///
/// The value is the maximum weight of fog in a pixel, 0 … 0.8, and is clamped to 0 … 1; at 0 the image
/// is unchanged. Weights are rounded to 255ths, and a level becomes `level + (225 − level) · weight / 255`, rounded to
/// the nearest. L and RGB alike; RGBA keeps its alpha.
///
/// Draws the weight in the corners, upper left, upper right, lower left and lower right, as
/// `(1 + unit()) / 2 · value`, and interpolates between them linearly in both directions.
#[derive(Clone, Debug)]
pub struct Fog(OpSpec);

impl Default for Fog {
    fn default() -> Self {
        Self(OpSpec::new("Fog", "adds fog of varying density").range(0.0, 0.8, "fraction of fog"))
    }
}

impl Op for Fog {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        let value = value.clamp(0.0, 1.0);
        let mut stream = call.stream();
        let [upper_left, upper_right, lower_left, lower_right] =
            [(); 4].map(|()| ((1.0 + stream.unit()) / 2.0 * value * (255 * ONE) as f64) as i64);

        let (width, height) = (image.width(), image.height());
        let weights = call.scratch.bytes(width * height);
        for (y, row) in weights.chunks_exact_mut(width).enumerate() {
            let down = |upper: i64, lower: i64| upper + (lower - upper) * y as i64 / height as i64;
            let (left, right) = (down(upper_left, lower_left), down(upper_right, lower_right));
            let step = ((right - left) / width as i64) as i32;
            // With a half, so that the shift rounds to the nearest.
            let mut weight = (left + ONE / 2) as i32;
            for pixel in row {
                *pixel = (weight >> FRACTION_BITS) as u8;
                weight += step;
            }
        }
        blend_weighted(image, [GREY; 3], weights);
        Ok(())
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::Channels;

    use super::*;
    use crate::testing::apply;

    fn foggy(value: f64, seed: u64, channels: Channels, samples: &mut [u8]) {
        let width = samples.len() / channels.count() / 2;
        apply(&Fog::default(), value, seed, (width, 2, channels), samples);
    }

    #[test]
    fn there_is_no_fog_at_0_and_between_half_and_all_of_the_value_elsewhere() {
        for value in [0.0, -0.5, f64::MIN] {
            let mut samples = [0, 99, 255, 7];
            foggy(value, 3, Channels::L, &mut samples);
            assert_eq!(samples, [0, 99, 255, 7]);
        }
        for seed in 0..50 {
            let mut samples = [0; 64];
            foggy(0.8, seed, Channels::L, &mut samples);
            assert!(samples.iter().all(|level| (90..=180).contains(level)));
            assert!(samples.iter().any(|&level| level != samples[0]));
        }
    }

    #[test]
    fn alpha_is_unchanged_and_the_densest_fog_is_grey() {
        let mut samples = [[250, 0, 90, 8]; 2];
        foggy(f64::MAX, 1, Channels::Rgba, samples.as_flattened_mut());
        for [red, green, blue, alpha] in samples {
            assert_eq!(alpha, 8);
            assert!((225..250).contains(&red));
            assert!((112..=225).contains(&green) && (green..=225).contains(&blue));
        }
    }
}
