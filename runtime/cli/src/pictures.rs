//! Image files in and out.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use anyhow::{Context, Result};
use faa_op::{Channels, ImageMut};
use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, RgbaImage,
};

/// The largest side of an image that is read.
const MAX_SIDE: u32 = 32_768;
/// The most memory that reading an image may take.
const MAX_BYTES: u64 = 1 << 30;

/// An 8-bit image in memory.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) samples: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: Channels,
}

impl Picture {
    /// Reads any format that is known by its content, turned as its EXIF orientation says. Grey
    /// stays grey and alpha stays alpha; deeper samples become 8 bits.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<DynamicImage> {
            let mut reader =
                ImageReader::new(BufReader::new(File::open(path)?)).with_guessed_format()?;
            let mut limits = Limits::default();
            limits.max_image_width = Some(MAX_SIDE);
            limits.max_image_height = Some(MAX_SIDE);
            limits.max_alloc = Some(MAX_BYTES);
            reader.limits(limits);
            let mut decoder = reader.into_decoder()?;
            let orientation = decoder.orientation()?;
            let mut image = DynamicImage::from_decoder(decoder)?;
            image.apply_orientation(orientation);
            Ok(image)
        };
        let image = read().with_context(|| format!("cannot read the image {}", path.display()))?;
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
        let whole = "the samples have the length of their shape";
        match self.channels {
            Channels::L => GrayImage::from_raw(width, height, self.samples)
                .expect(whole)
                .into(),
            Channels::Rgb => RgbImage::from_raw(width, height, self.samples)
                .expect(whole)
                .into(),
            Channels::Rgba => RgbaImage::from_raw(width, height, self.samples)
                .expect(whole)
                .into(),
        }
    }
}

/// Tiles of equal size side by side and below each other, as a PNG file.
pub(crate) fn contact_sheet(tiles: Vec<Picture>) -> Result<Vec<u8>> {
    /// Smaller tiles are enlarged by a whole factor, so that people see something.
    const READABLE: u32 = 96;
    const GAP: u32 = 4;
    let (width, height) = (tiles[0].width as u32, tiles[0].height as u32);
    let zoom = (READABLE / width.min(height)).max(1);
    let (width, height) = (width * zoom, height * zoom);
    let columns = (tiles.len() as f64).sqrt().ceil() as u32;
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(
        columns * (width + GAP) + GAP,
        rows * (height + GAP) + GAP,
        image::Rgb([255; 3]),
    );
    for (place, tile) in (0_u32..).zip(tiles) {
        let nearest = image::imageops::FilterType::Nearest;
        let tile = tile
            .into_dynamic()
            .resize_exact(width, height, nearest)
            .into_rgb8();
        let (x, y) = (place % columns, place / columns);
        let (x, y) = (GAP + x * (width + GAP), GAP + y * (height + GAP));
        image::imageops::replace(&mut sheet, &tile, x.into(), y.into());
    }
    png_of(&sheet.into())
}

fn png_of(image: &DynamicImage) -> Result<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}
