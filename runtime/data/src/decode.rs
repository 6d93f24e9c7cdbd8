//! How an image file becomes 8-bit RGB pixels.
//!
//! - Grey becomes RGB with three equal channels, palettes are looked up, 16-bit and float samples
//!   become 8-bit by the conversions of the `image` crate. Alpha is dropped, not blended. CMYK
//!   JPEGs are converted by their decoder. Colour profiles are ignored.
//! - The EXIF orientation is applied, so that images are as viewers show them.
//! - Only the first frame of an animation is used.
//! - A JPEG whose picture ends early is refused; all other formats' decoders do so themselves.
//! - Images over 16,384 pixels wide or high, those that take more than 256 MiB decoded, and files
//!   over 256 MiB are refused: a file of a few bytes can claim any size.
//! - If a side is requested, the largest square in the centre is cropped and scaled to it with
//!   `image`'s triangle filter, which averages when it shrinks. That is the usual "scale the shorter
//!   side, then crop the centre" in reverse order, so that a very long and narrow image needs no more
//!   memory.

use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use faa_system::open_regular;
use image::error::ImageFormatHint;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::{DataError, Unreadable};
use crate::jpeg::jpeg_ends_early;

/// The maximum width and height of an image, in pixels.
pub(crate) const MAX_SIDE: u32 = crate::jpeg::MAX_SIDE as u32;
/// The maximum that a decoder may allocate and that a file may have, in bytes.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// Why a file is not an image.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    pub(crate) fn file_too_large(bytes: u64) -> Self {
        Self(format!(
            "the file has {bytes} bytes; the limit is {MAX_BYTES}"
        ))
    }
}

/// Reads one image file, by the rules of data sets in folders, but keeps its channels.
///
/// # Errors
///
/// [`DataError`] if the file cannot be read, is not an image, or is too large.
pub fn read_image(path: &Path) -> Result<DynamicImage, DataError> {
    open(path).map_err(|Refusal(reason)| {
        let path = path.into();
        DataError::unreadable_image(Unreadable { path, reason })
    })
}

/// Reads one file and, if `side` is given, scales it to a square of that side.
pub(crate) fn read(path: &Path, side: Option<u32>) -> Result<RgbImage, Refusal> {
    Ok(scaled(open(path)?, side))
}

/// As [`read`], for a file whose content is in memory.
pub(crate) fn read_bytes(bytes: &[u8], side: Option<u32>) -> Result<RgbImage, Refusal> {
    Ok(scaled(decode_or_refuse(bytes)?, side))
}

fn open(path: &Path) -> Result<DynamicImage, Refusal> {
    decode_or_refuse(&content(path)?)
}

fn scaled(image: DynamicImage, side: Option<u32>) -> RgbImage {
    let image = image.into_rgb8();
    match side {
        Some(side) => centre_square(image, side),
        None => image,
    }
}

pub(crate) fn content(path: &Path) -> Result<Vec<u8>, Refusal> {
    let (file, length) = open_regular(path, File::options().read(true))?;
    if length > MAX_BYTES {
        return Err(Refusal::file_too_large(length));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decodes; a panic is a refusal.
pub(crate) fn decode_or_refuse(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    // There are many decoders, and their input is hostile. A panic must cost the file, not the run.
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| decode(bytes)));
    decoded.unwrap_or_else(|_| Err(Refusal("its decoder failed on it".into())))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);

    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(Refusal("its content is of no known image format".into()));
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    let too_large = |limit: String| {
        Refusal(format!(
            "it has {width}×{height} pixels; the limit is {limit}"
        ))
    };
    if width.max(height) > MAX_SIDE {
        return Err(too_large(format!("{MAX_SIDE} pixels per side")));
    }
    // The decoder counts neither the pixels that it decodes into nor those that grey is expanded to.
    let as_rgb = u64::from(width) * u64::from(height) * 3;
    let reserved = limits.reserve(decoder.total_bytes().max(as_rgb));
    reserved.map_err(|_| too_large(format!("{} MiB of memory", MAX_BYTES >> 20)))?;
    decoder.set_limits(limits)?;
    // Decoders make the missing part grey.
    if jpeg_ends_early(bytes) {
        let reason = "the file ends before its picture does; copy or download it again";
        return Err(Refusal(reason.into()));
    }

    // An image that decodes is used even if its EXIF block is damaged.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    image.apply_orientation(orientation);
    if image.width() == 0 || image.height() == 0 {
        return Err(Refusal("the image has no pixels".into()));
    }
    Ok(image)
}

fn refuse(error: ImageError) -> Refusal {
    let tiff = ImageFormatHint::Exact(ImageFormat::Tiff);
    match error {
        ImageError::Unsupported(why) if why.format_hint() == tiff => Refusal(format!(
            "it is a TIFF of a kind that is not read: save it with grey or RGB samples of 8 or 16 bits and \
             no palette, or as PNG ({why})"
        )),
        error => error.into(),
    }
}

/// Crops the largest square in the centre and scales it to this side.
pub(crate) fn centre_square(image: RgbImage, side: u32) -> RgbImage {
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

impl<E: Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
