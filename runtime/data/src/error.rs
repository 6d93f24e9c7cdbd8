use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a data set could not be loaded.
///
/// The path of a file within a tar file starts with that of the tar file: `ARCHIVE: inner/path`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The data set's folder does not exist, or is not a folder.
    #[error("{} is not a folder; a data set is DIR/train/<class>/* and DIR/test/<class>/*", .0.display())]
    MissingFolder(PathBuf),
    /// The folder has no `train` or no `test` folder in it.
    #[error("{} is missing; create it, with a folder of images for each class", .0.display())]
    MissingSplit(PathBuf),
    /// A split has no class folders.
    #[error("{} has no class folders; put the images of each class into a folder named after the class", .0.display())]
    NoClasses(PathBuf),
    /// A class folder has no images.
    #[error("{} has no images; add some, or remove this class from both splits", .0.display())]
    EmptyClass(PathBuf),
    /// Some classes are in one split only.
    #[error("{} has different classes in train and test: {}; \
        give each class a folder of the same name in both", path.display(), one_sided(only_train, only_test))]
    ClassesDiffer {
        /// The data set's folder.
        path: PathBuf,
        /// The classes that only `train` has.
        only_train: Vec<String>,
        /// The classes that only `test` has.
        only_test: Vec<String>,
    },
    /// The name of a class folder is not Unicode.
    #[error("the name of {} is not Unicode; rename this class folder in both splits", .0.display())]
    ClassName(PathBuf),
    /// A class folder has a folder in it, whose images would be missed silently.
    #[error("{} is a folder within a class; move its images up into the class folder, or remove it", .0.display())]
    NestedFolder(PathBuf),
    /// These files, in the order of the data set, are not images that can be decoded.
    #[error("{}", list_unreadable(.0))]
    Unreadable(Vec<Unreadable>),
    /// An image has a different size than the first one, and no common size was requested.
    #[error(
        "{} is {}×{}, but {} is {}×{}; all images must have the same size, \
            or be scaled to one with `--image-size N` (such as {})",
        path.display(), size.0, size.1, first.display(), first_size.0, first_size.1,
        size.0.min(size.1).min(first_size.0).min(first_size.1)
    )]
    UnequalSizes {
        /// The first image that differs.
        path: PathBuf,
        /// Its width and height.
        size: (u32, u32),
        /// The first image of the data set.
        first: PathBuf,
        /// Its width and height.
        first_size: (u32, u32),
    },
    /// A tar file cannot be read to its end.
    #[error(
        "{} cannot be read after {entries} entries: {reason}; it is truncated, damaged, or not a \
            tar file (plain, or compressed with gzip or zstd)",
        path.display()
    )]
    DamagedArchive {
        /// The tar file.
        path: PathBuf,
        /// How many entries were read before.
        entries: u64,
        /// What went wrong.
        reason: String,
    },
    /// A tar file is too large when decompressed.
    #[error(
        "{} has more than {limit} bytes when decompressed; extract what is needed and use `folder:DIR`",
        path.display()
    )]
    ArchiveTooLarge {
        /// The tar file.
        path: PathBuf,
        /// How many bytes it may have.
        limit: u64,
    },
    /// A tar file has too many entries.
    #[error(
        "{} has more than {limit} entries; extract what is needed and use `folder:DIR`",
        path.display()
    )]
    TooManyEntries {
        /// The tar file.
        path: PathBuf,
        /// How many entries it may have.
        limit: u64,
    },
    /// A tar file has two files of this path: that of the tar file, and the path within it.
    #[error("{} is in the archive twice; create an archive that has it once", .0.display())]
    DuplicateEntry(PathBuf),
    /// A tar file has several data sets at the same depth.
    #[error(
        "{} has one data set in `{first}` and one in `{second}`; create an archive for each",
        path.display()
    )]
    SeveralSets {
        /// The tar file.
        path: PathBuf,
        /// The folder of one of them.
        first: String,
        /// The folder of a second one.
        second: String,
    },
    /// Files of CIFAR-10 or CIFAR-100 are missing.
    #[error(
        "{} has no {}; {set} is read from the extracted files of its binary version \
            (https://www.cs.toronto.edu/~kriz/cifar.html)",
        path.display(), missing.join(", ")
    )]
    MissingFiles {
        /// The folder.
        path: PathBuf,
        /// The missing files.
        missing: Vec<String>,
        /// The name of the data set.
        set: &'static str,
    },
    /// A file of CIFAR-10 or CIFAR-100 is empty, or ends within a record.
    #[error(
        "{} has {bytes} bytes, but must have one or more whole records of {record} bytes; get the \
            binary version again",
        path.display()
    )]
    Records {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        bytes: u64,
        /// The length of a record, in bytes.
        record: usize,
    },
    /// A record of CIFAR-10 or CIFAR-100 has a label that is out of range.
    #[error(
        "record {record} of {} has the {kind} {label}, and {max} is the highest; the file is \
            damaged, or not of the binary version",
        path.display()
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The record, from 1.
        record: u64,
        /// Which label of the record: `label`, `coarse label` or `fine label`.
        kind: &'static str,
        /// Its value.
        label: u8,
        /// The highest value.
        max: u8,
    },
    /// A file of class names has too few or too many names.
    #[error(
        "{} names {found} classes instead of {expected}; repair or remove it",
        path.display()
    )]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// How many it names.
        found: usize,
        /// How many classes there are.
        expected: usize,
    },
    /// The pixels take more memory than is allowed.
    #[error(
        "{images} images of {}×{} take {bytes} bytes of memory, and the limit is {limit}; \
            use a smaller `--image-size N`, or fewer images",
        size.0, size.1
    )]
    TooLarge {
        /// How many images would be loaded.
        images: usize,
        /// Width and height of every image.
        size: (u32, u32),
        /// The memory that all pixels take, in bytes.
        bytes: u128,
        /// The maximum, in bytes.
        limit: u64,
    },
    /// The requested image size is not possible.
    #[error("`--image-size {size}` is not possible for this data set; {advice}")]
    ImageSize {
        /// The requested side, in pixels.
        size: u32,
        /// What to do instead.
        advice: &'static str,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl DataError {
    /// For `map_err`: that `path` cannot be read.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Io {
            path: path.into(),
            source,
        }
    }
}

/// A file that cannot be decoded as an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why, in the words of the decoder or the operating system.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// How many unreadable files a message names; the error itself has all of them.
const MAX_NAMED: usize = 10;

fn list_unreadable(files: &[Unreadable]) -> String {
    let mut text = match files.len() {
        1 => "1 file cannot be read as an image; repair or remove it:".to_owned(),
        count => format!("{count} files cannot be read as images; repair or remove them:"),
    };
    for file in files.iter().take(MAX_NAMED) {
        text += &format!("\n  {file}");
    }
    if let Some(more) = files.len().checked_sub(MAX_NAMED).filter(|&more| more > 0) {
        text += &format!("\n  … and {more} more");
    }
    text
}

fn one_sided(only_train: &[String], only_test: &[String]) -> String {
    [("train", only_train), ("test", only_test)]
        .into_iter()
        .filter(|(_, classes)| !classes.is_empty())
        .map(|(split, classes)| format!("only {split} has {}", classes.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(count: usize) -> String {
        let files = (0..count).map(|index| Unreadable {
            path: format!("{index}.png").into(),
            reason: "broken".into(),
        });
        DataError::Unreadable(files.collect()).to_string()
    }

    #[test]
    fn a_message_names_ten_files_and_counts_the_rest() {
        assert!(unreadable(1).starts_with("1 file "));
        for (count, start, end) in [
            (10, "10 files ", "\n  9.png: broken"),
            (12, "12 files ", "\n  9.png: broken\n  … and 2 more"),
        ] {
            let text = unreadable(count);
            assert!(text.starts_with(start) && text.ends_with(end), "{text}");
        }
    }
}
