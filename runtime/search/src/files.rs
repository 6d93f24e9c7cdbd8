//! Files that are written whole or not at all, and logs that survive a torn last line.

mod fault;
mod log;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use faa_system::{PARTIAL_PREFIX, write_whole};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::fault::FaultPoint;
pub use self::log::Log;

/// The most bytes that are read of a file of a run. A log of 100,000 trials has a quarter of them.
pub const MAX_BYTES: u64 = 256 << 20;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line or a whole file is not what this program writes.
    #[error("{}, line {line}, is damaged: {reason}; move the file away, or start with another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is too large to be one of a run.
    #[error("{} has more than {MAX_BYTES} bytes, too many for a file of a run", .0.display())]
    TooLarge(PathBuf),
}

impl FileError {
    /// For `map_err`: what was tried, and with which file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    fn damaged(path: &Path, line: usize, error: &serde_json::Error) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line,
            reason: error.to_string(),
        }
    }
}

/// Writes the files of a run. All writing goes through it, so that a test can cut a run short at
/// every single write.
#[derive(Debug, Default)]
pub(crate) struct Files {
    fault: FaultPoint,
}

impl Files {
    pub(crate) fn new(fault: FaultPoint) -> Self {
        Self { fault }
    }

    /// Replaces a file: a reader sees the old content or the new one, also after a crash.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`]; the old content is then untouched.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), FileError> {
        let write = || {
            self.fault.pass(|| {
                let half = format!("{PARTIAL_PREFIX}cut");
                fs::write(path.with_file_name(half), &content[..content.len() / 2])
            })?;
            write_whole(path, content)
        };
        write().map_err(FileError::io("write", path))
    }

    /// Replaces a file by a value as indented JSON.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), FileError> {
        let mut json = serde_json::to_vec_pretty(value).expect("our own types have a JSON form");
        json.push(b'\n');
        self.write(path, &json)
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`].
    pub(crate) fn remove(&self, path: &Path) -> Result<(), FileError> {
        if !path.exists() {
            return Ok(());
        }
        let remove = || {
            self.fault.pass(|| Ok(()))?;
            fs::remove_file(path)
        };
        remove().map_err(FileError::io("remove", path))
    }

    /// Appends to a file, and waits until it is on the disk.
    fn append(&self, path: &Path, line: &[u8]) -> Result<(), FileError> {
        let append = || {
            let mut file = File::options().append(true).create(true).open(path)?;
            self.fault
                .pass(|| file.write_all(&line[..line.len() / 2]))?;
            file.write_all(line)?;
            file.sync_data()
        };
        append().map_err(FileError::io("append to", path))
    }
}

/// Reads a JSON file; `None` where there is none.
///
/// # Errors
///
/// [`FileError`] where it cannot be read, is too large, or is something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&content).map(Some);
    value.map_err(|error| FileError::damaged(path, error.line(), &error))
}

/// Reads a file; `None` where there is none.
///
/// # Errors
///
/// [`FileError`] where it cannot be read or is too large.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let mut content = Vec::new();
    let mut read = || {
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut content)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::io("read", path)(error)),
        Ok(length) if length as u64 > MAX_BYTES => Err(FileError::TooLarge(path.to_owned())),
        Ok(_) => Ok(Some(content)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.json");
        assert_eq!(read_json::<u8>(&file).unwrap(), None);
        Files::default().write_json(&file, &2).unwrap();
        assert_eq!(read_json::<u8>(&file).unwrap(), Some(2));
        fs::write(&file, "{").unwrap();
        let error = read_json::<u8>(&file).unwrap_err().to_string();
        assert!(error.contains("file.json, line 1, is damaged"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Files::default().write(Path::new("/no/such/folder/file"), b"");
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "cannot write /no/such/folder/file");
    }
}
