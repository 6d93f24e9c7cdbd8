use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use faa_system::{PARTIAL_PREFIX, write_whole};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{FileError, MAX_BYTES, REPEAT};
use super::fault::FaultPoint;

/// Writes the files of a run. All writes go through it, so that a test can interrupt a run at each of
/// them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    fault: FaultPoint,
}

impl Files {
    pub(crate) fn new(fault: FaultPoint) -> Self {
        Self { fault }
    }

    /// Replaces a file atomically: a reader sees the old content or the new one, even after a crash.
    ///
    /// # Errors
    ///
    /// [`FileErrorKind::Io`](super::FileErrorKind::Io); the old content is then unchanged.
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

    /// Counts a write that a backend is about to make, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`FileErrorKind::Io`](super::FileErrorKind::Io), only if a test interrupts the write.
    pub(crate) fn before_backend_writes(&self, path: &Path) -> Result<(), FileError> {
        let half = path.with_file_name(format!("{PARTIAL_PREFIX}cut"));
        let tear = || fs::write(half, "half a network");
        self.fault.pass(tear).map_err(FileError::io("write", path))
    }

    /// Replaces a file by a value, as indented JSON.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), FileError> {
        let mut json = serde_json::to_vec_pretty(value).expect("our types can be written as JSON");
        json.push(b'\n');
        self.write(path, &json)
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    ///
    /// [`FileErrorKind::Io`](super::FileErrorKind::Io).
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

    /// Appends to a file, and syncs it to disk.
    pub(super) fn append(&self, path: &Path, line: &[u8]) -> Result<(), FileError> {
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

/// Reads a JSON file; `None` if it does not exist.
///
/// # Errors
///
/// [`FileError`] if it cannot be read, is too large, or does not hold such a value.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&content).map(Some);
    value.map_err(|error| FileError::damaged(path, error.line(), &error, REPEAT))
}

/// Reads a file; `None` if it does not exist.
///
/// # Errors
///
/// [`FileError`] if it cannot be read or is too large.
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
        Ok(length) if length as u64 > MAX_BYTES => Err(FileError::too_large(path)),
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
