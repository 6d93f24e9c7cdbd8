use faa_op::{Call, ImageMut, Op, OpResult, OpSpec};

/// Darkens towards the corners. The value is the fraction of light that the corners lose.
pub(crate) struct Vignette(OpSpec);

impl Default for Vignette {
    fn default() -> Self {
        Self(OpSpec::new("Vignette", "darkens towards the corners").range(0.0, 1.0, "fraction"))
    }
}

impl Op for Vignette {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        let (width, height, channels) = (image.width(), image.height(), image.channels());
        // From −1 at one border to 1 at the other; squares need no function of the platform's.
        let across = |index: usize, length: usize| (2 * index + 1) as f64 / length as f64 - 1.0;
        for y in 0..height {
            let down = across(y, height);
            let row = image.row_mut(y).chunks_exact_mut(channels.count());
            for (x, pixel) in row.enumerate() {
                let distance = (across(x, width).powi(2) + down * down) / 2.0;
                let light = 1.0 - value * distance;
                for sample in &mut pixel[..channels.color_count()] {
                    *sample = (f64::from(*sample) * light + 0.5) as u8;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use faa_op::{Channels, Scratch};

    use super::*;

    #[test]
    fn corners_lose_light_and_the_middle_keeps_it() {
        let mut pixels = [200; 9];
        let mut image = ImageMut::new(&mut pixels, 3, 3, Channels::L).unwrap();
        let mut scratch = Scratch::new();
        let vignette = Vignette::default();
        let call = &mut Call::new(0, &mut scratch);
        vignette.apply(&mut image, 0.9, call).unwrap();
        // Corners lie at (±2/3, ±2/3): 1 − 0.9 × 4/9 of the light is left.
        assert_eq!(pixels, [120, 160, 120, 160, 200, 160, 120, 160, 120]);
    }
}
