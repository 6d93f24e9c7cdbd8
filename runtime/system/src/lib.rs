#![doc = include_str!("../README.md")]

mod cache;
mod files;
pub mod libtorch;
mod litter;

pub use cache::{cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, create_folder, write_whole};
pub use litter::is_litter;

/// There is no cache folder, or a folder is not a suitable libtorch; the message says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFolder(String);
