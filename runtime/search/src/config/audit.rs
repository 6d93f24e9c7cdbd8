use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How ops are audited: which of their values leave held-out images recognisable to a network.
///
/// [`audit::configure`](crate::audit::configure) makes one for any ops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditConfig {
    /// The ops and their values.
    pub ops: Vec<AuditedOp>,
    /// The fraction of every class that is held out, above 0 and below 1. With a given network also 1,
    /// for all images.
    pub held_out: f64,
    /// The number of training images that are used, a random fraction of every class; `None` for all.
    pub images: Option<NonZeroUsize>,
    /// The drop in accuracy, as a fraction, that is accepted of an op: of all images together, and of
    /// those of every class.
    pub tolerance: Tolerance,
    /// The file of a trained network; `None` trains one on the images that are not held out.
    pub network: Option<PathBuf>,
}

/// Drops in accuracy that are accepted, as fractions from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tolerance {
    /// Of all images together.
    pub overall: f64,
    /// Of the images of any one class.
    pub class: f64,
}

/// An op, and the values that it is measured at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditedOp {
    /// The op's name.
    pub op: String,
    /// What its values are measured in; empty for an op without a value.
    pub unit: String,
    /// The value at which the op changes images least, from which safe ranges extend; `None` for an op
    /// without a value.
    pub start: Option<f64>,
    /// The values, ascending; none for an op without a value, which is measured once.
    pub values: Vec<f64>,
    /// How often each held-out image is augmented. Only ops with random parameters differ between draws.
    pub draws: NonZeroUsize,
}

impl AuditConfig {
    /// The default fraction of every class that is held out.
    pub const HELD_OUT: f64 = 0.25;
    /// The default number of values per op and direction.
    pub const VALUES: NonZeroUsize = NonZeroUsize::new(9).unwrap();
    /// The largest number of values per op and direction.
    pub const MAX_VALUES: usize = 100;
    /// The default number of draws per image, for ops with random parameters.
    pub const DRAWS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    /// An audit of these ops, which holds out a fraction of all training images.
    pub fn new(ops: Vec<AuditedOp>, held_out: f64, tolerance: Tolerance) -> Self {
        Self {
            ops,
            held_out,
            images: None,
            tolerance,
            network: None,
        }
    }

    /// All points to measure, in order: each op at each of its values.
    pub fn points(&self) -> impl Iterator<Item = (&AuditedOp, Option<f64>)> {
        self.ops.iter().flat_map(|op| {
            let without_value = op.start.is_none().then_some(None);
            let values = op.values.iter().map(|value| Some(*value));
            without_value
                .into_iter()
                .chain(values)
                .map(move |value| (op, value))
        })
    }
}

impl AuditedOp {
    /// An op without a value, of which each image is augmented this many times.
    pub fn new(op: impl Into<String>, draws: NonZeroUsize) -> Self {
        Self {
            op: op.into(),
            unit: String::new(),
            start: None,
            values: Vec::new(),
            draws,
        }
    }
}

impl Default for Tolerance {
    /// A fifth of all images, and a quarter of a class's. Of 10, 20 and 35 %, 20 % gave the policies with the
    /// lowest test errors on `glyphs` and on traffic signs.
    fn default() -> Self {
        Self::new(0.2, 0.25)
    }
}

impl Tolerance {
    /// These drops, as fractions from 0 to 1.
    pub fn new(overall: f64, class: f64) -> Self {
        Self { overall, class }
    }
}
