//! Data sets as they are in memory.

use faa_op::math;

/// A data set with its two splits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dataset {
    /// The names of the classes; a label is an index into this list.
    pub classes: Vec<String>,
    /// Width of every image, in pixels.
    pub width: usize,
    /// Height of every image, in pixels.
    pub height: usize,
    /// The images that networks are trained on and policies are searched on.
    pub train: Split,
    /// The images that results are measured on.
    pub test: Split,
    /// What its user may not have meant, in words: such as files that are not used.
    pub warnings: Vec<String>,
}

/// Images with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// All pixels: image after image, row after row, red, green and blue interleaved.
    pub pixels: Vec<u8>,
    /// The class of every image.
    pub labels: Vec<u32>,
    /// The group of every image; empty if they are not grouped. Images of a group are alike, such as
    /// the frames of a video, and should be on the same side of a split.
    pub groups: Vec<u32>,
}

/// Mean and standard deviation of every channel: red, green, blue, on a scale where 1 is the
/// brightest value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// The means.
    pub mean: [f64; 3],
    /// The standard deviations of the pixels as a whole population.
    pub std: [f64; 3],
}

impl ChannelStatistics {
    /// Statistics with these means and standard deviations.
    pub fn new(mean: [f64; 3], std: [f64; 3]) -> Self {
        Self { mean, std }
    }
}

impl Dataset {
    /// A data set of images of this width and height, in pixels. A label is an index into `classes`.
    #[must_use]
    pub fn new(
        classes: Vec<String>,
        (width, height): (usize, usize),
        train: Split,
        test: Split,
    ) -> Self {
        Self {
            classes,
            width,
            height,
            train,
            test,
            warnings: Vec::new(),
        }
    }

    /// A data set of which the first `split_at` images are the training split.
    pub(crate) fn from_parts(
        classes: Vec<String>,
        (width, height): (u32, u32),
        mut pixels: Vec<u8>,
        mut labels: Vec<u32>,
        split_at: usize,
    ) -> Self {
        let size = (width as usize, height as usize);
        let test_pixels = pixels.split_off(split_at * size.0 * size.1 * 3);
        let test = Split::new(test_pixels, labels.split_off(split_at));
        Self::new(classes, size, Split::new(pixels, labels), test)
    }

    /// Mean and standard deviation of the training split's channels; zero where it is empty.
    ///
    /// The sums are exact integers, so the result does not depend on the order of the images.
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

    /// FNV-1a, 64 bits, of the class names, labels, pixels and groups of both splits. Data sets that
    /// differ in any of them differ in it, except for rare collisions.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let names = self.classes.iter().flat_map(|name| name.bytes().chain([0]));
        let splits = [&self.train, &self.test].into_iter().flat_map(|split| {
            let labels = split.labels.iter().flat_map(|label| label.to_le_bytes());
            let groups = split.groups.iter().flat_map(|group| group.to_le_bytes());
            labels.chain(split.pixels.iter().copied()).chain(groups)
        });
        faa_system::fnv1a(names.chain(splits))
    }
}

impl Split {
    /// Images, all pixels one after the other, and the class of each.
    #[must_use]
    pub fn new(pixels: Vec<u8>, labels: Vec<u32>) -> Self {
        Self {
            pixels,
            labels,
            groups: Vec::new(),
        }
    }

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
        let count = self.len();
        assert!(index < count, "image {index} of a split that holds {count}");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Dataset {
        let pixels = vec![0, 51, 255, 255, 51, 255, 0, 102, 255, 255, 102, 255];
        let train = Split::new(pixels, vec![1, 0]);
        Dataset::new(
            vec!["a".into(), "b".into()],
            (2, 1),
            train,
            Split::default(),
        )
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
        let mut grouped = tiny();
        grouped.train.groups = vec![0, 1];
        assert!(digest != grouped.digest());
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
        let expected = [(train.image(0), 1), (train.image(1), 0)];
        assert!(train.iter().eq(expected));
        assert!(test.is_empty());
        assert_eq!((test.stride(), test.iter().len()), (0, 0));
    }

    #[test]
    #[should_panic(expected = "image 2 of a split that holds 2")]
    fn there_is_no_image_past_the_last() {
        let _ = tiny().train.image(2);
    }
}
