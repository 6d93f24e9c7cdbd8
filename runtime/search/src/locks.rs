//! Locks of a run and of its jobs, and what whoever holds one does first.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use faa_system::Lock;

use crate::files::{FileError, FileErrorKind, open};
use crate::layout::{Layout, TrainingFiles, TrainingId, names_in};

/// How often a lock is tried. A process that lists jobs holds one for an instant.
const TRIES: usize = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Whether a process works on a job.
pub(crate) fn is_held(layout: &Layout, job: TrainingId) -> bool {
    let path = layout.training(job).lock_file();
    let file = open(&path, File::options().write(true));
    file.is_ok_and(|file| matches!(faa_system::lock(&file), Ok(Lock::InUse)))
}

/// Locks a job, whose folder exists; `false` if its file system has no locks.
pub(crate) fn hold(training: &TrainingFiles) -> Result<(File, bool), FileError> {
    for _ in 0..TRIES {
        match try_lock(&training.lock_file())? {
            (file, Lock::Locked) => return Ok((file, true)),
            (file, Lock::NoLocks) => return Ok((file, false)),
            (_, Lock::InUse) => thread::sleep(BETWEEN_TRIES),
        }
    }
    let message = format!(
        "a different process works on {}: wait for it, and the same command continues",
        training.folder().display()
    );
    Err(FileError::new(FileErrorKind::InUse, message))
}

/// Removes what a kill has left of the files of a job.
pub(crate) fn repair(training: &TrainingFiles) -> Result<(), FileError> {
    remove_partial_files(training.folder())?;
    training.epochs().repair()?;
    training.trials().repair()?;
    training.rescorings().repair()?;
    training.points().repair()?;
    training.attempts().repair()
}

/// Tries to lock this file, which is created if it is missing.
pub(crate) fn try_lock(path: &Path) -> Result<(File, Lock), FileError> {
    let mut options = File::options();
    let file = open(path, options.write(true).create(true).truncate(false));
    let file = file.map_err(FileError::io("open", path))?;
    let locked = faa_system::lock(&file).map_err(FileError::io("lock", path))?;
    Ok((file, locked))
}

/// Removes files that were not completely written before a kill.
pub(crate) fn remove_partial_files(path: &Path) -> Result<(), FileError> {
    for name in names_in(path)?.iter().filter(|name| is_partial(name)) {
        let file = path.join(name);
        fs::remove_file(&file).map_err(FileError::io("remove", &file))?;
    }
    Ok(())
}

pub(crate) fn is_partial(name: &str) -> bool {
    name.starts_with(faa_system::PARTIAL_PREFIX)
}
