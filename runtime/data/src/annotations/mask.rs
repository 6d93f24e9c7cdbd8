//! Masks in PNG files.

use std::borrow::Cow;
use std::io::Cursor;
use std::panic;

use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

use super::error::{AnnotationError, AnnotationErrorKind};
use crate::decode::{MAX_BYTES, MAX_SIDE};

/// The largest file that is read, and the most bytes that its labels may take, in bytes: 256 MiB.
pub const MAX_MASK_BYTES: u64 = MAX_BYTES;

/// A label for each pixel: a PNG of one channel.
///
/// Labels are the numbers that the file has: of a palette its indices, and of grey samples with fewer than 8 bits
/// what is stored, not what it is expanded to.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMask {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// In rows from the top.
    pub labels: MaskLabels,
    depth: BitDepth,
    /// Three bytes per label, and the alpha of labels, of a file that has a palette.
    palette: Option<Vec<u8>>,
    alpha: Option<Vec<u8>>,
}

/// The labels of a mask.
#[derive(Clone, Debug, PartialEq)]
pub enum MaskLabels {
    /// Of files with up to 8 bits per sample.
    U8(Vec<u8>),
    /// Of files with 16 bits per sample.
    U16(Vec<u16>),
}

impl LabelMask {
    /// Reads a PNG file.
    ///
    /// # Errors
    ///
    /// [`AnnotationErrorKind::Png`] if it cannot be read, [`AnnotationErrorKind::Unsupported`] if it has several
    /// channels or frames, and [`AnnotationErrorKind::TooLarge`] beyond the limits of images.
    pub fn parse(file: &[u8]) -> Result<Self, AnnotationError> {
        // The file is hostile, and a panic of its decoder must cost the file, not the program.
        let read = panic::catch_unwind(|| Self::read(file)).unwrap_or_else(|_| {
            let reason = "its decoder failed on it".to_owned();
            Err(AnnotationErrorKind::Png(reason))
        });
        read.map_err(|kind| AnnotationError::new("", kind))
    }

    fn read(file: &[u8]) -> Result<Self, AnnotationErrorKind> {
        let limit = MAX_BYTES as usize;
        let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: limit });
        decoder.set_transformations(Transformations::IDENTITY);
        decoder.set_ignore_text_chunk(true);
        let mut reader = decoder.read_info().map_err(|error| refused(&error))?;
        let info = reader.info();
        let (width, height, depth) = (info.width, info.height, info.bit_depth);
        let unsupported = |what| Err(AnnotationErrorKind::Unsupported(what));
        match info.color_type {
            ColorType::Grayscale | ColorType::Indexed => {}
            ColorType::GrayscaleAlpha => {
                return unsupported("a mask with alpha; save it with one channel");
            }
            ColorType::Rgb | ColorType::Rgba => {
                return unsupported(
                    "a mask of colours; save it with one channel, grey or a palette",
                );
            }
        }
        if info.animation_control.is_some() {
            return unsupported("a mask of several frames");
        }
        let pixels = u64::from(width) * u64::from(height);
        let bytes = pixels * if depth == BitDepth::Sixteen { 2 } else { 1 };
        if width.max(height) > MAX_SIDE || bytes > MAX_BYTES {
            let limit = MAX_BYTES.min(u64::from(MAX_SIDE).pow(2));
            return Err(AnnotationErrorKind::TooLarge { bytes, limit });
        }
        let is_indexed = info.color_type == ColorType::Indexed;
        let kept = |chunk: &Option<Cow<'_, [u8]>>| {
            let chunk = chunk.as_ref().filter(|_| is_indexed);
            chunk.map(|bytes| bytes.to_vec())
        };
        let (palette, alpha) = (kept(&info.palette), kept(&info.trns));
        if is_indexed && palette.is_none() {
            return Err(AnnotationErrorKind::Png("it has no palette".to_owned()));
        }
        let mut samples = vec![0; reader.output_buffer_size().unwrap_or(0)];
        reader
            .next_frame(&mut samples)
            .map_err(|error| refused(&error))?;
        let line = reader.output_line_size(width).unwrap_or(0);
        let labels = match depth {
            BitDepth::Sixteen => {
                let pairs = samples.as_chunks::<2>().0.iter();
                MaskLabels::U16(pairs.map(|pair| u16::from_be_bytes(*pair)).collect())
            }
            BitDepth::Eight => MaskLabels::U8(samples),
            _ => MaskLabels::U8(unpacked(&samples, line, width as usize, depth as usize)),
        };
        Ok(Self {
            width,
            height,
            labels,
            depth,
            palette,
            alpha,
        })
    }

    /// The largest label that its file can hold.
    #[must_use]
    pub fn max_label(&self) -> u16 {
        match &self.palette {
            Some(palette) => (palette.len() / 3).saturating_sub(1) as u16,
            None => u16::MAX >> (16 - self.depth as u32),
        }
    }

    /// The mask as a PNG file of the same kind.
    ///
    /// # Errors
    ///
    /// [`AnnotationErrorKind::Png`] if its labels are not as many as its pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, AnnotationError> {
        self.write()
            .map_err(|error| AnnotationError::new("", AnnotationErrorKind::Png(error.to_string())))
    }

    fn write(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.width, self.height);
        encoder.set_depth(self.depth);
        encoder.set_color(ColorType::Grayscale);
        if let Some(palette) = &self.palette {
            encoder.set_color(ColorType::Indexed);
            encoder.set_palette(palette.as_slice());
            if let Some(alpha) = &self.alpha {
                encoder.set_trns(alpha.as_slice());
            }
        }
        let mut writer = encoder.write_header()?;
        match &self.labels {
            MaskLabels::U8(labels) if self.depth == BitDepth::Eight => {
                writer.write_image_data(labels)?;
            }
            MaskLabels::U8(labels) => {
                let packed = packed(labels, self.width as usize, self.depth as usize);
                writer.write_image_data(&packed)?;
            }
            MaskLabels::U16(labels) => {
                let bytes = labels.iter().flat_map(|label| label.to_be_bytes());
                writer.write_image_data(&bytes.collect::<Vec<u8>>())?;
            }
        }
        writer.finish()?;
        Ok(file)
    }
}

fn refused(error: &png::DecodingError) -> AnnotationErrorKind {
    AnnotationErrorKind::Png(error.to_string())
}

/// The labels of rows of `line` bytes, in which they have fewer than 8 bits, the first in the highest.
fn unpacked(samples: &[u8], line: usize, width: usize, bits: usize) -> Vec<u8> {
    let rows = samples.chunks_exact(line.max(1));
    let label = |row: &[u8], at: usize| {
        let byte = row[at * bits / 8];
        byte >> (8 - bits - at * bits % 8) & ((1 << bits) - 1)
    };
    rows.flat_map(|row| (0..width).map(move |at| label(row, at)))
        .collect()
}

fn packed(labels: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let mut samples = Vec::new();
    for row in labels.chunks_exact(width) {
        for byte in row.chunks(8 / bits) {
            let shifted = byte.iter().enumerate();
            let shifted = shifted.map(|(at, label)| label << (8 - bits - at * bits));
            samples.push(shifted.fold(0, |byte, label| byte | label));
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use faa_op::Stream;

    use super::*;

    fn random(stream: &mut Stream, depth: BitDepth, colors: Option<usize>) -> LabelMask {
        let (width, height) = (1 + stream.below(20) as u32, 1 + stream.below(9) as u32);
        let palette = colors.map(|colors| (0..colors * 3).map(|byte| byte as u8).collect());
        let mut mask = LabelMask {
            width,
            height,
            labels: MaskLabels::U8(Vec::new()),
            depth,
            alpha: colors.map(|_| vec![9]),
            palette,
        };
        let mut labels =
            (0..width * height).map(|_| stream.below(u64::from(mask.max_label()) + 1) as u16);
        mask.labels = match depth {
            BitDepth::Sixteen => MaskLabels::U16(labels.collect()),
            _ => MaskLabels::U8(labels.by_ref().map(|label| label as u8).collect()),
        };
        mask
    }

    #[test]
    fn every_kind_survives_a_round_trip() {
        let stream = &mut Stream::for_op(1);
        for _ in 0..40 {
            for (depth, colors) in [
                (BitDepth::One, None),
                (BitDepth::Two, None),
                (BitDepth::Four, None),
                (BitDepth::Eight, None),
                (BitDepth::Sixteen, None),
                (BitDepth::One, Some(2)),
                (BitDepth::Two, Some(3)),
                (BitDepth::Four, Some(16)),
                (BitDepth::Eight, Some(200)),
            ] {
                let mask = random(stream, depth, colors);
                let file = mask.to_png().unwrap();
                assert_eq!(LabelMask::parse(&file).unwrap(), mask);
                let max = colors.map_or(u16::MAX >> (16 - depth as u32), |it| it as u16 - 1);
                assert_eq!(mask.max_label(), max);
                // A beginning is refused.
                let cut = stream.below(file.len() as u64 / 2) as usize;
                let error = LabelMask::parse(&file[..cut]).unwrap_err();
                assert!(matches!(error.kind(), AnnotationErrorKind::Png(_)));
            }
        }
    }

    #[test]
    fn other_pictures_are_refused_by_name() {
        for (color, channels, words) in [
            (ColorType::Rgb, 3, "a mask of colours"),
            (ColorType::Rgba, 4, "a mask of colours"),
            (ColorType::GrayscaleAlpha, 2, "a mask with alpha"),
        ] {
            let mut file = Vec::new();
            let mut encoder = Encoder::new(&mut file, 2, 1);
            encoder.set_color(color);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&vec![7; 2 * channels]).unwrap();
            writer.finish().unwrap();
            let error = LabelMask::parse(&file).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(LabelMask::parse(b"\xff\xd8\xff\xe0").is_err());
    }
}
