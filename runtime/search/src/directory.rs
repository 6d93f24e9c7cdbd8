//! A run directory that a process has locked.

use std::fs::{self, File, TryLockError};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use faa_system::create_folder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::VERSION;
use crate::config::RunConfig;
use crate::environment::Environment;
use crate::files::{FaultPoint, FileError, Files, read_json};
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
    /// [`FileError`] if it cannot be read, or was written by a version with a different configuration
    /// format.
    pub fn read(layout: &Layout) -> Result<Option<Self>, FileError> {
        read_json(&layout.run_file())
    }
}

/// A directory cannot be used for a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A different process uses the directory.
    #[error("{} is in use by another process: wait for it, or choose a different --out", .0.display())]
    InUse(PathBuf),
    /// The directory holds a run with different settings.
    #[error(
        "{} holds a run with a different `{key}` (recorded {recorded}, now {current}): \
         use the recorded settings to continue it, or choose a different --out", path.display()
    )]
    DifferentConfig {
        /// The directory.
        path: PathBuf,
        /// The setting, as a path of keys.
        key: String,
        /// Its value in the directory, as JSON.
        recorded: String,
        /// Its value in this run, as JSON.
        current: String,
    },
    /// The directory belongs to a different command.
    #[error("{} was created by `{recorded}`, not by `{current}`: choose a different --out", path.display())]
    DifferentCommand {
        /// The directory.
        path: PathBuf,
        /// The command that created it.
        recorded: &'static str,
        /// The current command.
        current: &'static str,
    },
    /// The images have changed since the run began.
    #[error(
        "the images are not those that the run in {} began with: \
         restore them to continue it, or choose a different --out", .0.display()
    )]
    DifferentData(PathBuf),
    /// The directory was written by a different version of the program.
    #[error("{} was written by version {recorded}, and this is {VERSION}: choose a different --out", path.display())]
    DifferentVersion {
        /// The directory.
        path: PathBuf,
        /// The version that wrote it.
        recorded: String,
    },
    /// The directory has files, but not those of a run.
    #[error("{} is not empty and holds no run: choose a different --out", .0.display())]
    NotARunDirectory(PathBuf),
    /// `run.json` is damaged, so what the directory is for is unknown.
    #[error("run.json in {} is damaged ({reason}): restore it, or choose a different --out", path.display())]
    DamagedRecord {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl DirectoryError {
    fn of_record(path: &Path, error: FileError) -> Self {
        match error {
            FileError::Damaged { reason, .. } => Self::DamagedRecord {
                path: path.to_owned(),
                reason,
            },
            error => error.into(),
        }
    }
}

/// A [`RunRecord`] of any version.
#[derive(Deserialize)]
struct AnyRecord {
    version: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    data_digest: String,
}

impl RunDirectory {
    /// Opens a directory for a new run, or to continue an interrupted one. Incomplete last lines of logs
    /// are removed.
    ///
    /// `data_digest` is the result of [`Dataset::digest`](faa_data::Dataset::digest).
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] if it belongs to something else, is damaged, or cannot be written.
    pub fn open(path: &Path, config: &RunConfig, data_digest: u64) -> Result<Self, DirectoryError> {
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
    ) -> Result<Self, DirectoryError> {
        let (layout, files) = (Layout::new(path), Files::new(fault));
        create_folder(path).map_err(FileError::io("create the folder", path))?;
        if !layout.run_file().exists() && !is_free(path)? {
            return Err(DirectoryError::NotARunDirectory(path.to_owned()));
        }
        let lock = lock(&layout)?;
        remove_partial_files(path)?;
        let current = RunRecord {
            version: VERSION.to_owned(),
            config: config.clone(),
            data_digest: format!("{data_digest:016x}"),
        };
        let recorded = read_json::<AnyRecord>(&layout.run_file());
        match recorded.map_err(|error| DirectoryError::of_record(path, error))? {
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

fn lock(layout: &Layout) -> Result<File, DirectoryError> {
    let path = layout.lock_file();
    let open = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let lock = open.map_err(FileError::io("create", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(layout.path().to_owned())),
        Err(TryLockError::Error(error)) => Err(FileError::io("lock", &path)(error).into()),
    }
}

fn check_same(
    path: &Path,
    recorded: &AnyRecord,
    current: &RunRecord,
) -> Result<(), DirectoryError> {
    let path = path.to_owned();
    if recorded.version != current.version {
        let recorded = recorded.version.clone();
        return Err(DirectoryError::DifferentVersion { path, recorded });
    }
    if recorded.config["common"].is_null() {
        let recorded = format!("{} before its release", recorded.version);
        return Err(DirectoryError::DifferentVersion { path, recorded });
    }
    let config =
        serde_json::to_value(&current.config).expect("a configuration can be written as JSON");
    let command = |config: &Value| match config["search"].is_null() {
        true => "train",
        false => "search",
    };
    let commands = (command(&recorded.config), command(&config));
    if commands.0 != commands.1 {
        let (recorded, current) = commands;
        return Err(DirectoryError::DifferentCommand {
            path,
            recorded,
            current,
        });
    }
    if let Some((key, recorded, current)) = first_difference("", &recorded.config, &config) {
        return Err(DirectoryError::DifferentConfig {
            path,
            key,
            recorded: recorded.to_string(),
            current: current.to_string(),
        });
    }
    match recorded.data_digest == current.data_digest {
        true => Ok(()),
        false => Err(DirectoryError::DifferentData(path)),
    }
}

/// The innermost key whose values differ.
fn first_difference<'a>(
    path: &str,
    recorded: &'a Value,
    current: &'a Value,
) -> Option<(String, &'a Value, &'a Value)> {
    if let (Value::Object(recorded), Value::Object(current)) = (recorded, current) {
        let mut keys = recorded.keys().chain(current.keys());
        return keys.find_map(|key| {
            let dot = if path.is_empty() { "" } else { "." };
            let value = |map: &'a Map<_, _>| map.get(key).unwrap_or(&Value::Null);
            first_difference(
                &format!("{path}{dot}{key}"),
                value(recorded),
                value(current),
            )
        });
    }
    (recorded != current).then(|| (path.to_owned(), recorded, current))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn config() -> RunConfig {
        RunConfig::for_search(Preset::Demo, "glyphs")
    }

    fn open(folder: &tempfile::TempDir) -> Result<RunDirectory, DirectoryError> {
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
            device: "cpu".into(),
            threads,
            jobs: 1,
            scoring: "bf16".into(),
            training: "float32".into(),
            processor: "any".into(),
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
        let other = RunDirectory::open(folder.path(), &config(), 2);
        assert!(matches!(other, Err(DirectoryError::DifferentData(_))));
    }

    #[test]
    fn only_one_process_may_use_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(&folder).unwrap();
        assert!(matches!(open(&folder), Err(DirectoryError::InUse(_))));
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
        assert!(matches!(
            open(&folder),
            Err(DirectoryError::NotARunDirectory(_))
        ));
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
