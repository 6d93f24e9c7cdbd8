use alloc::string::String;
use core::error::Error;
use core::fmt;

use crate::Channels;

/// What applying an op returns.
pub type OpResult = Result<(), OpError>;

/// Why an op could not be applied.
///
/// ```
/// use faa_op::{OpError, OpErrorKind, OpResult};
///
/// fn apply(value: f64) -> OpResult {
///     if !value.is_finite() {
///         return Err(OpErrorKind::NotFinite { value }.into());
///     }
///     (value < 1.0).then_some(()).ok_or(OpError::failed("the value must be below 1"))
/// }
/// assert_eq!(apply(2.0).unwrap_err().to_string(), "the value must be below 1");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OpError {
    kind: OpErrorKind,
}

/// The kinds of reasons why an op cannot be applied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OpErrorKind {
    /// The op cannot work on images of this size or number of channels.
    UnsupportedShape {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The channels of a pixel.
        channels: Channels,
    },
    /// The value is not a finite number.
    NotFinite {
        /// The value that was given.
        value: f64,
    },
    /// An op that needs a partner image was called without one.
    NoPartner,
    /// The partner image has a different shape than the image.
    PartnerShape,
    /// The source has a different shape than the image that its result is written to.
    SourceShape,
    /// Anything else, in the op's own words.
    Failed(String),
}

impl OpError {
    /// An error in the op's own words.
    pub fn failed(message: impl Into<String>) -> Self {
        OpErrorKind::Failed(message.into()).into()
    }

    /// What went wrong.
    pub fn kind(&self) -> &OpErrorKind {
        &self.kind
    }
}

impl From<OpErrorKind> for OpError {
    fn from(kind: OpErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OpErrorKind::UnsupportedShape {
                width,
                height,
                channels,
            } => write!(
                f,
                "the op does not support images of {width}×{height} with {} channels",
                channels.count()
            ),
            // Not formatted by the standard library, whose code would be half of a small plugin.
            OpErrorKind::NotFinite { value } => {
                let number = match value {
                    value if value.is_nan() => "NaN",
                    value if *value > 0.0 => "inf",
                    _ => "-inf",
                };
                write!(f, "the value {number} is not a finite number")
            }
            OpErrorKind::NoPartner => {
                f.write_str("the op needs a partner image, and none was given")
            }
            OpErrorKind::PartnerShape => f.write_str(
                "the partner image has a different size or different channels than the image",
            ),
            OpErrorKind::SourceShape => {
                f.write_str("the source has a different size or different channels than the result")
            }
            OpErrorKind::Failed(message) => f.write_str(message),
        }
    }
}

impl Error for OpError {}

/// Why a buffer is not an image of the given shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeError {
    kind: ShapeErrorKind,
}

/// The kinds of reasons why a buffer is not an image of the given shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeErrorKind {
    /// Width or height is zero.
    Empty,
    /// `width × height × channels` does not fit the address space.
    TooLarge,
    /// The buffer's length is not `width × height × channels`.
    Length {
        /// The length that the shape asks for, in bytes.
        expected: usize,
        /// The buffer's length, in bytes.
        found: usize,
    },
    /// The rows lie closer together than they are long.
    Stride {
        /// The length of a row, in bytes.
        row: usize,
        /// The distance from row to row that was given, in bytes.
        found: usize,
    },
    /// A part does not lie within its image.
    Outside,
    /// Two images that must have one shape have two.
    Differs,
}

impl ShapeError {
    /// What does not fit.
    pub fn kind(&self) -> ShapeErrorKind {
        self.kind
    }
}

impl From<ShapeErrorKind> for ShapeError {
    fn from(kind: ShapeErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ShapeErrorKind::Empty => f.write_str("an image needs at least one row and one column"),
            ShapeErrorKind::TooLarge => f.write_str("the image is too large to address"),
            ShapeErrorKind::Length { expected, found } => write!(
                f,
                "the pixels take {found} bytes where the shape needs {expected}"
            ),
            ShapeErrorKind::Stride { row, found } => {
                write!(f, "rows of {row} bytes cannot start {found} bytes apart")
            }
            ShapeErrorKind::Outside => f.write_str("the part does not lie within the image"),
            ShapeErrorKind::Differs => f.write_str("the images differ in size or channels"),
        }
    }
}

impl Error for ShapeError {}
