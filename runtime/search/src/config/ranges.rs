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
    pub value: Number,
    /// Its valid range.
    pub range: Range,
}

/// The value of an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Count(usize),
    /// A real number.
    Real(f64),
}

use Number::{Count, Real};

impl Number {
    /// As a float, which rounds counts above 2⁵³; no range ends there.
    fn as_f64(self) -> f64 {
        match self {
            Count(count) => count as f64,
            Real(real) => real,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count(count) => write!(f, "{count}"),
            // Digits beyond a float's own say nothing.
            Real(real) if real.abs() >= 1e16 => write!(f, "{real:e}"),
            Real(real) => write!(f, "{real}"),
        }
    }
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
        let (Closed(min, max) | Above(min, max) | Below(min, max) | Open(min, max)) = *self;
        let (min, max) = (Real(min), Real(max));
        match self {
            Closed(..) => write!(f, "from {min} to {max}"),
            Above(..) => write!(f, "above {min} and at most {max}"),
            Below(..) => write!(f, "at least {min} and below {max}"),
            Open(..) => write!(f, "between {min} and {max}"),
        }
    }
}

/// The option, its range, and its value, which is `None` if the option does not apply.
type Row = (&'static str, Range, fn(&RunConfig) -> Option<Number>);

/// Upper bounds are far beyond any sensible run. Products of several counts are bounded in `check.rs`.
const RANGES: &[Row] = &[
    ("--image-size", Closed(1.0, 4096.0), |run| {
        run.common.image_size.map(|side| Count(side as usize))
    }),
    ("--epochs", Closed(1.0, 1e5), |run| {
        Some(Count(run.common.training.epochs.get()))
    }),
    ("--batch", Closed(1.0, 65_536.0), |run| {
        Some(Count(run.common.training.batch.get()))
    }),
    ("--learning-rate", Above(0.0, 1e38), |run| {
        Some(Real(run.common.training.learning_rate))
    }),
    ("--warmup-epochs", Closed(0.0, 1e5), |run| {
        Some(Count(run.common.training.warmup_epochs))
    }),
    ("--momentum", Below(0.0, 1.0), |run| {
        Some(Real(run.common.training.momentum))
    }),
    ("--weight-decay", Closed(0.0, 1e3), |run| {
        Some(Real(run.common.training.weight_decay))
    }),
    ("--clip-norm", Above(0.0, 1e9), |run| {
        Some(Real(run.common.training.clip_norm))
    }),
    ("--crop-padding", Closed(0.0, 16.0), |run| {
        Some(Count(run.common.training.crop_padding))
    }),
    ("--cutout", Closed(0.0, 64.0), |run| {
        Some(Count(run.common.training.cutout))
    }),
    ("--folds", Closed(1.0, 1e3), |run| {
        Some(Count(run.search.as_ref()?.folds.count.get()))
    }),
    ("--held-out", Open(0.0, 1.0), |run| {
        run.search.as_ref()?.folds.held_out.map(Real)
    }),
    ("--images", Closed(1.0, 1e9), |run| {
        Some(Count(run.search.as_ref()?.folds.images?.get()))
    }),
    ("--rounds", Closed(1.0, 1e3), |run| {
        Some(Count(run.search.as_ref()?.rounds.get()))
    }),
    ("--trials", Closed(1.0, 1e6), |run| {
        Some(Count(run.search.as_ref()?.trials.get()))
    }),
    ("--top-n", Closed(1.0, 1e6), |run| {
        Some(Count(run.search.as_ref()?.top_n.get()))
    }),
    ("--sub-policies", Closed(1.0, 1e3), |run| {
        Some(Count(run.search.as_ref()?.sub_policies.get()))
    }),
    ("--ops-per-sub-policy", Closed(1.0, 16.0), |run| {
        Some(Count(run.search.as_ref()?.ops_per_sub_policy.get()))
    }),
    ("--draws", Closed(1.0, 1e3), |run| {
        Some(Count(run.search.as_ref()?.draws.get()))
    }),
    ("--start-up-trials", Closed(0.0, 1e6), |run| {
        Some(Count(run.search.as_ref()?.sampler.start_up_trials))
    }),
    ("--gamma", Above(0.0, 1.0), |run| {
        Some(Real(run.search.as_ref()?.sampler.gamma))
    }),
    ("--candidates", Closed(1.0, 1e5), |run| {
        Some(Count(run.search.as_ref()?.sampler.candidates.get()))
    }),
    ("--final-epochs", Closed(1.0, 1e5), |run| {
        let epochs = run.final_trainings.epochs.get();
        run.search.as_ref().map(|_| Count(epochs))
    }),
    ("--epochs", Closed(1.0, 1e5), |run| {
        Some(Count(run.final_trainings.epochs.get()))
    }),
    ("--final-seeds", Closed(1.0, 1e3), |run| {
        let seeds = run.final_trainings.seeds.get();
        run.search.as_ref().map(|_| Count(seeds))
    }),
    ("--seeds", Closed(1.0, 1e3), |run| {
        let seeds = run.final_trainings.seeds.get();
        run.search.is_none().then_some(Count(seeds))
    }),
    ("--ops-per-sub-policy", Closed(1.0, 16.0), |run| {
        let random = run.final_trainings.random.as_ref()?;
        Some(Count(random.ops_per_sub_policy.get()))
    }),
    ("--policy random:N", Closed(1.0, 1e4), |run| {
        Some(Count(
            run.final_trainings.random.as_ref()?.sub_policies.get(),
        ))
    }),
];

/// Checks every number.
pub(super) fn check(run: &RunConfig) -> Result<(), OutOfRange> {
    for (option, range, value) in RANGES {
        if let Some(value) = value(run).filter(|value| !range.contains(value.as_f64())) {
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
