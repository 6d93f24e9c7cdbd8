use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use faa_policy::nearest_name;
use faa_search::config::{Augmentation, Reward, RunConfig, SearchConfig};
use faa_search::results::Summary;

use super::Usage;
use super::training::{DATA_SETS, PresetName, TrainingOptions, check_data, plugin_ops, set};
use super::work::{HardwareOptions, JobsOption, WatchOptions, print_line, program, results_table};
use crate::plugins::{KnownOps, PluginOptions};

/// Search for an augmentation policy on a labelled image set.
#[derive(Args)]
#[command(after_help = format!("\
A search that was interrupted continues where it stopped when the same command is run again.

{DATA_SETS}

Examples:
  faa-runtime search --data glyphs --preset demo --out runs/demo
  faa-runtime search --data folder:pets --image-size 32 --model wrn-16-2 --out runs/pets
  faa-runtime search --data cifar10:cifar-10-batches-bin --preset cifar10-reduced --out runs/reduced
  faa-runtime search --data tar:pets.tar --device cuda:0,cuda:1 --jobs 4 --out runs/pets
  faa-runtime search --data folder:pets --plugins plugins --out runs/pets-with-plugins"))]
pub(crate) struct Search {
    /// Data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Run directory, where everything is written.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Defaults for the options below.
    #[arg(long, value_enum, default_value_t = PresetName::Cifar10)]
    preset: PresetName,
    #[command(flatten)]
    training: TrainingOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    final_trainings: FinalOptions,
    #[command(flatten)]
    hardware: HardwareOptions,
    #[command(flatten)]
    jobs: JobsOption,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    plugins: PluginOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Search (default: the preset's)")]
struct SearchOptions {
    /// Number of folds (K).
    #[arg(long, value_name = "K")]
    folds: Option<NonZeroUsize>,
    /// Draw folds independently, each scoring candidates on this fraction of the images [default:
    /// partition the images].
    #[arg(long, value_name = "FRACTION")]
    held_out: Option<f64>,
    /// Search on this many of the training images [default: all].
    #[arg(long, value_name = "N")]
    images: Option<NonZeroUsize>,
    /// Ops to search over, separated by commas [default: the paper's, and those of plugins].
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// Rounds per fold (T); the sampler restarts in each.
    #[arg(long, value_name = "T")]
    rounds: Option<NonZeroUsize>,
    /// Trials per round (B).
    #[arg(long, value_name = "B")]
    trials: Option<NonZeroUsize>,
    /// Candidates of each round that enter the policy (N).
    #[arg(long, value_name = "N")]
    top_n: Option<NonZeroUsize>,
    /// Sub-policies per candidate.
    #[arg(long, value_name = "N")]
    sub_policies: Option<NonZeroUsize>,
    /// Ops per sub-policy.
    #[arg(long, value_name = "N")]
    ops_per_sub_policy: Option<NonZeroUsize>,
    /// Augmentations per validation image and trial.
    #[arg(long, value_name = "N")]
    draws: Option<NonZeroUsize>,
    /// TPE's start-up trials: the first trials of a round, drawn uniformly.
    #[arg(long, value_name = "N")]
    start_up_trials: Option<usize>,
    /// TPE's gamma: the fraction of trials treated as good.
    #[arg(long, value_name = "FRACTION")]
    gamma: Option<f64>,
    /// TPE's candidates per proposed number.
    #[arg(long, value_name = "N")]
    candidates: Option<NonZeroUsize>,
    /// What candidates are ranked by.
    #[arg(long, value_enum)]
    reward: Option<RewardName>,
}

#[derive(Args)]
#[command(next_help_heading = "Final trainings (default: the preset's)")]
struct FinalOptions {
    /// What to train with in the end, separated by commas [default: all].
    #[arg(
        long = "final-trainings",
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "no_final_trainings"
    )]
    augmentations: Option<Vec<AugmentationName>>,
    /// Stop after writing policy.json; skip the final trainings.
    #[arg(long)]
    no_final_trainings: bool,
    /// Epochs per final training.
    #[arg(long, value_name = "N")]
    final_epochs: Option<NonZeroUsize>,
    /// Number of seeds per final training.
    #[arg(long, value_name = "N")]
    final_seeds: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RewardName {
    /// Fraction of validation images that any of their draws gets right
    Any,
    /// Fraction of draws that are right
    Mean,
}

#[derive(Clone, Copy, ValueEnum)]
enum AugmentationName {
    /// Crop and flip
    None,
    /// Crop, flip and Cutout: the base augmentation
    Cutout,
    /// A random policy of the found one's size, and the base augmentation
    Random,
    /// TrivialAugment, and the base augmentation
    #[value(name = "trivialaugment")]
    TrivialAugment,
    /// The found policy, and the base augmentation
    Policy,
}

impl Search {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.plugins.known_ops()?;
        let config = self.config(&known)?;
        let resources = self.hardware.resources(Some(&self.jobs))?;
        let plugins = self.plugins.request()?;
        let summary = self
            .watch
            .follow(config, &self.out, resources, plugins, known.ops)?;
        if !self.watch.json {
            print_line(&text(&summary))?;
        }
        Ok(())
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        check_data(&self.data)?;
        let mut config = RunConfig::for_search(self.preset.into(), &self.data);
        self.training.apply(&mut config.common);
        let mut search = SearchConfig::preset(self.preset.into());
        // Ops of plugins are searched over like the built-in ones.
        search
            .ops
            .extend(known.of_plugins().into_iter().map(|(op, _)| op));
        self.search.apply(&mut search);
        let uses = |op: &str| search.ops.iter().any(|name| name == op);
        config.common.plugins = plugin_ops(known, uses);
        let finals = &mut config.final_trainings;
        if config.common.training.cutout == 0 {
            // It would be the same as crop and flip alone.
            finals
                .augmentations
                .retain(|it| *it != Augmentation::Cutout);
        }
        if let Some(augmentations) = &self.final_trainings.augmentations {
            finals.augmentations = augmentations.iter().map(|name| (*name).into()).collect();
        }
        if self.final_trainings.no_final_trainings {
            finals.augmentations.clear();
        }
        set(
            &mut finals.epochs,
            self.final_trainings.final_epochs.as_ref(),
        );
        set(&mut finals.seeds, self.final_trainings.final_seeds.as_ref());
        let names = || known.ops.iter().map(|op| op.spec().name());
        for op in &search.ops {
            if known.ops.get(op).is_none() {
                let hint = match nearest_name(op, names()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "`faa-runtime ops` lists them".to_owned(),
                };
                bail!(Usage(format!("no op is named `{op}`; {hint}")));
            }
        }
        config.search = Some(search);
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }
}

/// What is printed at the end.
fn text(summary: &Summary) -> String {
    let mut text = results_table(&summary.final_trainings);
    if let Some(policy) = &summary.policy {
        let (policy, program) = (policy.display(), program());
        text += &format!(
            "policy: {policy} ({} sub-policies)\n\n\
             next:\n  \
             {program} policy show {policy}\n  \
             {program} apply --policy {policy} --grid 15 IMAGE --out sheets",
            summary.sub_policies
        );
    }
    text
}

impl SearchOptions {
    /// Applies the options that are given.
    fn apply(&self, search: &mut SearchConfig) {
        set(&mut search.folds.count, self.folds.as_ref());
        search.folds.held_out = self.held_out.or(search.folds.held_out);
        search.folds.images = self.images.or(search.folds.images);
        set(&mut search.ops, self.ops.as_ref());
        set(&mut search.rounds, self.rounds.as_ref());
        set(&mut search.trials, self.trials.as_ref());
        set(&mut search.top_n, self.top_n.as_ref());
        set(&mut search.sub_policies, self.sub_policies.as_ref());
        let steps = self.ops_per_sub_policy.as_ref();
        set(&mut search.ops_per_sub_policy, steps);
        set(&mut search.draws, self.draws.as_ref());
        let sampler = &mut search.sampler;
        set(&mut sampler.start_up_trials, self.start_up_trials.as_ref());
        set(&mut sampler.gamma, self.gamma.as_ref());
        set(&mut sampler.candidates, self.candidates.as_ref());
        match self.reward {
            Some(RewardName::Any) => search.reward = Reward::Any,
            Some(RewardName::Mean) => search.reward = Reward::Mean,
            None => {}
        }
    }
}

impl From<AugmentationName> for Augmentation {
    fn from(name: AugmentationName) -> Self {
        match name {
            AugmentationName::None => Self::None,
            AugmentationName::Cutout => Self::Cutout,
            AugmentationName::Random => Self::Random,
            AugmentationName::TrivialAugment => Self::TrivialAugment,
            AugmentationName::Policy => Self::Policy,
        }
    }
}
