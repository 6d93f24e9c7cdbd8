//! Fast AutoAugment (Lim, Kim, Kim, Kim and Kim, *Fast AutoAugment*, NeurIPS 2019, algorithm 1).

mod explore;
mod finals;
mod plan;
mod training;
mod workers;

use std::path::{Path, PathBuf};

use faa_op::OpSet;
use faa_policy::{Policy, PolicyError, PolicyErrorKind, Provenance, SubPolicy, nearest_name};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{ConfigError, Control, Recipe, SearchConfig};
use crate::event::{Event, Plan};
use crate::files::{FileError, read_lines, write_json, write_whole};
use crate::folds::{Fold, FoldError, stratified_folds};
use crate::judge::{Judge, JudgeError, StopFlag};
use crate::pipeline::Pipeline;
use crate::run::RunDirectory;
use crate::sampler::ObserveError;
use crate::space::Space;
use crate::trial::Trial;
use explore::FoldSearch;
pub(crate) use finals::{Finals, every_training, trivial_augment};
pub(crate) use plan::{Left, Parts};
use training::TrainingFiles;
pub(crate) use workers::Shared;

/// A search, with everything that it needs.
pub struct Search<'a, J: Judge> {
    /// What to do.
    pub config: &'a SearchConfig,
    /// The class of every training image.
    pub labels: &'a [u32],
    /// The ops that candidates may name.
    pub ops: &'a OpSet,
    /// Train networks and judge candidates, as many folds side by side as there are judges.
    pub judges: &'a mut [J],
    /// Where everything is written, and found again by the next try.
    pub run: &'a RunDirectory,
    /// Ends the search cleanly; a later one goes on from there.
    pub stop: &'a StopFlag,
    /// Told of every step.
    pub observe: &'a mut (dyn FnMut(Event) + Send),
}

/// What came out of a search, or of trainings alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where the policy is, if there is one.
    pub policy: Option<PathBuf>,
    /// How many sub-policies it has.
    pub sub_policies: usize,
    /// The final trainings, in the order of the configuration.
    pub finals: Vec<FinalResult>,
}

/// Test errors of one control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalResult {
    /// What the networks were trained with.
    pub control: Control,
    /// The share of test images that were classified wrongly after the last epoch, a seed each.
    pub errors: Vec<f64>,
    /// How many further seeds diverged: their loss became infinite or not a number.
    #[serde(default)]
    pub diverged: usize,
}

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// On request; the same search, started again, goes on.
    #[error("stopped on request")]
    Stopped,
    /// A number of the configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The images do not split as configured.
    #[error("cannot split the training images")]
    Folds(#[from] FoldError),
    /// The ops, crop or Cutout of the configuration do not exist or have other ranges.
    #[error("the configuration does not fit the ops: {0}")]
    Ops(PolicyError),
    /// A file of the run could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The trials in the run directory are not those of this search.
    #[error("{}, line {line}: expected trial {expected}, found {found}: move the file away to do its trials again", path.display())]
    ForeignTrial {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The trial that belongs there, as `round.trial`.
        expected: String,
        /// The trial that stands there.
        found: String,
    },
    /// The log of a training has fewer epochs than its checkpoint.
    #[error(
        "{} holds {found} epochs, and {} was written after {expected}: \
         remove the checkpoint to train from the beginning",
        path.display(), checkpoint.display()
    )]
    MissingEpochs {
        /// The log.
        path: PathBuf,
        /// Its epochs.
        found: usize,
        /// Those of the checkpoint.
        expected: usize,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// No fold has a network to judge candidates with, or no training came to its end.
    #[error("all trainings diverged: choose another --out, and a lower --learning-rate")]
    AllDiverged,
    /// A network that gives figures which are infinite or not a number.
    #[error(
        "{stage} gave a loss that is infinite or not a number: the network has diverged; try a lower learning rate"
    )]
    NotFinite {
        /// What was being done.
        stage: String,
    },
    /// A reward that is not a number.
    #[error("the sampler refused a trial")]
    Sampler(#[from] ObserveError),
    /// Training or judging failed.
    #[error("{stage} failed")]
    Judge {
        /// What was being done.
        stage: String,
        /// The reason.
        source: JudgeError,
    },
}

impl<J: Judge> Search<'_, J> {
    /// Does the search, or what is left of it.
    ///
    /// `device` is what [`Plan::device`] says.
    ///
    /// # Errors
    ///
    /// [`SearchError`]; what was finished before stays in the run directory.
    pub fn run(mut self, device: &str) -> Result<Summary, SearchError> {
        check(self.config, self.labels, self.ops)?;
        let config = self.config;
        let folds = stratified_folds(self.labels, &config.folds, config.seed)?;
        let plan = self.plan(&folds, device)?;
        (self.observe)(Event::Planned(plan));

        let shared = Shared::new(self.run, self.stop, self.observe);
        let of_folds = shared.side_by_side(
            self.judges,
            folds.iter().enumerate(),
            |worker, (number, fold)| {
                let search = FoldSearch {
                    config,
                    number,
                    fold,
                };
                search.run(worker)
            },
        )?;
        let found: Vec<SubPolicy> = of_folds.iter().flatten().flatten().cloned().collect();
        if found.is_empty() {
            return Err(SearchError::AllDiverged);
        }
        let diverged = (0..folds.len()).filter(|fold| of_folds[*fold].is_none());
        let policy = write_policy(config, self.run, found, &diverged.collect::<Vec<_>>())?;
        let (file, sub_policies) = (self.run.policy_file(), policy.sub_policies().len());
        shared.tell(Event::PolicyWritten {
            file: file.clone(),
            sub_policies,
        });
        let finals = Finals {
            seed: config.seed,
            recipe: Recipe {
                epochs: config.finals.epochs,
                ..config.training.clone()
            },
            controls: &config.finals.controls,
            seeds: config.finals.seeds.get(),
            images: self.labels.len(),
            policy: Some(&policy),
            random: (Space::new(&config.explore), sub_policies),
        };
        let summary = Summary {
            policy: Some(file),
            sub_policies,
            finals: finals.train(&shared, self.judges)?,
        };
        write_json(&self.run.summary_file(), &summary)?;
        shared.tell(Event::Finished(summary.clone()));
        Ok(summary)
    }

    fn plan(&mut self, folds: &[Fold], device: &str) -> Result<Plan, SearchError> {
        let SearchConfig {
            training,
            explore,
            finals,
            ..
        } = self.config;
        let trials_a_fold = explore.rounds.get() * explore.trials.get();
        let mut left = Left::default();
        for (number, fold) in folds.iter().enumerate() {
            let folder = self.run.fold(number)?;
            let files = TrainingFiles::of(&folder);
            left.add_training(&files, fold.train.len(), training.epochs.get())?;
            if !files.diverged.exists() {
                let recorded = read_lines::<Trial>(&trials_file(&folder))?;
                let images = fold.judge.len() * explore.draws.get();
                left.add_trials(&recorded, trials_a_fold, images);
            }
        }
        let trainings = every_training(&finals.controls, finals.seeds.get());
        let (images, epochs) = (self.labels.len(), finals.epochs.get());
        left.add_finals(self.run, trainings, images, epochs)?;
        let parts = Parts {
            folds: folds.len(),
            trials: folds.len() * trials_a_fold,
            finals: finals.controls.len() * finals.seeds.get(),
        };
        left.plan(self.judges, training, self.stop, (self.run, device), &parts)
    }
}

/// Writes what the folds have found.
fn write_policy(
    config: &SearchConfig,
    run: &RunDirectory,
    sub_policies: Vec<SubPolicy>,
    diverged: &[usize],
) -> Result<Policy, SearchError> {
    let source = format!(
        "Fast AutoAugment search on {}, seed {}, by faa-runtime {}",
        config.data,
        config.seed,
        crate::VERSION
    );
    // No date and no place: the same search gives the same file, byte for byte.
    let mut facts = json!({"source": source, "config": config});
    if !config.plugins.is_empty() {
        facts["plugins"] = json!(config.plugins);
    }
    if !diverged.is_empty() {
        facts["diverged_folds"] = json!(diverged);
    }
    let name = format!(
        "{}-wrn-{}-{}",
        data_name(&config.data),
        config.training.depth,
        config.training.width
    );
    let mut policy = Policy::of_sub_policies(name, sub_policies);
    policy.provenance = Provenance::from_facts(&facts).map_err(SearchError::Ops)?;
    write_whole(&run.policy_file(), policy.to_json().as_bytes())?;
    Ok(policy)
}

/// A short name of a data set: that of its file or folder, or the word that stands for it.
fn data_name(data: &str) -> String {
    let (word, path) = data.split_once(':').unwrap_or((data, ""));
    let file = Path::new(path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    match (word, file.split('.').next().unwrap_or_default()) {
        ("folder" | "tar", name) if !name.is_empty() => name.to_owned(),
        _ => word.to_owned(),
    }
}

/// Looks at what would otherwise fail only after the first training, or make no sense.
///
/// # Errors
///
/// [`SearchError::Config`], [`SearchError::Folds`] or [`SearchError::Ops`].
pub fn check(config: &SearchConfig, labels: &[u32], ops: &OpSet) -> Result<(), SearchError> {
    config.check()?;
    stratified_folds(labels, &config.folds, config.seed)?;
    check_ops("explore.ops", &config.explore.ops, ops)?;
    Pipeline::new(None, &config.training, ops, [0; 3], 0)
        .map(drop)
        .map_err(SearchError::Ops)
}

/// Whether there are all these ops.
pub(crate) fn check_ops(setting: &str, names: &[String], ops: &OpSet) -> Result<(), SearchError> {
    if names.is_empty() {
        return Err(ConfigError::NoOps.into());
    }
    for name in names {
        if ops.get(name).is_none() {
            let nearest = nearest_name(name, ops.iter().map(|op| op.spec().name()));
            let kind = PolicyErrorKind::UnknownOp {
                op: name.clone(),
                nearest,
            };
            return Err(SearchError::Ops(PolicyError::new(setting, kind)));
        }
    }
    Ok(())
}

/// For `map_err`: what was being done.
pub(crate) fn failed(stage: &str) -> impl FnOnce(JudgeError) -> SearchError {
    let stage = stage.to_owned();
    move |source| match source {
        JudgeError::Stopped => SearchError::Stopped,
        source => SearchError::Judge { stage, source },
    }
}

/// JSON has no form for other numbers, and a search could not go on from them.
fn check_finite(stage: &str, figures: &[f64]) -> Result<(), SearchError> {
    match figures.iter().all(|figure| figure.is_finite()) {
        true => Ok(()),
        false => Err(SearchError::NotFinite {
            stage: stage.to_owned(),
        }),
    }
}

/// How a fold's network does on D_A.
fn evaluation_file(folder: &Path) -> PathBuf {
    folder.join("evaluation.json")
}

fn trials_file(folder: &Path) -> PathBuf {
    folder.join("trials.jsonl")
}

fn result_file(folder: &Path) -> PathBuf {
    folder.join("result.json")
}
