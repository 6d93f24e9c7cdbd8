use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{FileError, REPEAT};
use super::whole::{Files, read};

/// A file of one JSON value per line. A crash may leave the last line incomplete.
#[derive(Clone, Debug)]
pub struct Log<T> {
    path: PathBuf,
    values: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Log<T> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            values: PhantomData,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values; none if there is no file. An incomplete last line is ignored: it is being written, or
    /// was interrupted by a crash.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the log cannot be read, or a complete line is damaged.
    pub fn read(&self) -> Result<Vec<T>, FileError> {
        let content = read(&self.path)?.unwrap_or_default();
        let lines = content[..complete_lines(&content)].split_inclusive(|byte| *byte == b'\n');
        let value = |(line, text): (usize, &[u8])| {
            let value = serde_json::from_slice(text);
            value.map_err(|error| FileError::damaged(&self.path, line, &error, REPEAT))
        };
        (1..).zip(lines).map(value).collect()
    }

    /// Removes an incomplete last line, if the lines before it are valid. Only the process that holds
    /// the run's lock may do this.
    pub(crate) fn repair(&self) -> Result<(), FileError> {
        self.read()?;
        let content = read(&self.path)?.unwrap_or_default();
        let length = complete_lines(&content);
        if length == content.len() {
            return Ok(());
        }
        let truncate = || {
            let file = File::options().write(true).open(&self.path)?;
            file.set_len(length as u64)
        };
        truncate().map_err(FileError::io("repair", &self.path))
    }

    pub(crate) fn append(&self, files: &Files, value: &T) -> Result<(), FileError> {
        files.append(&self.path, &line(value))
    }

    /// Replaces the whole log.
    pub(crate) fn write(&self, files: &Files, values: &[T]) -> Result<(), FileError> {
        let lines: Vec<u8> = values.iter().flat_map(line).collect();
        files.write(&self.path, &lines)
    }
}

/// The number of bytes up to the end of the last complete line.
fn complete_lines(content: &[u8]) -> usize {
    let end = content.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("our types can be written as JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log(content: &str) -> (tempfile::TempDir, Log<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, content).unwrap();
        (folder, Log::new(path))
    }

    #[test]
    fn an_incomplete_last_line_is_ignored_and_removed_only_by_a_repair() {
        let (_folder, log) = log("[1,2]\n[3]\n[4, 5");
        assert_eq!(log.read().unwrap(), [vec![1, 2], vec![3]]);
        assert_eq!(fs::read(log.path()).unwrap().len(), 15);
        log.repair().unwrap();
        log.append(&Files::default(), &vec![6]).unwrap();
        assert_eq!(log.read().unwrap(), [vec![1, 2], vec![3], vec![6]]);
    }

    #[test]
    fn a_damaged_line_is_named_and_nothing_is_removed() {
        let (_folder, log) = log("[1]\n[oops\n[2]\n[3");
        let error = log.repair().unwrap_err().to_string();
        assert!(error.contains("log.jsonl, line 2, is damaged"), "{error}");
        assert_eq!(fs::read(log.path()).unwrap().len(), 16);
    }

    #[test]
    fn no_file_is_an_empty_log() {
        let (folder, _) = log("");
        let log = Log::<u8>::new(folder.path().join("none"));
        log.repair().unwrap();
        assert!(log.read().unwrap().is_empty());
    }
}
