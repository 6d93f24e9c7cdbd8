//! The options that `search` and `train` share: data, training, and what they default to.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use faa_data::DataSpec;
use faa_search::config::{CommonConfig, PluginOp, Precision, Preset};
use faa_search::model::Model;

use super::Usage;
use crate::plugins::KnownOps;

/// The kinds of data sets, for the end of a help text.
pub(crate) const DATA_SETS: &str = "\
Data sets (--data SPEC):
  glyphs, glyphs:SEED   small coloured shapes, drawn by the program
  folder:DIR            image files DIR/train/<class>/* and DIR/test/<class>/*
  tar:FILE              the same in a tar file, optionally compressed with gzip or zstd
  cifar10:DIR           CIFAR-10, the files of its binary version
  cifar100:DIR          CIFAR-100, likewise, with its fine labels";

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PresetName {
    /// Minutes on two cores
    Demo,
    /// The paper's, searching on 4,000 images; for a GPU
    Cifar10Reduced,
    /// The paper's, searching on all images; for a GPU
    Cifar10,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Demo => Self::Demo,
            PresetName::Cifar10Reduced => Self::Cifar10Reduced,
            PresetName::Cifar10 => Self::Cifar10,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    /// bf16 on CUDA, and for scoring on a CPU with AMX; float32 elsewhere
    Auto,
    Float32,
    Bf16,
}

/// How networks are trained, and on which images.
#[derive(Args)]
#[command(next_help_heading = "Training (default: the preset's)")]
pub(crate) struct TrainingOptions {
    /// Seed of every random choice [default: 0].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Crop all images to squares and scale them to this side, in pixels [default: keep their size].
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<u32>,
    /// WideResNet of depth D = 6n + 4 and width K, for example wrn-16-2.
    #[arg(long, value_name = "wrn-D-K")]
    model: Option<Model>,
    /// Epochs per training; in a search, per fold.
    #[arg(long, value_name = "N")]
    epochs: Option<NonZeroUsize>,
    /// Batch size.
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Epochs of linear warm-up.
    #[arg(long, value_name = "N")]
    warmup_epochs: Option<usize>,
    /// Nesterov momentum.
    #[arg(long, value_name = "X")]
    momentum: Option<f64>,
    /// Weight decay (L2), not applied to batch norm; the paper uses 5e-4 for wrn-28-10.
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Maximum norm of the gradient.
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Padding of the random crop, in pixels; 0 turns it off.
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<usize>,
    /// Do not mirror images left to right.
    #[arg(long)]
    no_flip: bool,
    /// Side of Cutout in the base augmentation, in pixels; 0 turns it off.
    #[arg(long, value_name = "PIXELS")]
    cutout: Option<usize>,
    /// Floating-point format of the networks; test errors are always measured in float32.
    #[arg(long, value_enum, default_value_t = PrecisionName::Auto)]
    precision: PrecisionName,
}

impl TrainingOptions {
    /// Applies the options that are given.
    pub(crate) fn apply(&self, common: &mut CommonConfig) {
        let training = &mut common.training;
        set(&mut training.model, self.model.as_ref());
        set(&mut training.epochs, self.epochs.as_ref());
        set(&mut training.batch, self.batch.as_ref());
        set(&mut training.learning_rate, self.learning_rate.as_ref());
        set(&mut training.warmup_epochs, self.warmup_epochs.as_ref());
        set(&mut training.momentum, self.momentum.as_ref());
        set(&mut training.weight_decay, self.weight_decay.as_ref());
        set(&mut training.clip_norm, self.clip_norm.as_ref());
        set(&mut training.crop_padding, self.crop_padding.as_ref());
        set(&mut training.cutout, self.cutout.as_ref());
        training.flip &= !self.no_flip;
        set(&mut common.seed, self.seed.as_ref());
        common.image_size = self.image_size.or(common.image_size);
        common.precision = match self.precision {
            PrecisionName::Auto => Precision::Auto,
            PrecisionName::Float32 => Precision::Float32,
            PrecisionName::Bf16 => Precision::Bf16,
        };
    }
}

/// The ops of plugins that a configuration uses.
pub(crate) fn plugin_ops(known: &KnownOps, uses: impl Fn(&str) -> bool) -> Vec<PluginOp> {
    let ops = known.of_plugins().into_iter();
    let ops = ops.filter(|(op, _)| uses(op));
    ops.map(|(op, sha256)| PluginOp { op, sha256 }).collect()
}

/// Checks a data set's specification before anything is started.
pub(crate) fn check_data(data: &str) -> Result<()> {
    if let Err(error) = data.parse::<DataSpec>() {
        bail!(Usage(error.to_string()));
    }
    Ok(())
}

/// Replaces a value if one is given.
pub(crate) fn set<T: Clone>(value: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        value.clone_from(given);
    }
}
