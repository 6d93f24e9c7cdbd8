use std::io;
use std::path::Path;

/// The maximum size of a run's file, in bytes. A log of 100,000 trials is a quarter as large.
pub const MAX_BYTES: u64 = 256 << 20;

/// What to do about a damaged file.
pub(crate) const REPEAT: &str = "move it away, and the run repeats what it recorded";

/// A file or folder of a run cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FileError {
    kind: FileErrorKind,
    message: String,
    pub(crate) source: Option<io::Error>,
}

/// Why a file or folder of a run cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The operating system reported an error, which is the error's source.
    Io,
    /// A file is not in the format of this program, or does not fit the other files of the run.
    Damaged,
    /// A file is larger than [`MAX_BYTES`].
    TooLarge,
    /// A different process uses the run directory, or a job of it.
    InUse,
    /// The run directory belongs to a different command, configuration or data set.
    DifferentRun,
    /// The run directory was written by a version with a different format.
    DifferentVersion,
    /// The folder has files, but not those of a run.
    NotARunDirectory,
}

impl FileError {
    /// Why the file or folder cannot be used.
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }

    /// For `map_err`, with the operation and the file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let message = format!("cannot {what} {}", path.display());
        move |source| Self {
            source: Some(source),
            ..Self::new(FileErrorKind::Io, message)
        }
    }

    pub(crate) fn new(kind: FileErrorKind, message: String) -> Self {
        let source = None;
        Self {
            kind,
            message,
            source,
        }
    }

    pub(crate) fn too_large(path: &Path) -> Self {
        let path = path.display();
        let message =
            format!("{path} is larger than {MAX_BYTES} bytes, the maximum for a file of a run");
        Self::new(FileErrorKind::TooLarge, message)
    }

    /// A line of a log of trials is not that of the expected trial.
    pub(crate) fn different_trial(path: &Path, line: usize, expected: &str, found: &str) -> Self {
        Self::new(
            FileErrorKind::Damaged,
            format!(
                "{}, line {line}: expected {expected}, found {found}: move the file away to repeat its \
                 trials",
                path.display()
            ),
        )
    }

    pub(crate) fn damaged(path: &Path, line: usize, reason: &str, advice: &str) -> Self {
        // serde_json adds its own line, which is 1 for each line of a log.
        let reason = reason.split_once(" at line ").map_or(reason, |it| it.0);
        let message = format!(
            "{}, line {line}, is damaged ({reason}): {advice}",
            path.display()
        );
        Self::new(FileErrorKind::Damaged, message)
    }
}
