use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use faa_op::text;

/// Why a data set, or an image, could not be loaded.
///
/// The message says which file or folder is concerned, why, and what to do. A file within a tar file
/// is named `ARCHIVE: inner/path`. Names of files and classes are shown without characters that
/// control a terminal.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    kind: DataErrorKind,
    message: String,
    unreadable: Vec<Unreadable>,
}

/// The kinds of reasons why a data set could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// The name of the data set, or an option, is invalid.
    Usage,
    /// The operating system cannot read a file or folder.
    Io,
    /// Files and folders are not where a data set has them, or there are too many or too few.
    Layout,
    /// Files cannot be decoded as images: [`DataError::unreadable`].
    Unreadable,
    /// Images have different sizes, and no common size was requested.
    UnequalSizes,
    /// An archive, or a file of CIFAR-10 or CIFAR-100, is damaged.
    Damaged,
    /// A limit on sizes or counts is exceeded.
    TooLarge,
}

/// A file that cannot be decoded as an image.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    /// Why, in the words of the decoder or the operating system.
    pub(crate) reason: String,
}

impl DataError {
    /// What kind of reason it is.
    #[must_use]
    pub fn kind(&self) -> DataErrorKind {
        self.kind
    }

    /// The files that cannot be decoded as images, each with the reason, in the order of the data set.
    /// The message names only the first ten.
    pub fn unreadable(&self) -> impl ExactSizeIterator<Item = (&Path, &str)> {
        let files = self.unreadable.iter();
        files.map(|file| (file.path.as_path(), file.reason.as_str()))
    }

    /// An error whose message is the path, followed by these words.
    pub(crate) fn of(kind: DataErrorKind, path: &Path, words: impl Display) -> Self {
        Self::new(kind, format!("{} {words}", shown(path)))
    }

    pub(crate) fn new(kind: DataErrorKind, message: String) -> Self {
        Self {
            kind,
            message,
            unreadable: Vec::new(),
        }
    }

    /// For `map_err`: that `path` cannot be read.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::of(DataErrorKind::Io, path, format!("cannot be read: {error}"))
    }

    pub(crate) fn class_name(folder: &Path) -> Self {
        let words = "is a class folder whose name is not Unicode; rename it in both splits";
        Self::of(DataErrorKind::Layout, folder, words)
    }

    pub(crate) fn nested_folder(path: &Path) -> Self {
        let words =
            "is a folder within a class; move its images up into the class folder, or remove it";
        Self::of(DataErrorKind::Layout, path, words)
    }

    /// That one image, read on its own, is unreadable.
    pub(crate) fn unreadable_image(file: Unreadable) -> Self {
        let message = file.to_string();
        Self {
            unreadable: vec![file],
            ..Self::new(DataErrorKind::Unreadable, message)
        }
    }

    pub(crate) fn unreadable_files(unreadable: Vec<Unreadable>) -> Self {
        let mut message = match unreadable.len() {
            1 => "1 file cannot be read as an image; repair or remove it:".to_owned(),
            count => format!("{count} files cannot be read as images; repair or remove them:"),
        };
        for file in unreadable.iter().take(MAX_NAMED) {
            message += &format!("\n  {file}");
        }
        if let Some(more) = unreadable.len().checked_sub(MAX_NAMED + 1) {
            message += &format!("\n  … and {} more", more + 1);
        }
        Self {
            unreadable,
            ..Self::new(DataErrorKind::Unreadable, message)
        }
    }
}

/// How many unreadable files a message names.
const MAX_NAMED: usize = 10;

impl Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.reason)
    }
}

/// The name of a class, or another short text, as messages show it.
pub(crate) fn name(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text::clean(text, MAX_CHARS)
}

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    text::clean(&text_of(path.as_os_str().as_encoded_bytes()), usize::MAX)
}

/// A name that need not be Unicode, with `\xFF` for every byte that is not.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        chunk
            .invalid()
            .iter()
            .for_each(|byte| text += &format!("\\x{byte:02X}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_ten_files_and_counts_the_rest() {
        for (count, start, end) in [
            (1, "1 file ", "\n  0.png: broken"),
            (10, "10 files ", "\n  9.png: broken"),
            (12, "12 files ", "\n  9.png: broken\n  … and 2 more"),
        ] {
            let files = (0..count).map(|index| Unreadable {
                path: format!("{index}.png").into(),
                reason: "broken".into(),
            });
            let error = DataError::unreadable_files(files.collect());
            let text = error.to_string();
            assert!(text.starts_with(start) && text.ends_with(end), "{text}");
            assert_eq!(error.unreadable().len(), count);
        }
    }
}
