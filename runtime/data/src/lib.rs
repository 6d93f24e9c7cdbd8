//! Labelled image sets, whole in memory: 8-bit RGB, all of one size.
//!
//! [`Dataset::load`] reads what a [`DataSpec`] names. Sets that are too large to be held in memory
//! (8 GiB of pixels) are refused before they fill it.
//!
//! Beside the built-in set there are folders of image files, the same within a tar file, and the
//! binary versions of CIFAR-10 and CIFAR-100.
//!
//! Image files are taken for what they contain, not for what they are named. Grey, palettes, 16-bit
//! samples and CMYK become 8-bit RGB; alpha is dropped and colour profiles are ignored; the EXIF
//! orientation is applied; of an animation, the first frame counts. Files that are no images, and
//! those that claim over 16,384 pixels a side or 256 MiB of memory, are reported together, by name.

use std::path::Path;

use faa_op::math;
use image::DynamicImage;

mod archive;
mod cifar;
mod decode;
mod error;
mod folder;
mod glyphs;
mod listing;
mod spec;

pub use error::{DataError, Unreadable};
pub use spec::{DataSpec, ParseDataSpecError};

/// Reads one image file, by the rules of data sets in folders, but with the channels that it has.
///
/// # Errors
///
/// [`Unreadable`] where the file cannot be read, holds no image, or one that is too large.
pub fn read_image(path: &Path) -> Result<DynamicImage, Unreadable> {
    decode::open(path).map_err(|refusal| refusal.of(path))
}

/// What can be chosen when a data set is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The side in pixels that every image is brought to: the largest square in the middle is cut
    /// out and scaled. Without it, images keep their size and must all have the same.
    pub image_size: Option<u32>,
}

/// A data set with its two splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The names of the classes; a label is a place in this list.
    pub classes: Vec<String>,
    /// Width of every image, in pixels.
    pub width: usize,
    /// Height of every image, in pixels.
    pub height: usize,
    /// The images that networks and policies are found on.
    pub train: Split,
    /// The images that the outcome is measured on.
    pub test: Split,
}

/// Images with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// All pixels: image after image, row after row, red, green and blue interleaved.
    pub pixels: Vec<u8>,
    /// The class of every image.
    pub labels: Vec<u32>,
}

/// Mean and standard deviation of every channel: red, green, blue, on a scale where 1 is the
/// brightest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelStatistics {
    /// The means.
    pub mean: [f64; 3],
    /// The standard deviations of the pixels as a whole population.
    pub std: [f64; 3],
}

impl Dataset {
    /// Loads both splits of a data set.
    ///
    /// The outcome depends on the specification, the options and the files alone: not on threads,
    /// nor on the order in which the file system lists a folder.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the data set or the options, as a [`DataError`].
    pub fn load(spec: &DataSpec, options: &LoadOptions) -> Result<Self, DataError> {
        match spec {
            DataSpec::Glyphs { seed } => glyphs::load(*seed, options),
            DataSpec::Folder(folder) => folder::load(folder, options),
            DataSpec::Tar(file) => archive::load(file, options),
            DataSpec::Cifar10(folder) => cifar::load_10(folder, options),
            DataSpec::Cifar100(folder) => cifar::load_100(folder, options),
        }
    }

    /// Mean and standard deviation of the training split's channels; zero where it is empty.
    ///
    /// The sums are exact integers, so the outcome does not depend on the order of the images.
    #[must_use]
    pub fn channel_statistics(&self) -> ChannelStatistics {
        let mut histograms = [[0_u64; 256]; 3];
        for pixel in self.train.pixels.as_chunks::<3>().0 {
            for (histogram, &sample) in histograms.iter_mut().zip(pixel) {
                histogram[usize::from(sample)] += 1;
            }
        }
        let moments = histograms.map(|histogram| mean_and_deviation(&histogram));
        ChannelStatistics {
            mean: moments.map(|(mean, _)| mean),
            std: moments.map(|(_, deviation)| deviation),
        }
    }
}

fn mean_and_deviation(histogram: &[u64; 256]) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0_u128, 0_u128, 0_u128);
    for (value, &times) in (0_u128..).zip(histogram) {
        let times = u128::from(times);
        count += times;
        sum += times * value;
        squares += times * value * value;
    }
    if count == 0 {
        return (0.0, 0.0);
    }
    // The variance times the count squared is an integer, so no digits cancel in the difference.
    let spread = (count * squares - sum * sum) as f64;
    let scale = count as f64 * 255.0;
    (sum as f64 / scale, math::sqrt(spread) / scale)
}

impl Dataset {
    /// A number that differs, most likely, between data sets that differ in the name of a class, or
    /// in any pixel or label of either split: FNV-1a over 64 bits.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let names = self.classes.iter().flat_map(|name| name.bytes().chain([0]));
        let splits = [&self.train, &self.test].into_iter().flat_map(|split| {
            let labels = split.labels.iter().flat_map(|label| label.to_le_bytes());
            labels.chain(split.pixels.iter().copied())
        });
        names
            .chain(splits)
            .fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

impl Split {
    /// How many images there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of one image, `width × height × 3`; zero where there is no image.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.pixels.len().checked_div(self.len()).unwrap_or(0)
    }

    /// The pixels of one image.
    ///
    /// # Panics
    ///
    /// Where `index` is not below [`len`](Self::len).
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(
            index < self.len(),
            "image {index} of a split that holds {}",
            self.len()
        );
        let stride = self.stride();
        &self.pixels[index * stride..][..stride]
    }

    /// Every image with its label, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], u32)> {
        // An empty split has no stride to cut by, and nothing to cut.
        let images = self.pixels.chunks_exact(self.stride().max(1));
        images.zip(self.labels.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Dataset {
        Dataset {
            classes: vec!["a".into(), "b".into()],
            width: 2,
            height: 1,
            train: Split {
                pixels: vec![0, 51, 255, 255, 51, 255, 0, 102, 255, 255, 102, 255],
                labels: vec![1, 0],
            },
            test: Split::default(),
        }
    }

    #[test]
    fn statistics_are_those_of_the_training_pixels() {
        let ChannelStatistics { mean, std } = tiny().channel_statistics();
        assert_eq!(mean, [0.5, 0.3, 1.0]);
        assert_eq!(std, [0.5, 0.1, 0.0]);
    }

    #[test]
    fn the_digest_sees_every_pixel_and_label() {
        let digest = tiny().digest();
        let mut pixel = tiny();
        pixel.train.pixels[11] ^= 1;
        let mut label = tiny();
        label.train.labels[1] = 1;
        let mut tested = tiny();
        tested.test = tested.train.clone();
        let mut renamed = tiny();
        renamed.classes[0] = "c".into();
        assert!(digest == tiny().digest());
        assert!(digest != tested.digest() && digest != renamed.digest());
        assert!(digest != pixel.digest() && digest != label.digest());
    }

    #[test]
    fn statistics_of_nothing_are_zero() {
        let mut data = tiny();
        data.train = Split::default();
        let ChannelStatistics { mean, std } = data.channel_statistics();
        assert_eq!((mean, std), ([0.0; 3], [0.0; 3]));
    }

    #[test]
    fn a_split_hands_out_its_images() {
        let Dataset { train, test, .. } = tiny();
        assert_eq!((train.len(), train.stride()), (2, 6));
        assert_eq!(train.image(1), [0, 102, 255, 255, 102, 255]);
        assert_eq!(
            train.iter().collect::<Vec<_>>(),
            [(train.image(0), 1), (train.image(1), 0)]
        );
        assert!(test.is_empty());
        assert_eq!((test.stride(), test.iter().len()), (0, 0));
    }

    #[test]
    #[should_panic(expected = "image 2 of a split that holds 2")]
    fn there_is_no_image_past_the_last() {
        let _ = tiny().train.image(2);
    }
}
