use crate::ShapeError;

/// The channels of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channels {
    /// Luminance.
    L = 1,
    /// Red, green, blue.
    Rgb = 3,
    /// Red, green, blue, alpha (not premultiplied).
    Rgba = 4,
}

impl Channels {
    /// The variant with that many channels: 1, 3 or 4.
    pub const fn from_count(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::L),
            3 => Some(Self::Rgb),
            4 => Some(Self::Rgba),
            _ => None,
        }
    }

    /// How many bytes a pixel takes: 1, 3 or 4.
    pub const fn count(self) -> usize {
        self as usize
    }

    /// How many of the channels hold colour: all but alpha.
    pub const fn color_count(self) -> usize {
        match self {
            Self::L => 1,
            Self::Rgb | Self::Rgba => 3,
        }
    }
}

/// A borrowed image: 8 bits a sample, channels interleaved, rows from the top without padding.
#[derive(Clone, Copy, Debug)]
pub struct ImageRef<'a> {
    samples: &'a [u8],
    width: usize,
    height: usize,
    channels: Channels,
}

impl<'a> ImageRef<'a> {
    /// Views `samples` as an image.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where a side is zero or the length is not `width × height × channels`.
    pub fn new(
        samples: &'a [u8],
        width: usize,
        height: usize,
        channels: Channels,
    ) -> Result<Self, ShapeError> {
        check_shape(samples.len(), width, height, channels)?;
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
    pub fn samples(&self) -> &'a [u8] {
        self.samples
    }
}

/// A mutably borrowed image, laid out like [`ImageRef`].
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
    /// [`ShapeError`] where a side is zero or the length is not `width × height × channels`.
    pub fn new(
        samples: &'a mut [u8],
        width: usize,
        height: usize,
        channels: Channels,
    ) -> Result<Self, ShapeError> {
        check_shape(samples.len(), width, height, channels)?;
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
    /// Where `y` is not below the height.
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
        }
    }
}

fn check_shape(
    found: usize,
    width: usize,
    height: usize,
    channels: Channels,
) -> Result<(), ShapeError> {
    if width == 0 || height == 0 {
        return Err(ShapeError::Empty);
    }
    let expected = width
        .checked_mul(height)
        .and_then(|pixels| pixels.checked_mul(channels.count()))
        .ok_or(ShapeError::TooLarge)?;
    if found != expected {
        return Err(ShapeError::Length { expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        let error = |length: usize, width, height| {
            check_shape(length, width, height, Channels::Rgb).unwrap_err()
        };
        assert_eq!(error(0, 0, 3), ShapeError::Empty);
        assert_eq!(error(0, 3, 0), ShapeError::Empty);
        assert_eq!(error(12, usize::MAX, 2), ShapeError::TooLarge);
        let length = ShapeError::Length {
            expected: 12,
            found: 11,
        };
        assert_eq!(error(11, 2, 2), length);
        assert_eq!(check_shape(12, 2, 2, Channels::Rgb), Ok(()));
    }

    #[test]
    fn rows_follow_each_other_without_padding() {
        let mut samples = [1, 2, 3, 4, 5, 6];
        let mut image = ImageMut::new(&mut samples, 2, 3, Channels::L).unwrap();
        assert_eq!(image.row_mut(2), [5, 6]);
    }
}
