#![doc = include_str!("../README.md")]

mod cache;
mod files;
pub mod libtorch;

pub use cache::{cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};

/// There is no cache folder, or a folder is not a suitable libtorch; the message says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFolder(String);
