//! CIFAR-10 and CIFAR-100, from the files of their binary versions
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! - A file is a sequence of records. A record has one label (CIFAR-10) or two of them (CIFAR-100: the
//!   coarse one, then the fine one), a byte each, and an image of 32×32 pixels: 1,024 bytes of red,
//!   of green and of blue, row by row. The last label of a record is its class.
//! - The order of the images is that of the files and records.
//! - Files may have any number of records above zero, but a number that is not the data set's is a
//!   warning. Two files of the same content are an error. Up to 8 GiB of pixels are read in all,
//!   both before and after scaling.
//! - A file next to them names the classes. Without it, CIFAR-10 has its well-known names, and the
//!   classes of CIFAR-100 are numbered.
//! - The files may lie in the given folder, or in the folder within it that their archive extracts
//!   to. The archive itself is not read.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::mem;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::{DataError, DataErrorKind, shown};
use crate::options::{LoadOptions, Preview, Selection};
use crate::{assembly, decode};

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

impl Version {
    pub(crate) fn load(
        &self,
        given: &Path,
        options: &LoadOptions,
        selection: Selection<'_>,
    ) -> Result<Preview, DataError> {
        let side = options.side()?.unwrap_or(SIDE);
        let stride = assembly::stride((side, side));
        let folder = self.find(given)?;
        let classes = self.class_names(&folder)?;
        let counts = self.count(&folder)?;
        // Scaling images down does not allow for longer files.
        let total = counts.iter().map(|(_, records)| records).sum();
        assembly::within_limit(total, (SIDE, SIDE))?;
        different(&counts)?;

        // The file and the index of every record; the last file is that of the test split.
        let mut train: Vec<_> = (counts.iter().enumerate())
            .flat_map(|(file, &(_, records))| (0..records).map(move |record| (file, record)))
            .collect();
        let test = train.split_off(total - counts.last().map_or(0, |(_, records)| *records));
        let train_images = train.len();
        let mut records = selection.train(train);
        let split_at = records.len();
        records.extend(selection.test(test));

        let mut pixels = assembly::reserve(records.len(), (side, side))?;
        let mut labels = Vec::new();
        let mut rest = pixels.as_mut_slice();
        let follows = |one: &(usize, usize), other: &(usize, usize)| (one.0, one.1 + 1) == *other;
        for run in records
            .chunk_by(follows)
            .flat_map(|run| run.chunks(AT_ONCE))
        {
            let (target, after) = mem::take(&mut rest).split_at_mut(run.len() * stride);
            let (file, first) = run[0];
            self.read(&counts[file].0, first, target, side, &mut labels)?;
            rest = after;
        }
        Ok(Preview {
            dataset: Dataset {
                warnings: self.unusual(&folder, &counts).into_iter().collect(),
                ..Dataset::from_parts(classes, (side, side), pixels, labels, split_at)
            },
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
        let words = format!(
            "has no {}; {} is read from the extracted files of its binary version \
             (https://www.cs.toronto.edu/~kriz/cifar.html)",
            missing(&path).join(", "),
            self.set
        );
        Err(DataError::of(DataErrorKind::Layout, &path, words))
    }

    fn class_names(&self, folder: &Path) -> Result<Vec<String>, DataError> {
        let path = folder.join(self.names);
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.known_names()),
            Err(error) => return Err(DataError::io(&path)(error)),
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<_> = lines.map(str::to_owned).collect();
        if names.len() != self.classes() {
            let (found, expected) = (names.len(), self.classes());
            let words = format!("names {found} classes instead of {expected}; repair or remove it");
            return Err(DataError::of(DataErrorKind::Layout, &path, words));
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

    /// Every file, with the number of its records. All are counted before any is read, so that the
    /// limit is checked first.
    fn count(&self, folder: &Path) -> Result<Vec<(PathBuf, usize)>, DataError> {
        let counted = |file: &&str| {
            let path = folder.join(file);
            let metadata = fs::metadata(&path).map_err(DataError::io(&path))?;
            let (bytes, record) = (metadata.len(), self.record());
            if bytes == 0 || !bytes.is_multiple_of(record as u64) {
                return Err(not_whole(&path, bytes, record));
            }
            Ok((path, (bytes / record as u64) as usize))
        };
        self.train.iter().chain([&self.test]).map(counted).collect()
    }

    /// That the files have other numbers of records than those of the data set: they may have been cut
    /// off, or be a part of it that somebody made.
    fn unusual(&self, folder: &Path, counts: &[(PathBuf, usize)]) -> Option<String> {
        let (_, train) = counts.split_last()?;
        let expected = |file: usize| match file < train.len() {
            true => 50_000 / train.len(),
            false => 10_000,
        };
        let unusual = (counts.iter().enumerate())
            .filter(|&(file, &(_, records))| records != expected(file))
            .map(|(file, (path, records))| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name} has {records} images instead of {}", expected(file))
            });
        let unusual: Vec<_> = unusual.collect();
        (!unusual.is_empty()).then(|| {
            format!(
                "{} is not all of {}: {}",
                shown(folder),
                self.set,
                unusual.join(", ")
            )
        })
    }

    /// Reads records that follow each other into `pixels`, and appends their labels.
    fn read(
        &self,
        path: &Path,
        first: usize,
        pixels: &mut [u8],
        side: u32,
        labels: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let (record, stride) = (self.record(), assembly::stride((side, side)));
        let (start, expected) = (first * record, pixels.len() / stride * record);
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(start as u64))?;
            file.take(expected as u64).read_to_end(&mut bytes)
        };
        let count = read().map_err(DataError::io(path))?;
        // The file has become shorter since its records were counted.
        if count != expected {
            return Err(not_whole(path, (start + count) as u64, record));
        }
        for (number, record) in (first as u64 + 1..).zip(bytes.chunks_exact(record)) {
            labels.push(self.label(path, number, record)?);
        }
        pixels
            .par_chunks_exact_mut(stride)
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
                let words = format!(
                    "has the {kind} {label} in record {number}, and {max} is the highest; it is \
                     damaged, or not of the binary version"
                );
                return Err(DataError::of(DataErrorKind::Damaged, path, words));
            }
            class = u32::from(label);
        }
        Ok(class)
    }
}

/// Checks that no file is a copy of another one.
fn different(files: &[(PathBuf, usize)]) -> Result<(), DataError> {
    for (index, (path, records)) in files.iter().enumerate() {
        for (earlier, same) in &files[..index] {
            if records == same && have_same_content(earlier, path).map_err(DataError::io(path))? {
                let words = format!(
                    "has the same content as {}; get the binary version again",
                    shown(earlier)
                );
                return Err(DataError::of(DataErrorKind::Damaged, path, words));
            }
        }
    }
    Ok(())
}

/// Whether two files of one length are equal. Those that are not differ early.
fn have_same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let bytes = |path| Ok::<_, io::Error>(BufReader::new(File::open(path)?).bytes());
    for (one, other) in bytes(one)?.zip(bytes(other)?) {
        if one? != other? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn not_whole(path: &Path, bytes: u64, record: usize) -> DataError {
    let words = format!(
        "has {bytes} bytes, but must have one or more whole records of {record} bytes; get the \
         binary version again"
    );
    DataError::of(DataErrorKind::Damaged, path, words)
}

/// The image whose channels follow each other.
fn interleaved(planes: &[u8]) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let pixel = (y * SIDE + x) as usize;
        Rgb([0, 1, 2].map(|channel| planes[channel * PLANE + pixel]))
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let (file, length) = faa_system::open_regular(path, File::options().read(true))?;
    if length > MAX_NAMES {
        let kib = MAX_NAMES >> 10;
        return Err(io::Error::other(format!("it is larger than {kib} KiB")));
    }
    io::read_to_string(file.take(MAX_NAMES))
}
