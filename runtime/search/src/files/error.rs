use std::io;
use std::path::{Path, PathBuf};

/// The maximum size of a run's file, in bytes. A log of 100,000 trials is a quarter as large.
pub const MAX_BYTES: u64 = 256 << 20;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system reported an error.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line or a whole file is not in the format of this program.
    #[error("{}, line {line}, is damaged ({reason}): move it away, and the run repeats what it recorded", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is too large to be one of a run.
    #[error("{} is larger than {MAX_BYTES} bytes, the maximum for a file of a run", .0.display())]
    TooLarge(PathBuf),
}

impl FileError {
    /// For `map_err`, with the operation and the file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn damaged(path: &Path, line: usize, error: &serde_json::Error) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line,
            // serde_json adds its own line, which is 1 for each line of a log.
            reason: match error.to_string().split_once(" at line ") {
                Some((reason, _)) => reason.to_owned(),
                None => error.to_string(),
            },
        }
    }
}
