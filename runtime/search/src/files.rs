//! Files that are written whole or not at all, and logs that survive a torn last line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// How files that are not whole yet are named; a kill may leave one.
pub(crate) const PARTIAL_PREFIX: &str = ".partial-";

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system said no.
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
    #[error("{}, line {line}, is damaged: move the file away, or start with another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The reason.
        source: serde_json::Error,
    },
}

impl FileError {
    /// For `map_err`: what was tried, and with which file.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Writes a file whole: a reader sees the old content or the new one, also after a crash.
///
/// # Errors
///
/// [`FileError::Io`]; the old content is then untouched.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let write = || {
        let mut file = partial_file(folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(FileError::io("write", path))
}

fn partial_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; what a run leaves is for whom the umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(PARTIAL_PREFIX).tempfile_in(folder)
}

/// Writes a value as indented JSON, whole.
///
/// # Errors
///
/// As [`write_whole`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let mut json = serde_json::to_vec_pretty(value).expect("our own types have a JSON form");
    json.push(b'\n');
    write_whole(path, &json)
}

/// Reads a file that [`write_json`] wrote; `None` where there is none.
///
/// # Errors
///
/// [`FileError`] where it cannot be read or is something else.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", path)(error)),
    };
    let damaged = |source: serde_json::Error| FileError::Damaged {
        path: path.to_owned(),
        line: source.line(),
        source,
    };
    serde_json::from_slice(&content).map(Some).map_err(damaged)
}

/// Removes a file, if there is one.
///
/// # Errors
///
/// [`FileError::Io`].
pub(crate) fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a log anew, whole.
///
/// # Errors
///
/// As [`write_whole`].
pub(crate) fn write_lines(path: &Path, values: &[impl Serialize]) -> Result<(), FileError> {
    let lines: Vec<u8> = values.iter().flat_map(line).collect();
    write_whole(path, &lines)
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("our own types have a JSON form");
    line.push(b'\n');
    line
}

/// Appends a value to a log, as one line of JSON.
///
/// # Errors
///
/// [`FileError::Io`].
pub(crate) fn append_line(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let line = line(value);
    let append = || {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(&line)?;
        file.sync_data()
    };
    append().map_err(FileError::io("append to", path))
}

/// Reads a log. A last line without its end was torn by a crash, and is cut off.
///
/// # Errors
///
/// [`FileError`] where the log cannot be read, or another line is damaged.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, FileError> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("read", path)(error)),
    };
    let whole = content
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if whole < content.len() {
        let cut = || {
            OpenOptions::new()
                .write(true)
                .open(path)?
                .set_len(whole as u64)
        };
        cut().map_err(FileError::io("repair", path))?;
    }
    let lines = content[..whole].split_inclusive(|byte| *byte == b'\n');
    lines
        .enumerate()
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|source| FileError::Damaged {
                path: path.to_owned(),
                line: place + 1,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_log_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        append_line(&log, &[1, 2]).unwrap();
        append_line(&log, &[3]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        file.write_all(b"[4, 5").unwrap();
        assert_eq!(read_lines::<Vec<u8>>(&log).unwrap(), [vec![1, 2], vec![3]]);
        append_line(&log, &[6]).unwrap();
        assert_eq!(
            read_lines::<Vec<u8>>(&log).unwrap(),
            [vec![1, 2], vec![3], vec![6]]
        );
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        fs::write(&log, "[1]\n[oops\n[2]\n").unwrap();
        let error = read_lines::<Vec<u8>>(&log).unwrap_err();
        assert!(
            error.to_string().contains("log.jsonl, line 2, is damaged"),
            "{error}"
        );
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.json");
        write_json(&file, &1).unwrap();
        write_json(&file, &2).unwrap();
        assert_eq!(read_json::<u8>(&file).unwrap(), Some(2));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            read_json::<u8>(&folder.path().join("none.json")).unwrap(),
            None
        );
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_whole(Path::new("/no/such/folder/file"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /no/such/folder/file");
    }
}
