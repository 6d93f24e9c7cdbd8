//! Fast AutoAugment (Lim, Kim, Kim, Kim and Kim, *Fast AutoAugment*, NeurIPS 2019, algorithm 1).

mod explore;
mod training;

use std::path::{Path, PathBuf};

use faa_op::OpSet;
use faa_policy::{Policy, PolicyError, Problem, Provenance, Rule, SubPolicy, nearest_name};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{ConfigError, Control, SearchConfig};
use crate::event::{Event, Plan};
use crate::files::{FileError, read_lines, write_json, write_whole};
use crate::folds::{Fold, FoldError, stratified_folds};
use crate::judge::{Judge, JudgeError, StopFlag};
use crate::pipeline::Pipeline;
use crate::run::RunDirectory;
use crate::sampler::ObserveError;
use crate::trial::Trial;

/// A search, with everything that it needs.
pub struct Search<'a, J: Judge> {
    /// What to do.
    pub config: &'a SearchConfig,
    /// The class of every training image.
    pub labels: &'a [u32],
    /// The ops that candidates may name.
    pub ops: &'a OpSet,
    /// Trains networks and judges candidates.
    pub judge: &'a mut J,
    /// Where everything is written, and found again by the next try.
    pub run: &'a RunDirectory,
    /// Ends the search cleanly; a later one goes on from there.
    pub stop: &'a StopFlag,
    /// Told of every step.
    pub observe: &'a mut dyn FnMut(Event),
}

/// What came out of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where the policy is.
    pub policy: PathBuf,
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
    /// An op of the search space needs partner images, and a search has no set of them yet.
    #[error(
        "explore.ops: `{0}` mixes in a partner image, and a search has none to give it: leave the op away"
    )]
    MixingOp(String),
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
        let folds = stratified_folds(self.labels, &self.config.folds, self.config.seed)?;
        let plan = self.plan(&folds, device)?;
        (self.observe)(Event::Planned(plan));

        let mut sub_policies = Vec::new();
        for (number, fold) in folds.iter().enumerate() {
            sub_policies.extend(self.search_fold(number, fold)?);
        }
        let policy = self.write_policy(sub_policies)?;
        let summary = Summary {
            policy: self.run.policy_file(),
            sub_policies: policy.sub_policies().len(),
            finals: self.train_finals(&policy)?,
        };
        write_json(&self.run.summary_file(), &summary)?;
        (self.observe)(Event::Finished(summary.clone()));
        Ok(summary)
    }

    fn plan(&mut self, folds: &[Fold], device: &str) -> Result<Plan, SearchError> {
        let config = self.config;
        let (explore, finals) = (&config.explore, &config.finals);
        let trials_a_fold = explore.rounds.get() * explore.trials.get();
        let (mut learn, mut classify) = (0, 0);
        for (number, fold) in folds.iter().enumerate() {
            let folder = self.run.fold(number)?;
            if !network_file(&folder).exists() {
                learn += fold.train.len() * config.training.epochs.get();
            }
            let done = read_lines::<Trial>(&trials_file(&folder))?.len();
            classify += trials_a_fold.saturating_sub(done) * fold.judge.len() * explore.draws.get();
        }
        for (control, seed) in self.final_trainings() {
            if !result_file(&self.run.final_training(control, seed)?).exists() {
                learn += self.labels.len() * finals.epochs.get();
            }
        }
        let rates = (self.judge.rates(&config.training, self.stop))
            .map_err(failed("the first measurement"))?;
        let facts = self.judge.facts();
        Ok(Plan {
            run: self.run.path().to_owned(),
            device: device.to_owned(),
            images: facts.images,
            size: facts.size,
            classes: facts.classes,
            folds: folds.len(),
            trials: folds.len() * trials_a_fold,
            finals: self.final_trainings().count(),
            images_to_learn: learn,
            images_to_classify: classify,
            rates,
            estimated_seconds: learn as f64 / rates.train + classify as f64 / rates.classify,
        })
    }

    fn write_policy(&mut self, sub_policies: Vec<SubPolicy>) -> Result<Policy, SearchError> {
        let config = self.config;
        let source = format!(
            "Fast AutoAugment search on {}, seed {}, by faa-runtime {}",
            config.data,
            config.seed,
            crate::VERSION
        );
        // No date and no place: the same search gives the same file, byte for byte.
        let mut provenance = Provenance::from_iter([
            ("source".to_owned(), json!(source)),
            ("config".to_owned(), json!(config)),
        ]);
        if !config.plugins.is_empty() {
            provenance.insert("plugins".to_owned(), json!(config.plugins));
        }
        let policy = Policy {
            name: format!(
                "{}-wrn-{}-{}",
                config.data.split(':').next().unwrap_or_default(),
                config.training.depth,
                config.training.width
            ),
            rule: Rule::SubPolicies(sub_policies),
            provenance,
        };
        let file = self.run.policy_file();
        write_whole(&file, policy.to_json().as_bytes())?;
        let sub_policies = policy.sub_policies().len();
        (self.observe)(Event::PolicyWritten { file, sub_policies });
        Ok(policy)
    }
}

/// Looks at what would otherwise fail only after the first training, or make no sense.
///
/// # Errors
///
/// [`SearchError::Config`], [`SearchError::Folds`], [`SearchError::Ops`] or
/// [`SearchError::MixingOp`].
pub fn check(config: &SearchConfig, labels: &[u32], ops: &OpSet) -> Result<(), SearchError> {
    config.check()?;
    stratified_folds(labels, &config.folds, config.seed)?;
    for name in &config.explore.ops {
        let Some(op) = ops.get(name) else {
            let nearest = nearest_name(name, ops.iter().map(|op| op.spec().name()));
            let problem = Problem::UnknownOp {
                op: name.clone(),
                nearest,
            };
            return Err(SearchError::Ops(PolicyError::new("explore.ops", problem)));
        };
        if op.spec().mixes() {
            return Err(SearchError::MixingOp(name.clone()));
        }
    }
    Pipeline::new(None, &config.training, ops, [0; 3], 0)
        .map(drop)
        .map_err(SearchError::Ops)
}

/// For `map_err`: what was being done.
fn failed(stage: &str) -> impl FnOnce(JudgeError) -> SearchError {
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

fn network_file(folder: &Path) -> PathBuf {
    folder.join("network.safetensors")
}

fn trials_file(folder: &Path) -> PathBuf {
    folder.join("trials.jsonl")
}

fn result_file(folder: &Path) -> PathBuf {
    folder.join("result.json")
}
