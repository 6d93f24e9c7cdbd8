//! JPEG files, decoded by libjpeg-turbo.
//!
//! It is written in C, and takes 0.6 to 0.8 of the time of `image`'s decoder (`BENCHMARKS.md`). Its pixels are Pillow's and
//! torchvision's, which decode with it too; those of `image` differ from them by a few levels, so results with this
//! feature differ a little from those without it.
//!
//! **Scaled decoding.** If the shorter side is at least twice the size that is needed, the file is decoded to the half,
//! a quarter or an eighth, whichever is the smallest that still suffices. Every block of 8×8 pixels then becomes one
//! of 4×4, 2×2 or 1×1, without the frequencies that these cannot hold. The triangle filter does the rest. These pixels are
//! not those of scaling the whole image; what they have in common with Pillow is its `Image.draft`.

use faa_data::jpeg_exif;
use image::Limits;
use image::metadata::Orientation;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

/// A decoder, which is created when it is first needed.
#[derive(Default)]
pub(crate) struct Turbo {
    decompressor: Option<Decompressor>,
}

impl Turbo {
    /// Decodes a file to 8-bit RGB pixels whose sides are at least `size`, if those of the file are, and returns their
    /// width and height.
    ///
    /// `None` if it is not a JPEG of the usual kind, or is damaged: `image`'s decoder then says what it is.
    pub(crate) fn decode(
        &mut self,
        file: &[u8],
        size: u32,
        pixels: &mut Vec<u8>,
    ) -> Option<(u32, u32)> {
        if !file.starts_with(&[0xff, 0xd8]) || is_turned(file) {
            return None;
        }
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            empty => empty.insert(decompressor()?),
        };
        let header = decompressor.read_header(file).ok()?;
        if !matches!(
            header.colorspace,
            Colorspace::YCbCr | Colorspace::RGB | Colorspace::Gray
        ) {
            return None;
        }
        // A progressive file is decoded into coefficients of the whole picture, whatever the scale.
        let whole = header.width.checked_mul(header.height)?.checked_mul(3)?;
        Limits::default().reserve_usize(whole).ok()?;
        let scale = scale(header.width.min(header.height), size as usize);
        decompressor.set_scaling_factor(scale).ok()?;
        let (width, height) = (scale.scale(header.width), scale.scale(header.height));
        let length = width.checked_mul(height)?.checked_mul(3)?;
        pixels.resize(length, 0);
        let image = Image {
            pixels: &mut pixels[..],
            width,
            pitch: width * 3,
            height,
            format: PixelFormat::RGB,
        };
        decompressor.decompress(file, image).ok()?;
        Some((width.try_into().ok()?, height.try_into().ok()?))
    }
}

fn decompressor() -> Option<Decompressor> {
    /// As many as `image` decodes: each scan of a progressive file can be about every block.
    const SCANS: u32 = 100;

    let mut decompressor = Decompressor::new().ok()?;
    decompressor.set_scan_limit(SCANS).ok()?;
    Some(decompressor)
}

fn is_turned(file: &[u8]) -> bool {
    let orientation = jpeg_exif(file).and_then(Orientation::from_exif_chunk);
    orientation.is_some_and(|it| it != Orientation::NoTransforms)
}

/// The smallest scale at which a side still has the size.
fn scale(side: usize, size: usize) -> ScalingFactor {
    let scales = [8, 4, 2].map(|divisor| ScalingFactor::new(1, divisor));
    let suffices = |scale: &ScalingFactor| scale.scale(side) >= size;
    scales
        .into_iter()
        .find(suffices)
        .unwrap_or(ScalingFactor::ONE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::codecs::jpeg::JpegEncoder;
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::decode::Decoder;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let level = |x: u32, y: u32| {
            (128.0 + 90.0 * ((x as f32 / 23.0).sin() * (y as f32 / 31.0).cos())) as u8
        };
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([level(x, y), level(y, x), 90]));
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.encode_image(&picture).unwrap();
        jpeg
    }

    fn decoded(file: &[u8], size: u32) -> (u32, u32) {
        Turbo::default()
            .decode(file, size, &mut Vec::new())
            .unwrap()
    }

    #[test]
    fn sides_are_scaled_down_but_not_below_the_size() {
        let file = jpeg(403, 201);
        for (size, expected) in [
            (202, (403, 201)),
            (201, (403, 201)),
            (102, (403, 201)),
            (101, (202, 101)),
            (51, (101, 51)),
            (26, (51, 26)),
            (1, (51, 26)),
        ] {
            assert_eq!(decoded(&file, size), expected, "{size}");
        }
    }

    /// The largest difference of samples, of the same file decoded here and by `image` in full.
    #[test]
    fn pixels_are_close_to_those_of_the_other_decoder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smooth.jpg");
        fs::write(&path, jpeg(400, 300)).unwrap();
        for (size, max) in [(300, 3), (150, 4), (75, 4), (30, 16)] {
            let ours = Decoder::new(size).read(&path).unwrap().to_vec();
            let mut without = Decoder::without_turbo(size);
            let others = without.read(&path).unwrap();
            let difference = ours
                .iter()
                .zip(others)
                .map(|(one, other)| one.abs_diff(*other));
            let difference = difference.max().unwrap();
            assert!(difference <= max, "{size}: {difference}");
        }
    }

    #[test]
    fn what_is_damaged_is_left_to_the_other_decoder() {
        let file = jpeg(64, 64);
        let mut pixels = Vec::new();
        for length in [0, 2, 20, file.len() / 2] {
            let mut turbo = Turbo::default();
            assert_eq!(
                turbo.decode(&file[..length], 8, &mut pixels),
                None,
                "{length}"
            );
        }
        assert_eq!(Turbo::default().decode(b"no image", 8, &mut pixels), None);
    }
}
