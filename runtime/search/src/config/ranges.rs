//! The ranges of all numbers in a configuration.

use std::fmt;
use std::num::NonZeroUsize;

use super::RunConfig;
use crate::error::ConfigError;

/// Checks every number. Upper bounds are far beyond any sensible run. Products of several counts are
/// bounded in `check.rs`.
pub(super) fn check(run: &RunConfig) -> Result<(), ConfigError> {
    if let Some(side) = run.common.image_size {
        in_range("--image-size", side as usize, Closed(1.0, 4096.0))?;
    }
    let it = &run.common.training;
    in_range("--epochs", it.epochs, Closed(1.0, 1e5))?;
    in_range("--batch", it.batch, Closed(1.0, 65_536.0))?;
    in_range("--learning-rate", it.learning_rate, Above(0.0, 1e38))?;
    in_range("--warmup-epochs", it.warmup_epochs, Closed(0.0, 1e5))?;
    in_range("--momentum", it.momentum, Below(0.0, 1.0))?;
    in_range("--weight-decay", it.weight_decay, Closed(0.0, 1e3))?;
    in_range("--clip-norm", it.clip_norm, Above(0.0, 1e9))?;
    in_range("--crop-padding", it.crop_padding, Closed(0.0, 16.0))?;
    in_range("--cutout", it.cutout, Closed(0.0, 64.0))?;
    if let Some(it) = &run.search {
        in_range("--folds", it.folds.count, Closed(1.0, 1e3))?;
        if let Some(fraction) = it.folds.held_out {
            in_range("--held-out", fraction, Open(0.0, 1.0))?;
        }
        if let Some(images) = it.folds.images {
            in_range("--images", images, Closed(1.0, 1e9))?;
        }
        in_range("--rounds", it.rounds, Closed(1.0, 1e3))?;
        in_range("--trials", it.trials, Closed(1.0, 1e6))?;
        in_range("--top-n", it.top_n, Closed(1.0, 1e6))?;
        in_range("--sub-policies", it.sub_policies, Closed(1.0, 1e3))?;
        in_range(STEPS, it.ops_per_sub_policy, Closed(1.0, 16.0))?;
        in_range("--draws", it.draws, Closed(1.0, 1e3))?;
        let it = &it.sampler;
        in_range("--start-up-trials", it.start_up_trials, Closed(0.0, 1e6))?;
        in_range("--gamma", it.gamma, Above(0.0, 1.0))?;
        in_range("--candidates", it.candidates, Closed(1.0, 1e5))?;
    }
    let it = &run.final_trainings;
    if let Some(epochs) = it.epochs {
        in_range("--final-epochs", epochs, Closed(1.0, 1e5))?;
    }
    let seeds = match run.search {
        Some(_) => "--final-seeds",
        None => "--seeds",
    };
    in_range(seeds, it.seeds, Closed(1.0, 1e3))?;
    if let Some(it) = &it.random {
        in_range(STEPS, it.ops_per_sub_policy, Closed(1.0, 16.0))?;
        in_range("--policy random:N", it.sub_policies, Closed(1.0, 1e4))?;
    }
    Ok(())
}

const STEPS: &str = "--ops-per-sub-policy";

/// Checks that the value of an option is in its range.
pub(crate) fn in_range(
    option: &str,
    value: impl Into<Number>,
    range: Range,
) -> Result<(), ConfigError> {
    let value = value.into();
    match range.contains(value.as_f64()) {
        true => Ok(()),
        false => Err(ConfigError::new(format!(
            "`{option}` is {value}: it must be {range}"
        ))),
    }
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

/// A range of numbers.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// From the first to the second, both included.
    Closed(f64, f64),
    /// Above the first, at most the second.
    Above(f64, f64),
    /// At least the first, below the second.
    Below(f64, f64),
    /// Between the two, neither included.
    Open(f64, f64),
}

use Range::{Above, Below, Closed, Open};

impl Range {
    fn contains(self, value: f64) -> bool {
        match self {
            Closed(min, max) => (min..=max).contains(&value),
            Above(min, max) => value > min && value <= max,
            Below(min, max) => (min..max).contains(&value),
            Open(min, max) => value > min && value < max,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value| Number::Real(value);
        match *self {
            Closed(min, max) => write!(f, "from {} to {}", number(min), number(max)),
            Above(min, max) => write!(f, "above {} and at most {}", number(min), number(max)),
            Below(min, max) => write!(f, "at least {} and below {}", number(min), number(max)),
            Open(min, max) => write!(f, "between {} and {}", number(min), number(max)),
        }
    }
}
