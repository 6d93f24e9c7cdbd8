//! Brings the jobs of a run together that were done in separate folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faa_op::OpSet;
use faa_system::create_folder;

use crate::attempt::Inputs;
use crate::config::RunConfig;
use crate::directory::{RunDirectory, RunRecord, check_part};
use crate::files::{FileError, FileErrorKind};
use crate::layout::{Layout, TrainingFiles, TrainingId};
use crate::locks::{hold, is_held};
use crate::records::Records;

/// The files of a job, in the order in which a run writes them. Copied in it, they are at every moment what an
/// interrupted run may leave.
const FILES: [&str; 9] = [
    "attempts.jsonl",
    "epochs.jsonl",
    "checkpoint.safetensors",
    "network.safetensors",
    "evaluation.json",
    "trials.jsonl",
    "rescorings.jsonl",
    "points.jsonl",
    "diverged.json",
];

/// What was brought together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The jobs that were copied, by their folder in the run directory, and where from.
    pub jobs: Vec<(String, PathBuf)>,
    /// What makes results differ from those of one machine, for people.
    pub warnings: Vec<String>,
}

/// Copies jobs from the run directories `parts` to `out`, which is created if it is missing. What is done in
/// `out` stays; what is begun there gives way to what is done in a part, or further.
///
/// # Errors
///
/// [`FileError`] if a part belongs to a different run, is in use, is damaged, or cannot be copied. Jobs that
/// were copied before stay.
pub fn collect(
    config: &RunConfig,
    ops: &OpSet,
    out: &Path,
    parts: &[PathBuf],
) -> Result<Collected, FileError> {
    let into = Layout::new(out);
    let recorded = RunRecord::read(&into)?;
    let mut first = recorded.map(|record| (out, record));
    for part in parts {
        let record = RunRecord::read(&Layout::new(part))?.ok_or_else(|| no_run(part))?;
        let (path, before) = first.get_or_insert_with(|| (part, record.clone()));
        check_part((part, &record), (path, before))?;
    }
    let Some((_, record)) = first else {
        return Ok(Collected::default());
    };
    let directory = RunDirectory::open_for_job(out, config, record.digest()?)?;
    let inputs = Inputs::new(config, &record.data_digest);
    let mut collected = Collected::default();
    for part in parts {
        let from = Layout::new(part);
        for job in from.trainings()? {
            let records = [&from, &into].map(|layout| Records {
                config,
                ops,
                layout,
            });
            check_attempts(&from, job, &inputs)?;
            if copy(&directory, records, job)? {
                collected.jobs.push((job.folder(), part.clone()));
            }
        }
    }
    collected.warnings = warnings(&into)?;
    Ok(collected)
}

/// Copies a job, if that brings it further. Returns whether it did.
fn copy(
    directory: &RunDirectory,
    [from, into]: [Records<'_>; 2],
    job: TrainingId,
) -> Result<bool, FileError> {
    let [source, target] = [from, into].map(|it| it.layout.training(job));
    let brings_further = || -> Result<bool, FileError> {
        let is_further = from.is_done(job)? || recorded(&source)? > recorded(&target)?;
        Ok(is_further && !into.is_done(job)?)
    };
    if !brings_further()? {
        return Ok(false);
    }
    if is_held(from.layout, job) {
        let message = format!(
            "a different process works on {}: wait for it, then collect again",
            source.folder().display()
        );
        return Err(FileError::new(FileErrorKind::InUse, message));
    }
    let folder = target.folder();
    create_folder(folder).map_err(FileError::io("create the folder", folder))?;
    let _lock = hold(&target)?;
    // A different process may have finished it meanwhile.
    if !brings_further()? {
        return Ok(false);
    }
    let files = directory.files();
    for name in FILES.iter().rev() {
        files.remove(&target.folder().join(name))?;
    }
    for name in FILES {
        files.copy(&source.folder().join(name), &target.folder().join(name))?;
    }
    if job == TrainingId::Audit {
        files.copy(&from.layout.audit_file(), &into.layout.audit_file())?;
    }
    Ok(true)
}

/// How much work on a job is recorded: the number of its epochs, trials, second scorings and measurements.
fn recorded(files: &TrainingFiles) -> Result<usize, FileError> {
    let scorings = files.trials().read()?.len() + files.rescorings().read()?.len();
    Ok(files.epochs().read()?.len() + scorings + files.points().read()?.len())
}

/// Checks that a job was made with what the run depends on. With which policy is compared when the run
/// continues, since all jobs may be needed to know it.
fn check_attempts(from: &Layout, job: TrainingId, inputs: &Inputs) -> Result<(), FileError> {
    let training = from.training(job);
    for attempt in training.attempts().read()? {
        let policy = attempt.inputs.policy.clone();
        let inputs = Inputs {
            policy,
            ..inputs.clone()
        };
        let build = &attempt.environment.build;
        // Configurations themselves were compared.
        let difference = attempt.difference(&inputs, build);
        if let Some((what, found, expected)) = difference.filter(|it| it.0 != "configuration") {
            let message = format!(
                "{} was made with different {what} (digest {found}) than the run has (digest {expected})",
                training.folder().display()
            );
            return Err(FileError::new(FileErrorKind::DifferentRun, message));
        }
    }
    Ok(())
}

/// In what the jobs differ that are done by different machines.
fn warnings(run: &Layout) -> Result<Vec<String>, FileError> {
    let (mut builds, mut hardware) = (Jobs::new(), Jobs::new());
    for job in run.trainings()? {
        if let Some(attempt) = run.training(job).attempts().read()?.pop() {
            let environment = attempt.environment;
            hardware
                .entry(environment.to_string())
                .or_default()
                .push(job);
            builds.entry(environment.build).or_default().push(job);
        }
    }
    let several = |what: &str, jobs: &Jobs, how: &str| {
        (jobs.len() > 1).then(|| format!("{what}: {}; results may differ{how}", listed(jobs)))
    };
    let builds = several("jobs were done by different builds", &builds, "");
    let hardware = several(
        "jobs were done on different hardware",
        &hardware,
        " by rounding",
    );
    Ok(builds.into_iter().chain(hardware).collect())
}

/// The jobs of each build, or of each kind of hardware.
type Jobs = BTreeMap<String, Vec<TrainingId>>;

fn listed(jobs: &Jobs) -> String {
    let one = |(what, jobs): (&String, &Vec<TrainingId>)| match jobs.as_slice() {
        [job] => format!("{what} ({})", job.folder()),
        [first, rest @ ..] => format!("{what} ({} and {} more)", first.folder(), rest.len()),
        [] => what.clone(),
    };
    let all: Vec<String> = jobs.iter().map(one).collect();
    all.join("; ")
}

fn no_run(part: &Path) -> FileError {
    let message = format!("{} holds no run", part.display());
    FileError::new(FileErrorKind::NotARunDirectory, message)
}
