use alloc::string::String;
use core::error::Error;
use core::fmt;

use crate::Channels;

/// What applying an op returns.
pub type OpResult = Result<(), OpError>;

/// Why an op could not be applied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OpError {
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

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedShape {
                width,
                height,
                channels,
            } => write!(
                f,
                "the op does not support images of {width}×{height} with {} channels",
                channels.count()
            ),
            // Not formatted by the standard library, whose code would be half of a small plugin.
            Self::NotFinite { value } => {
                let number = match value {
                    value if value.is_nan() => "NaN",
                    value if *value > 0.0 => "inf",
                    _ => "-inf",
                };
                write!(f, "the value {number} is not a finite number")
            }
            Self::NoPartner => f.write_str("the op needs a partner image, and none was given"),
            Self::PartnerShape => f.write_str(
                "the partner image has a different size or different channels than the image",
            ),
            Self::SourceShape => {
                f.write_str("the source has a different size or different channels than the result")
            }
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl Error for OpError {}

/// Why a buffer is not an image of the given shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
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

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an image needs at least one row and one column"),
            Self::TooLarge => f.write_str("the image is too large to address"),
            Self::Length { expected, found } => write!(
                f,
                "the pixels take {found} bytes where the shape needs {expected}"
            ),
            Self::Stride { row, found } => {
                write!(f, "rows of {row} bytes cannot start {found} bytes apart")
            }
            Self::Outside => f.write_str("the part does not lie within the image"),
            Self::Differs => f.write_str("the images differ in size or channels"),
        }
    }
}

impl Error for ShapeError {}
