//! A data set in a folder: `DIR/train/<class>/*` and `DIR/test/<class>/*`.
//!
//! - The classes are the folders in `train`, sorted by name; `test` must have the same ones.
//!   Images are ordered by class and then by file name, byte by byte, whatever the file system
//!   says.
//! - Every file in a class folder has to be an image; a file's format is told by its content, not
//!   by its name. Names that begin with a dot, `Thumbs.db` and `desktop.ini` are passed over. A
//!   folder in a class folder is an error, because its images would be missed silently. Files
//!   beside the class folders are ignored: they have no class.
//! - Symbolic links are followed. As nothing below the class folders is entered, links cannot lead
//!   in circles.
//! - How an image becomes pixels stands in `folder/decode.rs`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{DataError, Dataset, LoadOptions, Split, Unreadable};
use decode::Refusal;

pub(super) mod decode;
#[cfg(test)]
mod tests;

/// The most bytes that the pixels of both splits may take.
const MAX_BYTES: u64 = 8 << 30;
/// The largest side that can be asked for.
const MAX_SIDE: u32 = 4_096;

pub(super) fn load(folder: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    let side = options.image_size;
    if let Some(size) = side.filter(|side| !(1..=MAX_SIDE).contains(side)) {
        let advice = "give a number of pixels from 1 to 4096";
        return Err(DataError::ImageSize { size, advice });
    }
    let listing = Listing::read(folder)?;
    let size = listing.common_size(side)?;
    let mut pixels = listing.reserve(size)?;
    listing.decode_into(&mut pixels, size, side)?;

    let (train_labels, test_labels) = (labels(&listing.train), labels(&listing.test));
    let test_pixels = pixels.split_off(train_labels.len() * stride(size));
    Ok(Dataset {
        classes: listing.classes,
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

/// The files of a data set, by split and class.
struct Listing {
    classes: Vec<String>,
    train: Vec<Vec<PathBuf>>,
    test: Vec<Vec<PathBuf>>,
}

impl Listing {
    fn read(folder: &Path) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(DataError::MissingFolder {
                path: folder.into(),
            });
        }
        let train = class_folders(&folder.join("train"))?;
        let test = class_folders(&folder.join("test"))?;
        let without = |from: &[(String, PathBuf)], other: &[(String, PathBuf)]| -> Vec<String> {
            let names = from.iter().map(|(name, _)| name);
            let missing = names.filter(|&name| other.iter().all(|(known, _)| known != name));
            missing.cloned().collect()
        };
        let (only_train, only_test) = (without(&train, &test), without(&test, &train));
        if !only_train.is_empty() || !only_test.is_empty() {
            return Err(DataError::ClassesDiffer {
                path: folder.into(),
                only_train,
                only_test,
            });
        }
        let files = |classes: &[(String, PathBuf)]| -> Result<Vec<_>, _> {
            classes.iter().map(|(_, path)| image_files(path)).collect()
        };
        Ok(Self {
            train: files(&train)?,
            test: files(&test)?,
            classes: train.into_iter().map(|(name, _)| name).collect(),
        })
    }

    fn files(&self) -> Vec<&Path> {
        let both = self.train.iter().chain(&self.test);
        both.flatten().map(PathBuf::as_path).collect()
    }

    /// The size that was asked for, or that of the first file that can be decoded. Where none can,
    /// every file is unreadable.
    fn common_size(&self, side: Option<u32>) -> Result<(u32, u32), DataError> {
        if let Some(side) = side {
            return Ok((side, side));
        }
        let mut refused = Vec::new();
        for path in self.files() {
            match decode::read(path, None) {
                Ok(picture) => return Ok(picture.size()),
                Err(refusal) => refused.push(refusal.of(path)),
            }
        }
        Err(DataError::Unreadable { files: refused })
    }

    /// Black pixels for all images.
    fn reserve(&self, size: (u32, u32)) -> Result<Vec<u8>, DataError> {
        let images = self.files().len();
        let too_large = || DataError::TooLarge {
            images,
            size,
            bytes: images as u128 * stride(size) as u128,
            limit: MAX_BYTES,
        };
        let bytes = images.checked_mul(stride(size)).ok_or_else(too_large)?;
        let mut pixels = Vec::new();
        if bytes as u64 > MAX_BYTES || pixels.try_reserve_exact(bytes).is_err() {
            return Err(too_large());
        }
        pixels.resize(bytes, 0);
        Ok(pixels)
    }

    fn decode_into(
        &self,
        pixels: &mut [u8],
        expected: (u32, u32),
        side: Option<u32>,
    ) -> Result<(), DataError> {
        let files = self.files();
        let problems: Vec<_> = pixels
            .par_chunks_exact_mut(stride(expected))
            .zip(&files)
            .filter_map(|(place, path)| match decode::read(path, side) {
                Err(refusal) => Some(Problem::Unreadable(refusal.of(path))),
                Ok(picture) if picture.size() != expected => {
                    Some(Problem::Size(path.to_path_buf(), picture.size()))
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
                first: files[0].into(),
                first_size: expected,
            })
        })
    }
}

/// The bytes of one image.
fn stride((width, height): (u32, u32)) -> usize {
    width as usize * height as usize * 3
}

enum Problem {
    Unreadable(Unreadable),
    Size(PathBuf, (u32, u32)),
}

impl Refusal {
    fn of(self, path: &Path) -> Unreadable {
        Unreadable {
            path: path.into(),
            reason: self.0,
        }
    }
}

fn labels(classes: &[Vec<PathBuf>]) -> Vec<u32> {
    let of_class = |(label, files): (u32, &Vec<PathBuf>)| vec![label; files.len()];
    (0..).zip(classes).flat_map(of_class).collect()
}

/// The class folders of one split, sorted by name.
fn class_folders(split: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    if !split.is_dir() {
        return Err(DataError::MissingSplit { path: split.into() });
    }
    let mut classes = Vec::new();
    for path in visible_entries(split)? {
        if !path.is_dir() {
            continue;
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => classes.push((name.to_owned(), path)),
            None => return Err(DataError::ClassName { path }),
        }
    }
    if classes.is_empty() {
        return Err(DataError::NoClasses { path: split.into() });
    }
    Ok(classes)
}

/// The files of one class, sorted by name.
fn image_files(class: &Path) -> Result<Vec<PathBuf>, DataError> {
    let files = visible_entries(class)?;
    if files.is_empty() {
        return Err(DataError::EmptyClass { path: class.into() });
    }
    match files.iter().find(|path| path.is_dir()) {
        Some(path) => Err(DataError::NestedFolder { path: path.clone() }),
        None => Ok(files),
    }
}

fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let at_folder = |source| DataError::Io {
        path: folder.into(),
        source,
    };
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(at_folder)?.collect();
    let mut names: Vec<_> = entries
        .map_err(at_folder)?
        .into_iter()
        .map(|entry| entry.file_name())
        .filter(|name| !is_hidden(&name.to_string_lossy()))
        .collect();
    names.sort_unstable();
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Whether an operating system puts files of this name beside pictures of its own accord, or hides
/// them from its users.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
        || name.eq_ignore_ascii_case("thumbs.db")
        || name.eq_ignore_ascii_case("desktop.ini")
}
