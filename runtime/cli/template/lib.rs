//! An image-augmentation op for faa-runtime.
//!
//! `Vignette` darkens the image towards its corners. Replace it with your own op.

use faa_plugin_sdk::{
    Call, ImageMut, Op, OpError, OpSpec, Size, Warp, blend_weighted, export_ops, fill_outer,
};

export_ops!(Vignette::default());

/// Darkens the image towards its corners.
///
/// The value is the fraction of light that a corner loses, 0 … 1. Alpha is unchanged. The op is not
/// random; a random op draws its numbers from `call.stream()`.
pub struct Vignette {
    spec: OpSpec,
}

impl Default for Vignette {
    fn default() -> Self {
        Self {
            spec: OpSpec::new("Vignette", "darkens towards the corners").range(
                0.0,
                1.0,
                "fraction of light lost",
            ),
        }
    }
}

impl Op for Vignette {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let (width, height) = (image.width(), image.height());
        // The weight of black in each pixel: integers, because floats in an inner loop take several times as long
        // in a plugin, and of 16 bits, of which eight are computed at once.
        let lost = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u16;
        let weights = call.scratch.bytes(width * height);
        let (across, down) = (distances(width), distances(height));
        fill_outer(weights, &across, &down, |across, down| {
            ((across + down) * lost) >> 8
        });
        blend_weighted(image, [0; 3], weights);
        Ok(())
    }

    /// Pixels stay in their places, so masks, boxes and keypoints do too. An op that moves pixels says where to.
    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

/// The squared distances of pixels from the centre of a side, from 0 to 128: in a corner, two of them are 256.
fn distances(length: usize) -> Vec<u16> {
    let max = (length - 1).max(1) as u64;
    let distance = |index: u64| (2 * index).abs_diff(length as u64 - 1);
    (0..length as u64)
        .map(|index| (distance(index).pow(2) * 128 / max.pow(2)) as u16)
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
        Vignette::default()
            .apply(&mut image, 0.6, &mut call)
            .unwrap();
        assert_eq!(pixels, [80, 140, 80, 140, 200, 140, 80, 140, 80]);
    }
}
