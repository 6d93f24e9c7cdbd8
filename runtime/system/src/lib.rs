#![doc = include_str!("../README.md")]

mod cache;
mod files;
mod key;
pub mod libtorch;

pub use cache::{cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
pub use key::user_key;

/// There is no cache folder, or a folder is not a suitable libtorch; the message says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableFolder(String);
