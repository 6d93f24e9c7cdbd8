use serde::{Deserialize, Serialize};

use super::interval::Interval;
use crate::config::Tolerance;

/// Which ops are safe: the content of `audit.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Audit {
    /// The number of held-out images.
    pub images: usize,
    /// The fraction of them that is classified correctly without an op.
    pub accuracy: f64,
    /// Their mean cross-entropy without an op, in nats.
    pub loss: f64,
    /// The drops in accuracy that are accepted.
    pub tolerance: Tolerance,
    /// The ops, in the order of the configuration.
    pub ops: Vec<OpAudit>,
}

/// What was found out about one op.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpAudit {
    /// Its name.
    pub op: String,
    /// What its values are measured in; empty for an op without a value.
    pub unit: String,
    /// The value from which the safe range extends; `None` for an op without a value.
    pub start: Option<f64>,
    /// Whether it is safe.
    pub safety: Safety,
    /// The lowest and the highest value up to which all measured ones are safe, counted from the start;
    /// `None` for an op without a value, and for one without safe values.
    pub safe: Option<[f64; 2]>,
    /// The measurements, by ascending value.
    pub points: Vec<Measured>,
}

/// Whether an op is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    /// No value is unsafe beyond noise.
    Safe,
    /// Values up to some distance from the start are safe.
    Partly,
    /// No measured value is safe.
    Unsafe,
}

/// An op at one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// The value; `None` if the op has none.
    pub value: Option<f64>,
    /// The fraction of augmented held-out images that is classified correctly.
    pub accuracy: f64,
    /// Their mean cross-entropy, in nats.
    pub loss: f64,
    /// By how much the accuracy is lower than without the op: a 95 % interval of paired differences.
    pub drop: Interval,
    /// The worst-affected class: the one whose drop has the highest lower end.
    pub worst: Option<WorstClass>,
    /// Whether the lower end of a drop exceeds what is accepted, of all images or of the worst class.
    pub is_unsafe: bool,
}

/// The worst-affected class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorstClass {
    /// Its name.
    pub class: String,
    /// The number of its held-out images.
    pub images: usize,
    /// The fraction of them that is classified correctly with the op.
    pub accuracy: f64,
    /// Their mean cross-entropy with the op, in nats.
    pub loss: f64,
    /// By how much their accuracy is lower than without the op. Its confidence is such that the intervals
    /// of all classes include their true values at once in 95 % of cases.
    pub drop: Interval,
    /// What its images are taken for; `None` if none that was right becomes wrong.
    pub mistaken_for: Option<Mistake>,
}

/// The most frequent new mistake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mistake {
    /// The name of the class that images are taken for.
    pub class: String,
    /// The number of augmented images.
    pub count: usize,
    /// The first image, as an index into the training split.
    pub image: usize,
    /// Its draw, from 0.
    pub draw: u32,
}

impl OpAudit {
    /// The unsafe measurements that are closest to the start, at most one in each direction, by ascending
    /// value.
    pub fn first_unsafe(&self) -> impl Iterator<Item = &Measured> {
        let start = self.start;
        let is_below = move |point: &&Measured| point.value < start;
        let below = self.points.iter().rev().filter(is_below);
        let rest = self.points.iter().filter(move |point| !is_below(point));
        let mut below = below.filter(|point| point.is_unsafe);
        let mut rest = rest.filter(|point| point.is_unsafe);
        [below.next(), rest.next()].into_iter().flatten()
    }

    /// The unsafe measurement that is closest to the start, relative to how far values reach in its
    /// direction.
    pub fn nearest_unsafe(&self) -> Option<&Measured> {
        let reach = |value: f64, start: f64| {
            let ends = [self.points.first(), self.points.last()];
            let ends = ends.into_iter().flatten().filter_map(|it| it.value);
            let side = ends.filter(|end| (end - start) * (value - start) > 0.0);
            side.fold(f64::MIN_POSITIVE, |reach, end| {
                reach.max((end - start).abs())
            })
        };
        let distance = |point: &&Measured| match (point.value, self.start) {
            (Some(value), Some(start)) => (value - start).abs() / reach(value, start),
            _ => 0.0,
        };
        self.first_unsafe()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// The measurement that says most about the op: the nearest unsafe one, or else the one whose drop in
    /// accuracy has the highest lower end.
    pub fn most_telling(&self) -> Option<&Measured> {
        let worst = || {
            let points = self.points.iter();
            points.max_by(|a, b| a.drop.low.total_cmp(&b.drop.low))
        };
        self.nearest_unsafe().or_else(worst)
    }

    /// The safe values in words: `±18°`, `0.4 to 1.9`, `all (up to 10°)`, `none`; for an op without a value
    /// `yes` or `no`.
    pub fn safe_values(&self) -> String {
        match (self.safety, self.start, self.safe) {
            (Safety::Unsafe, Some(_), _) => "none".to_owned(),
            (Safety::Unsafe, None, _) => "no".to_owned(),
            (_, Some(start), Some([low, high])) => {
                let range = if start == 0.0 && low == -high {
                    format!("±{}", self.with_unit(high))
                } else if low == start {
                    format!("up to {}", self.with_unit(high))
                } else if high == start {
                    format!("down to {}", self.with_unit(low))
                } else {
                    format!("{} to {}", number(low), self.with_unit(high))
                };
                match self.safety {
                    Safety::Safe => format!("all ({range})"),
                    _ => range,
                }
            }
            _ => "yes".to_owned(),
        }
    }

    /// A value with the op's unit: `−18°`, `0.3`, `5 bits`.
    pub fn with_unit(&self, value: f64) -> String {
        let number = number(value);
        match self.unit.as_str() {
            "degrees" => format!("{number}°"),
            // A factor is a number like any other, and the op's name says of what.
            "" | "factor" | "shear factor" => number,
            unit => format!("{number} {unit}"),
        }
    }

    /// What is known about the op in one sentence: ``safe to ±18°; beyond, `a` becomes `b` ``.
    pub fn sentence(&self) -> String {
        let mut words = match self.safety {
            Safety::Safe => "nothing unsafe found".to_owned(),
            Safety::Unsafe => "unsafe".to_owned(),
            Safety::Partly => format!("safe {}", self.partly()),
        };
        let worst = self.nearest_unsafe().and_then(|it| it.worst.as_ref());
        if let Some(worst) = worst
            && let Some(mistake) = &worst.mistaken_for
        {
            let beyond = match self.safety {
                Safety::Partly => "; beyond, ",
                _ => ": ",
            };
            words += &format!("{beyond}`{}` becomes `{}`", worst.class, mistake.class);
        }
        words
    }

    fn partly(&self) -> String {
        let range = self.safe_values();
        match range.starts_with(['u', 'd']) {
            true => range,
            false if range.starts_with('±') => format!("to {range}"),
            false => format!("from {range}"),
        }
    }
}

/// A number with a minus sign that is as wide as a plus.
fn number(value: f64) -> String {
    // Adding 0 turns −0 into 0.
    format!("{}", value + 0.0).replace('-', "−")
}
