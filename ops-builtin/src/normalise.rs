//! Turns the samples of an image into the floats that a network is given.

use core::array;

use faa_op::ImageRef;

use crate::SimdLevel;
use crate::pixels::by_channels;
use crate::simd::each_level;

/// Turns samples into floats whose mean is about 0 and whose deviation is about 1, with the mean and the standard
/// deviation of each channel over a data set.
///
/// A level becomes `level · scale − offset`, rounded to an `f32` after each step, where `scale` is
/// `1 / (255 · deviation)` and `offset` is `mean / deviation`. That is `(level / 255 − mean) / deviation` up to
/// rounding, and the same on every machine.
///
/// ```
/// use faa_op::{Channels, ImageRef};
/// use faa_ops_builtin::Normaliser;
///
/// let normaliser = Normaliser::new([0.5, 0.0, 0.25], [0.5, 1.0, 0.25]);
/// let image = ImageRef::new(&[0, 51, 255, 255, 0, 0], 2, 1, Channels::Rgb)?;
/// let mut floats = [0.0; 6];
/// normaliser.planes(image, &mut floats);
/// let tenths = floats.map(|float| (10.0 * float).round());
/// assert_eq!(tenths, [-10.0, 10.0, 2.0, 0.0, 30.0, -10.0]);
/// # Ok::<(), faa_op::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Normaliser {
    scales: [f32; 3],
    offsets: [f32; 3],
    level: SimdLevel,
}

impl Normaliser {
    /// Of samples from 0 to 1, the mean and the standard deviation of each colour channel; L uses the first.
    pub fn new(mean: [f32; 3], deviation: [f32; 3]) -> Self {
        Self::at(SimdLevel::best(), mean, deviation)
    }

    /// The same with no more than these vector instructions. The floats are the same at every level.
    pub fn at(level: SimdLevel, mean: [f32; 3], deviation: [f32; 3]) -> Self {
        let each = |of: fn(f64, f64) -> f64| {
            array::from_fn(|c| of(mean[c].into(), deviation[c].into()) as f32)
        };
        Self {
            scales: each(|_, deviation| 1.0 / (255.0 * deviation)),
            offsets: each(|mean, deviation| mean / deviation),
            level,
        }
    }

    /// Overwrites `floats` with a plane for each colour channel, one after the other, in rows from the top: an image of
    /// a batch in the layout NCHW. Alpha is left out.
    ///
    /// # Panics
    ///
    /// If there are not as many floats as samples of the colour channels.
    pub fn planes(&self, image: ImageRef<'_>, floats: &mut [f32]) {
        let (channels, width) = (image.channels(), image.width());
        let plane = width * image.height();
        assert_eq!(
            floats.len(),
            plane * channels.color_count(),
            "there is one float for each sample"
        );
        // Row by row, so that the samples are read from memory once.
        for (y, row) in image.rows().enumerate() {
            for c in 0..channels.color_count() {
                let floats = &mut floats[c * plane + y * width..][..width];
                by_channels!(channels, N => {
                    channel_of_row::<N>(self.level, row, c, self.scales[c], self.offsets[c], floats);
                });
            }
        }
    }
}

each_level! {
    fn channel_of_row<const N: usize>(
        row: &[u8],
        channel: usize,
        scale: f32,
        offset: f32,
        floats: &mut [f32],
    ) {
        for (float, pixel) in floats.iter_mut().zip(row.as_chunks::<N>().0) {
            *float = f32::from(pixel[channel]) * scale - offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use faa_op::{Channels, ImageMut};

    use super::*;
    use crate::testing::noise;

    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

    /// The formula in double precision, and a bound of what three roundings of an `f32` make of it.
    fn close(float: f32, sample: u8, channel: usize) -> bool {
        let [mean, deviation] = [MEAN, DEVIATION].map(|it| f64::from(it[channel]));
        let expected = (f64::from(sample) / 255.0 - mean) / deviation;
        (f64::from(float) - expected).abs() < 5e-7
    }

    #[test]
    fn samples_become_planes_at_every_level() {
        for channels in [Channels::L, Channels::Rgb, Channels::Rgba] {
            for (width, height) in [(1, 1), (7, 3), (16, 2), (33, 5), (256, 4)] {
                let mut samples = noise((width, height), channels);
                let image = ImageMut::new(&mut samples, width, height, channels).unwrap();
                let plane = width * height;
                let mut first = None;
                for level in SimdLevel::available() {
                    let mut floats = vec![f32::NAN; plane * channels.color_count()];
                    let normaliser = Normaliser::at(level, MEAN, DEVIATION);
                    normaliser.planes(image.as_ref(), &mut floats);
                    for (index, &float) in floats.iter().enumerate() {
                        let (channel, pixel) = (index / plane, index % plane);
                        let sample = image.samples()[pixel * channels.count() + channel];
                        assert!(
                            close(float, sample, channel),
                            "{level} {channels:?} {index}"
                        );
                    }
                    let floats = floats.iter().map(|float| float.to_bits());
                    let floats: vec::Vec<u32> = floats.collect();
                    assert_eq!(*first.get_or_insert(floats.clone()), floats, "{level}");
                }
            }
        }
    }

    #[test]
    fn rows_may_lie_apart() {
        let samples: vec::Vec<u8> = (0..30).collect();
        let whole = ImageRef::new(&samples, 5, 2, Channels::Rgb).unwrap();
        let part = whole.crop(1, 0, 2, 2).unwrap();
        let mut floats = [0.0; 12];
        Normaliser::new([0.0; 3], [1.0 / 255.0; 3]).planes(part, &mut floats);
        assert_eq!(
            floats.map(|float| (float + 0.5) as u8),
            [3, 6, 18, 21, 4, 7, 19, 22, 5, 8, 20, 23]
        );
    }

    #[test]
    #[should_panic(expected = "there is one float for each sample")]
    fn floats_that_are_missing_are_noticed() {
        let image = ImageRef::new(&[0; 4], 2, 2, Channels::L).unwrap();
        Normaliser::new([0.0; 3], [1.0; 3]).planes(image, &mut [0.0; 3]);
    }
}
