//! What can be chosen when a data set is loaded, and which images are.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind, name};

/// The largest [`LoadOptions::image_size`], in pixels.
pub const MAX_SIDE: u32 = 4_096;

/// What can be chosen when a data set is loaded. The default keeps the images' size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The side, in pixels, of the square that every image is cropped at the centre and scaled to.
    /// `None` keeps the images' size, which must then be the same for all.
    pub image_size: Option<u32>,
    /// Groups training images of a class whose file names are equal up to the first occurrence of
    /// this text: [`Split::groups`](crate::Split::groups). A name without it is a group of its own.
    pub group_by: Option<String>,
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
        Self {
            image_size,
            ..Self::default()
        }
    }

    /// These options with this [`group_by`](Self::group_by).
    #[must_use]
    pub fn grouped_by(self, group_by: Option<String>) -> Self {
        Self { group_by, ..self }
    }

    /// The group of every image, given its class and file name.
    pub(crate) fn groups(
        &self,
        images: impl Iterator<Item = (u32, String)>,
    ) -> Result<Vec<u32>, DataError> {
        let Some(separator) = &self.group_by else {
            return Ok(Vec::new());
        };
        let (mut numbers, mut groups, mut found) = (HashMap::new(), Vec::new(), false);
        for (label, mut name) in images {
            if let Some(end) = name.find(separator).filter(|_| !separator.is_empty()) {
                name.truncate(end);
                found = true;
            }
            let next = numbers.len() as u32;
            groups.push(*numbers.entry((label, name)).or_insert(next));
        }
        match found {
            true => Ok(groups),
            false => Err(DataError::new(
                DataErrorKind::Usage,
                format!(
                    "`--group-by {}` groups nothing: no training image has this text in its file name",
                    name(separator)
                ),
            )),
        }
    }

    /// That the images, which are not files, cannot be grouped.
    pub(crate) fn refuse_groups(&self) -> Result<(), DataError> {
        match self.group_by {
            None => Ok(()),
            Some(_) => Err(DataError::new(
                DataErrorKind::Usage,
                "`--group-by` needs the names of image files, which this data set does not have"
                    .to_owned(),
            )),
        }
    }

    /// The requested side, if it is within its range.
    pub(crate) fn side(&self) -> Result<Option<u32>, DataError> {
        match self.image_size {
            Some(size) if !(1..=MAX_SIDE).contains(&size) => Err(impossible_size(
                size,
                &format!("give a number of pixels from 1 to {MAX_SIDE}"),
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
