#![doc = include_str!("../README.md")]

mod cache;
mod files;
mod key;
pub mod libtorch;

pub use cache::{NoCacheFolder, cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
pub use key::user_key;
