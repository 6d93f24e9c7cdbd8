//! Which images of a data set are loaded.

use std::num::NonZeroUsize;

use crate::dataset::Dataset;

/// Some images of a data set, for showing them: see [`Dataset::preview`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The classes, the images' size, and the chosen training images. The test split is empty.
    pub dataset: Dataset,
    /// How many images the whole training split has.
    pub train_images: usize,
}

/// Which images are loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection {
    /// Those of both splits.
    All,
    /// At most this many that are evenly spaced in the training split, and none of the test split.
    Preview(NonZeroUsize),
}

impl Selection {
    /// What is selected of the training split, in order.
    pub(crate) fn train<T>(self, images: Vec<T>) -> Vec<T> {
        let Self::Preview(count) = self else {
            return images;
        };
        let total = images.len();
        let count = count.get().min(total);
        let mut wanted = (0..count).map(|image| image * total / count).peekable();
        let images = images.into_iter().enumerate();
        let wanted = images.filter(|(index, _)| wanted.next_if_eq(index).is_some());
        wanted.map(|(_, image)| image).collect()
    }

    /// What is selected of the test split, in order.
    pub(crate) fn test<T>(self, images: Vec<T>) -> Vec<T> {
        match self {
            Self::All => images,
            Self::Preview(_) => Vec::new(),
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
        assert_eq!(Selection::All.train(indices(10)), indices(10));
        assert_eq!(Selection::All.test(indices(10)), indices(10));
    }
}
