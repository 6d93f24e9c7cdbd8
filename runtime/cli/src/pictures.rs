//! Reading and writing of image files.

use std::io::Cursor;
use std::path::Path;

use anyhow::Result;
use faa_op::{Channels, ImageMut, ImageRef};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};

/// An 8-bit image in memory.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) samples: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: Channels,
}

impl Picture {
    /// Reads an image file like those of data sets in folders: the format is detected from the content.
    /// Grey images stay grey, alpha is kept, and samples of more than 8 bits become 8 bits.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let image = faa_data::read_image(path)?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let color = image.color();
        let (samples, channels) = match (color.has_color(), color.has_alpha()) {
            (false, false) => (image.into_luma8().into_raw(), Channels::L),
            (true, false) => (image.into_rgb8().into_raw(), Channels::Rgb),
            (_, true) => (image.into_rgba8().into_raw(), Channels::Rgba),
        };
        Ok(Self {
            samples,
            width,
            height,
            channels,
        })
    }

    pub(crate) fn as_ref(&self) -> ImageRef<'_> {
        ImageRef::new(&self.samples, self.width, self.height, self.channels)
            .expect("decoded images have the length of their shape")
    }

    /// Size and channels, such as `32×32 RGB`.
    pub(crate) fn shape(&self) -> String {
        let channels = match self.channels {
            Channels::L => "L",
            Channels::Rgb => "RGB",
            Channels::Rgba => "RGBA",
        };
        format!("{}×{} {channels}", self.width, self.height)
    }

    pub(crate) fn as_mut(&mut self) -> ImageMut<'_> {
        ImageMut::new(&mut self.samples, self.width, self.height, self.channels)
            .expect("decoded images have the length of their shape")
    }

    /// The image as a PNG file.
    pub(crate) fn into_png(self) -> Result<Vec<u8>> {
        png_of(&self.into_dynamic())
    }

    fn into_dynamic(self) -> DynamicImage {
        let (width, height) = (self.width as u32, self.height as u32);
        let reason = "the samples have the length of their shape";
        match self.channels {
            Channels::L => GrayImage::from_raw(width, height, self.samples)
                .expect(reason)
                .into(),
            Channels::Rgb => RgbImage::from_raw(width, height, self.samples)
                .expect(reason)
                .into(),
            Channels::Rgba => RgbaImage::from_raw(width, height, self.samples)
                .expect(reason)
                .into(),
        }
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
        let (width, height) = (first.width as u32, first.height as u32);
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

    /// Draws the next picture.
    pub(crate) fn draw(&mut self, picture: Picture) {
        let (width, height) = self.tile;
        let enlarged = width as usize >= picture.width;
        let filter = if enlarged {
            FilterType::Nearest
        } else {
            FilterType::Triangle
        };
        let tile = picture
            .into_dynamic()
            .resize_exact(width, height, filter)
            .into_rgb8();
        let (column, row) = (self.drawn % self.columns, self.drawn / self.columns);
        let x = Self::GAP + column * (width + Self::GAP);
        let y = Self::GAP + row * (height + Self::GAP);
        imageops::replace(&mut self.sheet, &tile, x.into(), y.into());
        self.drawn += 1;
    }

    /// The sheet as a PNG file.
    pub(crate) fn into_png(self) -> Result<Vec<u8>> {
        png_of(&self.sheet.into())
    }
}

fn png_of(image: &DynamicImage) -> Result<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}
