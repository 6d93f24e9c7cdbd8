use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use faa_system::{
    PARTIAL_PREFIX, has_checksum, open_regular, open_to_append, sync_name, with_checksum,
    write_new, write_whole,
};
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

    /// Replaces a file by a value, as indented JSON with a checksum.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), FileError> {
        let json = serde_json::to_string_pretty(value).expect("our types can be written as JSON");
        self.write(path, with_checksum(&json).as_bytes())
    }

    /// As [`write_json`](Self::write_json), if there is no such file yet. Of several processes that create it at
    /// the same time, one does.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(crate) fn create_json(&self, path: &Path, value: &impl Serialize) -> Result<(), FileError> {
        let json = serde_json::to_string_pretty(value).expect("our types can be written as JSON");
        let content = with_checksum(&json);
        let half = path.with_file_name(format!("{PARTIAL_PREFIX}cut"));
        let tear = || fs::write(half, &content[..content.len() / 2]);
        let create = || {
            self.fault.pass(tear)?;
            match write_new(path, content.as_bytes()) {
                Ok(()) => {
                    File::open(path)?.sync_all()?;
                    sync_name(path);
                    Ok(())
                }
                Err(_) if path.exists() => Ok(()),
                // Not every file system can create a whole file under a name that must be free.
                Err(error) if cannot_create(&error) => write_whole(path, content.as_bytes()),
                Err(error) => Err(error),
            }
        };
        create().map_err(FileError::io("write", path))
    }

    /// Copies a file, if there is one; it appears as a whole. Two processes do not copy to one folder.
    ///
    /// # Errors
    ///
    /// [`FileErrorKind::Io`](super::FileErrorKind::Io).
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let mut source = match open(from, File::options().read(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            source => source.map_err(FileError::io("read", from))?,
        };
        let partial = to.with_file_name(format!("{PARTIAL_PREFIX}copy"));
        let mut copy = || {
            self.fault.pass(|| fs::write(&partial, "half a file"))?;
            let mut file = File::create(&partial)?;
            io::copy(&mut source, &mut file)?;
            file.sync_all()?;
            fs::rename(&partial, to)?;
            sync_name(to);
            Ok(())
        };
        copy().map_err(FileError::io("write", to))
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
            let mut file = open_to_append(path)?;
            self.fault
                .pass(|| file.write_all(&line[..line.len() / 2]))?;
            file.write_all(line)?;
            file.sync_data()
        };
        append().map_err(FileError::io("append to", path))
    }
}

/// Whether the reason may be that the file system has no hard links.
fn cannot_create(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// Reads a JSON file that a run has written; `None` if it does not exist.
///
/// # Errors
///
/// [`FileError`] if it cannot be read, is too large, or does not hold such a value with its checksum.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    parse(&content, path, None, REPEAT).map(Some)
}

/// Parses an object with its checksum, from this line of a file or from a whole file.
pub(crate) fn parse<T: DeserializeOwned>(
    json: &[u8],
    path: &Path,
    line: Option<usize>,
    advice: &str,
) -> Result<T, FileError> {
    let value = serde_json::from_slice(json).map_err(|error| {
        let line = line.unwrap_or(error.line());
        FileError::damaged(path, line, &error.to_string(), advice)
    })?;
    match has_checksum(json) {
        true => Ok(value),
        false => {
            let reason = "its checksum does not match its content";
            Err(FileError::damaged(path, line.unwrap_or(1), reason, advice))
        }
    }
}

/// Opens a file of a run, which must be a regular file: a pipe could block, and a device never end.
///
/// # Errors
///
/// Those of the operating system, or that it is not a regular file.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_regular(path, options).map(|(file, _)| file)
}

/// Reads a regular file; `None` if it does not exist.
///
/// # Errors
///
/// [`FileError`] if it cannot be read or is too large.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let mut content = Vec::new();
    let mut read = || {
        let file = open(path, File::options().read(true))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut content)
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
    use crate::results::Evaluation;

    #[test]
    fn a_value_is_written_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.json");
        assert_eq!(read_json::<Evaluation>(&file).unwrap(), None);
        let value = Evaluation::new(0.25, 1.5);
        Files::default().write_json(&file, &value).unwrap();
        assert_eq!(read_json(&file).unwrap(), Some(value));
        let text = fs::read_to_string(&file).unwrap();
        let start = "{\n  \"error\": 0.25,\n  \"loss\": 1.5,\n  \"checksum\": \"";
        assert!(
            text.starts_with(start) && text.ends_with("\"\n}\n"),
            "{text}"
        );
        for (damaged, reason) in [
            ("{".to_owned(), "(EOF"),
            (text.replace("0.25", "0.35"), "(its checksum does not match"),
            (
                "{\"error\": 0.25, \"loss\": 1.5}".to_owned(),
                "(its checksum",
            ),
        ] {
            fs::write(&file, damaged).unwrap();
            let error = read_json::<Evaluation>(&file).unwrap_err().to_string();
            let expected = format!("file.json, line 1, is damaged {reason}");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = read(path).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
            let reason = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(reason, "it is not a regular file");
            assert!(Files::default().append(path, b"line").is_err());
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Files::default().write(Path::new("/no/such/folder/file"), b"");
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "cannot write /no/such/folder/file");
    }
}
