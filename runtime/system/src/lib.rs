#![doc = include_str!("../README.md")]

mod cache;
mod files;
pub mod libtorch;
mod private;

pub use cache::{cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
pub use private::{
    NotPrivate, NotPrivateKind, create_private_folder, private_file, private_folder,
};

/// There is no cache folder, or a folder is not a suitable libtorch; the message says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFolder(String);
