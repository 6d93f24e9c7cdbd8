use std::io;
use std::path::PathBuf;

use faa_policy::ApplyError;

/// Why there are no batches, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A folder cannot be listed.
    #[error("cannot list {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A folder without image files.
    #[error("{0} holds no files")]
    Empty(PathBuf),
    /// The option of this name must not be 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The policy's op of this name needs a partner image, which this loader does not keep; see
    /// [`Workspace::with_partners`](faa_policy::Workspace::with_partners).
    #[error("the policy's op {0} needs a partner image, which this loader does not provide")]
    NeedsPartner(String),
    /// The operating system starts no more threads.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The policy cannot be applied to an image.
    #[error("cannot augment {path}")]
    Augment {
        /// The image's file.
        path: PathBuf,
        /// The op that failed, and why.
        source: ApplyError,
    },
    /// A thread panicked with this message.
    #[error("a thread of the loader panicked: {0}")]
    Panicked(String),
}
