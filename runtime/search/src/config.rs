//! Everything that a run can be configured with.

mod audit;
mod augmentation;
pub(crate) mod check;
mod halving;
mod presets;
pub(crate) mod ranges;

use std::num::NonZeroUsize;
use std::path::Path;

use faa_policy::Policy;
use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::sampler::TpeConfig;

pub use self::audit::{AuditConfig, AuditedOp, Tolerance};
pub use self::augmentation::Augmentation;
pub use self::halving::{HalvingConfig, OpValues, RangedOp, RungPhase};

/// The number of seeds per augmentation if it is left open and the final trainings take less than an hour
/// with it: the fewest with which an interval means something.
pub(crate) const SEEDS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// A run: an audit, a search or both, and final trainings, or final trainings alone. Two runs with equal
/// configurations, on one machine, device and number of threads, give equal policies and networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunConfig {
    /// The images, and how networks are trained on them.
    pub common: CommonConfig,
    /// How ops are audited, and a policy is made of those that are safe; `None` for no audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditConfig>,
    /// How a policy is searched for by density matching; `None` for no such search.
    pub search: Option<SearchConfig>,
    /// How a policy is searched for by short trainings; `None` for no such search. The policies that
    /// `audit` and `search` make are then two of those that it compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<HalvingConfig>,
    /// The trainings on all images that show what the policy is worth.
    pub final_trainings: FinalTrainings,
}

impl RunConfig {
    /// Whether the run searches for its policy; otherwise it audits, or trains with a given one.
    pub fn is_search(&self) -> bool {
        self.search.is_some() || self.halving.is_some()
    }

    /// All trainings of halving, in order; none without it.
    pub fn rung_phases(&self) -> Vec<RungPhase> {
        // The base augmentation alone, TrivialAugment, RandAugment, and what these make.
        let fixed = 3 + usize::from(self.audit.is_some()) + usize::from(self.search.is_some());
        let phases = |halving: &HalvingConfig| halving.phases(fixed);
        self.halving.as_ref().map_or_else(Vec::new, phases)
    }

    /// The number of epochs of a final training.
    pub fn final_epochs(&self) -> NonZeroUsize {
        let own = self.final_trainings.epochs;
        own.unwrap_or(self.common.training.epochs)
    }
}

/// What every run needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CommonConfig {
    /// The data set, in the format of `--data`.
    pub data: String,
    /// The side length to which images are cropped and scaled, in pixels; `None` keeps their size.
    pub image_size: Option<u32>,
    /// Keeps training images of a class whose file names are equal up to this text on one side of every
    /// split into folds; `None` splits images independently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// The seed from which every random choice is derived.
    pub seed: u64,
    /// How networks are trained.
    pub training: TrainingConfig,
    /// The floating-point format that networks compute in.
    pub precision: Precision,
    /// The ops that come from plugins, sorted by name. A run continues only with the same plugins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginOp>,
}

/// An op of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PluginOp {
    /// The op's name.
    pub op: String,
    /// The SHA-256 of the plugin's module or library, as 64 hexadecimal digits.
    pub sha256: String,
}

impl CommonConfig {
    /// The data set without the folders above it, such as `folder:pets` for `folder:/home/me/pets`, for
    /// policies and titles, which are not only read on this machine.
    pub fn short_data(&self) -> String {
        let Some((kind, path)) = self.data.split_once(':') else {
            return self.data.clone();
        };
        match Path::new(path).file_name() {
            Some(name) => format!("{kind}:{}", name.to_string_lossy()),
            None => kind.to_owned(),
        }
    }
}

impl FinalTrainings {
    /// Every augmentation with every seed, starting with all augmentations of the first seed.
    pub(crate) fn trainings(
        &self,
        seeds: NonZeroUsize,
    ) -> impl Iterator<Item = (Augmentation, usize)> {
        let augmentations = || self.augmentations.iter();
        (0..seeds.get()).flat_map(move |seed| augmentations().map(move |it| (*it, seed)))
    }

    /// The number of trainings: every augmentation with every seed. If the number of seeds is left open,
    /// the largest that it can become.
    pub fn max_count(&self) -> usize {
        let seeds = self.seeds.unwrap_or(SEEDS).get();
        seeds.saturating_mul(self.augmentations.len())
    }
}

impl PluginOp {
    /// An op of the plugin with this SHA-256.
    pub fn new(op: String, sha256: String) -> Self {
        Self { op, sha256 }
    }
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// The network.
    pub model: Model,
    /// Passes over the images.
    pub epochs: NonZeroUsize,
    /// Batch size.
    pub batch: NonZeroUsize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Epochs of linear warm-up, before the cosine that falls to 0.
    pub warmup_epochs: usize,
    /// Nesterov momentum.
    pub momentum: f64,
    /// L2 penalty on the weights of convolutions and of the linear layer.
    pub weight_decay: f64,
    /// Maximum norm of the gradient of all parameters together.
    pub clip_norm: f64,
    /// Pixels of zero padding from which a crop of the image's size is taken; 0 for no crop.
    pub crop_padding: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// The side of the square that Cutout blanks, in pixels; 0 for no Cutout.
    pub cutout: usize,
}

impl TrainingConfig {
    /// The size of the batches of a training on this many images, and their number per epoch.
    ///
    /// All batches have one size, as in PyTorch with `drop_last`: a smaller last one would have worse
    /// statistics in batch norm, and on a GPU, kernels of its own. The images that are left out are others in
    /// the next epoch. With fewer images than a batch, all of them are one.
    pub fn batches(&self, images: usize) -> (usize, usize) {
        let size = self.batch.get().min(images).max(1);
        (size, images / size)
    }
}

/// How a policy is searched for by density matching, as Fast AutoAugment does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchConfig {
    /// How the training images are split.
    pub folds: FoldConfig,
    /// The ops that candidates are made of.
    pub ops: Vec<String>,
    /// T, the rounds per fold; the sampler starts without history in each.
    pub rounds: NonZeroUsize,
    /// B, the trials per round.
    pub trials: NonZeroUsize,
    /// Q, the number of trials per batch, whose candidates are proposed together and may be scored at the same
    /// time; 1 proposes each from all trials before it, as published and as in records without this number.
    /// What a search finds depends on it, and not on how many trials do run at the same time.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub batch_proposals: NonZeroUsize,
    /// N, the number of candidates per round that enter the policy.
    pub top_n: NonZeroUsize,
    /// The number of finalists per round, as a multiple of N: the candidates with the highest rewards,
    /// which are scored again with fresh draws. N of them are selected by the mean of both rewards. 0 for
    /// none: N are selected by their only reward, as published and as in records without this number.
    #[serde(default)]
    pub finalists: usize,
    /// Sub-policies per candidate.
    pub sub_policies: NonZeroUsize,
    /// Ops per sub-policy.
    pub ops_per_sub_policy: NonZeroUsize,
    /// How often each validation image is augmented in a trial.
    pub draws: NonZeroUsize,
    /// Whether the candidates of a round share their random draws.
    #[serde(default)]
    pub trial_draws: TrialDraws,
    /// What the networks of folds are trained with.
    #[serde(default)]
    pub fold_augment: FoldAugment,
    /// What candidates are ranked by.
    pub reward: Reward,
    /// The sampler that proposes candidates.
    pub sampler: TpeConfig,
}

impl SearchConfig {
    /// The number of candidates of a fold that can be scored at the same time.
    pub fn batch_size(&self) -> usize {
        self.batch_proposals.min(self.trials).get()
    }
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn is_one(count: &NonZeroUsize) -> bool {
    *count == one()
}

/// How the training images are split into D_M, on which a network is trained, and D_A, on which
/// candidates are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FoldConfig {
    /// K, the number of folds.
    pub count: NonZeroUsize,
    /// The fraction of images in D_A if folds are drawn independently, and so overlap, as in the
    /// authors' code. `None` partitions the images: every D_A has 1/K of them.
    pub held_out: Option<f64>,
    /// The number of training images that are used, a random fraction of every class; `None` for all.
    pub images: Option<NonZeroUsize>,
}

/// What a candidate is ranked by. An image of D_A counts by its draws that are classified correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Reward {
    /// 1 if any draw is correct, as in the authors' code.
    Any,
    /// The fraction of draws that are correct.
    Mean,
}

/// The random draws with which candidates are scored: of ops and their signs, and of crop, flip and
/// Cutout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TrialDraws {
    /// Every trial has its own, as published.
    #[default]
    Fresh,
    /// All trials of a round have the same (common random numbers), so that the noise that candidates
    /// share does not change their order.
    Common,
}

/// The augmentation of the images that the network of a fold is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FoldAugment {
    /// The base augmentation, as published.
    #[default]
    Base,
    /// A uniformly random sub-policy of the search space for every image in every epoch, then the base
    /// augmentation. The network has then seen every op, and can tell candidates apart (Zhang et al.
    /// 2022, arXiv 2207.10351).
    Uniform,
}

/// The floating-point format that networks compute in. Weights, momentum, statistics, losses and sums
/// over images are 32-bit floats or longer in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// [`Bf16`](Self::Bf16) if the device multiplies bf16 matrices much faster: on CUDA for
    /// everything, on a CPU with AMX, or of AMD with AVX512-BF16, for scoring candidates.
    /// [`Float32`](Self::Float32) elsewhere.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// bfloat16 in convolutions and between them.
    Bf16,
}

/// The trainings on all images at the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FinalTrainings {
    /// The augmentations that networks are trained with; may be empty.
    pub augmentations: Vec<Augmentation>,
    /// The number of seeds per augmentation; `None` for 3 if the final trainings take less than an hour
    /// with them, by an estimate when the run begins, and for 1 otherwise.
    pub seeds: Option<NonZeroUsize>,
    /// Passes over the images; `None` for as many as in [`TrainingConfig::epochs`].
    pub epochs: Option<NonZeroUsize>,
    /// The policy of [`Augmentation::Policy`]; `None` for the one that the search or the audit finds.
    pub policy: Option<Policy>,
    /// The policies of [`Augmentation::Random`]. `None` draws from the search space, with as many
    /// sub-policies as the search finds.
    pub random: Option<RandomPolicy>,
}

/// How random policies are drawn, one per seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RandomPolicy {
    /// The ops, each equally likely.
    pub ops: Vec<String>,
    /// Sub-policies per policy.
    pub sub_policies: NonZeroUsize,
    /// Ops per sub-policy.
    pub ops_per_sub_policy: NonZeroUsize,
}

impl RandomPolicy {
    /// The largest number of sub-policies.
    pub const MAX_SUB_POLICIES: usize = 10_000;
}

/// A named set of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// The constants of [`Cifar10`](Self::Cifar10), but with less noise in the selection:
    /// [`TrialDraws::Common`], and 3 N finalists per round.
    Default,
    /// A small search, which takes minutes on two cores. It has the draws and finalists of
    /// [`Default`](Self::Default).
    Demo,
    /// The paper's search on 4,000 images of CIFAR-10, as published (Lim et al. 2019, section 4).
    Cifar10Reduced,
    /// The paper's search on all 50,000 training images of CIFAR-10, as published.
    Cifar10,
}

pub use faa_policy::SEARCHED_OPS;
