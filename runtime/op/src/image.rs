use crate::{Channels, ShapeError, ShapeErrorKind};

/// A borrowed image: 8 bits per sample, channels interleaved, rows from the top.
///
/// Rows may lie apart, so that a part of a larger image is an image too.
#[derive(Clone, Copy, Debug)]
pub struct ImageRef<'a> {
    /// From the first sample of the first row to the last of the last row.
    samples: &'a [u8],
    width: usize,
    height: usize,
    channels: Channels,
    /// From the start of a row to that of the next, in bytes.
    stride: usize,
}

impl<'a> ImageRef<'a> {
    /// Views `samples` as an image whose rows follow each other without padding.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a side is zero or the length is not `width × height × channels`.
    pub fn new(
        samples: &'a [u8],
        width: usize,
        height: usize,
        channels: Channels,
    ) -> Result<Self, ShapeError> {
        let (expected, found) = (channels.image_bytes(width, height)?, samples.len());
        if found != expected {
            return Err(ShapeErrorKind::Length { expected, found }.into());
        }
        Self::with_stride(samples, width, height, channels, width * channels.count())
    }

    /// Views `samples` as an image whose rows start `stride` bytes apart. What lies between the end
    /// of a row and the start of the next never shows in a result; it need not be there after the last
    /// row.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a side is zero, the stride is shorter than a row, or `samples` is
    /// shorter than `stride × (height − 1)` and a row.
    pub fn with_stride(
        samples: &'a [u8],
        width: usize,
        height: usize,
        channels: Channels,
        stride: usize,
    ) -> Result<Self, ShapeError> {
        if height == 0 {
            return Err(ShapeErrorKind::Empty.into());
        }
        let row = channels.image_bytes(width, 1)?;
        if stride < row {
            return Err(ShapeErrorKind::Stride { row, found: stride }.into());
        }
        let expected = stride
            .checked_mul(height - 1)
            .and_then(|above| above.checked_add(row))
            .ok_or(ShapeErrorKind::TooLarge)?;
        let found = samples.len();
        Ok(Self {
            samples: samples
                .get(..expected)
                .ok_or(ShapeErrorKind::Length { expected, found })?,
            width,
            height,
            channels,
            stride,
        })
    }

    /// The part of the image with its upper left corner at (`x`, `y`); nothing is copied.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the part is empty or does not lie within the image.
    pub fn crop(
        &self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    ) -> Result<ImageRef<'a>, ShapeError> {
        let inside = |start: usize, length: usize, whole: usize| {
            start.checked_add(length).is_some_and(|end| end <= whole)
        };
        if width == 0 || height == 0 {
            return Err(ShapeErrorKind::Empty.into());
        }
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            return Err(ShapeErrorKind::Outside.into());
        }
        let start = y * self.stride + x * self.channels.count();
        let samples = &self.samples[start..];
        Self::with_stride(samples, width, height, self.channels, self.stride)
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The channels of a pixel.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// From the start of a row to that of the next, in bytes; at least `width × channels`.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All samples, `width × height × channels` of them; `None` if rows are followed by padding.
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        let row = self.width * self.channels.count();
        (self.stride == row || self.height == 1).then_some(self.samples)
    }

    /// All samples with the padding between the rows, from the first sample of the first row to
    /// the last of the last.
    pub fn strided_samples(&self) -> &'a [u8] {
        self.samples
    }

    /// The rows from the top, `width × channels` samples each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let row = self.width * self.channels.count();
        self.samples
            .chunks(self.stride)
            .map(move |chunk| &chunk[..row])
    }
}

/// A mutably borrowed image: 8 bits per sample, channels interleaved, rows from the top without
/// padding.
#[derive(Debug)]
pub struct ImageMut<'a> {
    samples: &'a mut [u8],
    width: usize,
    height: usize,
    channels: Channels,
}

impl<'a> ImageMut<'a> {
    /// Views `samples` as an image.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a side is zero or the length is not `width × height × channels`.
    pub fn new(
        samples: &'a mut [u8],
        width: usize,
        height: usize,
        channels: Channels,
    ) -> Result<Self, ShapeError> {
        ImageRef::new(samples, width, height, channels)?;
        Ok(Self {
            samples,
            width,
            height,
            channels,
        })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The channels of a pixel.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// All samples, `width × height × channels` of them.
    pub fn samples(&self) -> &[u8] {
        self.samples
    }

    /// All samples, to be changed.
    pub fn samples_mut(&mut self) -> &mut [u8] {
        self.samples
    }

    /// One row of `width × channels` samples.
    ///
    /// # Panics
    ///
    /// If `y` is not below the height.
    pub fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let stride = self.width * self.channels.count();
        &mut self.samples[y * stride..][..stride]
    }

    /// The same image, to be read.
    pub fn as_ref(&self) -> ImageRef<'_> {
        ImageRef {
            samples: self.samples,
            width: self.width,
            height: self.height,
            channels: self.channels,
            stride: self.width * self.channels.count(),
        }
    }

    /// Whether `other` has as many columns, rows and channels.
    pub fn has_shape_of(&self, other: ImageRef<'_>) -> bool {
        (self.width, self.height, self.channels) == (other.width, other.height, other.channels)
    }

    /// Overwrites the image with one of the same shape.
    ///
    /// # Errors
    ///
    /// [`ShapeErrorKind::Differs`] if the shapes are not the same; the image is unchanged.
    pub fn copy_from(&mut self, source: ImageRef<'_>) -> Result<(), ShapeError> {
        if !self.has_shape_of(source) {
            return Err(ShapeErrorKind::Differs.into());
        }
        if let Some(samples) = source.contiguous() {
            self.samples.copy_from_slice(samples);
        } else {
            let row = self.width * self.channels.count();
            for (to, from) in self.samples.chunks_exact_mut(row).zip(source.rows()) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        let check = |length, width, height| {
            ImageRef::new(&[0; 12][..length], width, height, Channels::Rgb).map(drop)
        };
        let error = |length, width, height| check(length, width, height).unwrap_err().kind();
        assert_eq!(error(0, 0, 3), ShapeErrorKind::Empty);
        assert_eq!(error(0, 3, 0), ShapeErrorKind::Empty);
        assert_eq!(error(12, usize::MAX, 2), ShapeErrorKind::TooLarge);
        let (expected, found) = (12, 11);
        assert_eq!(error(11, 2, 2), ShapeErrorKind::Length { expected, found });
        assert_eq!(check(12, 2, 2), Ok(()));
    }

    #[test]
    fn a_stride_that_does_not_fit_is_refused() {
        let error = |length, width, height, stride| {
            let samples = &[0; 64][..length];
            let image = ImageRef::with_stride(samples, width, height, Channels::Rgb, stride);
            image.unwrap_err().kind()
        };
        assert_eq!(error(64, 0, 1, 9), ShapeErrorKind::Empty);
        assert_eq!(error(64, 1, 0, 9), ShapeErrorKind::Empty);
        let stride = ShapeErrorKind::Stride { row: 12, found: 11 };
        assert_eq!(error(64, 4, 1, 11), stride);
        assert_eq!(error(64, usize::MAX, 1, 11), ShapeErrorKind::TooLarge);
        assert_eq!(error(64, 1, 3, usize::MAX / 2), ShapeErrorKind::TooLarge);
        let (expected, found) = (13 + 9, 21);
        let length = ShapeErrorKind::Length { expected, found };
        assert_eq!(error(21, 3, 2, 13), length);
    }

    #[test]
    fn rows_follow_each_other_without_padding() {
        let mut samples = [1, 2, 3, 4, 5, 6];
        let mut image = ImageMut::new(&mut samples, 2, 3, Channels::L).unwrap();
        assert_eq!(image.row_mut(2), [5, 6]);
    }

    #[test]
    fn a_part_of_an_image_has_the_rows_of_that_part() {
        let samples: Vec<u8> = (0..30).collect();
        let whole = ImageRef::new(&samples, 5, 6, Channels::L).unwrap();
        let part = whole.crop(3, 1, 2, 3).unwrap();
        assert!(part.rows().eq([[8, 9], [13, 14], [18, 19]]));
        assert_eq!(part.contiguous(), None);
        let inner = part.crop(1, 2, 1, 1).unwrap();
        assert_eq!(inner.contiguous(), Some(&[19][..]));
        let all = whole.crop(0, 0, 5, 6).unwrap();
        assert_eq!(all.contiguous(), Some(&*samples));

        let mut copied = [0; 6];
        let mut image = ImageMut::new(&mut copied, 2, 3, Channels::L).unwrap();
        image.copy_from(part).unwrap();
        assert_eq!(image.copy_from(whole), Err(ShapeErrorKind::Differs.into()));
        assert_eq!(copied, [8, 9, 13, 14, 18, 19]);
        for (x, y, width, height) in [(4, 0, 2, 1), (0, 5, 1, 2), (usize::MAX, 0, 1, 1)] {
            let error = whole.crop(x, y, width, height).unwrap_err();
            assert_eq!(error.kind(), ShapeErrorKind::Outside);
        }
        let empty = whole.crop(1, 1, 0, 1).unwrap_err();
        assert_eq!(empty.kind(), ShapeErrorKind::Empty);
    }
}
