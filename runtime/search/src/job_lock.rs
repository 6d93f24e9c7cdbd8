//! The jobs of a run, each of which one process at a time works on.

use std::fs::File;

use faa_policy::Policy;
use faa_system::create_folder;

use crate::attempt::Attempt;
use crate::directory::RunDirectory;
use crate::environment::Environment;
use crate::files::{FileError, FileErrorKind, Files, Log};
use crate::layout::TrainingId;
use crate::locks::{hold, repair};

/// A job that this process works on, until the value is dropped.
#[derive(Debug)]
pub(crate) struct JobLock<'a> {
    log: Log<Attempt>,
    attempts: Vec<Attempt>,
    files: &'a Files,
    is_locked: bool,
    // Closing the file releases the lock.
    _lock: File,
}

impl RunDirectory {
    /// Begins an attempt at a job, and returns the environment of the one before, if there was one. The folder
    /// of the job is created if it is missing, and incomplete last lines of logs are removed. `policy` is what
    /// its training depends on besides the run.
    pub(crate) fn begin(
        &self,
        job: TrainingId,
        policy: Option<&Policy>,
        environment: &Environment,
    ) -> Result<(JobLock<'_>, Option<Environment>), FileError> {
        let training = self.training(job);
        let folder = training.folder();
        create_folder(folder).map_err(FileError::io("create the folder", folder))?;
        let (file, is_locked) = hold(&training)?;
        repair(&training)?;
        let mut attempts = self.check_inputs(job, policy, &environment.build)?;
        let before = attempts.last().map(|it| it.environment.clone());
        let attempt = Attempt::begin(self.inputs().with_policy(policy), environment.clone());
        let log = training.attempts();
        log.append(self.files(), &attempt)?;
        attempts.push(attempt);
        let lock = JobLock {
            log,
            attempts,
            files: self.files(),
            is_locked,
            _lock: file,
        };
        Ok((lock, before))
    }

    /// The attempts at a job, which must have had this policy, and what this run depends on. A run of an
    /// earlier version has none recorded.
    pub(crate) fn check_inputs(
        &self,
        job: TrainingId,
        policy: Option<&Policy>,
        build: &str,
    ) -> Result<Vec<Attempt>, FileError> {
        let training = self.training(job);
        let inputs = self.inputs().with_policy(policy);
        let attempts = training.attempts().read()?;
        let mut differences = attempts.iter().map(|it| it.difference(&inputs, build));
        if let Some((what, recorded, current)) = differences.find_map(|it| it) {
            let message = format!(
                "{} was made with a different {what} (recorded digest {recorded}, now {current}): move it \
                 away, and the run repeats the {job}",
                training.folder().display()
            );
            return Err(FileError::new(FileErrorKind::DifferentRun, message));
        }
        Ok(attempts)
    }
}

impl JobLock<'_> {
    /// Whether other processes are kept from the job: not every file system has locks.
    pub(crate) fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Records that the job is finished.
    pub(crate) fn end(mut self) -> Result<(), FileError> {
        let last = self.attempts.pop().map(Attempt::end);
        self.attempts.extend(last);
        self.log.write(self.files, &self.attempts)
    }
}
