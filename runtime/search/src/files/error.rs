use std::io;
use std::path::{Path, PathBuf};

/// The most bytes that are read of a file of a run. A log of 100,000 trials has a quarter of them.
pub const MAX_BYTES: u64 = 256 << 20;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line or a whole file is not what this program writes.
    #[error("{}, line {line}, is damaged: {reason}; move the file away, or start with another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is too large to be one of a run.
    #[error("{} has more than {MAX_BYTES} bytes, too many for a file of a run", .0.display())]
    TooLarge(PathBuf),
}

impl FileError {
    /// For `map_err`: what was tried, and with which file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn damaged(path: &Path, line: usize, error: &serde_json::Error) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line,
            reason: error.to_string(),
        }
    }
}
