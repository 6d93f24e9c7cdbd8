use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use faa_policy::Policy;
use faa_search::config::{Augmentation, SEARCHED_OPS};
use faa_search::protocol::Request;
use faa_search::train::{RandomPolicy, TrainConfig};

use super::training::{DATA_SETS, PresetName, TrainingOptions};
use super::work::{HardwareOptions, PrecisionOptions, WatchOptions, print_line, table_of};
use super::{Usage, find_policy};
use crate::plugins::{KnownOps, PluginOptions};

/// Train networks with a policy, and measure their error on the test split.
#[derive(Args)]
#[command(after_help = format!("\
The error that counts is that of the last epoch. Trainings that were stopped go on where they were
when the same command is given again.

{DATA_SETS}

Examples:
  faa-runtime train --data glyphs --preset demo --policy runs/demo/policy.json --baselines --seeds 3 --out runs/glyphs
  faa-runtime train --data cifar10:cifar-10-batches-bin --policy autoaugment-cifar10 --out runs/aa
  faa-runtime train --data folder:pets --image-size 32 --model wrn-16-2 --policy random:50 --out runs/random"))]
pub(crate) struct Train {
    /// The data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR, or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// A policy's file or shipped name, none, or random:N for one of N sub-policies. Crop, flip and
    /// Cutout follow it.
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// The run directory: everything is written there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train also with crop and flip alone, with Cutout, with a random policy of the same size, and
    /// with TrivialAugment.
    #[arg(long)]
    augmentations: bool,
    /// Seeds of each training; their mean and standard deviation are told.
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroUsize,
    /// Where the numbers come from that are not given below.
    #[arg(long, value_enum, default_value_t = PresetName::Cifar10)]
    preset: PresetName,
    #[command(flatten)]
    training: TrainingOptions,
    #[command(flatten)]
    resources: HardwareOptions,
    #[command(flatten)]
    learning: PrecisionOptions,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// What `--policy` names.
enum Choice {
    None,
    Random(NonZeroUsize),
    Policy(Box<Policy>),
}

/// Sub-policies of a random control where no policy sets their number: as many as the paper's
/// search keeps of one round of one fold, 10 candidates of 5.
const RANDOM_SUB_POLICIES: NonZeroUsize = NonZeroUsize::new(50).expect("it is not 0");

impl Train {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.plugins.known_ops()?;
        let config = self.config(&known)?;
        let request = Request::Train {
            config: Box::new(config),
            out: self.out.clone(),
            resources: self.resources.resources(Some(&self.learning)),
            plugins: self.plugins.request()?,
        };
        let summary = self.watch.follow(&request, &self.out, known.ops)?;
        if !self.watch.json {
            print_line(table_of(&summary.final_trainings).trim_end())?;
        }
        Ok(())
    }

    fn config(&self, known: &KnownOps) -> Result<TrainConfig> {
        let preset = self.preset.config(&self.data)?;
        let (mut training, mut seed, mut image_size) = (preset.training, 0, None);
        // A training on all images, not on a fold's.
        training.epochs = preset.final_trainings.epochs;
        self.training
            .change(&mut training, &mut seed, &mut image_size);
        let choice = self.choice()?;
        let mut random = RandomPolicy {
            ops: SEARCHED_OPS.map(str::to_owned).to_vec(),
            sub_policies: RANDOM_SUB_POLICIES,
            ops_per_sub_policy: preset.search.ops_per_sub_policy,
        };
        let mut plugins = Vec::new();
        let (chosen, policy) = match choice {
            Choice::None if training.cutout == 0 => (Augmentation::None, None),
            Choice::None => (Augmentation::Cutout, None),
            Choice::Random(count) => {
                random.sub_policies = count;
                (Augmentation::Random, None)
            }
            Choice::Policy(policy) => {
                // A sampler has no sub-policies to count.
                random.sub_policies =
                    NonZeroUsize::new(policy.sub_policies().len()).unwrap_or(RANDOM_SUB_POLICIES);
                // Warns of ops that are not those that the policy was found with.
                known.executor(&policy, &self.policy)?;
                let named = ops_of(&policy);
                plugins = known.of_plugins();
                plugins.retain(|plugin| named.contains(&plugin.op.as_str()));
                let json = serde_json::from_str(&policy.to_json());
                (
                    Augmentation::Policy,
                    Some(json.context("the policy has no JSON form")?),
                )
            }
        };
        let mut augmentations = vec![chosen];
        if self.augmentations {
            let all = [
                Augmentation::None,
                Augmentation::Cutout,
                Augmentation::Random,
                Augmentation::TrivialAugment,
            ];
            // Without Cutout it would be the same as crop and flip alone.
            let is_new = |augmentation: &Augmentation| {
                *augmentation != chosen
                    && (*augmentation != Augmentation::Cutout || training.cutout > 0)
            };
            augmentations.extend(all.into_iter().filter(is_new));
        }
        let config = TrainConfig {
            data: self.data.clone(),
            image_size,
            seed,
            training,
            augmentations,
            seeds: self.seeds,
            policy,
            random,
            precision: self.learning.precision(),
            plugins,
        };
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }

    fn choice(&self) -> Result<Choice> {
        if self.policy == "none" {
            return Ok(Choice::None);
        }
        if let Some(count) = self.policy.strip_prefix("random:") {
            let count = count.parse().map_err(|_| {
                Usage(format!(
                    "`{count}` is no number of sub-policies for `random:N`; give a whole number \
                     from 1 to 10,000"
                ))
            })?;
            return Ok(Choice::Random(count));
        }
        Ok(Choice::Policy(Box::new(find_policy(&self.policy)?)))
    }
}

/// The ops that a policy names.
fn ops_of(policy: &Policy) -> Vec<&str> {
    let of_steps = policy
        .sub_policies()
        .iter()
        .flatten()
        .map(|step| step.op.as_str());
    let sampler = policy
        .sampler()
        .into_iter()
        .flat_map(|sampler| &sampler.ops);
    of_steps.chain(sampler.map(|op| op.op.as_str())).collect()
}
