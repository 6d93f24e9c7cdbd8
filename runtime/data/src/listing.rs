//! The images of a data set as encoded files, by split and class, and how they become a
//! [`Dataset`]. It does not matter here whether the files lie in a folder or in an archive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::decode::{self, Picture, Refusal};
use super::{DataError, Dataset, LoadOptions, Split, Unreadable};

/// The most bytes that the pixels of both splits may take.
pub(super) const MAX_BYTES: u64 = 8 << 30;
/// The largest side that can be asked for.
const MAX_SIDE: u32 = 4_096;

/// The encoded images of a data set.
pub(super) struct Listing {
    /// The names of the classes, sorted.
    pub(super) classes: Vec<String>,
    /// The images of every class, sorted by file name.
    pub(super) train: Vec<Vec<Source>>,
    /// The images of every class, sorted by file name.
    pub(super) test: Vec<Vec<Source>>,
}

/// One encoded image.
pub(super) struct Source {
    /// What messages call it.
    pub(super) path: PathBuf,
    /// Where its bytes are.
    pub(super) content: Content,
}

/// Where the bytes of an image are.
pub(super) enum Content {
    /// In the file that the path names.
    OnDisk,
    /// In memory.
    Held(Vec<u8>),
    /// They cannot be had, for this reason.
    Refused(Cow<'static, str>),
}

/// The side that was asked for, where it can be had.
pub(super) fn side(options: &LoadOptions) -> Result<Option<u32>, DataError> {
    match options.image_size {
        Some(size) if !(1..=MAX_SIDE).contains(&size) => {
            let advice = "give a number of pixels from 1 to 4096";
            Err(DataError::ImageSize { size, advice })
        }
        side => Ok(side),
    }
}

/// Checks that both splits of the data set at `path` have the same classes.
pub(super) fn same_classes<T>(
    path: &Path,
    train: &BTreeMap<String, T>,
    test: &BTreeMap<String, T>,
) -> Result<(), DataError> {
    let without = |from: &BTreeMap<String, T>, other: &BTreeMap<String, T>| -> Vec<String> {
        let missing = from.keys().filter(|&name| !other.contains_key(name));
        missing.cloned().collect()
    };
    let (only_train, only_test) = (without(train, test), without(test, train));
    if only_train.is_empty() && only_test.is_empty() {
        return Ok(());
    }
    Err(DataError::ClassesDiffer {
        path: path.into(),
        only_train,
        only_test,
    })
}

/// Black pixels for so many images.
pub(super) fn reserve(images: usize, size: (u32, u32)) -> Result<Vec<u8>, DataError> {
    let bytes = within_limit(images, size)?;
    let mut pixels = Vec::new();
    if pixels.try_reserve_exact(bytes).is_err() {
        return Err(too_large(images, size));
    }
    pixels.resize(bytes, 0);
    Ok(pixels)
}

/// The bytes of so many images, where they may be held.
pub(super) fn within_limit(images: usize, size: (u32, u32)) -> Result<usize, DataError> {
    let bytes = images.checked_mul(stride(size));
    let held = bytes.filter(|&bytes| bytes as u64 <= MAX_BYTES);
    held.ok_or_else(|| too_large(images, size))
}

fn too_large(images: usize, size: (u32, u32)) -> DataError {
    DataError::TooLarge {
        images,
        size,
        bytes: images as u128 * stride(size) as u128,
        limit: MAX_BYTES,
    }
}

/// The bytes of one image.
pub(super) fn stride((width, height): (u32, u32)) -> usize {
    width as usize * height as usize * 3
}

/// Whether an operating system puts files of this name beside pictures of its own accord, or hides
/// them from its users.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
        || name.eq_ignore_ascii_case("thumbs.db")
        || name.eq_ignore_ascii_case("desktop.ini")
}

impl Listing {
    /// Decodes all images and, where `side` is given, brings them to squares of that side.
    pub(super) fn load(self, side: Option<u32>) -> Result<Dataset, DataError> {
        let size = self.common_size(side)?;
        let mut pixels = reserve(self.sources().len(), size)?;
        self.decode_into(&mut pixels, size, side)?;

        let (train_labels, test_labels) = (labels(&self.train), labels(&self.test));
        let test_pixels = pixels.split_off(train_labels.len() * stride(size));
        Ok(Dataset {
            classes: self.classes,
            width: size.0 as usize,
            height: size.1 as usize,
            train: Split {
                pixels,
                labels: train_labels,
            },
            test: Split {
                pixels: test_pixels,
                labels: test_labels,
            },
        })
    }

    fn sources(&self) -> Vec<&Source> {
        self.train.iter().chain(&self.test).flatten().collect()
    }

    /// The size that was asked for, or that of the first image that can be decoded. Where none can,
    /// every image is unreadable.
    fn common_size(&self, side: Option<u32>) -> Result<(u32, u32), DataError> {
        if let Some(side) = side {
            return Ok((side, side));
        }
        let mut refused = Vec::new();
        for source in self.sources() {
            match source.decode(None) {
                Ok(picture) => return Ok(picture.size()),
                Err(file) => refused.push(file),
            }
        }
        Err(DataError::Unreadable { files: refused })
    }

    fn decode_into(
        &self,
        pixels: &mut [u8],
        expected: (u32, u32),
        side: Option<u32>,
    ) -> Result<(), DataError> {
        let sources = self.sources();
        let problems: Vec<_> = pixels
            .par_chunks_exact_mut(stride(expected))
            .zip(&sources)
            .filter_map(|(place, source)| match source.decode(side) {
                Err(file) => Some(Problem::Unreadable(file)),
                Ok(picture) if picture.size() != expected => {
                    Some(Problem::Size(source.path.clone(), picture.size()))
                }
                Ok(picture) => {
                    place.copy_from_slice(&picture.samples);
                    None
                }
            })
            .collect();

        // What cannot be read at all is told first: its repair may also repair the sizes.
        let mut unreadable = Vec::new();
        let mut odd_one = None;
        for problem in problems {
            match problem {
                Problem::Unreadable(file) => unreadable.push(file),
                Problem::Size(path, size) => odd_one = odd_one.or(Some((path, size))),
            }
        }
        if !unreadable.is_empty() {
            return Err(DataError::Unreadable { files: unreadable });
        }
        odd_one.map_or(Ok(()), |(path, size)| {
            // As all files can be read, the size that is expected is that of the very first.
            Err(DataError::UnequalSizes {
                path,
                size,
                first: sources[0].path.clone(),
                first_size: expected,
            })
        })
    }
}

impl Source {
    fn decode(&self, side: Option<u32>) -> Result<Picture, Unreadable> {
        let decoded = match &self.content {
            Content::OnDisk => decode::read(&self.path, side),
            Content::Held(bytes) => decode::read_bytes(bytes, side),
            Content::Refused(reason) => Err(Refusal(reason.clone().into_owned())),
        };
        decoded.map_err(|refusal| refusal.of(&self.path))
    }
}

enum Problem {
    Unreadable(Unreadable),
    Size(PathBuf, (u32, u32)),
}

fn labels(classes: &[Vec<Source>]) -> Vec<u32> {
    let of_class = |(label, images): (u32, &Vec<Source>)| vec![label; images.len()];
    (0..).zip(classes).flat_map(of_class).collect()
}
