//! The table of the ranges of all numbers in a configuration.

use std::fmt;

use super::RunConfig;

/// A number that is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{option}` is {value}: it must be {range}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// The option of the command line.
    pub option: &'static str,
    /// Its value.
    pub value: f64,
    /// Its valid range.
    pub range: Range,
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Range {
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
        match self {
            Closed(min, max) => write!(f, "from {min} to {max}"),
            Above(min, max) => write!(f, "above {min} and at most {max}"),
            Below(min, max) => write!(f, "at least {min} and below {max}"),
            Open(min, max) => write!(f, "between {min} and {max}"),
        }
    }
}

/// The option, its range, and its value, which is `None` if the option does not apply.
type Row = (&'static str, Range, fn(&RunConfig) -> Option<f64>);

/// Upper bounds are far beyond any sensible run, but low enough that no product of counts overflows, and
/// that no single number can exhaust the memory.
const RANGES: &[Row] = &[
    ("--image-size", Closed(1.0, 4096.0), |run| {
        run.common.image_size.map(f64::from)
    }),
    ("--epochs", Closed(1.0, 1e5), |run| {
        Some(run.common.training.epochs.get() as f64)
    }),
    ("--batch", Closed(1.0, 65_536.0), |run| {
        Some(run.common.training.batch.get() as f64)
    }),
    ("--learning-rate", Above(0.0, 1e38), |run| {
        Some(run.common.training.learning_rate)
    }),
    ("--warmup-epochs", Closed(0.0, 1e5), |run| {
        Some(run.common.training.warmup_epochs as f64)
    }),
    ("--momentum", Below(0.0, 1.0), |run| {
        Some(run.common.training.momentum)
    }),
    ("--weight-decay", Closed(0.0, 1e3), |run| {
        Some(run.common.training.weight_decay)
    }),
    ("--clip-norm", Above(0.0, 1e9), |run| {
        Some(run.common.training.clip_norm)
    }),
    ("--crop-padding", Closed(0.0, 16.0), |run| {
        Some(run.common.training.crop_padding as f64)
    }),
    ("--cutout", Closed(0.0, 64.0), |run| {
        Some(run.common.training.cutout as f64)
    }),
    ("--folds", Closed(1.0, 1e3), |run| {
        Some(run.search.as_ref()?.folds.count.get() as f64)
    }),
    ("--held-out", Open(0.0, 1.0), |run| {
        run.search.as_ref()?.folds.held_out
    }),
    ("--images", Closed(1.0, 1e9), |run| {
        Some(run.search.as_ref()?.folds.images?.get() as f64)
    }),
    ("--rounds", Closed(1.0, 1e3), |run| {
        Some(run.search.as_ref()?.rounds.get() as f64)
    }),
    ("--trials", Closed(1.0, 1e6), |run| {
        Some(run.search.as_ref()?.trials.get() as f64)
    }),
    ("--top-n", Closed(1.0, 1e6), |run| {
        Some(run.search.as_ref()?.top_n.get() as f64)
    }),
    ("--sub-policies", Closed(1.0, 1e3), |run| {
        Some(run.search.as_ref()?.sub_policies.get() as f64)
    }),
    ("--ops-per-sub-policy", Closed(1.0, 16.0), |run| {
        Some(run.search.as_ref()?.ops_per_sub_policy.get() as f64)
    }),
    ("--draws", Closed(1.0, 1e3), |run| {
        Some(run.search.as_ref()?.draws.get() as f64)
    }),
    ("--start-up-trials", Closed(0.0, 1e6), |run| {
        Some(run.search.as_ref()?.sampler.start_up_trials as f64)
    }),
    ("--gamma", Above(0.0, 1.0), |run| {
        Some(run.search.as_ref()?.sampler.gamma)
    }),
    ("--candidates", Closed(1.0, 1e5), |run| {
        Some(run.search.as_ref()?.sampler.candidates.get() as f64)
    }),
    ("--final-epochs", Closed(1.0, 1e5), |run| {
        let epochs = run.final_trainings.epochs.get() as f64;
        run.search.as_ref().map(|_| epochs)
    }),
    ("--final-seeds", Closed(1.0, 1e3), |run| {
        let seeds = run.final_trainings.seeds.get() as f64;
        run.search.as_ref().map(|_| seeds)
    }),
    ("--seeds", Closed(1.0, 1e3), |run| {
        let seeds = run.final_trainings.seeds.get() as f64;
        run.search.is_none().then_some(seeds)
    }),
    ("--policy random:N", Closed(1.0, 1e4), |run| {
        Some(run.final_trainings.random.as_ref()?.sub_policies.get() as f64)
    }),
];

/// Checks every number.
pub(super) fn check(run: &RunConfig) -> Result<(), OutOfRange> {
    for (option, range, value) in RANGES {
        if let Some(value) = value(run).filter(|value| !range.contains(*value)) {
            let (option, range) = (*option, *range);
            return Err(OutOfRange {
                option,
                value,
                range,
            });
        }
    }
    Ok(())
}
