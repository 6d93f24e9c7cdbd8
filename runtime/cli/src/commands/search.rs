use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use faa_policy::nearest_name;
use faa_search::config::{Augmentation, Reward};
use faa_search::protocol::Request;
use faa_search::{RunConfig, Summary};

use super::Usage;
use super::training::{DATA_SETS, PresetName, TrainingOptions, set};
use super::work::{HardwareOptions, PrecisionOptions, WatchOptions, print_line, program, table_of};
use crate::plugins::{KnownOps, PluginOptions};

/// Search for a policy on a labelled image set.
#[derive(Args)]
#[command(after_help = format!("\
A search that was stopped, by Ctrl-C or otherwise, goes on where it was when the same command is
given again.

{DATA_SETS}

Examples:
  faa-runtime search --data glyphs --preset demo --out runs/demo
  faa-runtime search --data folder:pets --image-size 32 --model wrn-16-2 --out runs/pets
  faa-runtime search --data cifar10:cifar-10-batches-bin --preset cifar10-reduced --out runs/reduced
  faa-runtime search --data tar:pets.tar --device cuda:0,cuda:1 --jobs 4 --out runs/pets
  faa-runtime search --data folder:pets --plugins plugins --out runs/pets-with-plugins"))]
pub(crate) struct Search {
    /// The data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR, or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// The run directory: everything is written there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the numbers come from that are not given below.
    #[arg(long, value_enum, default_value_t = PresetName::Cifar10)]
    preset: PresetName,
    #[command(flatten)]
    training: TrainingOptions,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    resources: HardwareOptions,
    #[command(flatten)]
    learning: PrecisionOptions,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// What a preset leaves to be changed beside the training.
#[derive(Args)]
#[command(next_help_heading = "Search (the preset's where not given)")]
struct Settings {
    /// Folds of the training images.
    #[arg(long, value_name = "K")]
    folds: Option<NonZeroUsize>,
    /// Draw folds independently, and hold out this share of the images.
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// Search on this many of the training images.
    #[arg(long, value_name = "N")]
    images: Option<NonZeroUsize>,
    /// The ops to search over, separated by commas; those of plugins are searched over where not
    /// given.
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// How often the sampler starts afresh on a fold.
    #[arg(long, value_name = "T")]
    rounds: Option<NonZeroUsize>,
    /// Trials a round.
    #[arg(long, value_name = "B")]
    trials: Option<NonZeroUsize>,
    /// Candidates kept of a round.
    #[arg(long, value_name = "N")]
    top_n: Option<NonZeroUsize>,
    /// Sub-policies of a candidate.
    #[arg(long, value_name = "N")]
    sub_policies: Option<NonZeroUsize>,
    /// Ops of a sub-policy.
    #[arg(long, value_name = "N")]
    ops_per_sub_policy: Option<NonZeroUsize>,
    /// How often each held-out image is augmented in a trial.
    #[arg(long, value_name = "N")]
    draws: Option<NonZeroUsize>,
    /// First trials of a round that are drawn uniformly.
    #[arg(long, value_name = "N")]
    start_up_trials: Option<usize>,
    /// The share of trials that the sampler takes for good ones.
    #[arg(long, value_name = "SHARE")]
    gamma: Option<f64>,
    /// Points that the sampler draws for each number that it proposes.
    #[arg(long, value_name = "N")]
    candidates: Option<NonZeroUsize>,
    /// What a candidate is judged by: an image counts where any of its draws is right, or by the
    /// mean of its draws.
    #[arg(long, value_enum)]
    reward: Option<RewardName>,
    /// What to train in the end, separated by commas.
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "no_finals"
    )]
    final_trainings: Option<Vec<AugmentationName>>,
    /// End with the policy.
    #[arg(long)]
    no_finals: bool,
    /// Epochs of a final training.
    #[arg(long, value_name = "N")]
    final_epochs: Option<NonZeroUsize>,
    /// Seeds of each final training.
    #[arg(long, value_name = "N")]
    final_seeds: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RewardName {
    Any,
    Mean,
}

#[derive(Clone, Copy, ValueEnum)]
enum AugmentationName {
    /// Crop and flip alone.
    None,
    /// And Cutout.
    Cutout,
    /// A random policy of the found one's size, and Cutout.
    Random,
    /// TrivialAugment, and Cutout.
    #[value(name = "trivialaugment")]
    TrivialAugment,
    /// The found policy, and Cutout.
    Policy,
}

impl Search {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.plugins.known_ops()?;
        let request = Request::Search {
            config: Box::new(self.config(&known)?),
            out: self.out.clone(),
            resources: self.resources.resources(Some(&self.learning)),
            plugins: self.plugins.request()?,
        };
        let summary = self.watch.follow(&request, &self.out, known.ops)?;
        if !self.watch.json {
            print_line(&told(&summary))?;
        }
        Ok(())
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        let mut config = self.preset.config(&self.data)?;
        config.plugins = known.of_plugins();
        // Ops of plugins are searched over like the built-in ones.
        let plugin_ops = config.plugins.iter().map(|plugin| plugin.op.clone());
        config.search.ops.extend(plugin_ops);
        config.precision = self.learning.precision();
        let (training, seed) = (&mut config.training, &mut config.seed);
        self.training.change(training, seed, &mut config.image_size);
        self.settings.change(&mut config);
        config
            .plugins
            .retain(|plugin| config.search.ops.contains(&plugin.op));
        if self.settings.final_trainings.is_none() && config.training.cutout == 0 {
            let augmentations = &mut config.final_trainings.augmentations;
            augmentations.retain(|augmentation| *augmentation != Augmentation::Cutout);
        }
        config.check().map_err(|error| Usage(error.to_string()))?;
        let names = || known.ops.iter().map(|op| op.spec().name());
        for op in &config.search.ops {
            if known.ops.get(op).is_none() {
                let hint = match nearest_name(op, names()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "`faa-runtime ops` lists them".to_owned(),
                };
                bail!(Usage(format!("no op is named `{op}`; {hint}")));
            }
        }
        Ok(config)
    }
}

/// What people are told in the end.
fn told(summary: &Summary) -> String {
    let mut text = table_of(&summary.final_trainings);
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

impl Settings {
    fn change(&self, config: &mut RunConfig) {
        set(&mut config.folds.count, self.folds.as_ref());
        config.folds.held_out = self.held_out.or(config.folds.held_out);
        config.folds.images = self.images.or(config.folds.images);

        let search = &mut config.search;
        set(&mut search.ops, self.ops.as_ref());
        set(&mut search.rounds, self.rounds.as_ref());
        set(&mut search.trials, self.trials.as_ref());
        set(&mut search.top_n, self.top_n.as_ref());
        set(&mut search.sub_policies, self.sub_policies.as_ref());
        set(
            &mut search.ops_per_sub_policy,
            self.ops_per_sub_policy.as_ref(),
        );
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

        let final_trainings = &mut config.final_trainings;
        if let Some(augmentations) = &self.final_trainings {
            final_trainings.augmentations = augmentations
                .iter()
                .copied()
                .map(Augmentation::from)
                .collect();
        }
        if self.no_finals {
            final_trainings.augmentations.clear();
        }
        set(&mut final_trainings.epochs, self.final_epochs.as_ref());
        set(&mut final_trainings.seeds, self.final_seeds.as_ref());
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
