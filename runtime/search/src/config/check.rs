//! Checks whether a configuration is possible.

use std::num::NonZeroUsize;
use std::sync::Arc;

use faa_op::{Op, OpSet};
use faa_policy::{PolicyError, PolicyErrorKind, nearest_name};

use super::ranges;
use super::{
    AuditConfig, AuditedOp, Augmentation, FoldAugment, HalvingConfig, RunConfig, SearchConfig,
};
use crate::error::{ConfigError, ConfigErrorKind};
use crate::folds::{Fold, Labels, held_out_fold, stratified_folds};
use crate::halving::{Point, PolicySpace};
use crate::pipeline::Pipeline;
use crate::space::Space;

impl RunConfig {
    /// Checks everything that can be checked without images: numbers, ops and policies. Nothing is
    /// allocated for a number before it is checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first problem found.
    pub fn check(&self, ops: &OpSet) -> Result<(), ConfigError> {
        ranges::check(self)?;
        let final_trainings = &self.final_trainings;
        let finds_policy = self.is_search() || self.audit.is_some();
        if !finds_policy && final_trainings.augmentations.is_empty() {
            return Err(contradiction(
                "there is no search, no audit and no final training",
            ));
        }
        self.check_warmup()?;
        let augmentations = &final_trainings.augmentations;
        for (index, augmentation) in augmentations.iter().enumerate() {
            if augmentations[..index].contains(augmentation) {
                // Two jobs would work in one folder.
                return Err(contradiction(format!(
                    "`{}` is named twice among the final trainings",
                    augmentation.name()
                )));
            }
        }
        let trains_with = |augmentation| augmentations.contains(&augmentation);
        if trains_with(Augmentation::Cutout) && self.common.training.cutout == 0 {
            return Err(contradiction(
                "a training with Cutout needs --cutout above 0",
            ));
        }
        let mut policies = Vec::new();
        if let Some(audit) = &self.audit {
            check_audit(audit, ops)?;
            let is_compared = self.halving.is_some();
            if (self.search.is_some() && !is_compared) || final_trainings.policy.is_some() {
                return Err(contradiction(
                    "an audit writes its own policy: omit the search and the given policy",
                ));
            }
        }
        if let Some(search) = &self.search {
            check_products(search)?;
            check_ops("search.ops", &search.ops, ops)?;
            if search.fold_augment == FoldAugment::Uniform {
                policies.push(Space::new(search).uniform_policy());
            }
        }
        if let Some(halving) = &self.halving {
            check_rungs(halving)?;
            check_ops("halving.ops", halving.ops.iter().map(|it| &it.op), ops)?;
            let space = PolicySpace::new(&halving.ops);
            policies.push(space.policy("halving.ops", &Point::largest(&space)));
            let fixed = [Augmentation::TrivialAugment, Augmentation::RandAugment];
            policies.extend(fixed.iter().filter_map(|it| it.shipped_policy()));
        }
        if self.is_search() {
            if final_trainings.policy.is_some() {
                return Err(contradiction(
                    "a search trains with the policy that it finds: omit --policy",
                ));
            }
        } else if trains_with(Augmentation::Policy)
            && final_trainings.policy.is_none()
            && !finds_policy
        {
            return Err(contradiction("there is no policy to train with"));
        }
        match &final_trainings.random {
            Some(random) if trains_with(Augmentation::Random) => {
                check_ops("final_trainings.random.ops", &random.ops, ops)?;
                let (sub_policies, steps) =
                    (random.sub_policies.get(), random.ops_per_sub_policy.get());
                let space = Space::of(&random.ops, sub_policies, steps);
                policies.push(space.random_policy("random", sub_policies, 0));
            }
            // What halving finds has no number of sub-policies to copy.
            None if trains_with(Augmentation::Random)
                && (self.search.is_none() || self.halving.is_some()) =>
            {
                return Err(contradiction(
                    "a random policy needs a number of sub-policies",
                ));
            }
            _ => {}
        }
        policies.extend(augmentations.iter().filter_map(|it| it.shipped_policy()));
        policies.extend(final_trainings.policy.clone());
        let pipeline = |policy| Pipeline::new(policy, &self.common.training, ops, [0; 3], 0);
        pipeline(None).map_err(|error| misfit(&error))?;
        for policy in &policies {
            pipeline(Some(policy)).map_err(|error| misfit(&error))?;
        }
        Ok(())
    }

    /// Splits images with these classes; none without a search. Call [`check`](Self::check) first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the images are too few, or all of one class.
    pub fn folds<'a>(&self, labels: impl Into<Labels<'a>>) -> Result<Vec<Fold>, ConfigError> {
        let labels = labels.into();
        if let [first, others @ ..] = labels.classes
            && others.iter().all(|label| label == first)
        {
            let message = "all training images are of one class: there is nothing to learn";
            return Err(ConfigError::new(ConfigErrorKind::Images, message));
        }
        let Some(search) = &self.search else {
            return Ok(Vec::new());
        };
        let split = |labels: Labels<'_>| stratified_folds(labels, &search.folds, self.common.seed);
        self.split_searched(
            labels,
            ("search by density matching", "--no-density"),
            split,
        )
    }

    /// Splits images with these classes into those that the audit's network is trained on and those that
    /// are held out; `None` without an audit. Call [`check`](Self::check) first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the images are too few.
    pub fn audit_fold<'a>(
        &self,
        labels: impl Into<Labels<'a>>,
    ) -> Result<Option<Fold>, ConfigError> {
        let Some(audit) = &self.audit else {
            return Ok(None);
        };
        let split = |labels: Labels<'_>| {
            let fold = held_out_fold(labels, audit.held_out, audit.images, self.common.seed);
            fold.map(|fold| vec![fold])
        };
        let folds = self.split_searched(labels.into(), ("audit", "--no-audit"), split)?;
        Ok(folds.into_iter().next())
    }

    /// Splits images with these classes into those that halving trains on and those that it holds out;
    /// `None` without halving. Call [`check`](Self::check) first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the images are too few.
    pub fn halving_fold<'a>(
        &self,
        labels: impl Into<Labels<'a>>,
    ) -> Result<Option<Fold>, ConfigError> {
        let labels = labels.into();
        let fold = |halving: &HalvingConfig| {
            let [train, held_out] = halving.images_of(labels.classes.len());
            let used = train + held_out;
            let fraction = held_out as f64 / used.max(1) as f64;
            held_out_fold(labels, fraction, NonZeroUsize::new(used), self.common.seed)
        };
        self.halving.as_ref().map(fold).transpose()
    }

    /// Splits the images that are searched on: all, or those that halving trains on. So the images that it
    /// holds out are new to every policy that it compares. The part of halving that needs the split can be
    /// skipped with an option.
    fn split_searched(
        &self,
        labels: Labels<'_>,
        (part, option): (&str, &str),
        split: impl Fn(Labels<'_>) -> Result<Vec<Fold>, ConfigError>,
    ) -> Result<Vec<Fold>, ConfigError> {
        let Some(Fold { train, .. }) = self.halving_fold(labels)? else {
            return split(labels);
        };
        let classes: Vec<u32> = train.iter().map(|image| labels.classes[*image]).collect();
        let groups = train.iter().filter_map(|image| labels.groups.get(*image));
        let groups: Vec<u32> = groups.copied().collect();
        let mut folds = split(Labels::new(&classes, &groups)).map_err(|error| {
            ConfigError::new(
                error.kind(),
                format!("{error}; or skip the {part} with {option}"),
            )
        })?;
        for fold in &mut folds {
            let images = fold.train.iter_mut().chain(&mut fold.validation);
            images.for_each(|image| *image = train[*image]);
        }
        Ok(folds)
    }

    fn check_warmup(&self) -> Result<(), ConfigError> {
        let final_trainings = &self.final_trainings;
        let trains_one = |audit: &AuditConfig| audit.network.is_none();
        let finds_policy = self.search.is_some() || self.audit.as_ref().is_some_and(trains_one);
        let search_epochs = finds_policy.then_some(self.common.training.epochs);
        let has_final = !final_trainings.augmentations.is_empty();
        let final_epochs = has_final.then(|| self.final_epochs());
        let of_networks = search_epochs.into_iter().chain(final_epochs);
        let of_networks = of_networks.map(|epochs| (epochs, "--epochs"));
        let halving = self.halving.iter();
        let of_rungs = halving.flat_map(|it| {
            let early = (it.epochs_in(0), "--early-epochs");
            [(it.epochs, "--rung-epochs"), early]
        });
        let shortest = of_networks
            .chain(of_rungs)
            .min_by_key(|(epochs, _)| *epochs);
        let (epochs, option) = shortest.map_or((usize::MAX, "--epochs"), |(epochs, option)| {
            (epochs.get(), option)
        });
        let warmup = self.common.training.warmup_epochs;
        match warmup < epochs {
            true => Ok(()),
            false => Err(contradiction(format!(
                "the warm-up of {warmup} epochs must be shorter than a training of {epochs} epochs: use \
                 fewer --warmup-epochs or more {option}"
            ))),
        }
    }
}

/// Bounds what several options ask for together.
fn check_products(search: &SearchConfig) -> Result<(), ConfigError> {
    let steps = search.sub_policies.get() as u64 * search.ops_per_sub_policy.get() as u64;
    let (rounds, trials) = (search.rounds.get() as u64, search.trials.get() as u64);
    let top_n = trials.min(search.top_n.get() as u64);
    let products = [
        (
            "--rounds × --trials × (--sub-policies × --ops-per-sub-policy + 2)",
            // What else a line holds is as long as two steps.
            rounds * trials * (steps + 2),
            2_000_000,
            "the log of a fold's trials could not be read again",
        ),
        (
            "--folds × --rounds × --top-n × --sub-policies × --ops-per-sub-policy",
            search.folds.count.get() as u64 * rounds * top_n * steps,
            6_000,
            "the policy would be larger than policies may be",
        ),
    ];
    for (options, found, max, reason) in products {
        if found > max {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                format!("{options} is {found}, more than {max}: {reason}"),
            ));
        }
    }
    Ok(())
}

/// Checks the values of the ops, besides the numbers of them.
fn check_audit(audit: &AuditConfig, ops: &OpSet) -> Result<(), ConfigError> {
    check_ops("audit.ops", audit.ops.iter().map(|it| &it.op), ops)?;
    if audit.held_out == 1.0 && audit.network.is_none() {
        return Err(contradiction(
            "`--held-out` is 1, which leaves no images to train a network on: use a fraction below 1, \
             or give a trained one with --network",
        ));
    }
    for AuditedOp {
        op, start, values, ..
    } in &audit.ops
    {
        let has_value = |it: &Arc<dyn Op>| it.spec().value_range().is_some();
        let has_value = ops.get(op).is_some_and(has_value);
        let ascend = values.is_sorted_by(|a, b| a < b);
        let are_finite = values.iter().chain(start).all(|it| it.is_finite());
        if has_value != start.is_some() || has_value == values.is_empty() || !ascend || !are_finite
        {
            return Err(unfit(format!(
                "the values of `{op}` cannot be audited: an op with a value needs a start and ascending \
                 finite values, and one without a value has none"
            )));
        }
    }
    Ok(())
}

/// Bounds how much halving is asked for together.
fn check_rungs(halving: &HalvingConfig) -> Result<(), ConfigError> {
    let last = halving.entrants_in(halving.rungs.get() - 1);
    if halving.rungs.get() > 1 && last == halving.entrants_in(halving.rungs.get() - 2) {
        return Err(contradiction(format!(
            "{} rungs are more than {} entrants can fill: use fewer --rungs, a smaller --reduction, or \
             more --entrants",
            halving.rungs, halving.entrants
        )));
    }
    let ops = halving.ops.len();
    if ops > HalvingConfig::MAX_OPS {
        return Err(unfit(format!(
            "there are {ops} ops, more than the {} of which effects can be estimated: name fewer with \
             --ops",
            HalvingConfig::MAX_OPS
        )));
    }
    Ok(())
}

fn check_ops<'a>(
    path: &str,
    names: impl IntoIterator<Item = &'a String>,
    ops: &OpSet,
) -> Result<(), ConfigError> {
    let names: Vec<&String> = names.into_iter().collect();
    if names.is_empty() {
        return Err(unfit("there are no ops to search over"));
    }
    for (index, &name) in names.iter().enumerate() {
        if names[..index].contains(&name) {
            return Err(unfit(format!(
                "the op `{name}` is named twice among those to search over"
            )));
        }
        if ops.get(name).is_none() {
            let nearest = nearest_name(name, ops.iter().map(|op| op.spec().name()));
            let kind = PolicyErrorKind::UnknownOp {
                op: name.clone(),
                nearest,
            };
            return Err(misfit(&PolicyError::new(path, kind)));
        }
    }
    Ok(())
}

fn misfit(error: &PolicyError) -> ConfigError {
    unfit(format!(
        "a policy or a list of ops does not fit the available ops: {error}"
    ))
}

fn unfit(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Ops, message)
}

fn contradiction(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Contradiction, message)
}
