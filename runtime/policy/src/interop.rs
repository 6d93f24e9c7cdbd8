//! Buffers of the [`image`] crate as images of this one; nothing is copied.
//!
//! ```
//! use faa_op::DrawKey;
//! use faa_policy::interop::{ViewImage, ViewImageMut};
//! use faa_policy::{Executor, Policy, Workspace};
//!
//! # let json = br#"{"format": "faa-policy", "version": 1, "name": "example", "sub_policies": [
//! #     [{"op": "Invert", "probability": 1}]]}"#;
//! let executor = Executor::builtin(&Policy::parse(json)?)?;
//! let decoded = image::DynamicImage::new_rgb8(32, 24);
//! let mut augmented = image::RgbImage::new(32, 24);
//! let key = DrawKey { seed: 1, epoch: 0, index: 0 };
//! executor.apply_to(decoded.view()?, &mut augmented.view_mut()?, key, &mut Workspace::new())?;
//! assert_eq!(augmented.get_pixel(3, 4), &image::Rgb([255; 3]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};

use faa_op::{Channels, ImageMut, ImageRef, ShapeError};
use image::{ColorType, DynamicImage, ImageBuffer, Luma, Pixel, Rgb, Rgba};

/// A buffer that can be read as an image.
pub trait ViewImage {
    /// The buffer as an image of the same size and channels.
    ///
    /// # Errors
    ///
    /// [`ViewError`] if the buffer is empty or its samples are not 8-bit L, RGB or RGBA.
    fn view(&self) -> Result<ImageRef<'_>, ViewError>;
}

/// A buffer that can be augmented in place.
pub trait ViewImageMut {
    /// The buffer as an image of the same size and channels, to be changed.
    ///
    /// # Errors
    ///
    /// Those of [`ViewImage::view`].
    fn view_mut(&mut self) -> Result<ImageMut<'_>, ViewError>;
}

/// A pixel of 8-bit samples.
trait BytePixel: Pixel<Subpixel = u8> {
    const CHANNELS: Channels;
}

impl BytePixel for Luma<u8> {
    const CHANNELS: Channels = Channels::L;
}

impl BytePixel for Rgb<u8> {
    const CHANNELS: Channels = Channels::Rgb;
}

impl BytePixel for Rgba<u8> {
    const CHANNELS: Channels = Channels::Rgba;
}

impl<P: BytePixel, B: Deref<Target = [u8]>> ViewImage for ImageBuffer<P, B> {
    fn view(&self) -> Result<ImageRef<'_>, ViewError> {
        let (width, height) = (self.width() as usize, self.height() as usize);
        // A stride, because the buffer may be longer than its image, and never shorter.
        let stride = width * P::CHANNELS.count();
        ImageRef::with_stride(self.as_raw(), width, height, P::CHANNELS, stride).map_err(Into::into)
    }
}

impl<P: BytePixel, B: DerefMut<Target = [u8]>> ViewImageMut for ImageBuffer<P, B> {
    fn view_mut(&mut self) -> Result<ImageMut<'_>, ViewError> {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let length = width * height * P::CHANNELS.count();
        let samples = &mut (**self)[..length];
        ImageMut::new(samples, width, height, P::CHANNELS).map_err(Into::into)
    }
}

impl ViewImage for DynamicImage {
    fn view(&self) -> Result<ImageRef<'_>, ViewError> {
        match self {
            Self::ImageLuma8(image) => image.view(),
            Self::ImageRgb8(image) => image.view(),
            Self::ImageRgba8(image) => image.view(),
            other => Err(ViewErrorKind::Unsupported(other.color()).into()),
        }
    }
}

impl ViewImageMut for DynamicImage {
    fn view_mut(&mut self) -> Result<ImageMut<'_>, ViewError> {
        match self {
            Self::ImageLuma8(image) => image.view_mut(),
            Self::ImageRgb8(image) => image.view_mut(),
            Self::ImageRgba8(image) => image.view_mut(),
            other => Err(ViewErrorKind::Unsupported(other.color()).into()),
        }
    }
}

/// Why a buffer cannot be viewed as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewError {
    kind: ViewErrorKind,
}

/// The kinds of reasons why a buffer cannot be viewed as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewErrorKind {
    /// The samples are of this type, and not 8-bit L, RGB or RGBA; convert the image first, for
    /// example with `to_rgb8`.
    Unsupported(ColorType),
    /// The buffer is not an image, for example because a side is zero.
    Shape(ShapeError),
}

impl ViewError {
    /// What is wrong with the buffer.
    pub fn kind(&self) -> ViewErrorKind {
        self.kind
    }
}

impl From<ViewErrorKind> for ViewError {
    fn from(kind: ViewErrorKind) -> Self {
        Self { kind }
    }
}

impl From<ShapeError> for ViewError {
    fn from(error: ShapeError) -> Self {
        ViewErrorKind::Shape(error).into()
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ViewErrorKind::Unsupported(color) => write!(
                f,
                "pixels of type {color:?} cannot be augmented, only L8, Rgb8 and Rgba8"
            ),
            ViewErrorKind::Shape(_) => f.write_str("the buffer is not an image"),
        }
    }
}

impl Error for ViewError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            ViewErrorKind::Unsupported(_) => None,
            ViewErrorKind::Shape(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use faa_op::ShapeErrorKind;
    use image::{GrayImage, RgbaImage};

    use super::*;

    #[test]
    fn views_have_the_size_and_the_samples_of_the_buffer() {
        let mut gray = GrayImage::from_raw(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        gray.view_mut().unwrap().row_mut(1)[0] = 40;
        let view = gray.view().unwrap();
        assert_eq!((view.width(), view.height()), (3, 2));
        assert_eq!(view.channels(), Channels::L);
        assert_eq!(view.contiguous(), Some(&[1, 2, 3, 40, 5, 6][..]));

        let mut dynamic = DynamicImage::from(RgbaImage::new(2, 2));
        assert_eq!(dynamic.view().unwrap().channels(), Channels::Rgba);
        assert_eq!(dynamic.view_mut().unwrap().samples().len(), 16);
    }

    #[test]
    fn deep_samples_and_empty_images_are_refused() {
        let error = DynamicImage::new_rgb16(2, 2).view_mut().unwrap_err();
        assert_eq!(error.kind(), ViewErrorKind::Unsupported(ColorType::Rgb16));
        let error = DynamicImage::new_luma_a8(2, 2).view().unwrap_err();
        assert_eq!(error.kind(), ViewErrorKind::Unsupported(ColorType::La8));
        let error = DynamicImage::new_rgb8(0, 2).view().unwrap_err();
        assert_eq!(
            error.kind(),
            ViewErrorKind::Shape(ShapeErrorKind::Empty.into())
        );
    }
}
