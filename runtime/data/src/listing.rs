//! The images of a data set by split and class, wherever its files are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::assembly::Assembly;
use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind::Layout, name};
use crate::load::{LoadOptions, Preview, Selection};

/// The images of a split, by the name of their class; those of a class are in order.
pub(crate) type Classes<T> = BTreeMap<String, Vec<T>>;

pub(crate) struct Listing<T> {
    classes: Vec<String>,
    train: Vec<(u32, T)>,
    test: Vec<(u32, T)>,
}

impl<T> Listing<T> {
    /// Checks the splits `train` and `test` of the data set at `path`; `locate` returns the path of
    /// something within it.
    pub(crate) fn new(
        path: &Path,
        locate: impl Fn(&str) -> PathBuf,
        [train, test]: [Option<Classes<T>>; 2],
    ) -> Result<Self, DataError> {
        let fault = |inner: &str, words: &str| DataError::of(Layout, &locate(inner), words);
        let checked = |split, classes: Option<Classes<T>>| match classes {
            None => Err(fault(
                split,
                "is missing; create it, with a folder of images for each class",
            )),
            Some(classes) if classes.is_empty() => Err(fault(
                split,
                "has no class folders; put the images of each class into a folder named after the \
                 class",
            )),
            Some(classes) => Ok(classes),
        };
        let (train, test) = (checked("train", train)?, checked("test", test)?);
        let one_sided =
            [("train", &train, &test), ("test", &test, &train)].map(|(split, has, lacks)| {
                let only: Vec<_> = (has.keys().filter(|&class| !lacks.contains_key(class)))
                    .map(|class| name(class))
                    .collect();
                (!only.is_empty()).then(|| format!("only {split} has {}; ", only.join(", ")))
            });
        if one_sided.iter().any(Option::is_some) {
            let differences: String = one_sided.into_iter().flatten().collect();
            let words = format!(
                "has different classes in train and test: {differences}give each class a folder of \
                 the same name in both"
            );
            return Err(DataError::of(Layout, path, words));
        }
        for (split, classes) in [("train", &train), ("test", &test)] {
            if let Some((class, _)) = classes.iter().find(|(_, images)| images.is_empty()) {
                let words = "has no images; add some, or remove this class from both splits";
                return Err(fault(&format!("{split}/{class}"), words));
            }
        }
        Ok(Self {
            classes: train.keys().cloned().collect(),
            train: labelled(train),
            test: labelled(test),
        })
    }

    /// Decodes the selected images. `path_of` returns an image's name in messages; `feed` hands the
    /// encoded images to the assembly, each with its index.
    pub(crate) fn load(
        self,
        options: &LoadOptions,
        selection: Selection,
        path_of: impl Fn(&T) -> PathBuf,
        feed: impl FnOnce(&[T], &mut Assembly) -> Result<(), DataError>,
    ) -> Result<Preview, DataError> {
        let train_images = self.train.len();
        let mut selected = selection.train(self.train);
        let split_at = selected.len();
        selected.extend(selection.test(self.test));
        let (labels, images): (Vec<_>, Vec<_>) = selected.into_iter().unzip();
        let paths = images.iter().map(path_of).collect();
        let mut assembly = Assembly::new(paths, options.side()?)?;
        feed(&images, &mut assembly)?;
        let (size, pixels) = assembly.finish()?;
        Ok(Preview {
            dataset: Dataset::from_parts(self.classes, size, pixels, labels, split_at),
            train_images,
        })
    }
}

fn labelled<T>(classes: Classes<T>) -> Vec<(u32, T)> {
    let of_class = |(label, images): (u32, Vec<T>)| {
        let images = images.into_iter();
        images.map(move |image| (label, image))
    };
    (0..)
        .zip(classes.into_values())
        .flat_map(of_class)
        .collect()
}
