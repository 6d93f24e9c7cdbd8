use alloc::string::String;
use core::error::Error;
use core::fmt;

use crate::Channels;

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
    /// A mixing op was called without a partner image.
    NoPartner,
    /// The partner image has another shape than the image.
    PartnerShape,
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
            Self::NotFinite { value } => write!(f, "the value {value} is not a finite number"),
            Self::NoPartner => f.write_str("the op mixes in a partner image, and none was given"),
            Self::PartnerShape => {
                f.write_str("the partner image has another size or other channels than the image")
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
        }
    }
}

impl Error for ShapeError {}
