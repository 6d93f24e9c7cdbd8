//! Copies of native libraries, which nobody can change between their being hashed and being run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A copy of a library, in memory on Linux, and otherwise a temporary file of this user alone.
pub(crate) struct PrivateCopy {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    file: Option<std::fs::File>,
    #[cfg(not(target_os = "linux"))]
    _file: tempfile::TempPath,
}

impl PrivateCopy {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// To be called once a library was loaded from the copy. Its descriptor stays open until the program
    /// ends: a library may stay loaded when it is closed, because of its thread-local values, and the
    /// loader finds loaded libraries by their paths. The path of a later one must not be the same.
    pub(crate) fn keep(&mut self) {
        #[cfg(target_os = "linux")]
        let _ = self.file.take().map(std::os::fd::IntoRawFd::into_raw_fd);
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn new(bytes: &[u8]) -> io::Result<Self> {
        use std::fs::File;
        use std::os::fd::AsRawFd;

        use rustix::fs::{MemfdFlags, memfd_create};

        let mut file = File::from(memfd_create("faa-plugin", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        let file = Some(file);
        Ok(Self { path, file })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new(bytes: &[u8]) -> io::Result<Self> {
        let suffix = std::env::consts::DLL_SUFFIX;
        let mut file = tempfile::Builder::new().suffix(suffix).tempfile()?;
        file.write_all(bytes)?;
        let _file = file.into_temp_path();
        let path = _file.to_path_buf();
        Ok(Self { path, _file })
    }
}
