//! A run directory that a process has locked.

mod compare;
mod record;

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use faa_system::{Lock, create_folder};

use self::compare::check_same;
use crate::attempt::Inputs;
use crate::config::RunConfig;
use crate::environment::Environment;
use crate::event::Event;
use crate::files::{FaultPoint, FileError, FileErrorKind, Files, Log};
use crate::halving::Entrant;
use crate::layout::{Layout, TrainingId, names_in};
use crate::locks::{is_held, is_partial, remove_partial_files, repair, try_lock};

pub(crate) use self::compare::check_part;
pub use self::record::{FORMAT, RunRecord};

/// The directory of one run, in which this process works until the value is dropped: on the run as a whole, or
/// on some of its jobs. A lock keeps other processes from the same.
#[derive(Debug)]
pub struct RunDirectory {
    layout: Layout,
    files: Files,
    /// What the results of every job depend on.
    inputs: Inputs,
    /// What there is to know about the directory before the run begins.
    notices: Vec<Event>,
    /// Of the run as a whole; `None` for a job alone. Closing the file releases it.
    lock: Option<File>,
}

impl RunDirectory {
    /// Opens a directory for a new run, or to continue an interrupted one. Incomplete last lines of logs
    /// are removed.
    ///
    /// `data_digest` is the result of [`Dataset::digest`](faa_data::Dataset::digest). It decides whether
    /// the images are those of the run, which may have moved.
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
        prepare_folder(&layout)?;
        let (lock, locked) = try_lock(&layout.lock_file())?;
        let mut notices = Vec::new();
        match locked {
            Lock::Locked => {}
            Lock::NoLocks => {
                let run = path.to_owned();
                notices.push(Event::NotLocked { run });
            }
            Lock::InUse => {
                let message = faa_system::in_use(path);
                return Err(FileError::new(FileErrorKind::InUse, message));
            }
        }
        let [recorded, mut current] = claim(&layout, &files, config, data_digest)?;
        if !is_held(&layout, TrainingId::Audit) {
            // Otherwise one of them may become `audit.json`.
            remove_partial_files(path)?;
        }
        let inputs = Inputs::new(config, &current.data_digest);
        let (was, now) = (&recorded.config.common.data, &config.common.data);
        if was != now {
            current.version.clone_from(&recorded.version);
            files.write_json(&layout.run_file(), &current)?;
            notices.push(Event::DataMoved {
                recorded: was.clone(),
                current: now.clone(),
            });
        }
        layout.environment().repair()?;
        remove_partial_files(&layout.halving_folder())?;
        layout.entrants().repair()?;
        for id in layout.trainings()? {
            let training = layout.training(id);
            let (_lock, locked) = try_lock(&training.lock_file())?;
            // Whoever works on a job has repaired its files.
            if locked != Lock::InUse {
                repair(&training)?;
            }
        }
        Ok(Self {
            layout,
            files,
            inputs,
            notices,
            lock: Some(lock),
        })
    }

    /// Opens a directory to work on one job of a new run, or of one that was begun. Other processes may do so
    /// at the same time, or work on the run as a whole: each job has its own lock.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for_job(
        path: &Path,
        config: &RunConfig,
        data_digest: u64,
    ) -> Result<Self, FileError> {
        let (layout, files) = (Layout::new(path), Files::default());
        prepare_folder(&layout)?;
        // On a different machine, the images may be in a different folder, which is not worth a word.
        let [_, current] = claim(&layout, &files, config, data_digest)?;
        let inputs = Inputs::new(config, &current.data_digest);
        Ok(Self {
            layout,
            files,
            inputs,
            notices: Vec::new(),
            lock: None,
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

    /// The log of the policies of successive halving, whose folder is created if it is missing.
    pub(crate) fn create_entrants(&self) -> Result<Log<Entrant>, FileError> {
        let folder = self.layout.halving_folder();
        create_folder(&folder).map_err(FileError::io("create the folder", &folder))?;
        Ok(self.layout.entrants())
    }

    /// What there is to know about the directory before the run begins.
    pub(crate) fn notices(&self) -> impl Iterator<Item = Event> {
        self.notices.iter().cloned()
    }

    /// What the results of every job depend on.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Whether this process works on a job alone, and other processes may work on others.
    pub(crate) fn is_for_job(&self) -> bool {
        self.lock.is_none()
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

/// Checks that this configuration is that of the run in a directory, if there is one.
pub(crate) fn check_configuration(layout: &Layout, config: &RunConfig) -> Result<(), FileError> {
    let Some(recorded) = RunRecord::read(layout)? else {
        return match is_free(layout.path())? {
            true => Ok(()),
            false => Err(not_a_run(layout.path())),
        };
    };
    let data_digest = recorded.data_digest.clone();
    let current = RunRecord::new(config, data_digest);
    check_same(layout.path(), &recorded, &current)
}

/// Creates the folder of a run, and checks that it holds nothing else.
fn prepare_folder(layout: &Layout) -> Result<(), FileError> {
    let path = layout.path();
    create_folder(path).map_err(FileError::io("create the folder", path))?;
    // In this order: a process that begins a run here now writes run.json before other files.
    match !is_free(path)? && !layout.run_file().exists() {
        true => Err(not_a_run(path)),
        false => Ok(()),
    }
}

fn not_a_run(path: &Path) -> FileError {
    let message = format!(
        "{} is not empty and holds no run: choose a different --out",
        path.display()
    );
    FileError::new(FileErrorKind::NotARunDirectory, message)
}

/// Begins a run, unless the directory has one, which must be the same. Returns what is recorded, and what this
/// process would record.
fn claim(
    layout: &Layout,
    files: &Files,
    config: &RunConfig,
    data_digest: u64,
) -> Result<[RunRecord; 2], FileError> {
    let current = RunRecord::new(config, format!("{data_digest:016x}"));
    if RunRecord::read(layout)?.is_none() {
        files.create_json(&layout.run_file(), &current)?;
    }
    // A different process may have been the first.
    let recorded = RunRecord::read(layout)?.unwrap_or_else(|| current.clone());
    check_same(layout.path(), &recorded, &current)?;
    Ok([recorded, current])
}

/// Whether a new run may start here: there are no files but those of a run that was killed at its
/// start, and what operating systems leave.
fn is_free(path: &Path) -> Result<bool, FileError> {
    let ours =
        |name: &String| name == "lock" || is_partial(name) || faa_system::is_litter(name.as_ref());
    Ok(names_in(path)?.iter().all(ours))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroUsize;
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::config::Preset;

    fn config() -> RunConfig {
        RunConfig::for_search(Preset::Demo, "glyphs")
    }

    fn open_run(folder: &tempfile::TempDir) -> Result<RunDirectory, FileError> {
        RunDirectory::open(folder.path(), &config(), 1)
    }

    #[test]
    fn the_same_run_may_be_continued_and_a_different_one_may_not() {
        let folder = tempfile::tempdir().unwrap();
        drop(open_run(&folder).unwrap());
        drop(open_run(&folder).unwrap());
        let mut other = config();
        other.common.training.learning_rate = 0.2;
        let error = RunDirectory::open(folder.path(), &other, 1).unwrap_err();
        let expected = "a different `common.training.learning_rate` (recorded 0.1, now 0.2)";
        assert!(error.to_string().contains(expected), "{error}");

        let mut sized = config();
        sized.common.image_size = Some(16);
        let error = RunDirectory::open(folder.path(), &sized, 1).unwrap_err();
        let expected = "a different `common.image_size` (recorded none, now 16)";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_number_of_seeds_that_was_left_open_stays_so() {
        let with = |mut config: RunConfig, seeds| {
            config.final_trainings.seeds = NonZeroUsize::new(seeds);
            config
        };
        let training = RunConfig::for_training(Preset::Demo, "glyphs");
        for (config, option) in [(config(), "--final-seeds"), (training, "--seeds")] {
            for (recorded, current, words) in [
                (
                    0,
                    3,
                    format!(
                        "was started with an automatic number of seeds: omit {option} to continue"
                    ),
                ),
                (
                    3,
                    0,
                    format!("was started with {option} 3: add it to continue"),
                ),
                (
                    3,
                    5,
                    "a different `final_trainings.seeds` (recorded 3, now 5)".to_owned(),
                ),
            ] {
                let folder = tempfile::tempdir().unwrap();
                let open =
                    |seeds| RunDirectory::open(folder.path(), &with(config.clone(), seeds), 1);
                drop(open(recorded).unwrap());
                let error = open(current).unwrap_err();
                assert_eq!(error.kind(), FileErrorKind::DifferentRun);
                assert!(error.to_string().contains(&words), "{error}");
                drop(open(recorded).unwrap());
            }
        }
    }

    #[test]
    fn a_different_environment_is_recorded_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let run = open_run(&folder).unwrap();
        let with = |threads| Environment {
            threads,
            ..Environment::of_this_build()
        };
        let record = |threads| run.record_environment(&with(threads)).unwrap();
        let before = [2, 2, 4, 2].map(record);
        assert_eq!(before, [None, None, Some(with(2)), Some(with(4))]);
        assert_eq!(run.environment().read().unwrap().len(), 3);
    }

    #[test]
    fn different_images_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        drop(open_run(&folder).unwrap());
        let error = RunDirectory::open(folder.path(), &config(), 2).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::DifferentRun);
        let expected = "the images of glyphs are not those that the run in";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn a_moved_data_set_is_recorded_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        drop(open_run(&folder).unwrap());
        let mut moved = config();
        moved.common.data = "folder:/mnt/glyphs".to_owned();
        for expected in [1, 0] {
            let run = RunDirectory::open(folder.path(), &moved, 1).unwrap();
            let (recorded, current) = ("glyphs".to_owned(), moved.common.data.clone());
            let event = Event::DataMoved { recorded, current };
            assert_eq!(run.notices().filter(|it| *it == event).count(), expected);
            assert_eq!(RunRecord::read(&run).unwrap().unwrap().config, moved);
        }
    }

    /// Of several processes that start at the same time, one has the directory, and the others report
    /// that it is in use.
    #[test]
    fn one_process_begins_a_run_and_the_others_are_told_that_it_is_in_use() {
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let start = Barrier::new(4);
            let runs: Vec<_> = thread::scope(|scope| {
                let begin = || {
                    start.wait();
                    open_run(&folder)
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let (begun, refused): (Vec<_>, Vec<_>) = runs.into_iter().partition(Result::is_ok);
            assert_eq!(begun.len(), 1);
            for error in refused.into_iter().map(Result::unwrap_err) {
                assert_eq!(error.kind(), FileErrorKind::InUse, "{error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_folders_in_place_of_files_are_refused() {
        for name in [
            "lock",
            "run.json",
            "environment.jsonl",
            "fold-0/trials.jsonl",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.contains('j') {
                drop(RunDirectory::open(&folder.path().join("other"), &config(), 1).unwrap());
                let record = folder.path().join("run.json");
                fs::rename(folder.path().join("other/run.json"), record).unwrap();
                fs::remove_dir_all(folder.path().join("other")).unwrap();
            }
            let _ = fs::remove_file(&path);
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
            let error = open_run(&folder).unwrap_err().to_string();
            assert!(error.ends_with(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn only_one_process_may_use_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open_run(&folder).unwrap();
        let error = open_run(&folder).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::InUse);
    }

    #[test]
    fn partial_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let leave = || fs::write(folder.path().join(".partial-x1"), "half").unwrap();
        leave();
        drop(open_run(&folder).unwrap());
        leave();
        drop(open_run(&folder).unwrap());
        assert!(!folder.path().join(".partial-x1").exists());
    }

    /// A file manager or a network drive may have been in a new folder before the run.
    #[test]
    fn a_folder_with_litter_of_systems_only_is_free() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".DS_Store"), "").unwrap();
        fs::write(folder.path().join("Thumbs.db"), "").unwrap();
        fs::create_dir(folder.path().join("@eaDir")).unwrap();
        drop(open_run(&folder).unwrap());
        assert!(folder.path().join("run.json").exists());
        assert!(folder.path().join(".DS_Store").exists());
    }

    #[test]
    fn directories_of_other_programs_and_versions_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        let error = open_run(&folder).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::NotARunDirectory);
        assert!(!folder.path().join("lock").exists());

        for (format, written_by) in [("", "in format 1"), ("\"format\": 3, ", "in format 3")] {
            let folder = tempfile::tempdir().unwrap();
            let record = format!(r#"{{{format}"version": "0.0.1", "config": {{"unknown": 1}}}}"#);
            fs::write(folder.path().join("run.json"), record).unwrap();
            let error = open_run(&folder).unwrap_err().to_string();
            let expected = format!("was written by version 0.0.1, {written_by}; this is");
            assert!(error.contains(&expected), "{error}");
        }
    }
}
