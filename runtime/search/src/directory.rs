//! A run directory that a process has locked.

use std::fs::{self, File, TryLockError};
use std::ops::Deref;
use std::path::Path;

use faa_system::create_folder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::VERSION;
use crate::config::RunConfig;
use crate::environment::Environment;
use crate::files::{FaultPoint, FileError, FileErrorKind, Files, read};
use crate::layout::{Layout, TrainingFiles, TrainingId, names_in};

/// The directory of one run, locked by this process until the value is dropped.
#[derive(Debug)]
pub struct RunDirectory {
    layout: Layout,
    files: Files,
    // Closing the file releases the lock.
    _lock: File,
}

/// `run.json`: the run that a directory belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// The version of this program.
    pub version: String,
    /// The configuration.
    pub config: RunConfig,
    /// A digest of the images, as 16 hexadecimal digits.
    pub data_digest: String,
}

impl RunRecord {
    /// Reads the record of a run; `None` if the directory holds no run.
    ///
    /// # Errors
    ///
    /// [`FileError`] if it cannot be read, is damaged, or was written by a version with a different
    /// format.
    pub fn read(layout: &Layout) -> Result<Option<Self>, FileError> {
        let path = layout.run_file();
        let Some(content) = read(&path)? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| {
            let advice = "restore it, or choose a different --out";
            FileError::damaged(&path, error.line(), &error, advice)
        };
        let record: Value = serde_json::from_slice(&content).map_err(damaged)?;
        // The configuration of a different version may have a different form.
        let different = |recorded: &str| {
            let message = format!(
                "{} was written by version {recorded}, and this is {VERSION}: choose a different \
                 --out, or use that version",
                path.display()
            );
            FileError::new(FileErrorKind::DifferentVersion, message)
        };
        match record["version"].as_str() {
            Some(VERSION) if record["config"]["common"].is_null() => {
                Err(different(&format!("{VERSION} before its release")))
            }
            Some(version) if version != VERSION => Err(different(version)),
            _ => serde_json::from_slice(&content).map(Some).map_err(damaged),
        }
    }
}

impl RunDirectory {
    /// Opens a directory for a new run, or to continue an interrupted one. Incomplete last lines of logs
    /// are removed.
    ///
    /// `data_digest` is the result of [`Dataset::digest`](faa_data::Dataset::digest).
    ///
    /// # Errors
    ///
    /// [`FileError`] if it belongs to something else, is damaged, or cannot be written.
    pub fn open(path: &Path, config: &RunConfig, data_digest: u64) -> Result<Self, FileError> {
        Self::open_with(path, config, data_digest, FaultPoint::default())
    }

    /// As [`open`](Self::open), for a test that interrupts the run.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        path: &Path,
        config: &RunConfig,
        data_digest: u64,
        fault: FaultPoint,
    ) -> Result<Self, FileError> {
        let (layout, files) = (Layout::new(path), Files::new(fault));
        create_folder(path).map_err(FileError::io("create the folder", path))?;
        if !layout.run_file().exists() && !is_free(path)? {
            return Err(FileError::new(
                FileErrorKind::NotARunDirectory,
                format!(
                    "{} is not empty and holds no run: choose a different --out",
                    path.display()
                ),
            ));
        }
        let lock = lock(&layout)?;
        remove_partial_files(path)?;
        let current = RunRecord {
            version: VERSION.to_owned(),
            config: config.clone(),
            data_digest: format!("{data_digest:016x}"),
        };
        match RunRecord::read(&layout)? {
            None => files.write_json(&layout.run_file(), &current)?,
            Some(recorded) => check_same(path, &recorded, &current)?,
        }
        layout.environment().repair()?;
        for id in layout.trainings()? {
            let training = layout.training(id);
            remove_partial_files(training.folder())?;
            training.epochs().repair()?;
            training.trials().repair()?;
        }
        Ok(Self {
            layout,
            files,
            _lock: lock,
        })
    }

    /// Records the environment of the run, if it has changed. Returns the previous one if there was one,
    /// in which case results may differ by rounding.
    ///
    /// # Errors
    ///
    /// [`FileError`] if it cannot be read or written.
    pub fn record_environment(
        &self,
        current: &Environment,
    ) -> Result<Option<Environment>, FileError> {
        let log = self.layout.environment();
        let recorded = log.read()?.pop();
        if recorded.as_ref() == Some(current) {
            return Ok(None);
        }
        log.append(&self.files, current)?;
        Ok(recorded)
    }

    /// The files of a training, whose folder is created if it is missing.
    pub(crate) fn create_training(&self, id: TrainingId) -> Result<TrainingFiles, FileError> {
        let training = self.layout.training(id);
        let folder = training.folder();
        create_folder(folder).map_err(FileError::io("create the folder", folder))?;
        Ok(training)
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }
}

impl Deref for RunDirectory {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.layout
    }
}

/// Whether a new run may start here: there are no files, or only those of a run that was killed at its
/// start.
fn is_free(path: &Path) -> Result<bool, FileError> {
    let ours = |name: &String| name == "lock" || is_partial(name);
    Ok(names_in(path)?.iter().all(ours))
}

/// Removes files that were not completely written before a kill.
fn remove_partial_files(path: &Path) -> Result<(), FileError> {
    for name in names_in(path)?.iter().filter(|name| is_partial(name)) {
        let file = path.join(name);
        fs::remove_file(&file).map_err(FileError::io("remove", &file))?;
    }
    Ok(())
}

fn is_partial(name: &str) -> bool {
    name.starts_with(faa_system::PARTIAL_PREFIX)
}

fn lock(layout: &Layout) -> Result<File, FileError> {
    let path = layout.lock_file();
    let open = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let lock = open.map_err(FileError::io("create", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FileError::new(
            FileErrorKind::InUse,
            format!(
                "{} is in use by another process: wait for it, or choose a different --out",
                layout.path().display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(FileError::io("lock", &path)(error)),
    }
}

fn check_same(path: &Path, recorded: &RunRecord, current: &RunRecord) -> Result<(), FileError> {
    let path = path.display();
    let command = |run: &RunRecord| run.config.search.as_ref().map_or("train", |_| "search");
    let config = |run: &RunRecord| {
        serde_json::to_value(&run.config).expect("a configuration can be written as JSON")
    };
    let message = if command(recorded) != command(current) {
        let (recorded, current) = (command(recorded), command(current));
        format!("{path} was created by `{recorded}`, not by `{current}`: choose a different --out")
    } else if let Some((key, recorded, current)) =
        first_difference("", &config(recorded), &config(current))
    {
        format!(
            "{path} holds a run with a different `{key}` (recorded {recorded}, now {current}): use \
             the recorded settings to continue it, or choose a different --out"
        )
    } else if recorded.data_digest != current.data_digest {
        format!(
            "the images are not those that the run in {path} began with: restore them to continue \
             it, or choose a different --out"
        )
    } else {
        return Ok(());
    };
    Err(FileError::new(FileErrorKind::DifferentRun, message))
}

/// The innermost key whose values differ.
fn first_difference(
    path: &str,
    recorded: &Value,
    current: &Value,
) -> Option<(String, String, String)> {
    if let (Value::Object(recorded), Value::Object(current)) = (recorded, current) {
        let mut keys = recorded.keys().chain(current.keys());
        return keys.find_map(|key| {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{key}");
            let value = |map: &'_ Map<_, _>| map.get(key).cloned().unwrap_or_default();
            first_difference(&path, &value(recorded), &value(current))
        });
    }
    let differ = recorded != current;
    differ.then(|| (path.to_owned(), recorded.to_string(), current.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn config() -> RunConfig {
        RunConfig::for_search(Preset::Demo, "glyphs")
    }

    fn open(folder: &tempfile::TempDir) -> Result<RunDirectory, FileError> {
        RunDirectory::open(folder.path(), &config(), 1)
    }

    #[test]
    fn the_same_run_may_be_continued_and_a_different_one_may_not() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder).unwrap());
        drop(open(&folder).unwrap());
        let mut other = config();
        other.common.training.learning_rate = 0.2;
        let error = RunDirectory::open(folder.path(), &other, 1).unwrap_err();
        let expected = "a different `common.training.learning_rate` (recorded 0.1, now 0.2)";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_different_environment_is_recorded_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let run = open(&folder).unwrap();
        let with = |threads| Environment {
            threads,
            ..Environment::default()
        };
        let record = |threads| run.record_environment(&with(threads)).unwrap();
        let before = [2, 2, 4, 2].map(record);
        assert_eq!(before, [None, None, Some(with(2)), Some(with(4))]);
        assert_eq!(run.environment().read().unwrap().len(), 3);
    }

    #[test]
    fn different_images_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder).unwrap());
        let error = RunDirectory::open(folder.path(), &config(), 2).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::DifferentRun);
        assert!(error.to_string().contains("the images are not"), "{error}");
    }

    #[test]
    fn only_one_process_may_use_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(&folder).unwrap();
        let error = open(&folder).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::InUse);
    }

    #[test]
    fn partial_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let leave = || fs::write(folder.path().join(".partial-x1"), "half").unwrap();
        leave();
        drop(open(&folder).unwrap());
        leave();
        drop(open(&folder).unwrap());
        assert!(!folder.path().join(".partial-x1").exists());
    }

    #[test]
    fn directories_of_other_programs_and_versions_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        let error = open(&folder).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::NotARunDirectory);
        assert!(!folder.path().join("lock").exists());

        let unreleased = format!("{VERSION} before its release");
        for (version, written_by) in [("0.0.1", "0.0.1"), (VERSION, &unreleased)] {
            let folder = tempfile::tempdir().unwrap();
            let record = format!(r#"{{"version": "{version}", "config": {{"unknown": 1}}}}"#);
            fs::write(folder.path().join("run.json"), record).unwrap();
            let error = open(&folder).unwrap_err().to_string();
            let expected = format!("written by version {written_by}, and this is");
            assert!(error.contains(&expected), "{error}");
        }
    }
}
