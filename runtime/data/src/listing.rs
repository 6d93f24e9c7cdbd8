//! The images of a data set by split and class, wherever its files are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::assembly::Assembly;
use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind::Layout, name, shown, text_of};
use crate::options::{LoadOptions, Preview, Selection};

/// The images of a split, by the name of their class; those of a class are in order.
pub(crate) type Classes<T> = BTreeMap<String, Vec<T>>;

/// What is in the folder of a split.
pub(crate) struct SplitFolder<T> {
    pub(crate) classes: Classes<T>,
    /// The names of the files beside the class folders.
    pub(crate) beside: Vec<String>,
}

impl<T> Default for SplitFolder<T> {
    fn default() -> Self {
        let (classes, beside) = (Classes::new(), Vec::new());
        Self { classes, beside }
    }
}

/// What a data set has of splits and classes.
pub(crate) struct ImageFolders<T> {
    /// Where there are no class folders, the only class has no name.
    pub(crate) splits: Vec<(Option<ImageSplit>, SplitFolder<T>)>,
    /// The names of the folders beside the splits.
    pub(crate) beside: Vec<String>,
}

impl<T> ImageFolders<T> {
    /// Those of a data set without splits. If it has no class folders, `all` are its images.
    pub(crate) fn without_splits(mut found: SplitFolder<T>, all: impl FnOnce() -> Vec<T>) -> Self {
        if found.classes.is_empty() {
            found.classes.insert(String::new(), all());
            found.beside.clear();
        }
        let (splits, beside) = (vec![(None, found)], Vec::new());
        Self { splits, beside }
    }
}

/// A split of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageSplit {
    /// The images to train on.
    Train,
    /// The images to choose options with.
    Val,
    /// The images to measure results on.
    Test,
}

impl fmt::Display for ImageSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        })
    }
}

pub(crate) struct Listing<T> {
    classes: Vec<String>,
    warnings: Vec<String>,
    train: Vec<(u32, T)>,
    test: Vec<(u32, T)>,
}

impl<T> Listing<T> {
    /// Checks the splits `train` and `test` of the data set at `path`; `locate` returns the path of
    /// something within it.
    pub(crate) fn new(
        path: &Path,
        locate: impl Fn(&str) -> PathBuf,
        [train, test]: [Option<SplitFolder<T>>; 2],
    ) -> Result<Self, DataError> {
        let mut warnings = Vec::new();
        let fault = |inner: &str, words: &str| DataError::of(Layout, &locate(inner), words);
        let mut checked = |split, found: Option<SplitFolder<T>>| match found {
            None => Err(fault(
                split,
                "is missing; create it, with a folder of images for each class",
            )),
            Some(found) if found.classes.is_empty() => Err(fault(
                split,
                "has no class folders; put the images of each class into a folder named after the \
                 class",
            )),
            Some(SplitFolder { classes, beside }) => {
                warnings.extend(unused(&locate(split), &beside));
                Ok(classes)
            }
        };
        let (train, test) = (checked("train", train)?, checked("test", test)?);
        let looks = Looks::of(train.keys().chain(test.keys()));
        let one_sided =
            [("train", &train, &test), ("test", &test, &train)].map(|(split, has, lacks)| {
                let only = has.keys().filter(|&class| !lacks.contains_key(class));
                let only: Vec<_> = only.map(|class| looks.tell_apart(class)).collect();
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
        if let (Some(class), 1) = (train.keys().next(), train.len()) {
            let words = format!(
                "has only one class, `{}`: there is nothing to classify; add a folder for another class \
                 to both splits",
                name(class)
            );
            return Err(DataError::of(Layout, path, words));
        }
        for (split, classes) in [("train", &train), ("test", &test)] {
            if let Some((class, _)) = classes.iter().find(|(_, images)| images.is_empty()) {
                let words = "has no images; add some, or remove this class from both splits";
                return Err(fault(&format!("{split}/{class}"), words));
            }
        }
        let alike = train.keys().filter(|class| looks.are_alike(class));
        let alike: Vec<_> = alike.map(|class| looks.tell_apart(class)).collect();
        if !alike.is_empty() {
            let path = shown(path);
            let alike = alike.join(", ");
            warnings.push(format!(
                "{path} has different classes that look the same: {alike}"
            ));
        }
        Ok(Self {
            classes: train.keys().cloned().collect(),
            warnings,
            train: labelled(train),
            test: labelled(test),
        })
    }

    /// With a warning more, if there is one.
    pub(crate) fn with_warning(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }

    /// Decodes the selected images. `path_of` returns an image's name in messages; `feed` hands the
    /// encoded images to the assembly, each with its index.
    pub(crate) fn load(
        self,
        options: &LoadOptions,
        selection: Selection<'_>,
        path_of: impl Fn(&T) -> PathBuf,
        feed: impl FnOnce(&[T], &mut Assembly) -> Result<(), DataError>,
    ) -> Result<Preview, DataError> {
        let train_images = self.train.len();
        let mut selected = selection.train(self.train);
        let split_at = selected.len();
        selected.extend(selection.test(self.test));
        let (labels, images): (Vec<_>, Vec<_>) = selected.into_iter().unzip();
        let paths: Vec<PathBuf> = images.iter().map(path_of).collect();
        let names = paths[..split_at].iter().map(|path| path.file_name());
        let names = names.map(|name| text_of(name.unwrap_or_default().as_encoded_bytes()));
        let groups = options.groups(labels.iter().copied().zip(names))?;
        let mut assembly = Assembly::new(paths, options.side()?)?;
        feed(&images, &mut assembly)?;
        let (size, pixels) = assembly.finish()?;
        let mut dataset = Dataset::from_parts(self.classes, size, pixels, labels, split_at);
        dataset.warnings = self.warnings;
        dataset.train.groups = groups;
        Ok(Preview {
            dataset,
            train_images,
        })
    }
}

/// That files beside the class folders are not used.
pub(crate) fn unused(split: &Path, beside: &[String]) -> Option<String> {
    const MAX_NAMED: usize = 3;
    let named: Vec<_> = beside
        .iter()
        .take(MAX_NAMED)
        .map(|file| name(file))
        .collect();
    let more = if beside.len() > MAX_NAMED {
        ", …"
    } else {
        ""
    };
    (!beside.is_empty()).then(|| {
        format!(
            "{} has files beside the class folders, which are not used ({}): {}{more}",
            shown(split),
            beside.len(),
            named.join(", ")
        )
    })
}

/// The names of classes, by what they look like.
struct Looks(BTreeMap<String, BTreeSet<String>>);

impl Looks {
    fn of<'a>(classes: impl Iterator<Item = &'a String>) -> Self {
        let mut looks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for class in classes {
            looks.entry(look(class)).or_default().insert(class.clone());
        }
        Self(looks)
    }

    /// Whether a different class looks the same.
    fn are_alike(&self, class: &str) -> bool {
        self.0
            .get(&look(class))
            .is_some_and(|alike| alike.len() > 1)
    }

    /// The name of a class; if a different one looks the same, in the form of a string literal.
    fn tell_apart(&self, class: &str) -> String {
        match self.are_alike(class) {
            true => format!("\"{}\"", class.escape_default()),
            false => name(class),
        }
    }
}

/// What a name looks like: accents may be a part of their letters or follow them, and blanks at the
/// ends cannot be seen.
fn look(class: &str) -> String {
    name(class).nfc().collect()
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
