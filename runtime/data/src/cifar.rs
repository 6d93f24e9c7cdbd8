//! CIFAR-10 and CIFAR-100, from the files of their binary versions
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! - A file is a row of records. A record has one label (CIFAR-10) or two of them (CIFAR-100: the
//!   coarse one, then the fine one), a byte each, and a picture of 32×32 pixels: 1,024 bytes of red,
//!   of green and of blue, row after row. The last label of a record is its class.
//! - The order of the images is that of the files and records.
//! - Files may have any number of records above zero, and up to 8 GiB of pixels are read in all,
//!   both as they are in the files and when they are brought to a size.
//! - The classes are named by a file beside them. Where it is missing, CIFAR-10 has the names that
//!   everybody knows, and the classes of CIFAR-100 are called by their numbers.
//! - The files may lie in the folder that is given, or in the one within it that their archive
//!   unpacks to. The archive itself is not read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use super::{DataError, Dataset, LoadOptions, Split};
use super::{decode, listing};

#[cfg(test)]
mod tests;

/// Width and height of every picture, in pixels.
const SIDE: u32 = 32;
/// The bytes of one channel.
const PLANE: usize = (SIDE * SIDE) as usize;
/// How many records are read at once.
const AT_ONCE: usize = 1_000;
/// The most bytes that a file of class names may have.
const MAX_NAMES: u64 = 64 << 10;

/// What distinguishes the two data sets.
struct Version {
    /// What people call it.
    set: &'static str,
    /// The folder that its archive unpacks to.
    unpacked: &'static str,
    /// The files of the training split.
    train: &'static [&'static str],
    /// The file of the test split.
    test: &'static str,
    /// The file of class names.
    names: &'static str,
    /// Class names that are known without it.
    known: &'static [&'static str],
    /// The labels of a record, and the highest value of each.
    labels: &'static [(&'static str, u8)],
}

static CIFAR_10: Version = Version {
    set: "CIFAR-10",
    unpacked: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    known: &[
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ],
    labels: &[("label", 9)],
};

static CIFAR_100: Version = Version {
    set: "CIFAR-100",
    unpacked: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    known: &[],
    labels: &[("coarse label", 19), ("fine label", 99)],
};

pub(super) fn load_10(folder: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    CIFAR_10.load(folder, options)
}

pub(super) fn load_100(folder: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    CIFAR_100.load(folder, options)
}

/// A file and how many records it has.
struct Counted {
    path: PathBuf,
    records: usize,
}

impl Version {
    fn load(&self, given: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
        let side = listing::side(options)?.unwrap_or(SIDE);
        let stride = listing::stride((side, side));
        let folder = self.find(given)?;
        let classes = self.class_names(&folder)?;
        let train = self.count(&folder, self.train)?;
        let test = self.count(&folder, &[self.test])?;

        let total = |files: &[Counted]| files.iter().map(|file| file.records).sum::<usize>();
        let train_images = total(&train);
        let images = train_images + total(&test);
        // Where they are made small, files of any length would do.
        listing::within_limit(images, (SIDE, SIDE))?;
        let mut pixels = listing::reserve(images, (side, side))?;
        let mut labels = Vec::new();
        let mut places = pixels.as_mut_slice();
        for file in train.iter().chain(&test) {
            let (here, rest) = mem::take(&mut places).split_at_mut(file.records * stride);
            self.read(file, here, side, &mut labels)?;
            places = rest;
        }

        let test_pixels = pixels.split_off(train_images * stride);
        let test_labels = labels.split_off(train_images);
        Ok(Dataset {
            classes,
            width: side as usize,
            height: side as usize,
            train: Split { pixels, labels },
            test: Split {
                pixels: test_pixels,
                labels: test_labels,
            },
        })
    }

    /// The folder that has all the files.
    fn find(&self, given: &Path) -> Result<PathBuf, DataError> {
        let missing = |folder: &Path| -> Vec<String> {
            let files = self.train.iter().chain([&self.test]);
            let missing = files.filter(|file| !folder.join(file).is_file());
            missing.map(|&file| file.to_owned()).collect()
        };
        let within = given.join(self.unpacked);
        for folder in [given, within.as_path()] {
            if missing(folder).is_empty() {
                return Ok(folder.into());
            }
        }
        let path = if within.is_dir() {
            within
        } else {
            given.into()
        };
        Err(DataError::MissingFiles {
            missing: missing(&path),
            path,
            set: self.set,
        })
    }

    fn class_names(&self, folder: &Path) -> Result<Vec<String>, DataError> {
        let path = folder.join(self.names);
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.known_names()),
            Err(source) => return Err(DataError::Io { path, source }),
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<_> = lines.map(str::to_owned).collect();
        if names.len() != self.classes() {
            return Err(DataError::ClassNames {
                path,
                found: names.len(),
                expected: self.classes(),
            });
        }
        Ok(names)
    }

    fn known_names(&self) -> Vec<String> {
        let name = |class: usize| match self.known.get(class) {
            Some(&name) => name.to_owned(),
            None => class.to_string(),
        };
        (0..self.classes()).map(name).collect()
    }

    fn classes(&self) -> usize {
        let highest = self.labels.last().map_or(0, |&(_, highest)| highest);
        usize::from(highest) + 1
    }

    /// The bytes of a record.
    fn record(&self) -> usize {
        self.labels.len() + 3 * PLANE
    }

    /// Counts the records of all files before any is read, so that the limit comes first.
    fn count(&self, folder: &Path, files: &[&str]) -> Result<Vec<Counted>, DataError> {
        let counted = |file: &&str| -> Result<Counted, DataError> {
            let path = folder.join(file);
            let metadata = fs::metadata(&path).map_err(|source| DataError::Io {
                path: path.clone(),
                source,
            })?;
            let (bytes, record) = (metadata.len(), self.record());
            if bytes == 0 || !bytes.is_multiple_of(record as u64) {
                return Err(DataError::Records {
                    path,
                    bytes,
                    record,
                });
            }
            let records = (bytes / record as u64) as usize;
            Ok(Counted { path, records })
        };
        files.iter().map(counted).collect()
    }

    /// Reads the records of a file into the place of their pixels, and behind the labels.
    fn read(
        &self,
        file: &Counted,
        pixels: &mut [u8],
        side: u32,
        labels: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let path = &file.path;
        let failed = |source| DataError::Io {
            path: path.clone(),
            source,
        };
        let (record, stride) = (self.record(), listing::stride((side, side)));
        let mut opened = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        let mut number = 0_u64;
        for places in pixels.chunks_mut(AT_ONCE * stride) {
            let expected = places.len() / stride * record;
            bytes.clear();
            let mut part = opened.by_ref().take(expected as u64);
            part.read_to_end(&mut bytes).map_err(failed)?;
            // It has become shorter since it was counted.
            if bytes.len() != expected {
                return Err(DataError::Records {
                    path: path.clone(),
                    bytes: number * record as u64 + bytes.len() as u64,
                    record,
                });
            }
            for record in bytes.chunks_exact(record) {
                number += 1;
                labels.push(self.label(path, number, record)?);
            }
            places
                .par_chunks_exact_mut(stride)
                .zip(bytes.par_chunks_exact(record))
                .for_each(|(place, record)| {
                    let picture = interleaved(&record[self.labels.len()..]);
                    place.copy_from_slice(&decode::centre_square(picture, side));
                });
        }
        Ok(())
    }

    /// The class of a record whose labels are all in range.
    fn label(&self, path: &Path, number: u64, record: &[u8]) -> Result<u32, DataError> {
        let mut class = 0;
        for (&label, &(kind, last)) in record.iter().zip(self.labels) {
            if label > last {
                return Err(DataError::Label {
                    path: path.into(),
                    record: number,
                    kind,
                    label,
                    last,
                });
            }
            class = u32::from(label);
        }
        Ok(class)
    }
}

/// The picture whose channels lie one behind the other.
fn interleaved(planes: &[u8]) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let place = (y * SIDE + x) as usize;
        Rgb([0, 1, 2].map(|channel| planes[channel * PLANE + place]))
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    // Opening a pipe could wait forever.
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > MAX_NAMES {
        let kib = MAX_NAMES >> 10;
        return Err(io::Error::other(format!("it is larger than {kib} KiB")));
    }
    let mut text = String::new();
    File::open(path)?
        .take(MAX_NAMES)
        .read_to_string(&mut text)?;
    Ok(text)
}
