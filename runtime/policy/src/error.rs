use std::error::Error;
use std::fmt::{self, Write};

use faa_op::OpError;

/// What is wrong with a policy, a plan or a file that becomes one, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyError {
    place: String,
    problem: Problem,
}

/// The kinds of things that can be wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// The file is larger than [`MAX_BYTES`](crate::MAX_BYTES).
    TooLarge {
        /// The file's size in bytes.
        bytes: usize,
    },
    /// More than [`MAX_DEPTH`](crate::MAX_DEPTH) lists and objects stand inside each other.
    TooDeep,
    /// The file is not JSON, or holds a number beyond what a float can be.
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
    /// What was to be converted is a policy file already.
    NotForeign,
    /// A key, or an element of a list, is missing.
    Missing,
    /// A key is not part of the format.
    UnknownKey,
    /// An object has a key twice.
    DuplicateKey,
    /// Two keys were given of which only one can count.
    Both(
        /// The other key.
        &'static str,
    ),
    /// Neither of two keys was given of which one is needed.
    Neither(
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
    /// A number is not finite, or leads to one that is not.
    NotFinite {
        /// That number.
        value: f64,
    },
    /// A list that needs at least one element is empty.
    Empty,
    /// A value is stated for an op that has none.
    NoValue,
    /// A partner is stated for an op that mixes none in.
    NoPartner,
    /// A partner that the set of partners does not have.
    NotInSet {
        /// The partner's place.
        place: u64,
        /// How many images the set has.
        count: u64,
    },
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
        // Names and keys come from a file that may hold anything: what is printed neither steers a
        // terminal nor fills it.
        const MOST: usize = 500;
        let mut message = self.problem.to_string();
        if !self.place.is_empty() {
            message = format!("{}: {message}", self.place);
        }
        for character in message.chars().take(MOST) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        if message.chars().nth(MOST).is_some() {
            f.write_str(" …")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                let most = crate::MAX_BYTES;
                write!(f, "at most {most} bytes are read, and this has {bytes}")
            }
            Self::TooDeep => {
                let most = crate::MAX_DEPTH;
                write!(
                    f,
                    "more than {most} lists and objects stand inside each other"
                )
            }
            Self::NotJson(message) => write!(f, "not valid JSON: {message}"),
            Self::WrongFormat(found) => write!(f, "expected \"faa-policy\", found {found}"),
            Self::WrongVersion(found) => write!(f, "version {found} is not supported, only 1 is"),
            Self::NotForeign => f.write_str("this is a policy file already"),
            Self::Missing => f.write_str("missing"),
            Self::UnknownKey => f.write_str("not a key of this format"),
            Self::DuplicateKey => f.write_str("stands here twice"),
            Self::Both(other) => write!(f, "cannot stand beside `{other}`"),
            Self::Neither(other) => write!(f, "missing, and so is `{other}`"),
            Self::WrongType { expected } => write!(f, "expected {expected}"),
            Self::OutOfRange { value, low, high } => {
                write!(f, "{value} is not within {low}…{high}")
            }
            Self::NotFinite { value } => write!(f, "{value} is not a finite number"),
            Self::Empty => f.write_str("at least one element is needed"),
            Self::NoValue => f.write_str("the op has no value"),
            Self::NoPartner => f.write_str("the op mixes in no partner"),
            Self::NotInSet { place, count } => {
                write!(f, "there is no image {place} among {count} partners")
            }
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

/// `value` lies between two ends, which belong to the range.
pub(crate) fn within(value: f64, low: f64, high: f64) -> Result<(), Problem> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Problem::OutOfRange { value, low, high }),
    }
}

/// Why a policy could not be applied to an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyError {
    op: Option<String>,
    kind: OpError,
}

impl ApplyError {
    /// An error of the op with this name, or of the images before any op.
    pub fn new(op: Option<&str>, kind: OpError) -> Self {
        Self {
            op: op.map(ToOwned::to_owned),
            kind,
        }
    }

    /// The name of the op that failed; `None` if the images did not fit before any op.
    pub fn op(&self) -> Option<&str> {
        self.op.as_deref()
    }

    /// What went wrong.
    pub fn kind(&self) -> &OpError {
        &self.kind
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            Some(op) => write!(f, "op `{op}` failed"),
            None => f.write_str("the policy cannot be applied"),
        }
    }
}

impl Error for ApplyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.kind)
    }
}

/// Why a plan could not be replayed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The plan does not fit the ops or the partners at hand.
    Plan(PolicyError),
    /// An op failed.
    Apply(ApplyError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(_) => f.write_str("the plan cannot be replayed"),
            Self::Apply(error) => error.fmt(f),
        }
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Plan(error) => Some(error),
            Self::Apply(error) => error.source(),
        }
    }
}
