use std::error::Error;
use std::fmt;

use faa_op::{OpError, OpErrorKind, text};

/// The largest file that is read: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;
/// How deep lists and objects may be nested in a file.
pub const MAX_DEPTH: usize = 100;

/// What is wrong with a policy, a plan or a file to be converted, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyError {
    path: String,
    kind: PolicyErrorKind,
}

/// The kinds of things that can be wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PolicyErrorKind {
    /// The file is larger than [`MAX_BYTES`].
    TooLarge {
        /// The file's size in bytes.
        bytes: usize,
    },
    /// Lists and objects are nested more than [`MAX_DEPTH`] levels deep.
    TooDeep,
    /// The file is not JSON, or holds a number that no float can represent: the JSON parser's message.
    NotJson(String),
    /// The file begins with a byte-order mark of UTF-8.
    ByteOrderMark,
    /// The file is in this encoding, and not in UTF-8.
    Encoding(&'static str),
    /// Where a number is expected, the file has `NaN`, `Infinity` or the like.
    NotANumber {
        /// What the file has.
        text: String,
        /// Its line, from 1.
        line: usize,
    },
    /// This is not a policy, but what a different program takes in place of one.
    Configuration {
        /// The text.
        text: String,
        /// The program.
        program: &'static str,
        /// The shipped policy that comes nearest.
        nearest: Option<&'static str>,
    },
    /// The file's `format` is not `faa-policy`, but this.
    WrongFormat(String),
    /// The file's `version` is not 1, but this.
    WrongVersion(String),
    /// The file to be converted is a policy file already.
    AlreadyPolicy,
    /// A key, or an element of a list, is missing.
    Missing,
    /// A key is not part of the format.
    UnknownKey,
    /// An object has a key twice.
    DuplicateKey,
    /// This key and the one at the error's path exclude each other, and both are given.
    Conflict(&'static str),
    /// This key or the one at the error's path is required, and neither is given.
    Neither(&'static str),
    /// The value has the wrong JSON type.
    WrongType {
        /// The type that was expected.
        expected: &'static str,
    },
    /// A number lies outside its range.
    OutOfRange {
        /// The number.
        value: f64,
        /// The lowest number allowed.
        low: f64,
        /// The highest number allowed.
        high: f64,
    },
    /// A number is not finite, or leads to one that is not.
    NotFinite {
        /// That number.
        value: f64,
    },
    /// A list is empty that needs at least one element.
    Empty,
    /// A value is stated for an op that has none.
    NoValue,
    /// A partner is stated for an op that needs none.
    NoPartner,
    /// The stated partner does not exist.
    NoSuchPartner {
        /// The partner's index.
        index: u64,
        /// How many partners there are.
        count: u64,
    },
    /// No op has this name.
    UnknownOp {
        /// The name.
        op: String,
        /// The most similar known name.
        nearest: Option<String>,
    },
}

impl PolicyError {
    /// An error at a path.
    pub fn new(path: impl Into<String>, kind: PolicyErrorKind) -> Self {
        Self {
            path: path.into(),
            kind,
        }
    }

    /// Where: keys and indices such as `sub_policies[3][1].magnitude`; empty for the file as a
    /// whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn kind(&self) -> &PolicyErrorKind {
        &self.kind
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and keys come from a file that may hold anything.
        const MAX_CHARS: usize = 500;
        let colon = if self.path.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}{}", self.path, self.kind);
        f.write_str(&text::clean(&message, MAX_CHARS))
    }
}

impl fmt::Display for PolicyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(f, "{bytes} bytes are too many, the limit is {MAX_BYTES}")
            }
            Self::TooDeep => write!(f, "nested more than {MAX_DEPTH} levels deep"),
            Self::NotJson(message) => write!(f, "not valid JSON: {message}"),
            Self::ByteOrderMark => {
                f.write_str("the file starts with a byte-order mark: save it as UTF-8 without one")
            }
            Self::Encoding(encoding) => write!(f, "the file is {encoding}: save it as UTF-8"),
            Self::NotANumber { text, line } => {
                write!(
                    f,
                    "not valid JSON: `{text}` in line {line} is not a number in JSON"
                )
            }
            Self::Configuration {
                text,
                program,
                nearest,
            } => {
                write!(
                    f,
                    "`{text}` is a configuration string of {program}, not a policy; "
                )?;
                match nearest {
                    Some(nearest) => write!(f, "the shipped policy `{nearest}` comes nearest"),
                    None => f.write_str("no shipped policy is like it"),
                }
            }
            Self::WrongFormat(found) => write!(f, "expected \"faa-policy\", found {found}"),
            Self::WrongVersion(found) => write!(f, "version {found} is not supported, only 1 is"),
            Self::AlreadyPolicy => f.write_str("this is already a policy file"),
            Self::Missing => f.write_str("missing"),
            Self::UnknownKey => f.write_str("unknown key"),
            Self::DuplicateKey => f.write_str("duplicate key"),
            Self::Conflict(other) => write!(f, "cannot be combined with `{other}`"),
            Self::Neither(other) => write!(f, "missing, and so is `{other}`: one is required"),
            Self::WrongType { expected } => write!(f, "expected {expected}"),
            Self::OutOfRange { value, low, high } => {
                write!(f, "{value} is not within {low}…{high}")
            }
            Self::NotFinite { value } => write!(f, "{value} is not a finite number"),
            Self::Empty => f.write_str("must not be empty"),
            Self::NoValue => f.write_str("the op takes no value"),
            Self::NoPartner => f.write_str("the op takes no partner image"),
            Self::NoSuchPartner { index, count } => {
                write!(f, "there is no partner {index}: the set has {count} images")
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

/// Why a policy could not be applied to an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyError {
    op: Option<String>,
    error: OpError,
}

impl ApplyError {
    /// An error of the op with this name, or of the images before any op.
    pub fn new(op: Option<&str>, error: impl Into<OpError>) -> Self {
        Self {
            op: op.map(ToOwned::to_owned),
            error: error.into(),
        }
    }

    /// The name of the op that failed; `None` if the images did not fit before any op.
    pub fn op(&self) -> Option<&str> {
        self.op.as_deref()
    }

    /// What went wrong.
    pub fn kind(&self) -> &OpErrorKind {
        self.error.kind()
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
        Some(&self.error)
    }
}

/// Why a plan could not be replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayError {
    kind: ReplayErrorKind,
}

/// The kinds of failures of a replay.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReplayErrorKind {
    /// The plan does not fit the ops or the partners; the image is unchanged.
    Plan(PolicyError),
    /// An op failed; the image may hold anything.
    Apply(ApplyError),
}

impl ReplayError {
    /// What went wrong.
    pub fn kind(&self) -> &ReplayErrorKind {
        &self.kind
    }
}

impl From<ReplayErrorKind> for ReplayError {
    fn from(kind: ReplayErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ReplayErrorKind::Plan(_) => f.write_str("the plan cannot be replayed"),
            ReplayErrorKind::Apply(error) => error.fmt(f),
        }
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            ReplayErrorKind::Plan(error) => Some(error),
            ReplayErrorKind::Apply(error) => error.source(),
        }
    }
}
