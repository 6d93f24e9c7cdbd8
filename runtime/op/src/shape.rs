use core::error::Error;
use core::fmt;

/// The channels of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channels {
    /// Luminance.
    L = 1,
    /// Red, green, blue.
    Rgb = 3,
    /// Red, green, blue, alpha (not premultiplied).
    Rgba = 4,
}

impl Channels {
    /// The variant with that many channels: 1, 3 or 4.
    pub const fn from_count(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::L),
            3 => Some(Self::Rgb),
            4 => Some(Self::Rgba),
            _ => None,
        }
    }

    /// How many bytes a pixel takes: 1, 3 or 4.
    pub const fn count(self) -> usize {
        self as usize
    }

    /// How many of the channels hold colour: all but alpha.
    pub const fn color_count(self) -> usize {
        match self {
            Self::L => 1,
            Self::Rgb | Self::Rgba => 3,
        }
    }

    /// The length of an image, in bytes: `width × height × channels`, at least 1.
    ///
    /// # Errors
    ///
    /// [`ShapeErrorKind::Empty`] if a side is zero, [`ShapeErrorKind::TooLarge`] if the product
    /// overflows.
    pub fn image_bytes(self, width: usize, height: usize) -> Result<usize, ShapeError> {
        if width == 0 || height == 0 {
            return Err(ShapeErrorKind::Empty.into());
        }
        let bytes = width.checked_mul(height);
        let bytes = bytes.and_then(|pixels| pixels.checked_mul(self.count()));
        Ok(bytes.ok_or(ShapeErrorKind::TooLarge)?)
    }
}

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
