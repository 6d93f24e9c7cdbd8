//! The jobs of a run: which there are, what they need, and which are done. Programs that start each of them
//! by itself, on one machine or on many, ask for this list.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use faa_op::OpSet;
use serde::{Deserialize, Serialize};

use crate::config::{Augmentation, RunConfig, RungPhase};
use crate::directory::check_configuration;
use crate::files::FileError;
use crate::job_progress::{self, JobProgress};
use crate::layout::{Layout, TrainingId};
use crate::locks::is_held;
use crate::records::{Phases, Records};
use crate::seed_count::SeedCount;

/// How many jobs a message names.
const MAX_NAMES: usize = 5;

/// The jobs of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobList {
    /// The run directory.
    pub run: PathBuf,
    /// The jobs, in the order in which one process does them.
    pub jobs: Vec<Job>,
    /// The number of further jobs, at most: short trainings whose policies are known when those in the list
    /// are done.
    pub later: usize,
    /// How long the remaining work takes if it is done one job after the other, in seconds; `None` before
    /// the records say anything about it.
    pub seconds_left: Option<f64>,
    /// Whether the final trainings are missing in the list, because their number of seeds is not chosen yet.
    #[serde(skip)]
    pub has_open_seeds: bool,
}

/// A job of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Job {
    /// Its folder in the run directory, which is also its name.
    pub id: String,
    /// What it is.
    pub kind: JobKind,
    /// The options that make a command do this job alone.
    pub arguments: Vec<String>,
    /// The names of all jobs whose records it reads.
    pub needs: Vec<String>,
    /// The files and folders in the run directory that it writes.
    pub files: Vec<String>,
    /// Whether it can be started.
    pub state: JobState,
    /// How far it is.
    pub progress: JobProgress,
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobKind {
    /// The audit.
    Audit,
    /// The search by density matching on one fold.
    Fold,
    /// A short training of successive halving.
    Entrant,
    /// A final training.
    Final,
}

/// Whether a job can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// Nothing remains to be done.
    Done,
    /// A process works on it.
    Held,
    /// It can be started.
    Ready,
    /// Some of the jobs that it needs are not done.
    Waiting,
}

impl JobList {
    /// The jobs of a run in this directory, which need not exist yet. Call [`RunConfig::check`] first.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the directory belongs to a different run, or its records cannot be read.
    pub fn of(config: &RunConfig, ops: &OpSet, layout: &Layout) -> Result<Self, FileError> {
        check_configuration(layout, config)?;
        let records = Records {
            config,
            ops,
            layout,
        };
        let phases = records.phases()?;
        let seeds = seeds(records)?;
        let finals = seeds.map(|seeds| config.final_trainings.trainings(seeds));
        let finals = finals.into_iter().flatten();
        let finals = finals.map(|(augmentation, seed)| TrainingId::Final { augmentation, seed });
        let ids: Vec<TrainingId> = of_search(records, &phases).chain(finals).collect();
        let mut is_done = BTreeMap::new();
        for id in &ids {
            is_done.insert(*id, records.is_done(*id)?);
        }
        let both: Vec<(TrainingId, bool)> = ids.iter().map(|id| (*id, is_done[id])).collect();
        let progress = job_progress::progress(config, layout, &both)?;
        let job = |(id, progress): (TrainingId, JobProgress)| {
            let needs = needs(records, &phases, seeds, id).unwrap_or_default();
            let state = match is_done[&id] {
                true => JobState::Done,
                false if is_held(layout, id) => JobState::Held,
                false if needs.iter().all(|need| is_done[need]) => JobState::Ready,
                false => JobState::Waiting,
            };
            Job::new(id, &needs, state, progress)
        };
        let later = config.rung_phases();
        let later = later.iter().skip(phases.known.len());
        let later = later.map(RungPhase::trainings).sum();
        Ok(Self {
            run: layout.path().to_owned(),
            seconds_left: job_progress::seconds_left(progress.iter(), later),
            jobs: ids.into_iter().zip(progress).map(job).collect(),
            later,
            has_open_seeds: seeds.is_none() && !config.final_trainings.augmentations.is_empty(),
        })
    }

    /// The job that these options start.
    pub fn find(&self, job: TrainingId) -> Option<&Job> {
        let id = job.folder();
        self.jobs.iter().find(|it| it.id == id)
    }
}

impl Job {
    fn new(id: TrainingId, needs: &[TrainingId], state: JobState, progress: JobProgress) -> Self {
        let (kind, arguments) = match id {
            TrainingId::Audit => (JobKind::Audit, vec!["--only-audit".to_owned()]),
            TrainingId::Fold(fold) => (JobKind::Fold, vec!["--fold".to_owned(), fold.to_string()]),
            TrainingId::Halving {
                rung,
                entrant,
                seed,
            } => (
                JobKind::Entrant,
                vec!["--entrant".to_owned(), format!("{rung}:{entrant}:{seed}")],
            ),
            TrainingId::Final { augmentation, seed } => (
                JobKind::Final,
                vec![
                    "--final".to_owned(),
                    format!("{}:{seed}", augmentation.name()),
                ],
            ),
        };
        let audit_file = (id == TrainingId::Audit).then_some("audit.json");
        let files = ["run.json"]
            .into_iter()
            .chain(audit_file)
            .map(str::to_owned);
        Self {
            id: id.folder(),
            kind,
            arguments,
            needs: needs.iter().map(|need| need.folder()).collect(),
            files: files.chain([id.folder()]).collect(),
            state,
            progress,
        }
    }

    /// The names of the jobs that it needs and that are not done.
    pub fn missing<'a>(&'a self, list: &'a JobList) -> impl Iterator<Item = &'a str> {
        let needed = list.jobs.iter().filter(|it| self.needs.contains(&it.id));
        let missing = needed.filter(|it| it.state != JobState::Done);
        missing.map(|it| it.id.as_str())
    }
}

/// The number of seeds of the final trainings, if it is known.
pub(crate) fn seeds(records: Records<'_>) -> Result<Option<NonZeroUsize>, FileError> {
    match records.config.final_trainings.seeds {
        Some(seeds) => Ok(Some(seeds)),
        None => Ok(SeedCount::read(records.layout)?.map(|it| it.seeds)),
    }
}

/// All jobs whose records a job reads; `None` if the run has no such job. Of short trainings, those whose
/// policies are known.
pub(crate) fn needs(
    records: Records<'_>,
    phases: &Phases,
    seeds: Option<NonZeroUsize>,
    job: TrainingId,
) -> Option<Vec<TrainingId>> {
    let config = records.config;
    match job {
        TrainingId::Audit => config.audit.as_ref().map(|_| Vec::new()),
        TrainingId::Fold(fold) => {
            let search = config.search.as_ref()?;
            (fold < search.folds.count.get()).then(Vec::new)
        }
        TrainingId::Halving { rung, seed, .. } => {
            let halving = config.halving.as_ref()?;
            if rung >= halving.rungs.get() || seed >= halving.seeds_in(rung) {
                return None;
            }
            let is_it = |phase: &Vec<_>| records.trainings_of(phase).contains(&job);
            let known = phases.known.iter().position(is_it);
            // The first rung has two phases.
            let last = rung + 1;
            if known.is_none() && (phases.known.len() > last || phases.are_done) {
                return None;
            }
            let phase = known.unwrap_or(last);
            let has_fixed = phase > 0 && halving.has_fixed(rung);
            let fixed = before_halving(config).filter(|_| has_fixed);
            let earlier = phases.known.iter().take(phase);
            let earlier = earlier.flat_map(|phase| records.trainings_of(phase));
            Some(fixed.chain(earlier).collect())
        }
        TrainingId::Final { augmentation, seed } => {
            let final_trainings = &config.final_trainings;
            let is_one = final_trainings.augmentations.contains(&augmentation);
            if !is_one || seeds.is_none_or(|seeds| seed >= seeds.get()) {
                return None;
            }
            let reads_policy = match augmentation {
                Augmentation::Policy => true,
                // With as many sub-policies as the found one.
                Augmentation::Random => final_trainings.random.is_none(),
                _ => false,
            };
            let search = of_search(records, phases).filter(|_| reads_policy);
            Some(search.collect())
        }
    }
}

/// The message that a run has no such job.
pub(crate) fn no_such_job(job: TrainingId) -> String {
    format!(
        "the run has no {job}: `--list-jobs` lists its jobs, and --final needs a number of seeds"
    )
}

/// The message that a job cannot be done yet, because these are missing.
pub fn not_ready(job: TrainingId, missing: &[impl AsRef<str>]) -> String {
    let names = missing.iter().take(MAX_NAMES).map(AsRef::as_ref);
    let names = names.collect::<Vec<&str>>().join(", ");
    let more = match missing.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{job} needs jobs that are not done: {names}{more}")
}

/// The jobs from which the policy is made.
fn of_search<'a>(
    records: Records<'a>,
    phases: &'a Phases,
) -> impl Iterator<Item = TrainingId> + use<'a> {
    let halving = phases.known.iter();
    let halving = halving.flat_map(move |phase| records.trainings_of(phase));
    before_halving(records.config).chain(halving)
}

/// The audit and the folds.
fn before_halving(config: &RunConfig) -> impl Iterator<Item = TrainingId> + use<> {
    let audit = config.audit.as_ref().map(|_| TrainingId::Audit);
    let folds = config.search.as_ref();
    let folds = 0..folds.map_or(0, |search| search.folds.count.get());
    audit.into_iter().chain(folds.map(TrainingId::Fold))
}
