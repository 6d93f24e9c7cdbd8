use faa_op::{Channels, ImageRef, ShapeError, ShapeErrorKind};

/// The unaugmented images that ops such as SamplePairing may mix in.
///
/// Which of them an image is given comes from the image's own stream. So give the whole data set,
/// always in the same order, and not the batch: the same draws need the same set.
pub trait Partners: Sync {
    /// How many images there are.
    fn count(&self) -> u64;

    /// The image at `index`, which is below [`Partners::count`]. It must have the shape of the
    /// images that it is mixed into.
    fn image(&self, index: u64) -> ImageRef<'_>;
}

macro_rules! lists {
    ($([$($generics:tt)*] $list:ty;)+) => {$(
        impl<$($generics)*> Partners for $list {
            fn count(&self) -> u64 {
                self.len() as u64
            }

            fn image(&self, index: u64) -> ImageRef<'_> {
                self[index as usize]
            }
        }
    )+};
}
lists! { [] &[ImageRef<'_>]; [] Vec<ImageRef<'_>>; [const N: usize] [ImageRef<'_>; N]; }

/// Images of one shape that follow each other in one buffer: NHWC, 8 bits per sample.
#[derive(Clone, Copy, Debug)]
pub struct PackedImages<'a> {
    samples: &'a [u8],
    width: usize,
    height: usize,
    channels: Channels,
    /// The length of an image, in bytes; at least 1.
    length: usize,
}

impl<'a> PackedImages<'a> {
    /// Views `samples` as images; there may be none.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a side is zero or the last image is incomplete.
    pub fn new(
        samples: &'a [u8],
        width: usize,
        height: usize,
        channels: Channels,
    ) -> Result<Self, ShapeError> {
        let length = channels.image_bytes(width, height)?;
        let (found, rest) = (samples.len(), samples.len() % length);
        if rest != 0 {
            let expected = (found - rest).saturating_add(length);
            return Err(ShapeErrorKind::Length { expected, found }.into());
        }
        Ok(Self {
            samples,
            width,
            height,
            channels,
            length,
        })
    }
}

impl Partners for PackedImages<'_> {
    fn count(&self) -> u64 {
        (self.samples.len() / self.length) as u64
    }

    fn image(&self, index: u64) -> ImageRef<'_> {
        let samples = &self.samples[index as usize * self.length..][..self.length];
        ImageRef::new(samples, self.width, self.height, self.channels)
            .expect("a slice as long as the shape")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_images_are_cut_out_of_their_buffer() {
        let samples: Vec<u8> = (0..24).collect();
        let images = PackedImages::new(&samples, 2, 2, Channels::Rgb).unwrap();
        assert_eq!(images.count(), 2);
        assert_eq!(images.image(1).contiguous(), Some(&samples[12..]));
        let none = PackedImages::new(&[], 2, 2, Channels::Rgb).unwrap();
        assert_eq!(none.count(), 0);
    }

    #[test]
    fn a_buffer_that_does_not_divide_is_refused() {
        let error = |width, height| {
            let images = PackedImages::new(&[0; 25], width, height, Channels::Rgb);
            images.unwrap_err().kind()
        };
        let length = ShapeErrorKind::Length {
            expected: 36,
            found: 25,
        };
        assert_eq!(error(2, 2), length);
        assert_eq!(error(0, 2), ShapeErrorKind::Empty);
        assert_eq!(error(usize::MAX, 2), ShapeErrorKind::TooLarge);
    }
}
