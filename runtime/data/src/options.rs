//! What can be chosen when a data set is loaded, and which images are.

use std::num::NonZeroUsize;

use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind};

/// The largest side that can be requested, in pixels.
const MAX_SIDE: u32 = 4_096;

/// What can be chosen when a data set is loaded. The default keeps the images' size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The side, in pixels, of the square that every image is cropped at the centre and scaled to.
    /// `None` keeps the images' size, which must then be the same for all.
    pub image_size: Option<u32>,
}

/// Some images of a data set, for showing them: see [`Dataset::preview`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The classes, the images' size, and the chosen training images. The test split is empty.
    pub dataset: Dataset,
    /// How many images the whole training split has.
    pub train_images: usize,
}

impl LoadOptions {
    /// Options with this [`image_size`](Self::image_size).
    #[must_use]
    pub fn sized(image_size: Option<u32>) -> Self {
        Self { image_size }
    }

    /// The requested side, if it is within its range.
    pub(crate) fn side(&self) -> Result<Option<u32>, DataError> {
        match self.image_size {
            Some(size) if !(1..=MAX_SIDE).contains(&size) => Err(impossible_size(
                size,
                "give a number of pixels from 1 to 4096",
            )),
            side => Ok(side),
        }
    }
}

pub(crate) fn impossible_size(size: u32, advice: &str) -> DataError {
    let message = format!("`--image-size {size}` is not possible for this data set; {advice}");
    DataError::new(DataErrorKind::Usage, message)
}

/// Which images are loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    /// Those of both splits.
    All,
    /// At most this many that are evenly spaced in the training split, and none of the test split.
    Preview(NonZeroUsize),
    /// Those with these indices into the training split, ascending, and none of the test split.
    Images(&'a [usize]),
}

impl Selection<'_> {
    /// What is selected of the training split, in order.
    pub(crate) fn train<T>(self, images: Vec<T>) -> Vec<T> {
        let total = images.len();
        let wanted: Vec<usize> = match self {
            Self::All => return images,
            Self::Preview(count) => {
                let count = count.get().min(total);
                (0..count).map(|image| image * total / count).collect()
            }
            Self::Images(indices) => indices.to_vec(),
        };
        let images = images.into_iter().enumerate();
        let wanted = images.filter(|(index, _)| wanted.binary_search(index).is_ok());
        wanted.map(|(_, image)| image).collect()
    }

    /// What is selected of the test split, in order.
    pub(crate) fn test<T>(self, images: Vec<T>) -> Vec<T> {
        match self {
            Self::All => images,
            Self::Preview(_) | Self::Images(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_evenly_spaced_in_the_training_split() {
        let preview = |count| Selection::Preview(NonZeroUsize::new(count).unwrap());
        let indices = |total: usize| (0..total).collect::<Vec<usize>>();
        assert_eq!(preview(3).train(indices(10)), [0, 3, 6]);
        assert_eq!(preview(1).train(indices(10)), [0]);
        assert_eq!(preview(12).train(indices(10)), indices(10));
        assert!(preview(3).train(indices(0)).is_empty());
        assert!(preview(3).test(indices(10)).is_empty());
        let chosen = Selection::Images(&[2, 7, 12]);
        assert_eq!(chosen.train(indices(10)), [2, 7]);
        assert!(chosen.test(indices(10)).is_empty());
        assert_eq!(Selection::All.train(indices(10)), indices(10));
        assert_eq!(Selection::All.test(indices(10)), indices(10));
    }
}
