use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::Args;
use faa_search::audit::{configure, default_ops};
use faa_search::config::{
    AuditConfig, Augmentation, FoldAugment, HalvingConfig, Preset, RangedOp, Reward, RunConfig,
    SearchConfig, Tolerance, TrialDraws,
};
use faa_search::halving::{HalvingResult, Origin};
use faa_search::statistics::percent;
use faa_search::summary::Summary;

use super::execution::{ExecutionOptions, program, results};
use super::jobs::{JOBS, JobOptions, SearchJobOptions};
use super::training::{DATA_SETS, GroupOptions, RunOptions, described, plugin_ops, set};
use super::{Usage, unknown_op};
use crate::arguments::{count, count_or_zero, one_of};
use crate::plugins::KnownOps;
use crate::table::{render, table};

/// Search for an augmentation policy on a labelled image data set.
#[derive(Args)]
#[command(after_help = format!("\
To continue an interrupted search where it stopped, run the same command again.

{JOBS}

{DATA_SETS}

Examples:
  faa-runtime search --data glyphs --preset demo --out runs/demo
  faa-runtime search --data glyphs --preset demo --objective train --out runs/halving
  faa-runtime search --data folder:pets --image-size 32 --model wrn-16-2 --out runs/pets
  faa-runtime search --data cifar10:cifar-10-batches-bin --preset cifar10-reduced --out runs/reduced
  faa-runtime search --data tar:pets.tar --device cuda:0,cuda:1 --jobs 4 --out runs/pets
  faa-runtime search --data folder:pets --plugins plugins --out runs/pets-with-plugins

Examples of jobs (SEARCH stands for `faa-runtime search` with all its options):
  SEARCH --list-jobs --json
  SEARCH --fold 0 --device cuda:0 &  SEARCH --fold 1 --device cuda:1 &  wait
  SEARCH --final policy:0
  SEARCH --collect parts/*
  SEARCH"))]
pub(crate) struct Search {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    search: SearchOptions,
    #[command(flatten)]
    halving: HalvingOptions,
    #[command(flatten)]
    final_trainings: FinalOptions,
    #[command(flatten)]
    search_jobs: SearchJobOptions,
    #[command(flatten)]
    jobs: JobOptions,
    #[command(flatten)]
    execution: ExecutionOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Search (default: the preset's)")]
struct SearchOptions {
    /// Search objective.
    #[arg(long, default_value = "density", value_parser = one_of(OBJECTIVES))]
    objective: Objective,
    /// Number of folds (K).
    #[arg(long, value_name = "K", value_parser = count)]
    folds: Option<NonZeroUsize>,
    /// Fraction of the images that each fold holds out for validation, drawn independently per fold;
    /// without it, the folds partition the images. With --objective train, the fraction that short
    /// trainings hold out.
    #[arg(long, value_name = "FRACTION")]
    held_out: Option<f64>,
    #[command(flatten)]
    groups: GroupOptions,
    /// Number of training images to search on; with --objective train, the maximum number that short
    /// trainings train on.
    #[arg(long, value_name = "N", value_parser = count)]
    images: Option<NonZeroUsize>,
    /// Ops to search over, separated by commas [default: the objective's ops and those of
    /// plugins].
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// Number of rounds per fold (T); TPE restarts in each.
    #[arg(long, value_name = "T", value_parser = count)]
    rounds: Option<NonZeroUsize>,
    /// Number of trials per round (B).
    #[arg(long, value_name = "B", value_parser = count)]
    trials: Option<NonZeroUsize>,
    /// Number of trials per batch (Q), whose candidates are proposed together and scored at the same time by
    /// up to Q jobs; 1: each is proposed from all trials before it, as published.
    #[arg(long, value_name = "Q", value_parser = count)]
    batch_proposals: Option<NonZeroUsize>,
    /// Number of best candidates per round whose sub-policies enter the policy (N).
    #[arg(long, value_name = "N", value_parser = count)]
    top_n: Option<NonZeroUsize>,
    /// Score the best M × N candidates per round again with fresh draws, and select N of them by the
    /// mean of both rewards; 0: select by the first reward alone, as published.
    #[arg(long, value_name = "M", value_parser = count_or_zero)]
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
    #[arg(long, value_name = "KIND", value_parser = one_of(FOLD_AUGMENTS))]
    fold_augment: Option<FoldAugment>,
    /// TPE's start-up trials: number of trials at the start of a round that are drawn uniformly.
    #[arg(long, value_name = "N", value_parser = count_or_zero)]
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
#[command(next_help_heading = "Short trainings, with --objective train (default: the preset's)")]
struct HalvingOptions {
    /// Number of policies in the first rung: half are drawn at random, and an additive model of these
    /// proposes the others. The fixed policies come on top: the base augmentation, TrivialAugment,
    /// RandAugment, and those of an audit and of a search by density.
    #[arg(long, value_name = "N", value_parser = count)]
    entrants: Option<NonZeroUsize>,
    /// Number of rungs; the fixed policies take part in the last two.
    #[arg(long, value_name = "N", value_parser = count)]
    rungs: Option<NonZeroUsize>,
    /// Reduction factor (eta): each rung has this many times fewer policies than the one before.
    #[arg(long, value_name = "N", value_parser = count)]
    reduction: Option<NonZeroUsize>,
    /// Number of epochs per training of the last rung.
    #[arg(long, value_name = "N", value_parser = count)]
    rung_epochs: Option<NonZeroUsize>,
    /// Number of epochs per training of earlier rungs; far fewer than in the last rung favour weaker
    /// augmentation.
    #[arg(long, value_name = "N", value_parser = count)]
    early_epochs: Option<NonZeroUsize>,
    /// Number of seeds per policy in the last rung.
    #[arg(long, value_name = "N", value_parser = count)]
    rung_seeds: Option<NonZeroUsize>,
    /// Skip the audit; its policy is then not among the fixed ones.
    #[arg(long)]
    no_audit: bool,
    /// Skip the search by density matching; its policy is then not among the fixed ones.
    #[arg(long)]
    no_density: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Final trainings (default: the preset's)")]
struct FinalOptions {
    /// Augmentations of the final trainings, separated by commas; the base augmentation is crop, flip and
    /// Cutout [default: all but randaugment; with --preset demo --objective train, cutout,
    /// trivialaugment,policy].
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

/// Search objective.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Objective {
    Density,
    Train,
}

const OBJECTIVES: [(&str, Objective, &str); 2] = [
    (
        "density",
        Objective::Density,
        "Fast AutoAugment: how well networks classify augmented images that they have not seen",
    ),
    (
        "train",
        Objective::Train,
        "Validation loss of short trainings with the policies, by successive halving; takes longer",
    ),
];

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
        let task = self.search_jobs.task(self.jobs.task());
        (self.execution).execute(config, &self.run.out, known, task, text)
    }

    /// Rejects options of parts that the search does not have.
    fn check_parts(&self) -> Result<()> {
        let has_halving = self.search.objective == Objective::Train;
        let has_density = !has_halving || !self.halving.no_density;
        let has_audit = has_halving && !self.halving.no_audit;
        let epochs = vec![("--epochs", self.run.has_epochs())];
        for (has_part, options, part, advice) in [
            (
                has_halving,
                self.halving.given(),
                "short trainings",
                "add --objective train",
            ),
            (
                has_density,
                self.search.given(),
                "the search by density matching",
                "omit it, or --no-density",
            ),
            (
                has_density || has_audit,
                epochs,
                "the audit and the search by density matching",
                "omit it, or use --rung-epochs and --early-epochs",
            ),
        ] {
            let mut options = options.into_iter();
            if let Some((option, _)) = options.find(|(_, is_given)| *is_given && !has_part) {
                bail!(Usage(format!("{option} is an option of {part}: {advice}")));
            }
        }
        Ok(())
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        // Without --ops, the search was asked to use every plugin.
        if self.search.ops.is_none() {
            known.check_complete("search")?;
        }
        self.check_parts()?;
        let preset = self.run.preset(Preset::Default);
        let new = match self.search.objective {
            Objective::Density => RunConfig::for_search,
            Objective::Train => RunConfig::for_halving,
        };
        let mut config = self.run.config(preset, new)?;
        (config.common.group_by).clone_from(&self.search.groups.group_by);
        let given = self.search.ops.as_ref();
        let mut names = given.into_iter().flatten();
        if let Some(unknown) = names.find(|name| known.ops.get(name).is_none()) {
            bail!(Usage(unknown_op(unknown, &known.ops)));
        }
        let of_plugins: Vec<String> = known.of_plugins().into_iter().map(|(op, _)| op).collect();
        if self.halving.no_density {
            config.search = None;
        }
        if let Some(search) = &mut config.search {
            search.ops.extend(of_plugins.iter().cloned());
            self.search.apply(search);
        }
        if let Some(halving) = &mut config.halving {
            let ranged = |names: &[String]| -> Vec<RangedOp> {
                let ops = names.iter();
                ops.filter_map(|name| RangedOp::of(name, &known.ops))
                    .collect()
            };
            match given {
                Some(names) => halving.ops = ranged(names),
                None => halving.ops.extend(ranged(&of_plugins)),
            }
            set(&mut halving.images, self.search.images);
            set(&mut halving.held_out, self.search.held_out);
            self.halving.apply(halving);
            if !self.halving.no_audit {
                config.audit = Some(audit(given, known)?);
            }
        }
        let is_searched = |op: &String| {
            let mut audit = config.audit.iter().flat_map(|it| &it.ops);
            let mut density = config.search.iter().flat_map(|it| &it.ops);
            let mut halving = config.halving.iter().flat_map(|it| &it.ops);
            density.any(|it| it == op)
                || halving.any(|it| it.op == *op)
                || audit.any(|it| it.op == *op)
        };
        config.common.plugins = plugin_ops(known, is_searched);
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
        config
            .check(&known.ops)
            .map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }
}

/// An audit with the defaults of `faa-runtime audit`, of the ops that are given or of all.
fn audit(given: Option<&Vec<String>>, known: &KnownOps) -> Result<AuditConfig> {
    let mut names = default_ops(&known.ops);
    set(&mut names, given.cloned());
    let (values, draws) = (AuditConfig::VALUES, AuditConfig::DRAWS);
    let ops = configure(&names, &known.ops, values, draws);
    let ops = ops.map_err(|error| Usage(error.to_string()))?;
    let tolerance = Tolerance::default();
    Ok(AuditConfig::new(ops, AuditConfig::HELD_OUT, tolerance))
}

/// The results, and commands that use the policy.
fn text(summary: &Summary) -> String {
    let halving = summary.halving.as_ref();
    let mut text = halving.map_or_else(String::new, halving_text);
    text += &results(summary);
    text += &match &summary.reliability {
        Some(reliability) => format!("reward reliability: {reliability}\n"),
        // Its policy is one of many, or there is none.
        None if halving.is_some() => String::new(),
        None => "reward reliability: not measured; it needs four random candidates with different \
                 rewards on a fold\n"
            .to_owned(),
    };
    if let Some(policy) = &summary.policy {
        let (policy, program) = (policy.display(), program());
        let size = match summary.sub_policies {
            0 => String::new(),
            count => format!(" ({count} sub-policies)"),
        };
        text += &format!(
            "policy: {policy}{size}\n\n\
             next:\n  \
             {program} policy show {policy}\n  \
             {program} apply --policy {policy} --grid 15 IMAGE --out sheets\n"
        );
    }
    text
}

/// The last rung, what won, and why.
fn halving_text(result: &HalvingResult) -> String {
    let mut table = table(&[
        "last rung",
        "validation loss",
        "error",
        "compared with the first",
    ]);
    for (index, standing) in result.standings.iter().enumerate() {
        let loss = standing.mean_loss();
        let error = standing.mean_error();
        let compared = match standing.difference {
            _ if standing.diverged > 0 => format!("{} diverged", standing.diverged),
            _ if index == 0 => String::new(),
            None => "not known".to_owned(),
            Some(it) if it.is_clear() => format!("+{:.4} ± {:.4}", it.value, it.standard_error),
            Some(_) => "equal within noise".to_owned(),
        };
        table.add_row([
            standing.name.clone(),
            loss.map_or_else(|| "–".to_owned(), |loss| format!("{loss:.4}")),
            error.map_or_else(|| "–".to_owned(), |error| percent(error, 2)),
            compared,
        ]);
    }
    let mut text = format!("{}\n", render(&table));
    if let Some(Origin::Fixed(name)) = result.winner().map(|it| &it.origin) {
        let name = match name.as_str() {
            "base" => "the base augmentation alone",
            name => name,
        };
        text += &format!("no searched policy had a lower validation loss than {name}\n\n");
    }
    if let Some(why) = result.why_unknown() {
        text += &format!("{why}\n\n");
    }
    for sentence in &result.explanation {
        text += &format!("{sentence}\n");
    }
    if !result.explanation.is_empty() {
        text.push('\n');
    }
    text
}

impl SearchOptions {
    /// Applies the options that are given to the search by density matching.
    fn apply(&self, search: &mut SearchConfig) {
        set(&mut search.folds.count, self.folds);
        // With short trainings, these two are theirs.
        if self.objective == Objective::Density {
            search.folds.held_out = self.held_out.or(search.folds.held_out);
            search.folds.images = self.images.or(search.folds.images);
        }
        set(&mut search.ops, self.ops.clone());
        set(&mut search.rounds, self.rounds);
        set(&mut search.trials, self.trials);
        set(&mut search.batch_proposals, self.batch_proposals);
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

    /// The options that only the search by density matching has, and whether they are given.
    fn given(&self) -> Vec<(&'static str, bool)> {
        let Self {
            folds,
            rounds,
            trials,
            batch_proposals,
            top_n,
            finalists,
            sub_policies,
            ops_per_sub_policy,
            draws,
            trial_draws,
            fold_augment,
            start_up_trials,
            gamma,
            candidates,
            reward,
            // Those of any objective.
            objective: _,
            held_out: _,
            groups: _,
            images: _,
            ops: _,
        } = self;
        vec![
            ("--folds", folds.is_some()),
            ("--rounds", rounds.is_some()),
            ("--trials", trials.is_some()),
            ("--batch-proposals", batch_proposals.is_some()),
            ("--top-n", top_n.is_some()),
            ("--finalists", finalists.is_some()),
            ("--sub-policies", sub_policies.is_some()),
            ("--ops-per-sub-policy", ops_per_sub_policy.is_some()),
            ("--draws", draws.is_some()),
            ("--trial-draws", trial_draws.is_some()),
            ("--fold-augment", fold_augment.is_some()),
            ("--start-up-trials", start_up_trials.is_some()),
            ("--gamma", gamma.is_some()),
            ("--candidates", candidates.is_some()),
            ("--reward", reward.is_some()),
        ]
    }
}

impl HalvingOptions {
    /// Applies the options that are given.
    fn apply(&self, halving: &mut HalvingConfig) {
        set(&mut halving.entrants, self.entrants);
        set(&mut halving.rungs, self.rungs);
        set(&mut halving.reduction, self.reduction);
        set(&mut halving.epochs, self.rung_epochs);
        set(&mut halving.early_epochs, self.early_epochs);
        set(&mut halving.seeds, self.rung_seeds);
    }

    /// The options, and whether they are given.
    fn given(&self) -> Vec<(&'static str, bool)> {
        let Self {
            entrants,
            rungs,
            reduction,
            rung_epochs,
            early_epochs,
            rung_seeds,
            no_audit,
            no_density,
        } = self;
        vec![
            ("--entrants", entrants.is_some()),
            ("--rungs", rungs.is_some()),
            ("--reduction", reduction.is_some()),
            ("--rung-epochs", rung_epochs.is_some()),
            ("--early-epochs", early_epochs.is_some()),
            ("--rung-seeds", rung_seeds.is_some()),
            ("--no-audit", *no_audit),
            ("--no-density", *no_density),
        ]
    }
}
