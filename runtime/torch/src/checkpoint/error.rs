use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use faa_op::text;
use tch::TchError;

/// A file could not be used as a network or checkpoint, or not be written.
#[derive(Debug)]
pub(crate) struct CheckpointError {
    path: PathBuf,
    kind: CheckpointErrorKind,
}

/// The reasons of a [`CheckpointError`].
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointErrorKind {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The file cannot be written.
    #[error("cannot be written")]
    Write(#[source] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// The header, or a network of unknown shape, is larger than this many bytes.
    #[error("is not the file of a network: it is larger than {0} bytes")]
    TooLarge(u64),
    /// The file is damaged, or not in the safetensors format, for this reason.
    #[error(
        "is damaged ({0}): move it away, and the run that it belongs to trains its network again"
    )]
    Damaged(String),
    /// The checkpoint is from a version that arranged the momentum in a different way.
    #[error(
        "is a checkpoint of an earlier version: move it away, and the run trains its network again"
    )]
    Outdated,
    /// The tensors are not those of the expected network, for this reason.
    #[error("holds a different network: {0}")]
    Different(String),
    /// This part of the metadata is missing or invalid.
    #[error("has no valid {0} in its metadata: it was not written by this program")]
    Metadata(&'static str),
    /// The network has different classes than the data set.
    #[error(
        "has {} classes ({}), and the data set has {} ({})",
        network.len(), shortened(network), data.len(), shortened(data)
    )]
    Classes {
        /// The network's.
        network: Vec<String>,
        /// The data set's.
        data: Vec<String>,
    },
    /// The network was trained on images of a different size than the data set has.
    #[error(
        "was trained on images of {}×{}, and those of the data set are {}×{}: scale them to that \
         size with --image-size",
        network[0], network[1], data[0], data[1]
    )]
    Size {
        /// Width and height that it was trained on.
        network: [usize; 2],
        /// Those of the data set.
        data: [usize; 2],
    },
    /// libtorch reported an error.
    #[error("cannot be loaded")]
    Torch(#[from] TchError),
}

impl CheckpointError {
    /// For `map_err`, with the file.
    pub(super) fn of(path: &Path) -> impl FnOnce(CheckpointErrorKind) -> Self {
        let path = path.to_owned();
        move |kind| Self { path, kind }
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text::clean(&self.path.to_string_lossy(), 4_096);
        match &self.kind {
            CheckpointErrorKind::Read(_) => write!(f, "cannot read {path}"),
            CheckpointErrorKind::Write(_) => write!(f, "cannot write {path}"),
            kind => write!(f, "{path} {kind}"),
        }
    }
}

impl Error for CheckpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl CheckpointErrorKind {
    /// The reason may quote the file.
    pub(super) fn damaged(reason: impl fmt::Display) -> Self {
        Self::Damaged(text::clean(&reason.to_string(), 200))
    }
}

impl From<io::Error> for CheckpointErrorKind {
    /// For reading: a file that ends early is damaged.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged("it ends early"),
            _ => Self::Read(error),
        }
    }
}

fn shortened(classes: &[String]) -> String {
    let first = classes.iter().take(3).map(|name| text::clean(name, 60));
    let more = (classes.len() > 3).then(|| "…".to_owned());
    first.chain(more).collect::<Vec<_>>().join(", ")
}
