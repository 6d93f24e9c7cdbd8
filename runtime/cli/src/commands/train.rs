use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faa_policy::Policy;
use faa_search::config::{Augmentation, FinalTrainings, RunConfig};

use super::training::{DATA_SETS, PresetName, TrainingOptions, check_data, plugin_ops};
use super::work::{HardwareOptions, JobsOption, WatchOptions, print_line, results_table};
use super::{Usage, find_policy};
use crate::plugins::{KnownOps, PluginOptions};

/// Train networks with a policy, and measure their error on the test split.
#[derive(Args)]
#[command(after_help = format!("\
The reported error is that of the last epoch. Trainings that were interrupted continue where they
stopped when the same command is run again.

{DATA_SETS}

Examples:
  faa-runtime train --data glyphs --preset demo --policy runs/demo/policy.json --baselines --seeds 3 --out runs/glyphs
  faa-runtime train --data cifar10:cifar-10-batches-bin --policy autoaugment-cifar10 --out runs/aa
  faa-runtime train --data folder:pets --image-size 32 --model wrn-16-2 --policy random:50 --out runs/random"))]
pub(crate) struct Train {
    /// Data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Policy to train with, before crop, flip and Cutout: a file, a shipped policy's name, random:N
    /// for a random one of N sub-policies, or none.
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// Run directory, where everything is written.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train also with crop and flip alone, with Cutout, with a random policy of the same size, and
    /// with TrivialAugment.
    #[arg(long)]
    baselines: bool,
    /// Number of seeds per training; reports mean and standard deviation.
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroUsize,
    /// Defaults for the options below.
    #[arg(long, value_enum, default_value_t = PresetName::Cifar10)]
    preset: PresetName,
    #[command(flatten)]
    training: TrainingOptions,
    #[command(flatten)]
    hardware: HardwareOptions,
    #[command(flatten)]
    jobs: JobsOption,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Train {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.plugins.known_ops()?;
        let config = self.config(&known)?;
        let resources = self.hardware.resources(Some(&self.jobs))?;
        let plugins = self.plugins.request()?;
        let summary = self
            .watch
            .follow(config, &self.out, resources, plugins, known.ops)?;
        if !self.watch.json {
            print_line(results_table(&summary.final_trainings).trim_end())?;
        }
        Ok(())
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        check_data(&self.data)?;
        let mut config = RunConfig::for_training(self.preset.into(), &self.data);
        self.training.apply(&mut config.common);
        let (common, finals) = (&mut config.common, &mut config.final_trainings);
        finals.epochs = common.training.epochs;
        finals.seeds = self.seeds;
        let has_cutout = common.training.cutout > 0;
        let chosen = self.choose(finals, has_cutout)?;
        finals.augmentations = vec![chosen];
        if self.baselines {
            let is_new = |it: &Augmentation| {
                let is_baseline = !matches!(it, Augmentation::Policy) && *it != chosen;
                // Without Cutout, the base augmentation is crop and flip alone.
                is_baseline && (*it != Augmentation::Cutout || has_cutout)
            };
            finals
                .augmentations
                .extend(Augmentation::ALL.into_iter().filter(is_new));
        }
        if let Some(policy) = &finals.policy {
            // Warns of ops that are not those that the policy was found with.
            known.executor(policy, &self.policy)?;
            let named = ops_of(policy);
            common.plugins = plugin_ops(known, |op| named.contains(&op));
        }
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }

    /// Applies `--policy`, and returns what that trains with.
    fn choose(&self, finals: &mut FinalTrainings, has_cutout: bool) -> Result<Augmentation> {
        let random = finals
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
                    "`{count}` is not a number of sub-policies: use random:N with N from 1 to 10000"
                ))
            })?;
            return Ok(Augmentation::Random);
        }
        let policy = find_policy(&self.policy)?;
        // A sampler has no sub-policies to count.
        if let Some(count) = NonZeroUsize::new(policy.sub_policies().len()) {
            random.sub_policies = count;
        }
        finals.policy = Some(policy);
        Ok(Augmentation::Policy)
    }
}

/// The ops that a policy names.
fn ops_of(policy: &Policy) -> Vec<&str> {
    let steps = policy.sub_policies().iter().flatten();
    let sampler = policy.sampler().into_iter();
    let sampled = sampler.flat_map(|sampler| &sampler.ops);
    let of_steps = steps.map(|step| step.op.as_str());
    of_steps.chain(sampled.map(|op| op.op.as_str())).collect()
}
