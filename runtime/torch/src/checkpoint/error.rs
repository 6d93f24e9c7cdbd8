use std::path::PathBuf;

use faa_search::files::FileError;
use safetensors::tensor::SafeTensorError;
use tch::TchError;

/// A file could not be used as a network or checkpoint, or not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is damaged, or not in the safetensors format.
    #[error("{} is damaged: move it away, and the run that it belongs to trains its network again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: SafeTensorError,
    },
    /// The tensors do not have the digest that was written with them.
    #[error("{} is damaged: move it away, and the run that it belongs to trains its network again", .0.display())]
    WrongDigest(PathBuf),
    /// A tensor is missing, or has a different size or type than the network's.
    #[error("{} holds a different network: `{tensor}` should be 32-bit floats of size {size:?}", path.display())]
    WrongTensor {
        /// The file.
        path: PathBuf,
        /// The first missing or different tensor.
        tensor: String,
        /// The size that it should have.
        size: Vec<i64>,
    },
    /// The metadata beside the tensors is missing or invalid.
    #[error("{} has no valid {what} in its metadata: it was not written by this program", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The network has different classes than the data set.
    #[error(
        "{} has {} classes ({}), and the data set has {} ({})",
        path.display(), network.len(), shortened(network), data.len(), shortened(data)
    )]
    Classes {
        /// The file.
        path: PathBuf,
        /// The network's.
        network: Vec<String>,
        /// The data set's.
        data: Vec<String>,
    },
    /// The network was trained on images of a different size than the data set has.
    #[error(
        "{} was trained on images of {}×{}, and those of the data set are {}×{}: scale them to that \
         size with --image-size",
        path.display(), network[0], network[1], data[0], data[1]
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Width and height that it was trained on.
        network: [usize; 2],
        /// Those of the data set.
        data: [usize; 2],
    },
    /// libtorch reported an error.
    #[error(transparent)]
    Torch(#[from] TchError),
}

fn shortened(classes: &[String]) -> String {
    let first = classes
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if classes.len() > 3 {
        first + ", …"
    } else {
        first
    }
}
