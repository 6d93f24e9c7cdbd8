//! The ranges of all numbers in a configuration.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Bound::{Excluded, Included};
use std::ops::RangeBounds;

use faa_data::MAX_SIDE;

use super::{AuditConfig, RandomPolicy, RunConfig};
use crate::error::{ConfigError, ConfigErrorKind};

/// Checks every number. Upper bounds are far beyond any sensible run. Products of several counts are
/// bounded in `check.rs`.
pub(super) fn check(run: &RunConfig) -> Result<(), ConfigError> {
    if let Some(side) = run.common.image_size {
        in_range("--image-size", side as usize, 1.0..=f64::from(MAX_SIDE))?;
    }
    let it = &run.common.training;
    in_range("--epochs", it.epochs, 1.0..=1e5)?;
    in_range("--batch", it.batch, 1.0..=65_536.0)?;
    in_range("--learning-rate", it.learning_rate, above(0.0, 1e38))?;
    in_range("--warmup-epochs", it.warmup_epochs, 0.0..=1e5)?;
    in_range("--momentum", it.momentum, 0.0..1.0)?;
    in_range("--weight-decay", it.weight_decay, 0.0..=1e3)?;
    in_range("--clip-norm", it.clip_norm, above(0.0, 1e9))?;
    in_range("--crop-padding", it.crop_padding, 0.0..=16.0)?;
    in_range("--cutout", it.cutout, 0.0..=64.0)?;
    if let Some(it) = &run.audit {
        in_range("--held-out", it.held_out, above(0.0, 1.0))?;
        if let Some(images) = it.images {
            in_range("--images", images, 1.0..=1e9)?;
        }
        let tolerance = it.tolerance;
        in_range("--tolerance", tolerance.overall, 0.0..=1.0)?;
        in_range("--class-tolerance", tolerance.class, 0.0..=1.0)?;
        // In both directions.
        let max_values = 2.0 * AuditConfig::MAX_VALUES as f64;
        for op in &it.ops {
            in_range(
                "values of an op (--values)",
                op.values.len(),
                0.0..=max_values,
            )?;
            in_range("--draws", op.draws, 1.0..=1e3)?;
        }
    }
    if let Some(it) = &run.search {
        in_range("--folds", it.folds.count, 1.0..=1e3)?;
        if let Some(fraction) = it.folds.held_out {
            in_range("--held-out", fraction, (Excluded(0.0), Excluded(1.0)))?;
        }
        if let Some(images) = it.folds.images {
            in_range("--images", images, 1.0..=1e9)?;
        }
        in_range("--rounds", it.rounds, 1.0..=1e3)?;
        in_range("--trials", it.trials, 1.0..=1e6)?;
        in_range("--batch-proposals", it.batch_proposals, 1.0..=1e6)?;
        in_range("--top-n", it.top_n, 1.0..=1e6)?;
        in_range("--finalists", it.finalists, 0.0..=100.0)?;
        in_range("--sub-policies", it.sub_policies, 1.0..=1e3)?;
        in_range(STEPS, it.ops_per_sub_policy, 1.0..=16.0)?;
        in_range("--draws", it.draws, 1.0..=1e3)?;
        let it = &it.sampler;
        in_range("--start-up-trials", it.start_up_trials, 0.0..=1e6)?;
        in_range("--gamma", it.gamma, above(0.0, 1.0))?;
        in_range("--candidates", it.candidates, 1.0..=1e5)?;
    }
    if let Some(it) = &run.halving {
        in_range("--images", it.images, 1.0..=1e9)?;
        in_range("--held-out", it.held_out, (Excluded(0.0), Excluded(1.0)))?;
        in_range("--entrants", it.entrants, 2.0..=1e4)?;
        in_range("--reduction", it.reduction, 2.0..=100.0)?;
        in_range("--rungs", it.rungs, 1.0..=20.0)?;
        in_range("--rung-epochs", it.epochs, 1.0..=1e5)?;
        in_range("--early-epochs", it.early_epochs, 1.0..=1e5)?;
        in_range("--rung-seeds", it.seeds, 1.0..=100.0)?;
    }
    let it = &run.final_trainings;
    if let Some(epochs) = it.epochs {
        in_range("--final-epochs", epochs, 1.0..=1e5)?;
    }
    let seeds = match run.is_search() {
        true => "--final-seeds",
        false => "--seeds",
    };
    if let Some(count) = it.seeds {
        in_range(seeds, count, 1.0..=1e3)?;
    }
    if let Some(it) = &it.random {
        in_range(STEPS, it.ops_per_sub_policy, 1.0..=16.0)?;
        let max = RandomPolicy::MAX_SUB_POLICIES as f64;
        in_range("--policy random:N", it.sub_policies, 1.0..=max)?;
    }
    Ok(())
}

const STEPS: &str = "--ops-per-sub-policy";

/// Checks that the value of an option is in its range.
pub(crate) fn in_range(
    option: &str,
    value: impl Into<Number>,
    range: impl RangeBounds<f64>,
) -> Result<(), ConfigError> {
    let value = value.into();
    if range.contains(&value.as_f64()) {
        return Ok(());
    }
    let number = |end: &f64| Number::Real(*end);
    let range = match (
        range.start_bound().map(number),
        range.end_bound().map(number),
    ) {
        (Included(min), Included(max)) => format!("from {min} to {max}"),
        (Excluded(min), Included(max)) => format!("above {min} and at most {max}"),
        (Included(min), Excluded(max)) => format!("at least {min} and below {max}"),
        (Excluded(min), Excluded(max)) => format!("between {min} and {max}"),
        _ => unreachable!("ranges have two ends"),
    };
    let message = format!("`{option}` is {value}: it must be {range}");
    Err(ConfigError::new(ConfigErrorKind::Range, message))
}

fn above(min: f64, max: f64) -> impl RangeBounds<f64> {
    (Excluded(min), Included(max))
}

/// The value of an option.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    Count(usize),
    Real(f64),
}

impl From<usize> for Number {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<NonZeroUsize> for Number {
    fn from(count: NonZeroUsize) -> Self {
        Self::Count(count.get())
    }
}

impl From<f64> for Number {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl Number {
    /// As a float, which rounds counts above 2⁵³; no range ends there.
    fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            // Digits beyond a float's own say nothing.
            Self::Real(real) if real.abs() >= 1e16 => write!(f, "{real:e}"),
            Self::Real(real) => write!(f, "{real}"),
        }
    }
}
