//! Options of a training, and where their values come from that are not given.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use faa_search::RunConfig;
use faa_search::config::{Preset, TrainingConfig};
use faa_search::data::DataSpec;

use super::Usage;

/// What data sets are called, for the end of a help text.
pub(crate) const DATA_SETS: &str = "\
Data sets:
  glyphs, glyphs:SEED   small coloured shapes, made by the program
  folder:DIR            DIR/train/<class>/* and DIR/test/<class>/*
  tar:FILE              the same in a tar file, as it is or packed by gzip or zstd
  cifar10:DIR           CIFAR-10, the files of its binary version
  cifar100:DIR          CIFAR-100, likewise, with its fine labels";

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PresetName {
    /// Minutes on two cores.
    Demo,
    /// The paper's, and a search on 4,000 of the images.
    Cifar10Reduced,
    /// The paper's, and a search on all images.
    Cifar10,
}

/// How networks are trained, on which images.
#[derive(Args)]
#[command(next_help_heading = "Training (the preset's where not given)")]
pub(crate) struct TrainingOptions {
    /// The seed of every random choice; 0 where not given.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Scale and crop all images to squares of this side.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    image_size: Option<u32>,
    /// The network: wrn-DEPTH-WIDTH.
    #[arg(long, value_name = "wrn-D-K", value_parser = parse_model)]
    model: Option<[usize; 2]>,
    /// Epochs of a training; in a search, of a fold's.
    #[arg(long, value_name = "N")]
    epochs: Option<NonZeroUsize>,
    /// Images a training step.
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// The peak of the learning rate.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Epochs of linear warm-up.
    #[arg(long, value_name = "N")]
    warmup_epochs: Option<usize>,
    /// Nesterov's momentum.
    #[arg(long, value_name = "X")]
    momentum: Option<f64>,
    /// L2 penalty on weights, batch norm's left out; the paper has 5e-4 for wrn-28-10.
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// The largest norm of the gradient.
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Pixels of padding for the random crop; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<usize>,
    /// Do not mirror images left to right.
    #[arg(long)]
    no_flip: bool,
    /// The side of the baseline's Cutout; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    cutout: Option<usize>,
}

impl PresetName {
    /// The preset on this data set, which must be named rightly.
    pub(crate) fn config(self, data: &str) -> Result<RunConfig> {
        check_data(data)?;
        let preset = match self {
            Self::Demo => Preset::Demo,
            Self::Cifar10Reduced => Preset::Cifar10Reduced,
            Self::Cifar10 => Preset::Cifar10,
        };
        Ok(RunConfig::preset(preset, data))
    }
}

impl TrainingOptions {
    /// Takes over what is given.
    pub(crate) fn change(
        &self,
        training: &mut TrainingConfig,
        seed: &mut u64,
        image_size: &mut Option<u32>,
    ) {
        if let Some([depth, width]) = self.model {
            (training.depth, training.width) = (depth, width);
        }
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
        set(seed, self.seed.as_ref());
        *image_size = self.image_size.or(*image_size);
    }
}

/// Whether a data set is named rightly: told here, at once, rather than by the sibling.
pub(crate) fn check_data(data: &str) -> Result<()> {
    if let Err(error) = data.parse::<DataSpec>() {
        bail!(Usage(error.to_string()));
    }
    Ok(())
}

/// Puts a value into its place where one is given.
pub(crate) fn set<T: Clone>(place: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        place.clone_from(given);
    }
}

fn parse_model(word: &str) -> Result<[usize; 2], String> {
    let numbers = word
        .strip_prefix("wrn-")
        .and_then(|rest| rest.split_once('-'))
        .and_then(|(depth, width)| Some([depth.parse().ok()?, width.parse().ok()?]));
    match numbers {
        Some([depth, width]) if depth >= 10 && depth % 6 == 4 && width >= 1 => Ok([depth, width]),
        _ => Err(
            "a network is named wrn-DEPTH-WIDTH, where DEPTH is 10, 16, 22, 28 … and WIDTH at \
                  least 1"
                .to_owned(),
        ),
    }
}
