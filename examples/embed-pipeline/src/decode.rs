//! How a file becomes a square of 8-bit RGB pixels.
//!
//! Grey becomes RGB, alpha is dropped, deeper samples become 8 bits. The EXIF orientation is
//! applied. The largest square in the middle is scaled to the size by a triangle filter, which
//! averages when it shrinks; a square of that size is left as it is.
//!
//! With the feature `libjpeg-turbo`, JPEG files have the pixels that Pillow and torchvision decode, except those
//! that are at least twice as large as needed: `turbo.rs` says what they have.

use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use faa_data::jpeg_ends_early;
use faa_system::open_regular;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits};

#[cfg(feature = "libjpeg-turbo")]
use crate::turbo::Turbo;

/// How much of a file is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Decodes and resizes, in memory that it keeps from image to image; only what the decoders of
/// `image` allocate for themselves comes and goes.
pub(crate) struct Decoder {
    size: u32,
    /// `None` leaves all files to `image`.
    #[cfg(feature = "libjpeg-turbo")]
    turbo: Option<Turbo>,
    file: Vec<u8>,
    whole: Vec<u8>,
    square: Vec<u8>,
    resizer: Resizer,
}

impl Decoder {
    pub(crate) fn new(size: u32) -> Self {
        let side = size as usize;
        Self {
            size,
            #[cfg(feature = "libjpeg-turbo")]
            turbo: Some(Turbo::default()),
            file: Vec::new(),
            whole: Vec::new(),
            square: vec![0; side * side * 3],
            resizer: Resizer::new(),
        }
    }

    #[cfg(all(test, feature = "libjpeg-turbo"))]
    pub(crate) fn without_turbo(size: u32) -> Self {
        Self {
            turbo: None,
            ..Self::new(size)
        }
    }

    /// The image in a file, `size × size × 3` samples. The file's format is detected from its content.
    pub(crate) fn read(&mut self, path: &Path) -> Result<&mut [u8], Box<dyn Error>> {
        self.file.clear();
        let (file, _) = open_regular(path, File::options().read(true))?;
        file.take(MAX_FILE).read_to_end(&mut self.file)?;
        // The decoder would make the missing part grey, and a network learn that.
        if jpeg_ends_early(&self.file) {
            return Err("the file ends before its picture does".into());
        }
        let dimensions = self.decode()?;
        if dimensions == (self.size, self.size) {
            return Ok(&mut self.whole);
        }
        self.resize(dimensions)?;
        Ok(&mut self.square)
    }

    /// Decodes the file into `whole`, and returns its width and height.
    fn decode(&mut self) -> Result<(u32, u32), Box<dyn Error>> {
        #[cfg(feature = "libjpeg-turbo")]
        if let Some(turbo) = &mut self.turbo
            && let Some(dimensions) = turbo.decode(&self.file, self.size, &mut self.whole)
        {
            return Ok(dimensions);
        }
        let mut decoder = ImageReader::new(Cursor::new(&self.file))
            .with_guessed_format()?
            .into_decoder()?;
        // A file of a few bytes can claim any size, and decoders do not count what they decode into.
        Limits::default().reserve(decoder.total_bytes())?;
        // A damaged EXIF block is no reason to lose an image that decodes.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let plain =
            decoder.color_type() == ColorType::Rgb8 && orientation == Orientation::NoTransforms;
        if !plain {
            let mut image = DynamicImage::from_decoder(decoder)?;
            image.apply_orientation(orientation);
            let image = image.into_rgb8();
            let dimensions = image.dimensions();
            self.whole = image.into_raw();
            return Ok(dimensions);
        }
        let dimensions = decoder.dimensions();
        self.whole
            .resize(usize::try_from(decoder.total_bytes())?, 0);
        decoder.read_image(&mut self.whole)?;
        Ok(dimensions)
    }

    fn resize(&mut self, (width, height): (u32, u32)) -> Result<(), Box<dyn Error>> {
        // With static types: found out at run time, code for all types would be compiled.
        let from = TypedImageRef::<U8x3>::from_buffer(width, height, &self.whole)?;
        let square = &mut self.square;
        let mut to = TypedImage::<U8x3>::from_buffer(self.size, self.size, square)?;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .fit_into_destination(None);
        Ok(self.resizer.resize_typed(&from, &mut to, &options)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, ImageEncoder, Luma, Rgb, RgbImage};

    use super::*;

    #[test]
    fn the_middle_of_an_image_is_scaled_to_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let wide = folder.path().join("wide.png");
        // The filter looks a pixel beyond the square.
        let middle_is_red = |x, _| Rgb([if (3..13).contains(&x) { 200 } else { 0 }, 9, 9]);
        RgbImage::from_fn(16, 8, middle_is_red).save(&wide).unwrap();
        let grey = folder.path().join("grey.png");
        GrayImage::from_pixel(1, 7, Luma([30])).save(&grey).unwrap();

        let mut decoder = Decoder::new(4);
        assert_eq!(decoder.read(&wide).unwrap(), [200, 9, 9].repeat(16));
        assert_eq!(decoder.read(&grey).unwrap(), [30; 48]);
    }

    #[test]
    fn photographs_are_as_viewers_show_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.jpg");
        let upper_is_white = |_, y| Rgb([if y < 8 { 255 } else { 0 }; 3]);
        let picture = RgbImage::from_fn(16, 16, upper_is_white);
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
        // An EXIF block with the one entry that says "turn by 180°".
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.encode_image(&picture).unwrap();
        fs::write(&path, jpeg).unwrap();
        let mut decoder = Decoder::new(16);
        let pixels = decoder.read(&path).unwrap();
        let (first, last) = (pixels[0], pixels[16 * 16 * 3 - 1]);
        assert!(first < 10 && last > 245, "{first} above {last}");
    }

    #[test]
    fn what_is_no_image_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut decoder = Decoder::new(4);
        assert!(decoder.read(&folder.path().join("missing")).is_err());
        let text = folder.path().join("text.png");
        fs::write(&text, "no image").unwrap();
        assert!(decoder.read(&text).is_err());
        for name in ["cut.png", "cut.jpg"] {
            let cut = folder.path().join(name);
            RgbImage::new(20, 20).save(&cut).unwrap();
            let whole = fs::read(&cut).unwrap();
            fs::write(&cut, &whole[..whole.len() - 9]).unwrap();
            assert!(decoder.read(&cut).is_err(), "{name}");
        }
        // Reading it would never end.
        let error = decoder.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
    }
}
