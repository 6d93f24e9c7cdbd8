use std::fmt;

use faa_op::text::clean;

/// What is wrong with a file of annotations, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotationError {
    place: String,
    kind: AnnotationErrorKind,
}

/// The kinds of things that can be wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnnotationErrorKind {
    /// The file, or what it describes, is too large.
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        limit: u64,
    },
    /// The file is not UTF-8.
    NotUtf8,
    /// The file is not JSON, or a value has the wrong type: the parser's message.
    Json(String),
    /// An id that an earlier entry has.
    DuplicateId(u64),
    /// Two images have one file.
    DuplicateFile(String),
    /// An annotation is that of an image that is not in the file.
    UnknownImage(u64),
    /// The name of an image's file leads out of the folder of images, or is none.
    FileName(String),
    /// A list has the wrong number of values.
    Count {
        /// How many it has.
        found: usize,
        /// How many are expected, in words.
        expected: &'static str,
    },
    /// This is not a number.
    NotANumber(String),
    /// This is not the number of a class.
    NotAClass(String),
    /// A number lies outside its range.
    OutOfRange {
        /// The number.
        value: f64,
        /// What is expected, in words.
        expected: &'static str,
    },
    /// The annotations are those of an image of a different size.
    Size {
        /// The size that the file states.
        found: (u32, u32),
        /// The size of the image.
        image: (u32, u32),
    },
    /// The runs of a region do not make up an image of the stated size.
    Runs,
    /// What is not supported, in words.
    Unsupported(&'static str),
    /// The file is not a PNG, or is damaged: the decoder's message.
    Png(String),
}

impl AnnotationError {
    /// An error at a place in a file.
    pub fn new(place: impl Into<String>, kind: AnnotationErrorKind) -> Self {
        Self {
            place: place.into(),
            kind,
        }
    }

    /// Where: a path in JSON such as `annotations[3].bbox`, or `line 7`; empty for the file as a whole.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &AnnotationErrorKind {
        &self.kind
    }
}

impl fmt::Display for AnnotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and keys come from a file that may hold anything.
        const MAX_CHARS: usize = 500;
        let colon = if self.place.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}{}", self.place, self.kind);
        f.write_str(&clean(&message, MAX_CHARS))
    }
}

impl std::error::Error for AnnotationError {}

impl fmt::Display for AnnotationErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "{bytes} bytes are too many, the limit is {limit}")
            }
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Json(message) => f.write_str(message),
            Self::DuplicateId(id) => write!(f, "duplicate id {id}"),
            Self::DuplicateFile(name) => write!(f, "a different image has the file `{name}` too"),
            Self::UnknownImage(id) => write!(f, "no image has the id {id}"),
            Self::FileName(name) => write!(
                f,
                "`{name}` is not the path of a file below the folder of images"
            ),
            Self::Count { found, expected } => write!(f, "{found} values, expected {expected}"),
            Self::NotANumber(text) => write!(f, "`{text}` is not a number"),
            Self::NotAClass(text) => {
                write!(f, "`{text}` is not the number of a class, 0 or above")
            }
            Self::OutOfRange { value, expected } => write!(f, "{value} is not {expected}"),
            Self::Size { found, image } => write!(
                f,
                "made for {}×{} pixels, but the image has {}×{} (with its EXIF orientation applied)",
                found.0, found.1, image.0, image.1
            ),
            Self::Runs => f.write_str("the runs do not add up to the image's pixels"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Png(message) => write!(f, "not a readable PNG: {message}"),
        }
    }
}
