//! Images that become the pixels of a data set.

use std::path::PathBuf;

use image::RgbImage;
use rayon::prelude::*;

use crate::decode::{self, Refusal};
use crate::error::{DataError, DataErrorKind, Unreadable, shown};

/// The maximum size of the pixels of both splits, in bytes.
pub(crate) const MAX_BYTES: u64 = 8 << 30;

/// All images of a data set, decoded to one size in any order.
pub(crate) struct Assembly {
    /// The requested side.
    side: Option<u32>,
    /// The images' names in messages.
    paths: Vec<PathBuf>,
    /// The size of all images: the requested one, or that of the first that was decoded.
    size: Option<(u32, u32)>,
    /// The size of every image that was decoded.
    sizes: Vec<Option<(u32, u32)>>,
    pixels: Vec<u8>,
    /// By index.
    refused: Vec<(usize, Refusal)>,
}

/// How many images are added at once, at most: enough for all threads to be busy.
pub(crate) fn batch() -> usize {
    16 * rayon::current_num_threads()
}

/// Where the bytes of an image are.
#[derive(Debug)]
pub(crate) enum Content {
    /// In the file that the path names.
    OnDisk,
    /// In memory.
    Held(Vec<u8>),
    /// Not available, for this reason.
    Refused(String),
}

impl Assembly {
    pub(crate) fn new(paths: Vec<PathBuf>, side: Option<u32>) -> Result<Self, DataError> {
        let mut assembly = Self {
            side,
            size: None,
            sizes: vec![None; paths.len()],
            paths,
            pixels: Vec::new(),
            refused: Vec::new(),
        };
        if let Some(side) = side {
            assembly.set_size((side, side))?;
        }
        Ok(assembly)
    }

    fn set_size(&mut self, size: (u32, u32)) -> Result<(), DataError> {
        self.pixels = reserve(self.paths.len(), size)?;
        self.size = Some(size);
        Ok(())
    }

    /// Decodes images, each given with its index.
    pub(crate) fn add(&mut self, mut images: &[(usize, Content)]) -> Result<(), DataError> {
        // One after the other, until one of them gives the size.
        while let (None, Some(((index, content), rest))) = (self.size, images.split_first()) {
            let decoded = self.decode(*index, content);
            self.put(*index, decoded)?;
            images = rest;
        }
        let decoded = images.par_iter();
        let decoded: Vec<_> = decoded
            .map(|(index, content)| self.decode(*index, content))
            .collect();
        let mut decoded = images.iter().zip(decoded);
        decoded.try_for_each(|((index, _), decoded)| self.put(*index, decoded))
    }

    /// An image and its size; without its pixels if the size is not that of all images.
    fn decode(&self, index: usize, content: &Content) -> Decoded {
        let picture = match content {
            Content::OnDisk => decode::read(&self.paths[index], self.side)?,
            Content::Held(bytes) => decode::read_bytes(bytes, self.side)?,
            Content::Refused(reason) => return Err(Refusal(reason.clone())),
        };
        let size = picture.dimensions();
        let fits = self.size.is_none_or(|expected| expected == size);
        Ok((size, if fits { picture } else { RgbImage::default() }))
    }

    fn put(&mut self, index: usize, decoded: Decoded) -> Result<(), DataError> {
        match decoded {
            Err(refusal) => self.refused.push((index, refusal)),
            Ok((size, picture)) => {
                self.sizes[index] = Some(size);
                if self.size.is_none() {
                    self.set_size(size)?;
                }
                if self.size == Some(size) {
                    let stride = stride(size);
                    self.pixels[index * stride..][..stride].copy_from_slice(&picture);
                }
            }
        }
        Ok(())
    }

    /// The size of all images, and their pixels.
    pub(crate) fn finish(mut self) -> Result<((u32, u32), Vec<u8>), DataError> {
        // Unreadable files are reported first: their repair may also repair the sizes.
        if !self.refused.is_empty() {
            self.refused.sort_by_key(|(index, _)| *index);
            let files = self.refused.into_iter().map(|(index, Refusal(reason))| {
                let path = self.paths[index].clone();
                Unreadable { path, reason }
            });
            return Err(DataError::unreadable_files(files.collect()));
        }
        let size = |index: usize| self.sizes[index].unwrap_or_default();
        let Some(different) = (1..self.paths.len()).find(|&index| size(index) != size(0)) else {
            return Ok((self.size.unwrap_or_default(), self.pixels));
        };
        let ((width, height), (first_width, first_height)) = (size(different), size(0));
        let smallest = width.min(height).min(first_width).min(first_height);
        let words = format!(
            "is {width}×{height}, but {} is {first_width}×{first_height}; all images must have the \
             same size, or be scaled to one with `--image-size N` (such as {smallest})",
            shown(&self.paths[0])
        );
        let path = &self.paths[different];
        Err(DataError::of(DataErrorKind::UnequalSizes, path, words))
    }
}

type Decoded = Result<((u32, u32), RgbImage), Refusal>;

/// Black pixels for `images` images.
pub(crate) fn reserve(images: usize, size: (u32, u32)) -> Result<Vec<u8>, DataError> {
    let bytes = within_limit(images, size)?;
    let mut pixels = Vec::new();
    if pixels.try_reserve_exact(bytes).is_err() {
        return Err(too_large(images, size));
    }
    pixels.resize(bytes, 0);
    Ok(pixels)
}

/// The bytes that `images` images take, if that is within the limit.
pub(crate) fn within_limit(images: usize, size: (u32, u32)) -> Result<usize, DataError> {
    let bytes = images.checked_mul(stride(size));
    let held = bytes.filter(|&bytes| bytes as u64 <= MAX_BYTES);
    held.ok_or_else(|| too_large(images, size))
}

fn too_large(images: usize, (width, height): (u32, u32)) -> DataError {
    let bytes = images as u128 * stride((width, height)) as u128;
    let message = format!(
        "{images} images of {width}×{height} take {bytes} bytes of memory, and the limit is \
         {MAX_BYTES}; use a smaller `--image-size N`, or fewer images"
    );
    DataError::new(DataErrorKind::TooLarge, message)
}

/// The bytes of one image of this width and height.
pub(crate) fn stride((width, height): (u32, u32)) -> usize {
    width as usize * height as usize * 3
}
