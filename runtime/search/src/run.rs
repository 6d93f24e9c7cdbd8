//! The run directory: everything that a search did, readable with ordinary tools.
//!
//! ```text
//! run.json                        the program's version and the configuration
//! means.jsonl                     the device, threads and numbers that it was worked on with
//! fold-0/epochs.jsonl             a line for every epoch of the fold's network
//! fold-0/checkpoint.safetensors   weights and momentum after the last epoch, while it is trained
//! fold-0/network.safetensors      the fold's network
//! fold-0/evaluation.json          how it does on the images that candidates are judged on
//! fold-0/diverged.json            instead of these three, where its loss became no number
//! fold-0/trials.jsonl             a line for every trial on the fold
//! policy.json                     the policy that was found
//! final/cutout-0/…                a final training: as a fold's, and result.json
//! summary.json                    the errors of all final trainings
//! report.html, tensorboard/       made from all of this, for people
//! lock                            held while a process works here
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Control, SearchConfig};
use crate::files::{FileError, PARTIAL_PREFIX, append_line, read_json, read_lines, write_json};
use crate::train::TrainConfig;

const LOCK: &str = "lock";

/// What a run is worked on with: the figures of a run depend on it in their rounding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkedWith {
    /// The devices: `cpu`, `cuda:0`.
    pub device: String,
    /// CPU threads in all.
    pub threads: usize,
    /// Folds or trainings side by side.
    pub jobs: usize,
    /// The numbers that candidates are judged with: `float32` or `bf16`.
    pub judging: String,
    /// The numbers that networks learn with.
    pub training: String,
    /// The processor's name.
    pub processor: String,
}

/// A directory that belongs to one search, and while this value lives, to this process.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    // Closing the file gives the lock back.
    _lock: File,
}

/// Why a directory cannot be worked in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another process works there.
    #[error("{} is in use by another process: wait for it, or choose another --out", .0.display())]
    InUse(PathBuf),
    /// The directory holds a search with other settings.
    #[error(
        "{} holds a run with another `{key}` ({there}, and now {here}): \
         repeat its settings to continue it, or choose another --out", path.display()
    )]
    OtherConfig {
        /// The directory.
        path: PathBuf,
        /// The setting, as a path of keys.
        key: String,
        /// Its value in the directory.
        there: Box<Value>,
        /// Its value in this search.
        here: Box<Value>,
    },
    /// The directory belongs to another command.
    #[error("{} was made by `{found}`, not by `{wanted}`: choose another --out", path.display())]
    OtherTask {
        /// The directory.
        path: PathBuf,
        /// The command that made it.
        found: String,
        /// The command that is to work there.
        wanted: String,
    },
    /// The images have changed since the search began.
    #[error(
        "the images are not those that the run in {} began with: \
         restore them to continue it, or choose another --out", .0.display()
    )]
    OtherData(PathBuf),
    /// What the directory is for cannot be read any more.
    #[error("{} is damaged: restore it, or choose another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<FileError>,
    },
    /// The directory was written by another version of this program.
    #[error("{} was written by version {found}, and this is {}: choose another --out", path.display(), crate::VERSION)]
    OtherVersion {
        /// The directory.
        path: PathBuf,
        /// The version that wrote it.
        found: String,
    },
    /// The directory has files, and none of them is a search's.
    #[error("{} is not empty and holds no run: choose another --out", .0.display())]
    Foreign(PathBuf),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a run directory is for.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// A search.
    Search(&'a SearchConfig),
    /// Trainings.
    Train(&'a TrainConfig),
}

impl Task<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Search(_) => "search",
            Self::Train(_) => "train",
        }
    }

    fn config(self) -> Value {
        let value = match self {
            Self::Search(config) => serde_json::to_value(config),
            Self::Train(config) => serde_json::to_value(config),
        };
        value.expect("a configuration has a JSON form")
    }
}

#[derive(Serialize, Deserialize)]
struct RunFile {
    version: String,
    task: String,
    config: Value,
    data_digest: String,
}

impl RunDirectory {
    /// Opens a directory for a run: a new one, or one that the same run was stopped in.
    ///
    /// `data_digest` stands for the images, as [`Dataset::digest`](crate::data::Dataset::digest)
    /// gives it.
    ///
    /// # Errors
    ///
    /// [`RunError`] where it belongs to something else or cannot be written.
    pub fn open(path: &Path, task: Task<'_>, data_digest: u64) -> Result<Self, RunError> {
        fs::create_dir_all(path).map_err(FileError::io("create the folder", path))?;
        let run_file = path.join("run.json");
        if !run_file.exists() && !is_free(path)? {
            return Err(RunError::Foreign(path.to_owned()));
        }
        let lock = lock(path)?;
        remove_partial_files(path)?;
        let here = RunFile {
            version: crate::VERSION.to_owned(),
            task: task.name().to_owned(),
            config: task.config(),
            data_digest: format!("{data_digest:016x}"),
        };
        let there = read_json::<RunFile>(&run_file).map_err(|source| match source {
            FileError::Damaged { .. } => RunError::Damaged {
                path: run_file.clone(),
                source: Box::new(source),
            },
            other => other.into(),
        })?;
        match there {
            None => write_json(&run_file, &here)?,
            Some(there) => check_same(path, &there, &here)?,
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Writes down what the run is worked on with, where that is not what it was worked on with
    /// last. Returns that, where there was something else: figures may then differ in rounding.
    ///
    /// # Errors
    ///
    /// [`FileError`] where it cannot be read or written.
    pub fn record_means(&self, now: &WorkedWith) -> Result<Option<WorkedWith>, FileError> {
        let file = self.path.join("means.jsonl");
        let before = read_lines::<WorkedWith>(&file)?.pop();
        if before.as_ref() == Some(now) {
            return Ok(None);
        }
        append_line(&file, now)?;
        Ok(before)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the policy is written.
    pub fn policy_file(&self) -> PathBuf {
        self.path.join("policy.json")
    }

    /// Where the errors of the final trainings are written.
    pub fn summary_file(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The folder of a fold; made where it is missing.
    ///
    /// # Errors
    ///
    /// [`FileError`] where it cannot be made.
    pub fn fold(&self, fold: usize) -> Result<PathBuf, FileError> {
        self.folder(&format!("fold-{fold}"))
    }

    /// The folder of a final training; made where it is missing.
    ///
    /// # Errors
    ///
    /// [`FileError`] where it cannot be made.
    pub fn final_training(&self, control: Control, seed: usize) -> Result<PathBuf, FileError> {
        self.folder(&format!("final/{}-{seed}", control.name()))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, FileError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(FileError::io("create the folder", &path))?;
        remove_partial_files(&path)?;
        Ok(path)
    }
}

/// Whether a search may begin here: nothing but what a search leaves that was killed as it began.
fn is_free(path: &Path) -> Result<bool, FileError> {
    let ours = |name: &OsStr| name == LOCK || is_partial(name);
    Ok(names_in(path)?.iter().all(|name| ours(name)))
}

/// Removes what a kill left of files that were being written.
fn remove_partial_files(path: &Path) -> Result<(), FileError> {
    for name in names_in(path)?.iter().filter(|name| is_partial(name)) {
        let file = path.join(name);
        fs::remove_file(&file).map_err(FileError::io("remove", &file))?;
    }
    Ok(())
}

fn is_partial(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL_PREFIX)
}

fn names_in(folder: &Path) -> Result<Vec<OsString>, FileError> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(FileError::io("list", folder))
}

fn lock(path: &Path) -> Result<File, RunError> {
    let file = path.join(LOCK);
    let open = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let lock = open.map_err(FileError::io("create", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(FileError::io("lock", &file)(error).into()),
    }
}

fn check_same(path: &Path, there: &RunFile, here: &RunFile) -> Result<(), RunError> {
    let path = path.to_owned();
    if there.version != here.version {
        let found = there.version.clone();
        return Err(RunError::OtherVersion { path, found });
    }
    if there.task != here.task {
        let (found, wanted) = (there.task.clone(), here.task.clone());
        return Err(RunError::OtherTask {
            path,
            found,
            wanted,
        });
    }
    if let Some((key, there, here)) = first_difference("", &there.config, &here.config) {
        let (there, here) = (Box::new(there.clone()), Box::new(here.clone()));
        return Err(RunError::OtherConfig {
            path,
            key,
            there,
            here,
        });
    }
    if there.data_digest != here.data_digest {
        return Err(RunError::OtherData(path));
    }
    Ok(())
}

/// The innermost key whose values differ.
fn first_difference<'a>(
    place: &str,
    there: &'a Value,
    here: &'a Value,
) -> Option<(String, &'a Value, &'a Value)> {
    if let (Value::Object(there), Value::Object(here)) = (there, here) {
        let keys = there.keys().chain(here.keys());
        return keys.into_iter().find_map(|key| {
            let dot = if place.is_empty() { "" } else { "." };
            let value = |map: &'a serde_json::Map<_, _>| map.get(key).unwrap_or(&Value::Null);
            first_difference(&format!("{place}{dot}{key}"), value(there), value(here))
        });
    }
    (there != here).then(|| (place.to_owned(), there, here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn config() -> SearchConfig {
        SearchConfig::preset(Preset::Demo, "glyphs")
    }

    #[test]
    fn the_same_search_may_come_back_and_another_may_not() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap());
        drop(RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap());
        let mut other = config();
        other.training.learning_rate = 0.2;
        let error = RunDirectory::open(folder.path(), Task::Search(&other), 1)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("another `training.learning_rate` (0.1, and now 0.2)"),
            "{error}"
        );
    }

    #[test]
    fn other_means_are_written_down_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap();
        let with = |threads| WorkedWith {
            device: "cpu".into(),
            threads,
            jobs: 1,
            judging: "bf16".into(),
            training: "float32".into(),
            processor: "any".into(),
        };
        let told: Vec<_> = [2, 2, 4, 2]
            .map(|threads| run.record_means(&with(threads)).unwrap())
            .into();
        assert_eq!(told, [None, None, Some(with(2)), Some(with(4))]);
        let lines = fs::read_to_string(folder.path().join("means.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 3);
    }

    #[test]
    fn other_images_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap());
        let other = RunDirectory::open(folder.path(), Task::Search(&config()), 2);
        assert!(matches!(other, Err(RunError::OtherData(_))));
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap();
        let second = RunDirectory::open(folder.path(), Task::Search(&config()), 1);
        assert!(matches!(second, Err(RunError::InUse(_))));
    }

    #[test]
    fn what_a_kill_leaves_behind_is_swept_up() {
        let folder = tempfile::tempdir().unwrap();
        let leave = || fs::write(folder.path().join(".partial-x1"), "half").unwrap();
        leave();
        drop(RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap());
        leave();
        drop(RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap());
        assert!(!folder.path().join(".partial-x1").exists());
    }

    #[test]
    fn foreign_folders_and_other_versions_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        let foreign = RunDirectory::open(folder.path(), Task::Search(&config()), 1);
        assert!(matches!(foreign, Err(RunError::Foreign(_))));
        assert!(!folder.path().join("lock").exists());

        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("run.json"),
            r#"{"version": "0.0.1", "task": "search", "config": {}, "data_digest": ""}"#,
        )
        .unwrap();
        let error = RunDirectory::open(folder.path(), Task::Search(&config()), 1).unwrap_err();
        assert!(matches!(error, RunError::OtherVersion { .. }));
    }
}
