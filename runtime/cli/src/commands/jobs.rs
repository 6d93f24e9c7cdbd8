//! The jobs of a run: doing one alone, listing them, and bringing them together.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use faa_search::collect::collect;
use faa_search::config::{Augmentation, RunConfig};
use faa_search::jobs::{JobList, JobState, not_ready};
use faa_search::layout::{Layout, TrainingId};
use faa_system::log_line;

use super::{InUse, Usage, print};
use crate::arguments::check_utf8;
use crate::plugins::KnownOps;

/// About jobs, for `after_help`.
pub(crate) const JOBS: &str = "\
A run consists of jobs, which may run in processes of their own, at the same time and on several
machines: add the options that --list-jobs prints to the command. The command without them does
what is missing and merges, with the same result as one process; on the CPU byte for byte, with the
same --threads for every job. A single job ends with the exit status 0 if it is done, 75
(EX_TEMPFAIL) if a different process works on it, 1 for a failure and 2 for wrong usage.";

/// What is done of a run.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// All that is missing.
    All,
    /// A job that another program started alone.
    One(TrainingId),
    /// Nothing: its jobs are listed.
    List,
    /// Jobs are copied from these run directories, and listed.
    Collect(Vec<PathBuf>),
}

/// The jobs of any run.
#[derive(Args)]
#[command(next_help_heading = "Jobs, each in a process of its own")]
pub(crate) struct JobOptions {
    /// Do only this final training: its augmentation, and the number of its seed, from 0.
    #[arg(long = "final", value_name = "NAME:SEED", group = "task", value_parser = final_training)]
    final_training: Option<TrainingId>,
    /// List the jobs: the state of each (done, held by a process, ready, or waiting for others), the options
    /// that do it alone, and how far it is if it is held; with --json, also which jobs it needs and what it
    /// writes. Needs no libtorch and reads no images.
    #[arg(long, group = "task")]
    list_jobs: bool,
    /// Copy the jobs that were done in these run directories to OUT, and list all jobs. The configuration,
    /// images and plugins must be the same; a different build is a warning.
    #[arg(long, value_name = "DIR", num_args = 1.., group = "task")]
    collect: Vec<PathBuf>,
}

/// The jobs that only a search has.
#[derive(Args)]
#[command(next_help_heading = "Jobs, each in a process of its own")]
pub(crate) struct SearchJobOptions {
    /// Do only this fold, from 0: train its network, and run its trials.
    #[arg(long, value_name = "K", group = "task")]
    fold: Option<usize>,
    /// Do only this short training of --objective train: its rung, its policy and its seed, each from 0.
    #[arg(long, value_name = "RUNG:ENTRANT:SEED", group = "task", value_parser = entrant)]
    entrant: Option<TrainingId>,
    /// Do only the audit of --objective train.
    #[arg(long, group = "task")]
    only_audit: bool,
}

impl JobOptions {
    pub(crate) fn task(&self) -> Task {
        match self.final_training {
            Some(job) => Task::One(job),
            None if self.list_jobs => Task::List,
            None if !self.collect.is_empty() => Task::Collect(self.collect.clone()),
            None => Task::All,
        }
    }
}

impl SearchJobOptions {
    /// The task of a search, if it is not `other`.
    pub(crate) fn task(&self, other: Task) -> Task {
        let audit = self.only_audit.then_some(TrainingId::Audit);
        let job = self.entrant.or(self.fold.map(TrainingId::Fold)).or(audit);
        job.map_or(other, Task::One)
    }
}

/// The message that a task's options need a number of seeds.
fn open_seeds(config: &RunConfig) -> Usage {
    let option = match config.is_search() {
        true => "--final-seeds",
        false => "--seeds",
    };
    Usage(format!(
        "the number of seeds of the final trainings is open, and one process would choose it by a \
         measurement: add {option} N"
    ))
}

/// Prints the jobs of a run: with `json`, as one line of JSON.
pub(crate) fn list(config: &RunConfig, known: &KnownOps, out: &Path, json: bool) -> Result<()> {
    let list = JobList::of(config, &known.ops, &Layout::new(out))?;
    if list.has_open_seeds {
        bail!(open_seeds(config));
    }
    if json {
        return print(&format!("{}\n", serde_json::to_string(&list)?));
    }
    let mut text = String::new();
    for job in &list.jobs {
        let state = match job.state {
            JobState::Done => "done",
            JobState::Held => "held",
            JobState::Ready => "ready",
            _ => "waiting",
        };
        let progress = match job.state {
            JobState::Held if job.progress.attempts > 0 => format!(" # {}", job.progress.summary),
            _ => String::new(),
        };
        text += &format!("{state} {}{progress}\n", job.arguments.join(" "));
    }
    if list.later > 0 {
        text += &format!("later {}\n", list.later);
    }
    print(&text)
}

/// Copies jobs from other run directories, and lists all jobs.
pub(crate) fn bring_together(
    config: &RunConfig,
    known: &KnownOps,
    out: &Path,
    parts: &[PathBuf],
    json: bool,
) -> Result<()> {
    for path in parts.iter().map(PathBuf::as_path).chain([out]) {
        check_utf8("a run directory", path)?;
    }
    let collected = collect(config, &known.ops, out, parts)?;
    for (job, from) in &collected.jobs {
        log_line!("{job} from {}", from.display());
    }
    for warning in &collected.warnings {
        log_line!("warning: {warning}");
    }
    list(config, known, out, json)
}

/// Whether a job is already done. It is an error if it cannot be started now. Asking here is quick: the other
/// program would load libtorch and all images first.
pub(crate) fn is_done(
    config: &RunConfig,
    known: &KnownOps,
    out: &Path,
    job: TrainingId,
) -> Result<bool> {
    let list = JobList::of(config, &known.ops, &Layout::new(out))?;
    let is_final = matches!(job, TrainingId::Final { .. });
    if is_final && list.has_open_seeds {
        bail!(open_seeds(config));
    }
    let Some(found) = list.find(job) else {
        let may_come = list.later > 0 && matches!(job, TrainingId::Halving { .. });
        let unfinished = list.jobs.iter().filter(|it| it.state != JobState::Done);
        let unfinished: Vec<&str> = unfinished.map(|it| it.id.as_str()).collect();
        match may_come {
            true => bail!(not_ready(job, &unfinished)),
            false => bail!(Usage(format!(
                "this run has no {job}; `--list-jobs` lists its jobs"
            ))),
        }
    };
    match found.state {
        JobState::Done => Ok(true),
        JobState::Held => bail!(InUse(format!(
            "a different process works on {}",
            out.join(&found.id).display()
        ))),
        JobState::Ready => Ok(false),
        _ => bail!(not_ready(job, &found.missing(&list).collect::<Vec<_>>())),
    }
}

fn final_training(text: &str) -> Result<TrainingId, String> {
    let id = text.split_once(':').and_then(|(name, seed)| {
        let mut known = Augmentation::ALL.into_iter();
        Some(TrainingId::Final {
            augmentation: known.find(|it| it.name() == name)?,
            seed: seed.parse().ok()?,
        })
    });
    let names = Augmentation::ALL.map(Augmentation::name).join(", ");
    id.ok_or_else(|| format!("must be NAME:SEED, such as policy:0, with a NAME of {names}"))
}

fn entrant(text: &str) -> Result<TrainingId, String> {
    let numbers: Option<Vec<usize>> = text.split(':').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([rung, entrant, seed]) => Ok(TrainingId::Halving {
            rung: *rung,
            entrant: *entrant,
            seed: *seed,
        }),
        _ => Err("must be RUNG:ENTRANT:SEED, such as 0:3:0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_by_numbers_and_an_augmentation() {
        let policy = TrainingId::Final {
            augmentation: Augmentation::Policy,
            seed: 2,
        };
        assert_eq!(final_training("policy:2"), Ok(policy));
        for text in ["policy", "policy:", "policy:-1", "polic:0", ":0", ""] {
            assert!(
                final_training(text)
                    .unwrap_err()
                    .starts_with("must be NAME:SEED")
            );
        }
        let short = TrainingId::Halving {
            rung: 1,
            entrant: 30,
            seed: 0,
        };
        assert_eq!(entrant("1:30:0"), Ok(short));
        for text in ["1:30", "1:30:0:0", "a:0:0", "1:-3:0", ""] {
            assert!(entrant(text).unwrap_err().starts_with("must be RUNG:"));
        }
    }
}
