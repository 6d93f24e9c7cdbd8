//! Everything that a search can be told, and the presets.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::sampler::TpeConfig;

/// A search. Two runs with equal configurations, on one machine, device and count of threads, give
/// equal policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// The data set, as after `--data`.
    pub data: String,
    /// The side to which images are scaled and cropped; as they are where not given.
    pub image_size: Option<u32>,
    /// The seed from which every random choice is derived.
    pub seed: u64,
    /// How the training images are split.
    pub folds: FoldConfig,
    /// How the networks of the folds are trained.
    pub training: Recipe,
    /// How candidates are proposed and judged.
    pub explore: ExploreConfig,
    /// What is trained in the end to show what the policy is worth.
    pub finals: FinalConfig,
    /// The numbers that networks calculate with.
    pub precision: Precision,
    /// Which of the ops come from plugins, sorted by name; so a search goes on with the same modules
    /// only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginOp>,
}

/// An op of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PluginOp {
    /// The op's name.
    pub op: String,
    /// The SHA-256 of the plugin's module or library, as 64 digits of base 16.
    pub sha256: String,
}

/// How the training images are split into D_M, on which networks are trained, and D_A, on which
/// candidates are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldConfig {
    /// K, the number of folds.
    pub count: NonZeroUsize,
    /// The share of images in D_A where folds are drawn independently and so overlap, as in the
    /// authors' code. Where not given, the D_A are the parts of a partition: 1/K each.
    pub held_out: Option<f64>,
    /// How many of the training images are used at all, chosen at random with equal shares of
    /// the classes; all where not given.
    pub images: Option<NonZeroUsize>,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Depth of the WideResNet: 6n + 4.
    pub depth: usize,
    /// Widening factor of the WideResNet.
    pub width: usize,
    /// Passes over the images.
    pub epochs: NonZeroUsize,
    /// Images a step.
    pub batch: NonZeroUsize,
    /// The peak of the learning rate.
    pub learning_rate: f64,
    /// Epochs of linear warm-up, before the cosine that falls to 0.
    pub warmup_epochs: usize,
    /// Nesterov's momentum.
    pub momentum: f64,
    /// L2 penalty on the weights of convolutions and of the linear layer.
    pub weight_decay: f64,
    /// The largest norm of the gradient of all parameters together.
    pub clip_norm: f64,
    /// Pixels of zero padding from which a crop of the image's size is taken; 0 for no crop.
    pub crop_padding: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// The side of the square that Cutout blanks, in pixels; 0 for no Cutout.
    pub cutout: usize,
}

/// How candidates are proposed and judged on each fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExploreConfig {
    /// The ops that candidates are made of.
    pub ops: Vec<String>,
    /// T, how often the sampler starts afresh on a fold.
    pub rounds: NonZeroUsize,
    /// B, the trials of a round.
    pub trials: NonZeroUsize,
    /// N, how many candidates of a round are kept.
    pub kept: NonZeroUsize,
    /// Sub-policies of a candidate.
    pub sub_policies: NonZeroUsize,
    /// Ops of a sub-policy.
    pub ops_per_sub_policy: NonZeroUsize,
    /// How often each image of D_A is augmented in a trial.
    pub draws: NonZeroUsize,
    /// What a candidate is judged by.
    pub reward: Reward,
    /// The constants of the sampler that proposes candidates.
    pub sampler: TpeConfig,
}

/// What a candidate is judged by. An image of D_A counts by its draws that are classified right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reward {
    /// 1 where any draw is right, as in the authors' code.
    Any,
    /// The share of draws that are right.
    Mean,
}

/// The numbers that networks calculate with. Learnt weights, momentum, statistics, losses and what is
/// summed up over images are 32-bit floats or longer always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// [`Bf16`](Self::Bf16) where the device multiplies matrices of such numbers much faster: on
    /// CUDA for everything, on a CPU with AMX for judging candidates, and nowhere else.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// Floats of 16 bits, 8 of them for the mantissa, in convolutions and what lies between them.
    Bf16,
}

/// The trainings on all images that follow a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalConfig {
    /// What is trained; nothing where empty.
    pub controls: Vec<Control>,
    /// How many seeds each is trained with.
    pub seeds: NonZeroUsize,
    /// Passes over the images; otherwise the recipe of the folds is used.
    pub epochs: NonZeroUsize,
}

/// With what a final network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// Crop and flip alone.
    None,
    /// Crop, flip and Cutout.
    Cutout,
    /// A random policy of the found one's size, then crop, flip and Cutout.
    Random,
    /// TrivialAugment (Müller and Hutter 2021, the wide space), then crop, flip and Cutout.
    TrivialAugment,
    /// The found or given policy, then crop, flip and Cutout.
    Policy,
}

impl Control {
    /// The word for it in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cutout => "cutout",
            Self::Random => "random",
            Self::TrivialAugment => "trivialaugment",
            Self::Policy => "policy",
        }
    }

    /// What it is, for people. The baseline is crop, flip and Cutout.
    pub fn described(self) -> &'static str {
        match self {
            Self::None => "crop, flip",
            Self::Cutout => "crop, flip, Cutout",
            Self::Random => "a random policy, then the baseline",
            Self::TrivialAugment => "TrivialAugment, then the baseline",
            Self::Policy => "the policy, then the baseline",
        }
    }
}

/// A named set of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For a small machine: minutes on two cores.
    Demo,
    /// The paper's search on 4,000 images of CIFAR-10 (Lim et al. 2019, section 4).
    Cifar10Reduced,
    /// The paper's search on all 50,000 training images of CIFAR-10.
    Cifar10,
}

pub use faa_policy::SEARCHED_OPS;

/// A number of a configuration that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is not within its bounds.
    #[error("`{setting}` is {value}, and must be {bounds}")]
    OutOfBounds {
        /// Which, as a path of keys.
        setting: &'static str,
        /// What it is.
        value: f64,
        /// What it must be, in words.
        bounds: &'static str,
    },
    /// The warm-up is not shorter than a training.
    #[error(
        "the warm-up of {warmup} epochs is not shorter than a training of {epochs}: choose fewer \
         with --warmup-epochs, or more --epochs"
    )]
    Warmup {
        /// Epochs of warm-up.
        warmup: usize,
        /// Epochs of the shortest training.
        epochs: usize,
    },
    /// Nothing is to be trained.
    #[error("there is nothing to train with")]
    NoControls,
    /// A training with Cutout alone was asked for, and Cutout is left out.
    #[error("a training with Cutout needs --cutout above 0")]
    NoCutout,
    /// So many sub-policies are not drawn at random.
    #[error("a random policy of {0} sub-policies is too large: at most 10,000 are drawn")]
    RandomTooLarge(usize),
    /// A training with a policy was asked for, and there is none.
    #[error("there is no policy to train with")]
    NoPolicy,
    /// There are no ops to search over.
    #[error("there are no ops to search over")]
    NoOps,
    /// An op is named twice.
    #[error("the op `{0}` is named twice among those to search over")]
    RepeatedOp(String),
}

impl SearchConfig {
    /// Checks what can be checked without data, ops and network.
    ///
    /// # Errors
    ///
    /// The first number that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.training.check()?;
        if let Some(value) = self
            .folds
            .held_out
            .filter(|share| !(*share > 0.0 && *share < 1.0))
        {
            let (setting, bounds) = ("folds.held_out", "between 0 and 1");
            return Err(ConfigError::OutOfBounds {
                setting,
                value,
                bounds,
            });
        }
        let finals = (!self.finals.controls.is_empty()).then_some(self.finals.epochs);
        let epochs = finals
            .unwrap_or(self.training.epochs)
            .min(self.training.epochs)
            .get();
        let warmup = self.training.warmup_epochs;
        if warmup >= epochs {
            return Err(ConfigError::Warmup { warmup, epochs });
        }
        if self.finals.controls.contains(&Control::Cutout) && self.training.cutout == 0 {
            return Err(ConfigError::NoCutout);
        }
        let value = self.explore.sampler.gamma;
        if !(value > 0.0 && value <= 1.0) {
            let (setting, bounds) = ("explore.sampler.gamma", "above 0 and at most 1");
            return Err(ConfigError::OutOfBounds {
                setting,
                value,
                bounds,
            });
        }
        let ops = &self.explore.ops;
        if ops.is_empty() {
            return Err(ConfigError::NoOps);
        }
        match ops
            .iter()
            .enumerate()
            .find(|(place, op)| ops[..*place].contains(op))
        {
            Some((_, op)) => Err(ConfigError::RepeatedOp(op.clone())),
            None => Ok(()),
        }
    }
}

impl Recipe {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let bounds = "a finite number above 0";
        for (setting, value) in [
            ("training.learning_rate", self.learning_rate),
            ("training.clip_norm", self.clip_norm),
        ] {
            if !positive(value) {
                return Err(ConfigError::OutOfBounds {
                    setting,
                    value,
                    bounds,
                });
            }
        }
        let value = self.momentum;
        if !(0.0..1.0).contains(&value) {
            let (setting, bounds) = ("training.momentum", "at least 0 and below 1");
            return Err(ConfigError::OutOfBounds {
                setting,
                value,
                bounds,
            });
        }
        let value = self.weight_decay;
        if value != 0.0 && !positive(value) {
            let (setting, bounds) = ("training.weight_decay", "0 or a finite number above 0");
            return Err(ConfigError::OutOfBounds {
                setting,
                value,
                bounds,
            });
        }
        Ok(())
    }
}

impl SearchConfig {
    /// The constants of a preset, on the given data.
    pub fn preset(preset: Preset, data: &str) -> Self {
        let paper = Self::paper(data);
        match preset {
            Preset::Cifar10 => paper,
            Preset::Cifar10Reduced => Self {
                folds: FoldConfig {
                    count: count(5),
                    held_out: Some(0.4),
                    images: NonZeroUsize::new(4000),
                },
                ..paper
            },
            Preset::Demo => Self::demo(paper),
        }
    }

    fn paper(data: &str) -> Self {
        Self {
            data: data.to_owned(),
            image_size: None,
            seed: 0,
            folds: FoldConfig {
                count: count(5),
                held_out: None,
                images: None,
            },
            training: Recipe {
                depth: 40,
                width: 2,
                epochs: count(200),
                batch: count(128),
                learning_rate: 0.1,
                warmup_epochs: 5,
                momentum: 0.9,
                weight_decay: 2e-4,
                clip_norm: 5.0,
                crop_padding: 4,
                flip: true,
                cutout: 16,
            },
            explore: ExploreConfig {
                ops: SEARCHED_OPS.map(str::to_owned).to_vec(),
                rounds: count(2),
                trials: count(200),
                kept: count(10),
                sub_policies: count(5),
                ops_per_sub_policy: count(2),
                draws: count(5),
                reward: Reward::Any,
                sampler: TpeConfig::default(),
            },
            finals: FinalConfig {
                controls: vec![
                    Control::None,
                    Control::Cutout,
                    Control::Random,
                    Control::TrivialAugment,
                    Control::Policy,
                ],
                seeds: count(1),
                epochs: count(200),
            },
            precision: Precision::Auto,
            plugins: Vec::new(),
        }
    }

    fn demo(paper: Self) -> Self {
        Self {
            folds: FoldConfig {
                count: count(2),
                held_out: None,
                images: None,
            },
            training: Recipe {
                depth: 10,
                width: 1,
                epochs: count(60),
                batch: count(32),
                warmup_epochs: 2,
                ..paper.training
            },
            explore: ExploreConfig {
                rounds: count(1),
                trials: count(40),
                kept: count(5),
                ..paper.explore
            },
            finals: FinalConfig {
                epochs: count(50),
                ..paper.finals
            },
            ..paper
        }
    }
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("presets have no zero counts")
}
