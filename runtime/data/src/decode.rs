//! How an image file becomes 8-bit RGB pixels.
//!
//! - Grey becomes RGB with three equal channels, palettes are looked up, 16-bit and float samples
//!   become 8-bit by the conversions of the `image` crate. Alpha is dropped, not blended. CMYK
//!   JPEGs are converted by their decoder. Colour profiles are ignored.
//! - The EXIF orientation is applied, so that images stand as viewers show them.
//! - Of an animation, the first frame counts.
//! - Images over 16,384 pixels wide or high, those that take more than 256 MiB decoded, and files
//!   over 256 MiB are refused: a file of a few bytes can claim any size.
//! - Where a side is asked for, the largest square in the middle is cut out and scaled to it by
//!   `image`'s triangle filter, which averages where it shrinks. That is the usual "scale the
//!   shorter side, then crop the middle", the other way round, so that the scaled image of a very
//!   long and narrow picture needs no memory.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage};

use super::Unreadable;

/// The most pixels that an image may be wide or high.
const MAX_SIDE: u32 = 16_384;
/// The most bytes that a decoder may allocate, and that a file may have.
pub(super) const MAX_BYTES: u64 = 256 << 20;

/// A decoded image: 8-bit RGB, interleaved, row after row.
pub(super) struct Picture {
    width: u32,
    height: u32,
    pub(super) samples: Vec<u8>,
}

impl Picture {
    pub(super) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

/// Why a file is no picture.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    pub(super) fn file_too_large() -> Self {
        let mib = MAX_BYTES >> 20;
        Self(format!("the file is larger than {mib} MiB"))
    }

    pub(super) fn of(self, path: &Path) -> Unreadable {
        Unreadable {
            path: path.into(),
            reason: self.0,
        }
    }
}

/// Reads one file and, where `side` is given, brings it to a square of that side.
pub(super) fn read(path: &Path, side: Option<u32>) -> Result<Picture, Refusal> {
    Ok(picture(open(path)?, side))
}

/// Does as [`read`] does, with a file whose content is in memory.
pub(super) fn read_bytes(bytes: &[u8], side: Option<u32>) -> Result<Picture, Refusal> {
    Ok(picture(decode_or_refuse(bytes)?, side))
}

/// Reads one file with the channels that it has.
pub(super) fn open(path: &Path) -> Result<DynamicImage, Refusal> {
    decode_or_refuse(&content(path)?)
}

fn picture(image: DynamicImage, side: Option<u32>) -> Picture {
    let mut image = image.into_rgb8();
    if let Some(side) = side {
        image = centre_square(image, side);
    }
    Picture {
        width: image.width(),
        height: image.height(),
        samples: image.into_raw(),
    }
}

fn content(path: &Path) -> Result<Vec<u8>, Refusal> {
    let metadata = fs::metadata(path)?;
    // Opening a pipe could wait forever.
    if !metadata.is_file() {
        return Err(Refusal("it is not a regular file".into()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Refusal::file_too_large());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decodes, and takes a panic for a refusal.
fn decode_or_refuse(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    // Decoders are many and their inputs hostile. One that panics shall cost its file, not the run.
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| decode(bytes)));
    decoded.unwrap_or_else(|_| Err(Refusal("its decoder failed on it".into())))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);

    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(Refusal("its content is of no known image format".into()));
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // The decoder does not count the pixels that it decodes into, nor those that grey becomes.
    let (width, height) = decoder.dimensions();
    let as_rgb = u64::from(width) * u64::from(height) * 3;
    limits.reserve(decoder.total_bytes().max(as_rgb))?;
    decoder.set_limits(limits)?;

    // A damaged EXIF block is no reason to lose an image that decodes.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    if image.width() == 0 || image.height() == 0 {
        return Err(Refusal("the image has no pixels".into()));
    }
    Ok(image)
}

/// Cuts out the largest square in the middle and brings it to this side.
pub(super) fn centre_square(image: RgbImage, side: u32) -> RgbImage {
    if image.dimensions() == (side, side) {
        return image;
    }
    let (width, height) = image.dimensions();
    let largest = width.min(height);
    let (left, top) = ((width - largest) / 2, (height - largest) / 2);
    let square = imageops::crop_imm(&image, left, top, largest, largest);
    if largest == side {
        return square.to_image();
    }
    imageops::resize(&*square, side, side, FilterType::Triangle)
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}
