//! Fast AutoAugment (Lim, Kim, Kim, Kim and Kim, *Fast AutoAugment*, NeurIPS 2019, algorithm 1).

use std::path::{Path, PathBuf};
use std::time::Instant;

use faa_op::OpSet;
use faa_policy::{Policy, PolicyError, Problem, Provenance, SubPolicy, nearest_name};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{ConfigError, Control, Recipe, SearchConfig};
use crate::event::{Event, Plan, Training};
use crate::files::{FileError, append_line, read_json, read_lines, write_json, write_whole};
use crate::folds::{Fold, FoldError, stratified_folds};
use crate::judge::{Evaluation, Images, Judge, JudgeError, JudgeTask, StopFlag, TrainTask};
use crate::merge::best_sub_policies;
use crate::pipeline::Pipeline;
use crate::run::RunDirectory;
use crate::sampler::{ObserveError, Sampler};
use crate::seeds::{Purpose, derive};
use crate::space::Space;
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
        for (place, fold) in folds.iter().enumerate() {
            sub_policies.extend(self.search_fold(place, fold)?);
        }
        let policy = self.write_policy(sub_policies)?;
        let summary = Summary {
            policy: self.run.policy_file(),
            sub_policies: policy.sub_policies.len(),
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
        for (place, fold) in folds.iter().enumerate() {
            let folder = self.run.fold(place)?;
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

    /// The sub-policies that one fold contributes.
    fn search_fold(&mut self, place: usize, fold: &Fold) -> Result<Vec<SubPolicy>, SearchError> {
        let network = self.fold_network(place, fold)?;
        let log = trials_file(&self.run.fold(place)?);
        let mut recorded = read_lines::<Trial>(&log)?
            .into_iter()
            .enumerate()
            .peekable();
        let mut sub_policies = Vec::new();
        for round in 0..self.config.explore.rounds.get() {
            let mut trials = Vec::new();
            while let Some((line, trial)) = recorded.next_if(|(_, trial)| trial.round <= round) {
                check_place(&log, line + 1, &trial, round, trials.len())?;
                trials.push(trial);
            }
            self.explore(place, fold, round, &network, &mut trials)?;
            sub_policies.extend(best_sub_policies(&trials, self.config.explore.kept.get()));
        }
        Ok(sub_policies)
    }

    fn fold_network(&mut self, place: usize, fold: &Fold) -> Result<J::Network, SearchError> {
        let task = TrainTask {
            images: &fold.train,
            recipe: &self.config.training,
            policy: None,
            seed: derive(self.config.seed, Purpose::FoldTraining, &[place as u64]),
        };
        let folder = self.run.fold(place)?;
        let (network, resumed) = self.train(Training::Fold(place), task, &folder)?;
        let training = Training::Fold(place);
        let evaluation = (self.judge)
            .evaluate(&network, Images::Train(&fold.judge), self.stop)
            .map_err(failed(&training.to_string()))?;
        (self.observe)(Event::TrainingDone {
            training,
            evaluation,
            resumed,
        });
        Ok(network)
    }

    /// Makes the trials of a round that are not recorded yet.
    fn explore(
        &mut self,
        place: usize,
        fold: &Fold,
        round: usize,
        network: &J::Network,
        trials: &mut Vec<Trial>,
    ) -> Result<(), SearchError> {
        let explore = &self.config.explore;
        let space = Space::new(explore);
        let log = trials_file(&self.run.fold(place)?);
        let mut sampler = Sampler::new(&space.dimensions());
        let earlier = round * explore.trials.get();
        let mut best = f64::NEG_INFINITY;
        for trial in trials.iter() {
            let point = space
                .point(&trial.candidate)
                .ok_or_else(|| SearchError::ForeignTrial {
                    path: log.clone(),
                    line: earlier + trial.trial + 1,
                    expected: "a candidate of this search's ops".to_owned(),
                    found: "another".to_owned(),
                })?;
            sampler.observe(&point, -trial.reward)?;
            best = best.max(trial.reward);
        }
        (self.observe)(Event::RoundStarted {
            fold: place,
            round,
            trials: explore.trials.get(),
            resumed: trials.len(),
        });
        for number in trials.len()..explore.trials.get() {
            self.stop.check().map_err(failed("the search"))?;
            let places = [place as u64, round as u64, number as u64];
            let seed = |purpose| derive(self.config.seed, purpose, &places);
            let point = sampler.propose(seed(Purpose::Sampler));
            let started = Instant::now();
            let candidate = candidate_policy(space.candidate(&point));
            let task = JudgeTask {
                images: &fold.judge,
                recipe: &self.config.training,
                candidate: &candidate,
                draws: explore.draws.get(),
                seed: seed(Purpose::Trial),
            };
            let stage = format!("trial {number} of fold {place}");
            let verdict = (self.judge.judge(network, &task, self.stop)).map_err(failed(&stage))?;
            check_finite(&stage, &[verdict.any, verdict.mean, verdict.loss])?;
            let trial = Trial {
                round,
                trial: number,
                reward: verdict.reward(explore.reward),
                verdict,
                seconds: started.elapsed().as_secs_f64(),
                candidate: candidate.sub_policies,
            };
            append_line(&log, &trial)?;
            sampler.observe(&point, -trial.reward)?;
            best = best.max(trial.reward);
            (self.observe)(Event::TrialDone {
                fold: place,
                round,
                trial: number,
                reward: trial.reward,
                best,
                images: fold.judge.len() * explore.draws.get(),
                seconds: trial.seconds,
            });
            trials.push(trial);
        }
        Ok(())
    }

    fn write_policy(&mut self, sub_policies: Vec<SubPolicy>) -> Result<Policy, SearchError> {
        let config = self.config;
        let source = format!(
            "Fast AutoAugment search on {}, seed {}, by faa-runtime {}",
            config.data,
            config.seed,
            crate::VERSION
        );
        let policy = Policy {
            name: format!(
                "{}-wrn-{}-{}",
                config.data.split(':').next().unwrap_or_default(),
                config.training.depth,
                config.training.width
            ),
            sub_policies,
            // No date and no place: the same search gives the same file, byte for byte.
            provenance: Provenance::from_iter([
                ("source".to_owned(), json!(source)),
                ("config".to_owned(), json!(config)),
            ]),
        };
        let file = self.run.policy_file();
        write_whole(&file, policy.to_json().as_bytes())?;
        let sub_policies = policy.sub_policies.len();
        (self.observe)(Event::PolicyWritten { file, sub_policies });
        Ok(policy)
    }

    fn train_finals(&mut self, policy: &Policy) -> Result<Vec<FinalResult>, SearchError> {
        let mut results: Vec<FinalResult> = Vec::new();
        for (control, seed) in self.final_trainings() {
            let evaluation = self.train_final(policy, control, seed)?;
            match results.iter_mut().find(|result| result.control == control) {
                Some(result) => result.errors.push(evaluation.error),
                None => results.push(FinalResult {
                    control,
                    errors: vec![evaluation.error],
                }),
            }
        }
        Ok(results)
    }

    /// One training on all images of the training split, measured on the test split.
    fn train_final(
        &mut self,
        policy: &Policy,
        control: Control,
        seed: usize,
    ) -> Result<Evaluation, SearchError> {
        let training = Training::Final { control, seed };
        let folder = self.run.final_training(control, seed)?;
        if let Some(evaluation) = read_json::<Evaluation>(&result_file(&folder))? {
            (self.observe)(Event::TrainingDone {
                training,
                evaluation,
                resumed: true,
            });
            return Ok(evaluation);
        }
        let config = self.config;
        let random = || {
            let seed = derive(config.seed, Purpose::RandomPolicy, &[seed as u64]);
            Space::new(&config.explore).random_policy("random", policy.sub_policies.len(), seed)
        };
        let (policy, cutout) = match control {
            Control::None => (None, 0),
            Control::Cutout => (None, config.training.cutout),
            Control::Random => (Some(random()), config.training.cutout),
            Control::Policy => (Some(policy.clone()), config.training.cutout),
        };
        let epochs = config.finals.epochs;
        let recipe = Recipe {
            epochs,
            cutout,
            ..config.training.clone()
        };
        let images: Vec<usize> = (0..self.labels.len()).collect();
        let task = TrainTask {
            images: &images,
            recipe: &recipe,
            policy: policy.as_ref(),
            // Controls of one seed share first weights and the order of images.
            seed: derive(config.seed, Purpose::FinalTraining, &[seed as u64]),
        };
        let (network, _) = self.train(training, task, &folder)?;
        let evaluation = (self.judge)
            .evaluate(&network, Images::Test, self.stop)
            .map_err(failed(&training.to_string()))?;
        check_finite(&training.to_string(), &[evaluation.error, evaluation.loss])?;
        write_json(&result_file(&folder), &evaluation)?;
        (self.observe)(Event::TrainingDone {
            training,
            evaluation,
            resumed: false,
        });
        Ok(evaluation)
    }

    /// Trains a network, or finds it trained; says which.
    fn train(
        &mut self,
        training: Training,
        task: TrainTask<'_>,
        folder: &Path,
    ) -> Result<(J::Network, bool), SearchError> {
        let stage = training.to_string();
        let file = network_file(folder);
        let epochs = task.recipe.epochs.get();
        (self.observe)(Event::TrainingStarted { training, epochs });
        if file.exists() {
            let network = self
                .judge
                .load(task.recipe, &file)
                .map_err(failed(&stage))?;
            return Ok((network, true));
        }
        let log = folder.join("epochs.jsonl");
        // A training that was stopped begins again, and its log with it.
        write_whole(&log, b"")?;
        let mut logged = Ok(());
        let observe = &mut self.observe;
        let on_epoch = &mut |epoch: &crate::judge::Epoch| {
            if logged.is_ok() {
                logged = append_line(&log, epoch);
            }
            observe(Event::EpochDone {
                training,
                epoch: *epoch,
            });
        };
        let network = self
            .judge
            .train(&task, on_epoch, self.stop)
            .map_err(failed(&stage))?;
        logged?;
        self.judge.save(&network, &file).map_err(failed(&stage))?;
        Ok((network, false))
    }

    fn final_trainings(&self) -> impl Iterator<Item = (Control, usize)> + use<J> {
        let (controls, seeds) = (
            self.config.finals.controls.clone(),
            self.config.finals.seeds.get(),
        );
        (0..seeds).flat_map(move |seed| {
            controls
                .clone()
                .into_iter()
                .map(move |control| (control, seed))
        })
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
    for op in &config.explore.ops {
        if ops.get(op).is_none() {
            let nearest = nearest_name(op, ops.iter().map(|op| op.spec().name()));
            let problem = Problem::UnknownOp {
                op: op.clone(),
                nearest,
            };
            return Err(SearchError::Ops(PolicyError::new("explore.ops", problem)));
        }
    }
    Pipeline::new(None, &config.training, ops, [0; 3], 0)
        .map(drop)
        .map_err(SearchError::Ops)
}

/// A candidate as a policy, for the executor.
fn candidate_policy(sub_policies: Vec<SubPolicy>) -> Policy {
    Policy {
        name: "candidate".to_owned(),
        sub_policies,
        provenance: Provenance::new(),
    }
}

fn check_place(
    log: &Path,
    line: usize,
    trial: &Trial,
    round: usize,
    number: usize,
) -> Result<(), SearchError> {
    if (trial.round, trial.trial) == (round, number) {
        return Ok(());
    }
    Err(SearchError::ForeignTrial {
        path: log.to_owned(),
        line,
        expected: format!("{round}.{number}"),
        found: format!("{}.{}", trial.round, trial.trial),
    })
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
