//! What the crates and programs of faa-runtime share of the operating system: where the cache folder
//! is, how a file is replaced whole, and which libtorch is the right one.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("policy.json");
//! faa_system::write_whole(&path, b"{}")?;
//! assert_eq!(std::fs::read(&path)?, b"{}");
//! # Ok::<(), std::io::Error>(())
//! ```

mod cache;
mod files;
pub mod libtorch;

pub use cache::{NoCacheFolder, cache_folder, cache_folder_by};
pub use files::{PARTIAL_PREFIX, write_whole};
