#![doc = include_str!("../README.md")]

mod cache;
mod files;
pub mod libtorch;

pub use cache::{NoCacheFolder, cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
