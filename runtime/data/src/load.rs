//! From the name of a data set to its images, all of them or some.

use std::num::NonZeroUsize;

use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind, name};
use crate::options::{LoadOptions, Preview, Selection};
use crate::spec::DataSpec;
use crate::{archive, cifar, folder, glyphs};

impl Dataset {
    /// Loads both splits of a data set.
    ///
    /// The result depends only on the specification, the options and the files: not on threads, nor
    /// on the order in which the file system lists a folder.
    ///
    /// # Errors
    ///
    /// [`DataError`]: what is wrong with the data set or the options.
    pub fn load(spec: &DataSpec, options: &LoadOptions) -> Result<Self, DataError> {
        Ok(load(spec, options, Selection::All)?.dataset)
    }

    /// Loads `count` images that are evenly spaced in the training split, or all if it has fewer.
    /// No other image is decoded, and of CIFAR's files and the built-in set no other is read or
    /// drawn. An archive is read to its end.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), but images that are not decoded are not checked.
    pub fn preview(
        spec: &DataSpec,
        options: &LoadOptions,
        count: NonZeroUsize,
    ) -> Result<Preview, DataError> {
        load(spec, options, Selection::Preview(count))
    }

    /// Loads the images with these indices into the training split, which must ascend; those beyond its end
    /// are left out. Otherwise as [`preview`](Self::preview).
    ///
    /// # Errors
    ///
    /// As [`preview`](Self::preview).
    pub fn pick(
        spec: &DataSpec,
        options: &LoadOptions,
        images: &[usize],
    ) -> Result<Preview, DataError> {
        load(spec, options, Selection::Images(images))
    }
}

fn load(
    spec: &DataSpec,
    options: &LoadOptions,
    selection: Selection<'_>,
) -> Result<Preview, DataError> {
    if !matches!(spec, DataSpec::Folder(_) | DataSpec::Tar(_)) {
        options.refuse_groups()?;
    }
    match spec {
        DataSpec::Glyphs { shifted, seed } => glyphs::load(*shifted, *seed, options, selection),
        DataSpec::Folder(folder) => folder::load(folder, options, selection),
        DataSpec::Tar(file) => archive::load(file, options, selection),
        DataSpec::Cifar10(folder) => cifar::CIFAR_10.load(folder, options, selection),
        DataSpec::Cifar100(folder) => cifar::CIFAR_100.load(folder, options, selection),
        DataSpec::Coco { .. } | DataSpec::Yolo(_) | DataSpec::Masks(_) => {
            let message = format!(
                "`{}` has no classes of images to train with; it can be augmented",
                name(&spec.to_string())
            );
            Err(DataError::new(DataErrorKind::Usage, message))
        }
    }
}
