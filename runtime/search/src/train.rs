//! Trainings without a search: with a policy that is there, and with controls.

use std::num::NonZeroUsize;

use faa_op::OpSet;
use faa_policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ConfigError, Control, PluginOp, Precision, Recipe};
use crate::event::{Event, Plan};
use crate::files::{write_json, write_whole};
use crate::judge::{Judge, StopFlag};
use crate::pipeline::Pipeline;
use crate::run::RunDirectory;
use crate::search::{
    Finals, Left, Parts, SearchError, Shared, Summary, check_ops, every_training, trivial_augment,
};
use crate::space::Space;

/// Trainings. Two with equal configurations, on one machine, device and count of threads, give
/// equal networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The data set, as after `--data`.
    pub data: String,
    /// The side to which images are scaled and cropped; as they are where not given.
    pub image_size: Option<u32>,
    /// The seed from which every random choice is derived.
    pub seed: u64,
    /// How networks are trained.
    pub training: Recipe,
    /// What they are trained with.
    pub controls: Vec<Control>,
    /// How many seeds each is trained with.
    pub seeds: NonZeroUsize,
    /// The policy of [`Control::Policy`], as its file has it.
    pub policy: Option<Value>,
    /// The policies of [`Control::Random`].
    pub random: RandomPolicy,
    /// The numbers that networks calculate with.
    pub precision: Precision,
    /// Which of the ops come from plugins, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginOp>,
}

/// Which random policies are drawn: a new one for every seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomPolicy {
    /// The ops, each as likely.
    pub ops: Vec<String>,
    /// Sub-policies.
    pub sub_policies: NonZeroUsize,
    /// Ops of a sub-policy.
    pub ops_per_sub_policy: NonZeroUsize,
}

/// The most sub-policies of a random policy.
const MOST_RANDOM_SUB_POLICIES: usize = 10_000;

/// Trainings, with everything that they need.
pub struct Train<'a, J: Judge> {
    /// What to do.
    pub config: &'a TrainConfig,
    /// Images of the training split.
    pub images: usize,
    /// The ops that policies may name.
    pub ops: &'a OpSet,
    /// Train networks, as many side by side as there are judges.
    pub judges: &'a mut [J],
    /// Where everything is written, and found again by the next try.
    pub run: &'a RunDirectory,
    /// Ends the trainings cleanly; later ones go on from there.
    pub stop: &'a StopFlag,
    /// Told of every step.
    pub observe: &'a mut (dyn FnMut(Event) + Send),
}

impl TrainConfig {
    /// Looks at what would otherwise fail only in the middle, or make no sense.
    ///
    /// # Errors
    ///
    /// [`SearchError::Config`] or [`SearchError::Ops`].
    pub fn check(&self, ops: &OpSet) -> Result<(), SearchError> {
        self.training.check()?;
        let (warmup, epochs) = (self.training.warmup_epochs, self.training.epochs.get());
        if warmup >= epochs {
            return Err(ConfigError::Warmup { warmup, epochs }.into());
        }
        if self.controls.contains(&Control::Cutout) && self.training.cutout == 0 {
            return Err(ConfigError::NoCutout.into());
        }
        let random = self.random.sub_policies.get();
        if random > MOST_RANDOM_SUB_POLICIES {
            return Err(ConfigError::RandomTooLarge(random).into());
        }
        let mut policies = vec![];
        if self.controls.contains(&Control::Policy) {
            policies.push(self.policy()?.ok_or(ConfigError::NoPolicy)?);
        }
        if self.controls.is_empty() {
            return Err(ConfigError::NoControls.into());
        }
        if self.controls.contains(&Control::Random) {
            check_ops("random.ops", &self.random.ops, ops)?;
            let random = self.random();
            policies.push(random.random_policy("random", self.random.sub_policies.get(), 0));
        }
        if self.controls.contains(&Control::TrivialAugment) {
            policies.push(trivial_augment()?);
        }
        let pipeline = |policy| Pipeline::new(policy, &self.training, ops, [0; 3], 0);
        pipeline(None).map_err(SearchError::Ops)?;
        for policy in &policies {
            pipeline(Some(policy)).map_err(SearchError::Ops)?;
        }
        Ok(())
    }

    fn policy(&self) -> Result<Option<Policy>, SearchError> {
        let parse = |json: &Value| Policy::parse(json.to_string().as_bytes());
        self.policy
            .as_ref()
            .map(parse)
            .transpose()
            .map_err(SearchError::Ops)
    }

    fn random(&self) -> Space {
        let RandomPolicy {
            ops,
            sub_policies,
            ops_per_sub_policy,
        } = &self.random;
        Space::of(ops, sub_policies.get(), ops_per_sub_policy.get())
    }
}

impl<J: Judge> Train<'_, J> {
    /// Does all trainings, or what is left of them.
    ///
    /// `device` is what [`Plan::device`] says.
    ///
    /// # Errors
    ///
    /// [`SearchError`]; what was finished before stays in the run directory.
    pub fn run(mut self, device: &str) -> Result<Summary, SearchError> {
        let config = self.config;
        config.check(self.ops)?;
        let policy = config.policy()?;
        let plan = self.plan(device)?;
        (self.observe)(Event::Planned(plan));
        let shared = Shared::new(self.run, self.stop, self.observe);
        if let Some(policy) = &policy {
            write_whole(&self.run.policy_file(), policy.to_json().as_bytes())?;
        }
        let finals = Finals {
            seed: config.seed,
            recipe: config.training.clone(),
            controls: &config.controls,
            seeds: config.seeds.get(),
            images: self.images,
            policy: policy.as_ref(),
            random: (config.random(), config.random.sub_policies.get()),
        };
        let sub_policies = |policy: &Policy| policy.sub_policies().len();
        let summary = Summary {
            policy: policy.is_some().then(|| self.run.policy_file()),
            sub_policies: policy.as_ref().map_or(0, sub_policies),
            finals: finals.train(&shared, self.judges)?,
        };
        write_json(&self.run.summary_file(), &summary)?;
        if summary.finals.iter().all(|result| result.errors.is_empty()) {
            return Err(SearchError::AllDiverged);
        }
        shared.tell(Event::Finished(summary.clone()));
        Ok(summary)
    }

    fn plan(&mut self, device: &str) -> Result<Plan, SearchError> {
        let TrainConfig {
            training,
            controls,
            seeds,
            ..
        } = self.config;
        let mut left = Left::default();
        let trainings = every_training(controls, seeds.get());
        left.add_finals(self.run, trainings, self.images, training.epochs.get())?;
        let parts = Parts {
            folds: 0,
            trials: 0,
            finals: controls.len() * seeds.get(),
        };
        left.plan(self.judges, training, self.stop, (self.run, device), &parts)
    }
}
