#![doc = include_str!("../README.md")]

mod cache;
mod files;
mod home;
pub mod libtorch;
mod log;
pub mod programs;
mod signals;

pub use cache::{NoCacheFolder, cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
pub use home::expand_home;
pub use log::write_log_line;
pub use signals::{is_stopped, on_stop};
