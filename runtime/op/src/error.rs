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
    /// The op does not say where it moves pixels ([`Warp::Unknown`](crate::Warp::Unknown)), so nothing can move
    /// along with them.
    UnknownWarp,
    /// A mask has a different size than the image that it moves along with.
    MaskSize,
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
            OpErrorKind::UnknownWarp => f.write_str(
                "the op does not say where it moves pixels, so masks, boxes and keypoints cannot follow",
            ),
            OpErrorKind::MaskSize => f.write_str("a mask has a different size than its image"),
            OpErrorKind::Failed(message) => f.write_str(message),
        }
    }
}

impl Error for OpError {}
