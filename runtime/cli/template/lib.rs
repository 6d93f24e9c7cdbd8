//! An image-augmentation op for faa-runtime.
//!
//! `{{Op}}` darkens the image towards its corners. Replace it with your own op.

use faa_plugin_sdk::{Call, ImageMut, Op, OpError, OpSpec, Size, Warp, export_ops};

export_ops!({{Op}}::default());

/// Darkens the image towards its corners.
///
/// The value is the fraction of light that a corner loses, 0 … 1. Alpha is unchanged. The op is not
/// random; a random op draws its numbers from `call.stream()`.
pub struct {{Op}} {
    spec: OpSpec,
}

impl Default for {{Op}} {
    fn default() -> Self {
        Self {
            spec: OpSpec::new("{{Op}}", "darkens towards the corners")
                .range(0.0, 1.0, "fraction of light lost"),
        }
    }
}

impl Op for {{Op}} {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        _: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let (width, height, channels) = (image.width(), image.height(), image.channels());
        // Fixed point, because floats in an inner loop take several times as long in a plugin.
        let lost = (value.clamp(0.0, 1.0) * ONE as f64) as u64;
        let across = distances(width);
        for (y, down) in distances(height).into_iter().enumerate() {
            let row = image.row_mut(y).chunks_exact_mut(channels.count());
            for (pixel, across) in row.zip(&across) {
                // In the corners, half of the sum of both distances is `ONE`.
                let kept = (ONE - (lost * (across + down) / (2 * ONE))) as u32;
                for sample in &mut pixel[..channels.color_count()] {
                    *sample = ((u32::from(*sample) * kept + ONE as u32 / 2) / ONE as u32) as u8;
                }
            }
        }
        Ok(())
    }

    /// Pixels stay in their places, so masks, boxes and keypoints do too. An op that moves pixels says where to.
    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

/// 1 in fixed point.
const ONE: u64 = 1 << 16;

/// The squared distances of pixels from the centre of a side, from 0 to `ONE`.
fn distances(length: usize) -> Vec<u64> {
    let max = (length - 1).max(1) as u64;
    let distance = |index: u64| (2 * index).abs_diff(length as u64 - 1);
    (0..length as u64)
        .map(|index| distance(index).pow(2) * ONE / max.pow(2))
        .collect()
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::{Channels, Scratch};

    use super::*;

    #[test]
    fn corners_are_darkened_and_the_centre_is_not() {
        let mut pixels = [200; 9];
        let mut image = ImageMut::new(&mut pixels, 3, 3, Channels::L).unwrap();
        let mut scratch = Scratch::new();
        let mut call = Call::new(0, &mut scratch);
        {{Op}}::default().apply(&mut image, 0.5, &mut call).unwrap();
        assert_eq!(pixels, [100, 150, 100, 150, 200, 150, 100, 150, 100]);
    }
}
