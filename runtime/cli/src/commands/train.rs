use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Args;
use faa_policy::Policy;
use faa_search::config::{Augmentation, FinalTrainings, Preset, RandomPolicy, RunConfig};
use faa_search::summary::Summary;

use super::execution::{ExecutionOptions, results};
use super::jobs::{JOBS, JobOptions};
use super::training::{DATA_SETS, RunOptions, described, plugin_ops};
use super::{Usage, find_policy};
use crate::arguments::{count, one_of};
use crate::plugins::KnownOps;

/// Train networks with a policy, and measure their test error.
#[derive(Args)]
#[command(after_help = format!("\
The test error is measured after the last epoch. To continue interrupted trainings where they
stopped, run the same command again.

{JOBS}

{DATA_SETS}

Examples:
  faa-runtime train --data glyphs --preset demo --policy runs/demo/policy.json --baselines \\
      --seeds 3 --out runs/glyphs
  faa-runtime train --data cifar10:cifar-10-batches-bin --policy autoaugment-cifar10 --out runs/aa
  faa-runtime train --data folder:pets --image-size 32 --model wrn-16-2 --policy random:50 \\
      --out runs/random"))]
pub(crate) struct Train {
    /// Policy, applied before crop, flip and Cutout: a file, the name of a shipped policy, random:N for
    /// a random policy of N sub-policies, or none.
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// Also train these baselines, separated by commas; without a list, all but randaugment.
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0.., require_equals = true,
          default_missing_values = Augmentation::BASELINES.map(Augmentation::name),
          value_parser = one_of(baselines()))]
    baselines: Option<Vec<Augmentation>>,
    /// Number of seeds per training; reports mean, standard deviation and intervals [default: 3 if the
    /// trainings are estimated at less than an hour together, otherwise 1].
    #[arg(long, value_name = "N", value_parser = count)]
    seeds: Option<NonZeroUsize>,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    jobs: JobOptions,
    #[command(flatten)]
    execution: ExecutionOptions,
}

impl Train {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.execution.plugins.known_ops()?;
        let config = self.config(&known)?;
        let text = |it: &Summary| format!("{}\n", results(it).trim_end());
        let task = self.jobs.task();
        (self.execution).execute(config, &self.run.out, known, task, text)
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        let mut config = self
            .run
            .config(self.run.preset(Preset::Default), RunConfig::for_training)?;
        let (common, final_trainings) = (&mut config.common, &mut config.final_trainings);
        final_trainings.seeds = self.seeds;
        let has_cutout = common.training.cutout > 0;
        let augmentation = self.augmentation(final_trainings, has_cutout)?;
        final_trainings.augmentations = vec![augmentation];
        let mut baselines = self.baselines.clone().unwrap_or_default();
        if !has_cutout && baselines == Augmentation::BASELINES {
            // The base augmentation is crop and flip only.
            baselines.retain(|it| *it != Augmentation::Cutout);
        }
        baselines.retain(|it| *it != augmentation);
        final_trainings.augmentations.extend(baselines);
        if let Some(policy) = &final_trainings.policy {
            // Warns if an op comes from a different module than when the policy was found.
            known.executor(policy, &self.policy)?;
            let names = ops_of(policy);
            common.plugins = plugin_ops(known, |op| names.contains(&op.as_str()));
        }
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }

    /// The augmentation that `--policy` names; stores the policy or the size of the random one.
    fn augmentation(
        &self,
        final_trainings: &mut FinalTrainings,
        has_cutout: bool,
    ) -> Result<Augmentation> {
        let random = final_trainings
            .random
            .as_mut()
            .expect("trainings have a random policy");
        if self.policy == "none" {
            return Ok(match has_cutout {
                true => Augmentation::Cutout,
                false => Augmentation::None,
            });
        }
        if let Some(count) = self.policy.strip_prefix("random:") {
            random.sub_policies = count.parse().map_err(|_| {
                Usage(format!(
                    "`{count}` is not a number of sub-policies: use random:N with N from 1 to {}",
                    RandomPolicy::MAX_SUB_POLICIES
                ))
            })?;
            return Ok(Augmentation::Random);
        }
        let policy = find_policy(&self.policy)?;
        // A sampler has no sub-policies to count.
        if let Some(count) = NonZeroUsize::new(policy.sub_policies().len()) {
            random.sub_policies = count;
        }
        final_trainings.policy = Some(policy);
        Ok(Augmentation::Policy)
    }
}

/// All baselines, as values of an option.
fn baselines() -> [(&'static str, Augmentation, &'static str); 5] {
    let [baselines @ .., Augmentation::Policy] = Augmentation::ALL else {
        unreachable!("the policy is last");
    };
    baselines.map(described)
}

/// The ops that a policy names.
fn ops_of(policy: &Policy) -> Vec<&str> {
    let steps = policy.sub_policies().iter().flatten();
    let sampler = policy.sampler().into_iter();
    let sampled = sampler.flat_map(|sampler| &sampler.ops);
    let of_steps = steps.map(|step| step.op.as_str());
    of_steps.chain(sampled.map(|op| op.op.as_str())).collect()
}
