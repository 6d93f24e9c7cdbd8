//! Options of `search`, `train` and `audit`: data, preset and training.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faa_data::{DataError, DataSpec};
use faa_search::config::{Augmentation, PluginOp, Precision, Preset, RunConfig};
use faa_search::model::Model;

use super::Usage;
use crate::arguments::{count, count_or_zero, in_range, one_of};
use crate::plugins::KnownOps;

/// The kinds of data sets, for `after_help`.
pub(crate) const DATA_SETS: &str = "\
Data sets (--data SPEC):
  glyphs[:SEED]         squares that differ in orientation or colour only; drawn by the program
  glyphs:shifted[:SEED] ten shapes, whose test images vary more than the training images
  folder:DIR            image files DIR/train/<class>/* and DIR/test/<class>/*
  tar:FILE              the same files in a tar archive, optionally compressed with gzip or zstd
  cifar10:DIR           CIFAR-10, binary version
  cifar100:DIR          CIFAR-100, binary version, with fine labels
Images become RGB: grey is repeated, and alpha is dropped, which shows the colours behind it.";

const PRESETS: [(&str, Preset, &str); 4] = [
    (
        "default",
        Preset::Default,
        "As cifar10; `search` selects with less noise (--trial-draws common, --finalists 3); needs a GPU",
    ),
    (
        "demo",
        Preset::Demo,
        "Small settings: minutes on two CPU cores",
    ),
    (
        "cifar10-reduced",
        Preset::Cifar10Reduced,
        "The paper's settings as published, searching on 4,000 images; needs a GPU",
    ),
    (
        "cifar10",
        Preset::Cifar10,
        "The paper's settings as published, searching on all images; needs a GPU",
    ),
];

const PRECISIONS: [(&str, Precision, &str); 3] = [
    (
        "auto",
        Precision::Auto,
        "bf16 on CUDA, and for scoring on CPUs that multiply it faster (Intel with AMX, AMD with AVX512-BF16); otherwise float32",
    ),
    ("float32", Precision::Float32, "32-bit floats"),
    ("bf16", Precision::Bf16, "bfloat16"),
];

/// The data set, the run directory, and how networks are trained.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// Data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Run directory: everything is written to it; created if missing.
    // Whoever starts jobs appends a folder of its own.
    #[arg(long, value_name = "DIR", overrides_with = "out")]
    pub(crate) out: PathBuf,
    /// Preset: defaults for the options below [default: default, or demo for `audit`].
    #[arg(long, value_parser = one_of(PRESETS))]
    preset: Option<Preset>,
    #[command(flatten)]
    training: TrainingOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Training (default: the preset's)")]
struct TrainingOptions {
    /// Random seed of the run [default: 0].
    #[arg(long, value_name = "N", value_parser = in_range(0..=u64::MAX))]
    seed: Option<u64>,
    /// Crop all images to centred squares and resize them to this side, in pixels [default: keep their
    /// size].
    #[arg(long, value_name = "PIXELS", value_parser = in_range(1..=faa_data::MAX_SIDE))]
    image_size: Option<u32>,
    /// WideResNet of depth D = 6n + 4 and widening factor K, for example wrn-16-2.
    #[arg(long, value_name = "wrn-D-K")]
    model: Option<Model>,
    /// Number of epochs per training; in a search, per fold.
    #[arg(long, value_name = "N", value_parser = count)]
    epochs: Option<NonZeroUsize>,
    /// Batch size.
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<NonZeroUsize>,
    /// Peak learning rate, reached after the warm-up.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Number of epochs of linear learning-rate warm-up.
    #[arg(long, value_name = "N", value_parser = count_or_zero)]
    warmup_epochs: Option<usize>,
    /// Nesterov momentum.
    #[arg(long, value_name = "X")]
    momentum: Option<f64>,
    /// Weight decay (L2), not applied to batch norm; the paper uses 5e-4 for wrn-28-10.
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Maximum L2 norm of the gradient; larger gradients are scaled down.
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Padding of the random crop, in pixels; 0 disables it.
    #[arg(long, value_name = "PIXELS", value_parser = count_or_zero)]
    crop_padding: Option<usize>,
    /// Do not flip images horizontally.
    #[arg(long)]
    no_flip: bool,
    /// Side of the square that Cutout erases, in pixels; 0 disables it.
    #[arg(long, value_name = "PIXELS", value_parser = count_or_zero)]
    cutout: Option<usize>,
    /// Floating-point format of the networks; test errors are always measured in float32.
    #[arg(long, default_value = "auto", value_parser = one_of(PRECISIONS))]
    precision: Precision,
}

impl RunOptions {
    /// The preset that is given, or else the default one.
    pub(crate) fn preset(&self, default: Preset) -> Preset {
        self.preset.unwrap_or(default)
    }

    /// Whether `--epochs` is given.
    pub(crate) fn has_epochs(&self) -> bool {
        self.training.epochs.is_some()
    }

    /// The configuration that `new` makes for the preset and the data set, with the options that are
    /// given applied to it.
    pub(crate) fn config(
        &self,
        preset: Preset,
        new: impl Fn(Preset, &str) -> RunConfig,
    ) -> Result<RunConfig> {
        let mut config = new(preset, &recorded_data(&self.data)?);
        self.training.apply(&mut config);
        Ok(config)
    }
}

impl TrainingOptions {
    fn apply(&self, config: &mut RunConfig) {
        let common = &mut config.common;
        let training = &mut common.training;
        set(&mut training.model, self.model);
        set(&mut training.epochs, self.epochs);
        set(&mut training.batch, self.batch);
        set(&mut training.learning_rate, self.learning_rate);
        set(&mut training.warmup_epochs, self.warmup_epochs);
        set(&mut training.momentum, self.momentum);
        set(&mut training.weight_decay, self.weight_decay);
        set(&mut training.clip_norm, self.clip_norm);
        set(&mut training.crop_padding, self.crop_padding);
        set(&mut training.cutout, self.cutout);
        training.flip &= !self.no_flip;
        set(&mut common.seed, self.seed);
        common.image_size = self.image_size.or(common.image_size);
        common.precision = self.precision;
    }
}

/// An augmentation as a value of an option.
pub(crate) fn described(it: Augmentation) -> (&'static str, Augmentation, &'static str) {
    (it.name(), it, it.description())
}

/// Which images stay together when the training split is divided.
#[derive(Args)]
pub(crate) struct GroupOptions {
    /// Keep images of a class together in every split if their file names are equal up to the first TEXT:
    /// `--group-by -` for frames named like `video7-frame3.jpg`.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) group_by: Option<String>,
}

/// The ops of plugins for which `uses` is true.
pub(crate) fn plugin_ops(known: &KnownOps, uses: impl Fn(&String) -> bool) -> Vec<PluginOp> {
    let ops = known.of_plugins().into_iter();
    let ops = ops.filter(|(op, _)| uses(op));
    ops.map(|(op, sha256)| PluginOp::new(op, sha256)).collect()
}

/// The data set that `--data` specifies.
pub(crate) fn parse_data(data: &str) -> Result<DataSpec> {
    data.parse()
        .map_err(|error: DataError| Usage(error.to_string()).into())
}

/// A data set as a run records it: by its absolute path, since the run may be continued, and its report
/// written, from a different folder. It stays as it was given where no text can name that path.
fn recorded_data(data: &str) -> Result<String> {
    let absolute = parse_data(data)?.absolute().ok();
    let named = absolute.map(|spec| (spec.to_string(), spec));
    Ok(match named {
        Some((text, spec)) if text.parse().is_ok_and(|parsed: DataSpec| parsed == spec) => text,
        _ => data.to_owned(),
    })
}

/// Replaces a value if one is given.
pub(crate) fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}
