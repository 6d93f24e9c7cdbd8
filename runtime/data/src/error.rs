use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a data set could not be loaded.
///
/// The path of what is within a tar file starts with that of the tar file: `ARCHIVE: inner/path`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The data set's folder is not there, or is no folder.
    #[error("{} is not a folder; a data set is DIR/train/<class>/* and DIR/test/<class>/*", path.display())]
    MissingFolder {
        /// The folder that was named.
        path: PathBuf,
    },
    /// The folder has no `train` or no `test` in it.
    #[error("{} is missing; make it, with a folder of images for every class", path.display())]
    MissingSplit {
        /// Where the split would be.
        path: PathBuf,
    },
    /// A split has no class folders.
    #[error("{} holds no folder; put the images of every class into a folder named after it", path.display())]
    NoClasses {
        /// The split.
        path: PathBuf,
    },
    /// A class folder has no images.
    #[error("{} holds no image; add some, or remove this class from both splits", path.display())]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
    },
    /// Some classes are in one split only.
    #[error("{} has other classes in test than in train: {}; \
        give every class a folder of the same name in both", path.display(), one_sided(only_train, only_test))]
    ClassesDiffer {
        /// The data set's folder.
        path: PathBuf,
        /// The classes that only `train` has.
        only_train: Vec<String>,
        /// The classes that only `test` has.
        only_test: Vec<String>,
    },
    /// A class folder's name is not Unicode, so that it cannot name the class.
    #[error("the name of {} is not Unicode; rename this class folder in both splits", path.display())]
    ClassName {
        /// The class folder.
        path: PathBuf,
    },
    /// A class folder has a folder in it, whose images would have been left out silently.
    #[error("{} is a folder within a class; move its images up into the class folder, or remove it", path.display())]
    NestedFolder {
        /// The inner folder.
        path: PathBuf,
    },
    /// Some files are not images that can be decoded.
    #[error("{}", list_unreadable(files))]
    Unreadable {
        /// All of them, in the order of the data set.
        files: Vec<Unreadable>,
    },
    /// An image has another size than the first one, and no common size was asked for.
    #[error(
        "{} is {}×{}, but {} is {}×{}; images must have one size, \
            or be brought to one by `--image-size N` (such as {})",
        path.display(), size.0, size.1, first.display(), first_size.0, first_size.1,
        size.0.min(size.1).min(first_size.0).min(first_size.1)
    )]
    UnequalSizes {
        /// The first image that differs.
        path: PathBuf,
        /// Its width and height.
        size: (u32, u32),
        /// The first image of all.
        first: PathBuf,
        /// Its width and height.
        first_size: (u32, u32),
    },
    /// A tar file cannot be read to its end.
    #[error(
        "{} cannot be read beyond {entries} entries: {reason}; it is cut off, damaged, or no tar \
            file (as it is, or packed by gzip or zstd)",
        path.display()
    )]
    DamagedArchive {
        /// The tar file.
        path: PathBuf,
        /// How many entries came before.
        entries: u64,
        /// What went wrong there.
        reason: String,
    },
    /// A tar file holds more than is read from one.
    #[error(
        "{} holds more than {limit} bytes unpacked; unpack what is needed, and use `folder:DIR`",
        path.display()
    )]
    ArchiveTooLarge {
        /// The tar file.
        path: PathBuf,
        /// How many bytes it may hold.
        limit: u64,
    },
    /// A tar file has more entries than are read from one.
    #[error(
        "{} has more than {limit} entries; unpack what is needed, and use `folder:DIR`",
        path.display()
    )]
    TooManyEntries {
        /// The tar file.
        path: PathBuf,
        /// How many entries it may have.
        limit: u64,
    },
    /// A tar file holds two files of one name.
    #[error("{} is in the archive twice; make an archive that has it once", path.display())]
    DuplicateEntry {
        /// The tar file, and the path within it.
        path: PathBuf,
    },
    /// A tar file holds several data sets, none nearer to its top than the other.
    #[error(
        "{} holds one data set in `{first}` and one in `{second}`; make an archive of each",
        path.display()
    )]
    SeveralSets {
        /// The tar file.
        path: PathBuf,
        /// The folder of one of them.
        first: String,
        /// The folder of another.
        second: String,
    },
    /// Files of CIFAR-10 or CIFAR-100 are not there.
    #[error(
        "{} lacks {}; {set} is read from the files of its binary version, unpacked \
            (https://www.cs.toronto.edu/~kriz/cifar.html)",
        path.display(), missing.join(", ")
    )]
    MissingFiles {
        /// The folder.
        path: PathBuf,
        /// The files that it lacks.
        missing: Vec<String>,
        /// The name of the data set.
        set: &'static str,
    },
    /// A file of CIFAR-10 or CIFAR-100 is not made of whole records.
    #[error(
        "{} has {bytes} bytes, and should have one or more whole records of {record} bytes; take \
            it from the binary version again",
        path.display()
    )]
    Records {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The length of a record.
        record: usize,
    },
    /// A record of CIFAR-10 or CIFAR-100 has a label that there is not.
    #[error(
        "record {record} of {} has the {kind} {label}, and {last} is the highest; the file is \
            damaged, or not of the binary version",
        path.display()
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The record; the first is 1.
        record: u64,
        /// Which label of the record it is.
        kind: &'static str,
        /// Its value.
        label: u8,
        /// The highest value that there is.
        last: u8,
    },
    /// A file of class names has too few or too many.
    #[error(
        "{} names {found} classes, and there are {expected}; repair or remove it",
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
    /// The pixels would not fit into memory.
    #[error(
        "{images} images of {}×{} take {bytes} bytes of memory, and the limit is {limit}; \
            choose a smaller `--image-size N`, or fewer images",
        size.0, size.1
    )]
    TooLarge {
        /// How many images both splits have.
        images: usize,
        /// Width and height of every image.
        size: (u32, u32),
        /// What all pixels take.
        bytes: u128,
        /// What they may take at most.
        limit: u64,
    },
    /// The image size that was asked for cannot be had.
    #[error("`--image-size {size}` is not possible here; {advice}")]
    ImageSize {
        /// The side that was asked for.
        size: u32,
        /// What to do instead.
        advice: &'static str,
    },
    /// The operating system refused something.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A file that is no image that can be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why, in the decoder's or the operating system's words.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// How many unreadable files a message names; the error itself holds all of them.
const SHOWN: usize = 10;

fn list_unreadable(files: &[Unreadable]) -> String {
    let mut text = match files.len() {
        1 => "1 file cannot be read as an image; repair or remove it:".to_owned(),
        count => format!("{count} files cannot be read as images; repair or remove them:"),
    };
    for file in files.iter().take(SHOWN) {
        text += &format!("\n  {file}");
    }
    if let Some(more) = files.len().checked_sub(SHOWN).filter(|&more| more > 0) {
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
        let files = (0..count).map(|place| Unreadable {
            path: format!("{place}.png").into(),
            reason: "broken".into(),
        });
        DataError::Unreadable {
            files: files.collect(),
        }
        .to_string()
    }

    #[test]
    fn a_message_names_ten_files_and_counts_the_rest() {
        assert!(unreadable(1).starts_with("1 file "));
        let ten = unreadable(10);
        assert!(
            ten.starts_with("10 files ") && ten.ends_with("\n  9.png: broken"),
            "{ten}"
        );
        let many = unreadable(12);
        assert!(many.starts_with("12 files "), "{many}");
        assert!(
            many.ends_with("\n  9.png: broken\n  … and 2 more"),
            "{many}"
        );
    }
}
