//! Reading and writing of image files.

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use anyhow::Result;
use faa_op::{Channels, ImageMut, ImageRef};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbImage};

/// A format of image files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Png,
    /// Quality from 1 to 100.
    Jpeg {
        quality: u8,
    },
    /// Without loss.
    Webp,
}

impl Encoding {
    /// The extension of files of this format.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpg",
            Self::Webp => "webp",
        }
    }

    /// Whether a picture has alpha that this format does not.
    pub(crate) fn drops_alpha(self, picture: &Picture) -> bool {
        matches!(self, Self::Jpeg { .. }) && picture.0.color().has_alpha()
    }
}

/// An 8-bit image in memory: grey, RGB or RGBA.
#[derive(Clone)]
pub(crate) struct Picture(DynamicImage);

impl Picture {
    /// Reads an image file like those of data sets in folders: the format is detected from the content.
    /// Grey images stay grey, alpha is kept, and samples of more than 8 bits become 8 bits.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Self::new(faa_data::read_image(path)?))
    }

    /// A decoded image: as [`read`](Self::read).
    pub(crate) fn new(image: DynamicImage) -> Self {
        let color = image.color();
        Self(match (color.has_color(), color.has_alpha()) {
            (false, false) => image.into_luma8().into(),
            (true, false) => image.into_rgb8().into(),
            (_, true) => image.into_rgba8().into(),
        })
    }

    pub(crate) fn as_ref(&self) -> ImageRef<'_> {
        let (width, height, channels) = self.shape();
        ImageRef::new(self.0.as_bytes(), width, height, channels)
            .expect("decoded images have the length of their shape")
    }

    pub(crate) fn as_mut(&mut self) -> ImageMut<'_> {
        let (width, height, channels) = self.shape();
        let samples: &mut [u8] = match &mut self.0 {
            DynamicImage::ImageLuma8(image) => image,
            DynamicImage::ImageRgb8(image) => image,
            DynamicImage::ImageRgba8(image) => image,
            _ => unreachable!("`read` returns no other kinds"),
        };
        ImageMut::new(samples, width, height, channels)
            .expect("decoded images have the length of their shape")
    }

    /// This picture, to be overwritten by one of the shape of `other`; or a copy of `other`.
    pub(crate) fn reuse(self, other: &Self) -> Self {
        match self.shape() == other.shape() {
            true => self,
            false => other.clone(),
        }
    }

    fn shape(&self) -> (usize, usize, Channels) {
        let channels = Channels::from_count(self.0.color().channel_count().into());
        let channels = channels.expect("`read` returns images of 1, 3 or 4 channels");
        (self.0.width() as usize, self.0.height() as usize, channels)
    }

    /// The image as a PNG file.
    pub(crate) fn into_png(self) -> Result<Vec<u8>> {
        self.encoded(Encoding::Png)
    }

    /// The image as a file. JPEG has no alpha, so it is dropped, as where data sets are read.
    pub(crate) fn encoded(&self, encoding: Encoding) -> Result<Vec<u8>> {
        self.encoded_into(encoding, Vec::new())
    }

    /// As [`encoded`](Self::encoded), in the memory of a file that is no longer needed.
    pub(crate) fn encoded_into(&self, encoding: Encoding, mut file: Vec<u8>) -> Result<Vec<u8>> {
        file.clear();
        let mut file = Cursor::new(file);
        match encoding {
            Encoding::Png => self.0.write_to(&mut file, ImageFormat::Png)?,
            Encoding::Webp => self.0.write_to(&mut file, ImageFormat::WebP)?,
            Encoding::Jpeg { quality } => {
                let encoder = JpegEncoder::new_with_quality(&mut file, quality);
                match encoding.drops_alpha(self) {
                    true => self.0.to_rgb8().write_with_encoder(encoder)?,
                    false => self.0.write_with_encoder(encoder)?,
                }
            }
        }
        Ok(file.into_inner())
    }
}

/// Size and channels, such as `32×32 RGB`.
impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height, channels) = self.shape();
        let channels = match channels {
            Channels::L => "L",
            Channels::Rgb => "RGB",
            Channels::Rgba => "RGBA",
        };
        write!(f, "{width}×{height} {channels}")
    }
}

/// A grid of pictures of the same size, drawn one after the other.
pub(crate) struct ContactSheet {
    sheet: RgbImage,
    tile: (u32, u32),
    columns: u32,
    drawn: u32,
}

impl ContactSheet {
    /// Smaller pictures are enlarged by an integer factor, so that details can be seen.
    const READABLE: u32 = 96;
    /// Larger pictures are shrunk, so that sheets of photographs do not become huge.
    const LARGE: u32 = 256;
    const GAP: u32 = 4;

    /// A sheet for `count` pictures of the size of `first`.
    pub(crate) fn new(first: &Picture, count: u32) -> Self {
        let (width, height) = (first.0.width(), first.0.height());
        let longer = width.max(height);
        let tile = if longer > Self::LARGE {
            let shrunk = |side: u32| (side * Self::LARGE / longer).max(1);
            (shrunk(width), shrunk(height))
        } else {
            let zoom = (Self::READABLE / width.min(height)).clamp(1, Self::LARGE / longer);
            (width * zoom, height * zoom)
        };
        let columns = f64::from(count).sqrt().ceil() as u32;
        let side = |tiles: u32, side: u32| tiles * (side + Self::GAP) + Self::GAP;
        let (width, height) = (side(columns, tile.0), side(count.div_ceil(columns), tile.1));
        let sheet = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
        Self {
            sheet,
            tile,
            columns,
            drawn: 0,
        }
    }

    /// Draws the next picture. `paint` draws on it, and is given how much larger it is on the sheet.
    pub(crate) fn draw(&mut self, picture: &Picture, paint: impl FnOnce(&mut RgbImage, [f64; 2])) {
        let (width, height) = self.tile;
        let filter = match width >= picture.0.width() {
            true => FilterType::Nearest,
            false => FilterType::Triangle,
        };
        let mut tile = picture.0.resize_exact(width, height, filter).into_rgb8();
        let scale = |tile: u32, side: u32| f64::from(tile) / f64::from(side);
        let (across, down) = (
            scale(width, picture.0.width()),
            scale(height, picture.0.height()),
        );
        paint(&mut tile, [across, down]);
        let (column, row) = (self.drawn % self.columns, self.drawn / self.columns);
        let x = Self::GAP + column * (width + Self::GAP);
        let y = Self::GAP + row * (height + Self::GAP);
        imageops::replace(&mut self.sheet, &tile, x.into(), y.into());
        self.drawn += 1;
    }

    /// The sheet as a PNG file.
    pub(crate) fn into_png(self) -> Result<Vec<u8>> {
        Picture(self.sheet.into()).into_png()
    }
}
