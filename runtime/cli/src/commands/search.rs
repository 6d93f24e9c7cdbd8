use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::Args;
use faa_search::config::{
    Augmentation, FoldAugment, Preset, Reward, RunConfig, SearchConfig, TrialDraws,
};
use faa_search::summary::Summary;

use super::execution::{ExecutionOptions, program, results};
use super::training::{DATA_SETS, GroupOptions, RunOptions, described, plugin_ops, set};
use super::{Usage, unknown_op};
use crate::arguments::{count, one_of, whole};
use crate::plugins::KnownOps;

/// Search for an augmentation policy on a labelled image data set.
#[derive(Args)]
#[command(after_help = format!("\
To continue an interrupted search where it stopped, run the same command again.

{DATA_SETS}

Examples:
  faa-runtime search --data glyphs --preset demo --out runs/demo
  faa-runtime search --data folder:pets --image-size 32 --model wrn-16-2 --out runs/pets
  faa-runtime search --data cifar10:cifar-10-batches-bin --preset cifar10-reduced --out runs/reduced
  faa-runtime search --data tar:pets.tar --device cuda:0,cuda:1 --jobs 4 --out runs/pets
  faa-runtime search --data folder:pets --plugins plugins --out runs/pets-with-plugins"))]
pub(crate) struct Search {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    final_trainings: FinalOptions,
    #[command(flatten)]
    execution: ExecutionOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Search (default: the preset's)")]
struct SearchOptions {
    /// Number of folds (K).
    #[arg(long, value_name = "K", value_parser = count)]
    folds: Option<NonZeroUsize>,
    /// Fraction of the images that each fold holds out for validation, drawn independently per fold;
    /// without it, the folds partition the images.
    #[arg(long, value_name = "FRACTION")]
    held_out: Option<f64>,
    #[command(flatten)]
    groups: GroupOptions,
    /// Number of training images to search on.
    #[arg(long, value_name = "N", value_parser = count)]
    images: Option<NonZeroUsize>,
    /// Ops to search over, separated by commas [default: the paper's ops and those of plugins].
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// Number of rounds per fold (T); TPE restarts in each.
    #[arg(long, value_name = "T", value_parser = count)]
    rounds: Option<NonZeroUsize>,
    /// Number of trials per round (B).
    #[arg(long, value_name = "B", value_parser = count)]
    trials: Option<NonZeroUsize>,
    /// Number of best candidates per round whose sub-policies enter the policy (N).
    #[arg(long, value_name = "N", value_parser = count)]
    top_n: Option<NonZeroUsize>,
    /// Score the best M × N candidates per round again with fresh draws, and select N of them by the
    /// mean of both rewards; 0: select by the first reward alone, as published.
    #[arg(long, value_name = "M", value_parser = whole)]
    finalists: Option<usize>,
    /// Number of sub-policies per candidate.
    #[arg(long, value_name = "N", value_parser = count)]
    sub_policies: Option<NonZeroUsize>,
    /// Number of ops per sub-policy.
    #[arg(long, value_name = "N", value_parser = count)]
    ops_per_sub_policy: Option<NonZeroUsize>,
    /// Number of augmented versions per validation image and trial.
    #[arg(long, value_name = "N", value_parser = count)]
    draws: Option<NonZeroUsize>,
    /// Random draws with which candidates are scored.
    #[arg(long, value_name = "KIND", value_parser = one_of(TRIAL_DRAWS))]
    trial_draws: Option<TrialDraws>,
    /// Augmentation with which the folds' networks are trained.
    #[arg(long, value_parser = one_of(FOLD_AUGMENTS))]
    fold_augment: Option<FoldAugment>,
    /// TPE's start-up trials: number of trials at the start of a round that are drawn uniformly.
    #[arg(long, value_name = "N", value_parser = whole)]
    start_up_trials: Option<usize>,
    /// TPE's gamma: the fraction of trials treated as good.
    #[arg(long, value_name = "FRACTION")]
    gamma: Option<f64>,
    /// TPE's number of draws per parameter, of which the best is proposed.
    #[arg(long, value_name = "N", value_parser = count)]
    candidates: Option<NonZeroUsize>,
    /// Reward by which candidates are ranked.
    #[arg(long, value_parser = one_of(REWARDS))]
    reward: Option<Reward>,
}

#[derive(Args)]
#[command(next_help_heading = "Final trainings (default: the preset's)")]
struct FinalOptions {
    /// Augmentations of the final trainings, separated by commas; the base augmentation is crop, flip and
    /// Cutout [default: all but randaugment].
    #[arg(long = "final-trainings", value_name = "LIST", value_delimiter = ',',
          value_parser = one_of(Augmentation::ALL.map(described)), conflicts_with = "no_final_trainings")]
    augmentations: Option<Vec<Augmentation>>,
    /// Stop after writing policy.json; skip the final trainings.
    #[arg(long)]
    no_final_trainings: bool,
    /// Number of epochs per final training.
    #[arg(long, value_name = "N", value_parser = count)]
    final_epochs: Option<NonZeroUsize>,
    /// Number of seeds per final training; reports mean, standard deviation and intervals [default: 3 if
    /// the final trainings are estimated at less than an hour together, otherwise 1].
    #[arg(long, value_name = "N", value_parser = count)]
    final_seeds: Option<NonZeroUsize>,
}

const REWARDS: [(&str, Reward, &str); 2] = [
    (
        "any",
        Reward::Any,
        "Fraction of validation images of which at least one augmented version is classified correctly",
    ),
    (
        "mean",
        Reward::Mean,
        "Fraction of augmented versions that are classified correctly",
    ),
];

const TRIAL_DRAWS: [(&str, TrialDraws, &str); 2] = [
    (
        "common",
        TrialDraws::Common,
        "The same for all candidates of a round (common random numbers), which cancels shared noise",
    ),
    (
        "fresh",
        TrialDraws::Fresh,
        "Independent draws per candidate, as published",
    ),
];

const FOLD_AUGMENTS: [(&str, FoldAugment, &str); 2] = [
    (
        "base",
        FoldAugment::Base,
        "The base augmentation (crop, flip, Cutout), as published",
    ),
    (
        "uniform",
        FoldAugment::Uniform,
        "A random sub-policy for every image and epoch, then the base augmentation",
    ),
];

impl Search {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.execution.plugins.known_ops()?;
        let config = self.config(&known)?;
        self.execution.execute(config, &self.run.out, known, text)
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        // Without --ops, the search was asked to use every plugin.
        if self.search.ops.is_none() {
            known.check_complete("search")?;
        }
        let preset = self.run.preset(Preset::Default);
        let mut config = self.run.config(preset, RunConfig::for_search)?;
        (config.common.group_by).clone_from(&self.search.groups.group_by);
        let mut search = SearchConfig::preset(preset);
        let of_plugins = known.of_plugins().into_iter();
        search.ops.extend(of_plugins.map(|(op, _)| op));
        self.search.apply(&mut search);
        config.common.plugins = plugin_ops(known, |op| search.ops.contains(op));
        let final_trainings = &mut config.final_trainings;
        let augmentations = &mut final_trainings.augmentations;
        if config.common.training.cutout == 0 {
            // It would be the same as crop and flip only.
            augmentations.retain(|it| *it != Augmentation::Cutout);
        }
        let options = &self.final_trainings;
        set(augmentations, options.augmentations.clone());
        if options.no_final_trainings {
            augmentations.clear();
        }
        final_trainings.epochs = options.final_epochs.or(final_trainings.epochs);
        final_trainings.seeds = options.final_seeds;
        let mut names = search.ops.iter();
        if let Some(unknown) = names.find(|name| known.ops.get(name).is_none()) {
            bail!(Usage(unknown_op(unknown, &known.ops)));
        }
        config.search = Some(search);
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }
}

/// The results, and commands that use the policy.
fn text(summary: &Summary) -> String {
    let mut text = results(summary);
    text += &match &summary.reliability {
        Some(reliability) => format!("reward reliability: {reliability}\n"),
        None => "reward reliability: not measured; it needs four random candidates with different \
                 rewards on a fold\n"
            .to_owned(),
    };
    if let Some(policy) = &summary.policy {
        let (policy, program) = (policy.display(), program());
        text += &format!(
            "policy: {policy} ({} sub-policies)\n\n\
             next:\n  \
             {program} policy show {policy}\n  \
             {program} apply --policy {policy} --grid 15 IMAGE --out sheets\n",
            summary.sub_policies
        );
    }
    text
}

impl SearchOptions {
    /// Applies the options that are given.
    fn apply(&self, search: &mut SearchConfig) {
        set(&mut search.folds.count, self.folds);
        search.folds.held_out = self.held_out.or(search.folds.held_out);
        search.folds.images = self.images.or(search.folds.images);
        set(&mut search.ops, self.ops.clone());
        set(&mut search.rounds, self.rounds);
        set(&mut search.trials, self.trials);
        set(&mut search.top_n, self.top_n);
        set(&mut search.sub_policies, self.sub_policies);
        set(&mut search.ops_per_sub_policy, self.ops_per_sub_policy);
        set(&mut search.draws, self.draws);
        set(&mut search.trial_draws, self.trial_draws);
        set(&mut search.fold_augment, self.fold_augment);
        set(&mut search.finalists, self.finalists);
        let sampler = &mut search.sampler;
        set(&mut sampler.start_up_trials, self.start_up_trials);
        set(&mut sampler.gamma, self.gamma);
        set(&mut sampler.candidates, self.candidates);
        set(&mut search.reward, self.reward);
    }
}
