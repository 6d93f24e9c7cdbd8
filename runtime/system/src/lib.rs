#![doc = include_str!("../README.md")]

mod build;
mod cache;
mod checksum;
mod digest;
mod files;
mod home;
mod key;
pub mod libtorch;
mod litter;
mod lock;
mod log;
mod machine;
mod private;
pub mod programs;
mod regular;
mod signals;

pub use build::build;
pub use cache::{cache_folder, cache_folder_by};
pub use checksum::{has_checksum, with_checksum};
pub use digest::fnv1a;
pub use files::{
    PARTIAL_PREFIX, create_folder, create_new, open_to_append, sync_name, write_new, write_whole,
};
pub use home::expand_home;
pub use key::user_key;
pub use litter::is_litter;
pub use lock::{Lock, in_use, lock, without_locks};
pub use log::{flush_log, log_error, write_log_line};
pub use machine::{host_name, utc_now};
pub use private::{
    NotPrivate, NotPrivateKind, create_private_folder, private_file, private_folder,
};
pub use regular::open_regular;
pub use signals::{is_stopped, kill_this_process, on_stop, parent_id};

/// There is no cache folder, or a folder is not a suitable libtorch; the message says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnusableFolder {
    kind: UnusableFolderKind,
    message: String,
}

/// Why there is no cache folder, or a folder is not a suitable libtorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusableFolderKind {
    /// No environment variable names a cache folder.
    Unset,
    /// `FAA_CACHE_DIR` is a relative path.
    Relative,
    /// The folder has no libtorch, or cannot be read.
    Missing,
    /// The folder's libtorch is of a different version, or states none.
    Version,
    /// Others could replace the libraries in it.
    NotPrivate,
}

impl UnusableFolder {
    pub(crate) fn new(kind: UnusableFolderKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// Why it cannot be used.
    pub fn kind(&self) -> UnusableFolderKind {
        self.kind
    }
}
