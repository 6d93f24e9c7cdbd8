//! The images of a data set as encoded files, by split and class, and how they become a
//! [`Dataset`]. Whether the files are in a folder or in an archive does not matter here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::iter::Either;
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::decode::{self, Refusal};
use crate::error::{DataError, Unreadable};
use crate::selection::{Preview, Selection};
use crate::spec::LoadOptions;

/// The maximum size of the pixels of both splits, in bytes.
pub(crate) const MAX_BYTES: u64 = 8 << 30;
/// The largest side that can be requested, in pixels.
const MAX_SIDE: u32 = 4_096;

pub(crate) struct Listing {
    /// The names of the classes, sorted.
    pub(crate) classes: Vec<String>,
    /// The images of each class, sorted by file name.
    pub(crate) train: Vec<Vec<Source>>,
    /// The images of each class, sorted by file name.
    pub(crate) test: Vec<Vec<Source>>,
}

pub(crate) struct Source {
    /// Its name in messages.
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

/// Where the bytes of an image are.
pub(crate) enum Content {
    /// In the file that the path names.
    OnDisk,
    /// In memory.
    Held(Vec<u8>),
    /// Not available, for this reason.
    Refused(Cow<'static, str>),
}

/// The requested side, if it is within its range.
pub(crate) fn side(options: &LoadOptions) -> Result<Option<u32>, DataError> {
    match options.image_size {
        Some(size) if !(1..=MAX_SIDE).contains(&size) => {
            let advice = "give a number of pixels from 1 to 4096";
            Err(DataError::ImageSize { size, advice })
        }
        side => Ok(side),
    }
}

/// Checks that both splits of the data set at `path` have the same classes.
pub(crate) fn same_classes<T>(
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

/// Black pixels for `images` images.
pub(crate) fn reserve(images: usize, size: (u32, u32)) -> Result<Vec<u8>, DataError> {
    let bytes = within_limit(images, size)?;
    let mut pixels = Vec::new();
    if pixels.try_reserve_exact(bytes).is_err() {
        return Err(too_large(images, size));
    }
    pixels.resize(bytes, 0);
    Ok(pixels)
}

/// The bytes that `images` images take, if that is within the limit.
pub(crate) fn within_limit(images: usize, size: (u32, u32)) -> Result<usize, DataError> {
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

/// The bytes of one image of this width and height.
pub(crate) fn stride((width, height): (u32, u32)) -> usize {
    width as usize * height as usize * 3
}

/// Whether an operating system creates files of this name next to pictures, or hides them from its
/// users.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
        || name.eq_ignore_ascii_case("thumbs.db")
        || name.eq_ignore_ascii_case("desktop.ini")
}

impl Listing {
    /// Decodes the selected images and, if `side` is given, scales them to squares of that side.
    pub(crate) fn load(
        self,
        side: Option<u32>,
        selection: Selection,
    ) -> Result<Preview, DataError> {
        let (train, test) = (labelled(self.train), labelled(self.test));
        let train_images = train.len();
        let mut images = selection.train(train);
        let split_at = images.len();
        images.extend(selection.test(test));

        let size = common_size(&images, side)?;
        let mut pixels = reserve(images.len(), size)?;
        decode_into(&images, &mut pixels, size, side)?;
        let labels = images.iter().map(|(label, _)| *label).collect();
        Ok(Preview {
            dataset: Dataset::from_parts(self.classes, size, pixels, labels, split_at),
            train_images,
        })
    }
}

type Labelled = (u32, Source);

fn labelled(classes: Vec<Vec<Source>>) -> Vec<Labelled> {
    let of_class = |(label, images): (u32, Vec<Source>)| {
        let images = images.into_iter();
        images.map(move |source| (label, source))
    };
    (0..).zip(classes).flat_map(of_class).collect()
}

/// The requested size, or that of the first image that can be decoded. If none can, every image is
/// unreadable.
fn common_size(images: &[Labelled], side: Option<u32>) -> Result<(u32, u32), DataError> {
    if let Some(side) = side {
        return Ok((side, side));
    }
    let mut refused = Vec::new();
    for (_, source) in images {
        match source.decode(None) {
            Ok(picture) => return Ok(picture.dimensions()),
            Err(file) => refused.push(file),
        }
    }
    Err(DataError::Unreadable(refused))
}

fn decode_into(
    images: &[Labelled],
    pixels: &mut [u8],
    expected: (u32, u32),
    side: Option<u32>,
) -> Result<(), DataError> {
    let (unreadable, different): (Vec<_>, Vec<_>) = pixels
        .par_chunks_exact_mut(stride(expected))
        .zip(images)
        .filter_map(|(target, (_, source))| match source.decode(side) {
            Err(file) => Some(Either::Left(file)),
            Ok(picture) if picture.dimensions() != expected => {
                Some(Either::Right((&source.path, picture.dimensions())))
            }
            Ok(picture) => {
                target.copy_from_slice(&picture);
                None
            }
        })
        .partition_map(|problem| problem);
    // Unreadable files are reported first: their repair may also repair the sizes.
    if !unreadable.is_empty() {
        return Err(DataError::Unreadable(unreadable));
    }
    match different.first() {
        None => Ok(()),
        // As all files can be read, the expected size is that of the very first.
        Some(&(path, size)) => Err(DataError::UnequalSizes {
            path: path.clone(),
            size,
            first: images[0].1.path.clone(),
            first_size: expected,
        }),
    }
}

impl Source {
    fn decode(&self, side: Option<u32>) -> Result<RgbImage, Unreadable> {
        let decoded = match &self.content {
            Content::OnDisk => decode::read(&self.path, side),
            Content::Held(bytes) => decode::read_bytes(bytes, side),
            Content::Refused(reason) => Err(Refusal(reason.clone().into_owned())),
        };
        decoded.map_err(|refusal| refusal.of(&self.path))
    }
}
