use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use faa_system::with_checksum;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{FileError, REPEAT};
use super::whole::{Files, open, parse, read};

/// A file of one JSON object per line, each with a checksum. A crash may leave the last line incomplete.
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
    /// [`FileError`] if the log cannot be read, or a complete line is damaged: it is not such a value, or
    /// its checksum does not match its content.
    pub fn read(&self) -> Result<Vec<T>, FileError> {
        let content = read(&self.path)?.unwrap_or_default();
        let lines = content[..complete_lines(&content)].split_inclusive(|byte| *byte == b'\n');
        let value = |(line, text): (usize, &[u8])| parse(text, &self.path, Some(line), REPEAT);
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
            let file = open(&self.path, File::options().write(true))?;
            file.set_len(length as u64)
        };
        truncate().map_err(FileError::io("repair", &self.path))
    }

    pub(crate) fn append(&self, files: &Files, value: &T) -> Result<(), FileError> {
        files.append(&self.path, to_line(value).as_bytes())
    }

    /// Replaces the whole log.
    pub(crate) fn write(&self, files: &Files, values: &[T]) -> Result<(), FileError> {
        let lines: String = values.iter().map(to_line).collect();
        files.write(&self.path, lines.as_bytes())
    }
}

/// The number of bytes up to the end of the last complete line.
fn complete_lines(content: &[u8]) -> usize {
    let end = content.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

fn to_line(value: &impl Serialize) -> String {
    with_checksum(&serde_json::to_string(value).expect("our types can be written as JSON"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Value {
        number: u32,
    }

    /// A log of these values, followed by this text.
    fn log(values: &[u32], rest: &str) -> (tempfile::TempDir, Log<Value>) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path().join("log.jsonl"));
        let values = values.iter().map(|number| Value { number: *number });
        let values: Vec<Value> = values.collect();
        log.write(&Files::default(), &values).unwrap();
        let text = fs::read_to_string(log.path()).unwrap();
        fs::write(log.path(), text + rest).unwrap();
        (folder, log)
    }

    fn numbers(log: &Log<Value>) -> Vec<u32> {
        let lines = log.read().unwrap().into_iter();
        lines.map(|line| line.number).collect()
    }

    #[test]
    fn an_incomplete_last_line_is_ignored_and_removed_only_by_a_repair() {
        let (_folder, log) = log(&[1, 3], r#"{"number":4,"checks"#);
        let length = fs::read(log.path()).unwrap().len();
        assert_eq!(numbers(&log), [1, 3]);
        assert_eq!(fs::read(log.path()).unwrap().len(), length);
        log.repair().unwrap();
        log.append(&Files::default(), &Value { number: 6 }).unwrap();
        assert_eq!(numbers(&log), [1, 3, 6]);
    }

    #[test]
    fn a_damaged_line_is_named_and_nothing_is_removed() {
        let (_folder, log) = log(&[1], "{oops\n{\"number\":3");
        let before = fs::read(log.path()).unwrap();
        let error = log.repair().unwrap_err().to_string();
        assert!(error.contains("log.jsonl, line 2, is damaged"), "{error}");
        assert_eq!(fs::read(log.path()).unwrap(), before);
    }

    /// Whatever single byte of a line is changed, or removed.
    #[test]
    fn every_changed_byte_is_noticed() {
        let (_folder, log) = log(&[100, 200], "");
        let content = fs::read(log.path()).unwrap();
        let first = complete_lines(&content[..content.len() - 1]);
        for index in first..content.len() - 1 {
            for with in [&b""[..], b"3", b"x", b"\"", b"}"] {
                let (before, after) = (&content[..index], &content[index + 1..]);
                if content[index..=index] == *with {
                    continue;
                }
                fs::write(log.path(), [before, with, after].concat()).unwrap();
                let error = log.read().unwrap_err().to_string();
                assert!(error.contains("log.jsonl, line 2, is damaged"), "{error}");
            }
        }
        let line = "{\"number\":200}\n";
        fs::write(log.path(), [&content[..first], line.as_bytes()].concat()).unwrap();
        let error = log.read().unwrap_err().to_string();
        assert!(
            error.contains("line 2, is damaged (its checksum"),
            "{error}"
        );
    }

    #[test]
    fn no_file_is_an_empty_log() {
        let (folder, _) = log(&[], "");
        let log = Log::<u8>::new(folder.path().join("none"));
        log.repair().unwrap();
        assert!(log.read().unwrap().is_empty());
    }
}
