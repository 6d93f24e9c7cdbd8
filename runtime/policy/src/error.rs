use std::error::Error;
use std::fmt;

use faa_op::OpError;

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyError {
    place: String,
    problem: Problem,
}

/// The kinds of things that can be wrong with a policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// The file is larger than [`MAX_BYTES`](crate::MAX_BYTES).
    TooLarge {
        /// The file's size in bytes.
        bytes: usize,
    },
    /// The file is not JSON, or nested too deeply, or holds a number beyond what a float can be.
    NotJson(
        /// What the JSON parser says.
        String,
    ),
    /// The file's `format` is not `faa-policy`.
    WrongFormat(
        /// What it says instead.
        String,
    ),
    /// The file's `version` is not 1.
    WrongVersion(
        /// What it says instead.
        String,
    ),
    /// A key is missing.
    Missing,
    /// A key is not part of the format.
    UnknownKey,
    /// Two keys were given of which only one can count.
    Both(
        /// The other key.
        &'static str,
    ),
    /// The value is of another JSON type.
    WrongType {
        /// The type that was expected.
        expected: &'static str,
    },
    /// A number lies outside its range.
    OutOfRange {
        /// The number.
        value: f64,
        /// The least that is allowed.
        low: f64,
        /// The most that is allowed.
        high: f64,
    },
    /// A list that needs at least one element is empty.
    Empty,
    /// A value is stated for an op that has none.
    NoValue,
    /// No op has this name.
    UnknownOp {
        /// The name.
        op: String,
        /// The known name most like it.
        nearest: Option<String>,
    },
}

impl PolicyError {
    /// An error at a place.
    pub fn new(place: impl Into<String>, problem: Problem) -> Self {
        Self {
            place: place.into(),
            problem,
        }
    }

    /// Where: a path of keys and indices such as `sub_policies[3][1].magnitude`; empty for the
    /// file as a whole.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                let most = crate::MAX_BYTES;
                write!(f, "a policy has at most {most} bytes, and this has {bytes}")
            }
            Self::NotJson(message) => write!(f, "not valid JSON: {message}"),
            Self::WrongFormat(found) => write!(f, "expected \"faa-policy\", found {found}"),
            Self::WrongVersion(found) => write!(f, "version {found} is not supported, only 1 is"),
            Self::Missing => f.write_str("missing"),
            Self::UnknownKey => f.write_str("not a key of this format"),
            Self::Both(other) => write!(f, "cannot stand beside `{other}`"),
            Self::WrongType { expected } => write!(f, "expected {expected}"),
            Self::OutOfRange { value, low, high } => {
                write!(f, "{value} is not within {low}…{high}")
            }
            Self::Empty => f.write_str("at least one element is needed"),
            Self::NoValue => f.write_str("the op has no value"),
            Self::UnknownOp { op, nearest } => {
                write!(f, "no op is named `{op}`")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Error for PolicyError {}

/// An op that failed while a policy was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyError {
    pub(crate) op: String,
    pub(crate) source: OpError,
}

impl ApplyError {
    /// The name of the op.
    pub fn op(&self) -> &str {
        &self.op
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op `{}` failed", self.op)
    }
}

impl Error for ApplyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
