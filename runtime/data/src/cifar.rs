//! CIFAR-10 and CIFAR-100, from the files of their binary versions
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! - A file is a sequence of records. A record has one label (CIFAR-10) or two of them (CIFAR-100: the
//!   coarse one, then the fine one), a byte each, and an image of 32×32 pixels: 1,024 bytes of red,
//!   of green and of blue, row by row. The last label of a record is its class.
//! - The order of the images is that of the files and records.
//! - Files may have any number of records above zero, and up to 8 GiB of pixels are read in all,
//!   both before and after scaling.
//! - A file next to them names the classes. Without it, CIFAR-10 has its well-known names, and the
//!   classes of CIFAR-100 are numbered.
//! - The files may lie in the given folder, or in the folder within it that their archive extracts
//!   to. The archive itself is not read.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::mem;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::selection::{Preview, Selection};
use crate::spec::LoadOptions;
use crate::{decode, listing};

#[cfg(test)]
mod tests;

/// Width and height of every image, in pixels.
const SIDE: u32 = 32;
/// The size of one channel, in bytes.
const PLANE: usize = (SIDE * SIDE) as usize;
/// How many records are read at once.
const AT_ONCE: usize = 1_000;
/// The maximum size of a file of class names, in bytes.
const MAX_NAMES: u64 = 64 << 10;

/// What distinguishes the two data sets.
pub(crate) struct Version {
    /// Its name in messages.
    set: &'static str,
    /// The folder that its archive extracts to.
    extracted: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// The file of class names.
    names: &'static str,
    /// Class names that are known without it.
    known: &'static [&'static str],
    /// The labels of a record, and the highest value of each.
    labels: &'static [(&'static str, u8)],
}

pub(crate) static CIFAR_10: Version = Version {
    set: "CIFAR-10",
    extracted: "cifar-10-batches-bin",
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

pub(crate) static CIFAR_100: Version = Version {
    set: "CIFAR-100",
    extracted: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    known: &[],
    labels: &[("coarse label", 19), ("fine label", 99)],
};

struct Counted {
    path: PathBuf,
    records: usize,
}

/// Records of one file that follow each other.
struct Run<'a> {
    path: &'a Path,
    /// The first record, from 0.
    first: usize,
    records: usize,
}

impl Counted {
    fn total(files: &[Self]) -> usize {
        files.iter().map(|file| file.records).sum()
    }

    /// All records, as runs of at most `length`.
    fn runs(files: &[Self], length: usize) -> Vec<Run<'_>> {
        let runs = files.iter().flat_map(|file| {
            let starts = (0..file.records).step_by(length);
            starts.map(move |first| Run {
                path: &file.path,
                first,
                records: length.min(file.records - first),
            })
        });
        runs.collect()
    }
}

impl Version {
    pub(crate) fn load(
        &self,
        given: &Path,
        options: &LoadOptions,
        selection: Selection,
    ) -> Result<Preview, DataError> {
        let side = listing::side(options)?.unwrap_or(SIDE);
        let stride = listing::stride((side, side));
        let folder = self.find(given)?;
        let classes = self.class_names(&folder)?;
        let train = self.count(&folder, self.train)?;
        let test = self.count(&folder, &[self.test])?;
        let train_images = Counted::total(&train);
        // Scaling images down does not allow for longer files.
        listing::within_limit(train_images + Counted::total(&test), (SIDE, SIDE))?;

        let length = match selection {
            Selection::All => AT_ONCE,
            Selection::Preview(_) => 1,
        };
        let images = |runs: &[Run<'_>]| runs.iter().map(|run| run.records).sum::<usize>();
        let mut runs = selection.train(Counted::runs(&train, length));
        let split_at = images(&runs);
        runs.extend(selection.test(Counted::runs(&test, length)));
        let mut pixels = listing::reserve(images(&runs), (side, side))?;
        let mut labels = Vec::new();
        let mut rest = pixels.as_mut_slice();
        for run in runs {
            let (target, after) = mem::take(&mut rest).split_at_mut(run.records * stride);
            self.read(&run, target, side, &mut labels)?;
            rest = after;
        }
        Ok(Preview {
            dataset: Dataset::from_parts(classes, (side, side), pixels, labels, split_at),
            train_images,
        })
    }

    /// The folder that has all the files.
    fn find(&self, given: &Path) -> Result<PathBuf, DataError> {
        let missing = |folder: &Path| -> Vec<String> {
            let files = self.train.iter().chain([&self.test]);
            let missing = files.filter(|file| !folder.join(file).is_file());
            missing.map(|&file| file.to_owned()).collect()
        };
        let within = given.join(self.extracted);
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

    /// The size of a record, in bytes.
    fn record(&self) -> usize {
        self.labels.len() + 3 * PLANE
    }

    /// Counts the records of all files before any is read, so that the limit is checked first.
    fn count(&self, folder: &Path, files: &[&str]) -> Result<Vec<Counted>, DataError> {
        let counted = |file: &&str| -> Result<Counted, DataError> {
            let path = folder.join(file);
            let metadata = fs::metadata(&path).map_err(DataError::io(&path))?;
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

    /// Reads a run into `pixels`, and appends its labels.
    fn read(
        &self,
        run: &Run<'_>,
        pixels: &mut [u8],
        side: u32,
        labels: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let record = self.record();
        let (start, expected) = (run.first * record, run.records * record);
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = File::open(run.path)?;
            file.seek(SeekFrom::Start(start as u64))?;
            file.take(expected as u64).read_to_end(&mut bytes)
        };
        let count = read().map_err(DataError::io(run.path))?;
        // The file has become shorter since its records were counted.
        if count != expected {
            return Err(DataError::Records {
                path: run.path.into(),
                bytes: (start + count) as u64,
                record,
            });
        }
        for (number, record) in (run.first as u64 + 1..).zip(bytes.chunks_exact(record)) {
            labels.push(self.label(run.path, number, record)?);
        }
        pixels
            .par_chunks_exact_mut(listing::stride((side, side)))
            .zip(bytes.par_chunks_exact(record))
            .for_each(|(image, record)| {
                let picture = interleaved(&record[self.labels.len()..]);
                image.copy_from_slice(&decode::centre_square(picture, side));
            });
        Ok(())
    }

    /// The class of a record whose labels are all in range.
    fn label(&self, path: &Path, number: u64, record: &[u8]) -> Result<u32, DataError> {
        let mut class = 0;
        for (&label, &(kind, max)) in record.iter().zip(self.labels) {
            if label > max {
                return Err(DataError::Label {
                    path: path.into(),
                    record: number,
                    kind,
                    label,
                    max,
                });
            }
            class = u32::from(label);
        }
        Ok(class)
    }
}

/// The image whose channels follow each other.
fn interleaved(planes: &[u8]) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let pixel = (y * SIDE + x) as usize;
        Rgb([0, 1, 2].map(|channel| planes[channel * PLANE + pixel]))
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let (file, length) = decode::open_regular(path)?;
    if length > MAX_NAMES {
        let kib = MAX_NAMES >> 10;
        return Err(io::Error::other(format!("it is larger than {kib} KiB")));
    }
    io::read_to_string(file.take(MAX_NAMES))
}
