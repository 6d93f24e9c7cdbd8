#![expect(unsafe_code, reason = "the memory is the caller's")]

use std::array;
use std::fmt::Display;
use std::ops::Range;
use std::slice;

use faa_op::{Channels, ShapeErrorKind, Size};
use faa_ops_builtin::{SimdLevel, interleave, separate};

use crate::error::Error;

/// See `faa.h`.
pub const FAA_HWC: u32 = 0;
/// See `faa.h`.
pub const FAA_CHW: u32 = 1;

/// `faa_image`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Image {
    /// See `faa.h`.
    pub samples: *mut u8,
    /// See `faa.h`.
    pub length: usize,
    /// See `faa.h`.
    pub width: usize,
    /// See `faa.h`.
    pub height: usize,
    /// See `faa.h`.
    pub channels: usize,
    /// See `faa.h`.
    pub row_stride: usize,
    /// See `faa.h`.
    pub layout: u32,
}

/// An image whose fields were checked: all of its samples lie within its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    start: *mut u8,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: Channels,
    /// From a row to the next, in bytes; at least the bytes of a row.
    pub(crate) stride: usize,
    /// Whether the channels lie apart; never if there is one.
    is_planar: bool,
}

impl View {
    /// Checks an image, the argument `name`.
    pub(crate) fn new(image: &Image, name: &dyn Display) -> Result<Self, Error> {
        let field = |field| format!("{name}.{field}");

        let channels = Channels::from_count(image.channels).ok_or_else(|| {
            let message = format!("images have 1, 3 or 4 channels, not {}", image.channels);
            Error::argument(&field("channels"), &message)
        })?;
        let is_planar = match image.layout {
            FAA_HWC => false,
            FAA_CHW => channels != Channels::L,
            other => {
                let message = format!("expected FAA_HWC or FAA_CHW, found {other}");
                return Err(Error::argument(&field("layout"), &message));
            }
        };
        // Then no product below overflows, except with the stride.
        let bytes = channels.image_bytes(image.width, image.height);
        bytes.map_err(|error| Error::shape(&name.to_string(), error))?;
        let mut view = Self {
            start: image.samples,
            width: image.width,
            height: image.height,
            channels,
            stride: image.row_stride,
            is_planar,
        };
        let (row, rows) = view.rows();
        if (1..row).contains(&view.stride) {
            let found = view.stride;
            let kind = ShapeErrorKind::Stride { row, found };
            return Err(Error::shape(&field("row_stride"), kind));
        }
        // The distance from an only row to the next means nothing.
        if view.stride == 0 || rows == 1 {
            view.stride = row;
        }
        let above = view.stride.checked_mul(rows - 1);
        let expected = above.and_then(|above| above.checked_add(row));
        let too_large = || Error::shape(&name.to_string(), ShapeErrorKind::TooLarge);
        let expected = expected.ok_or_else(too_large)?;
        let found = image.length;
        if found < expected {
            let kind = ShapeErrorKind::Length { expected, found };
            return Err(Error::shape(&field("length"), kind));
        }
        if image.samples.is_null() {
            return Err(Error::argument(&field("samples"), "must not be NULL"));
        }
        let end = image.samples.addr().checked_add(expected);
        if end.is_none() || isize::try_from(expected).is_err() {
            return Err(too_large());
        }
        Ok(view)
    }

    /// The bytes of a row, and the number of rows; each channel has its own if they lie apart.
    fn rows(&self) -> (usize, usize) {
        match self.is_planar {
            true => (self.width, self.height * self.channels.count()),
            false => (self.width * self.channels.count(), self.height),
        }
    }

    pub(crate) fn size(&self) -> Size {
        Size {
            width: self.width,
            height: self.height,
        }
    }

    /// Whether both have as many columns, rows and channels.
    pub(crate) fn has_shape_of(&self, other: &Self) -> bool {
        let shape = |view: &Self| (view.width, view.height, view.channels);
        shape(self) == shape(other)
    }

    /// The bytes of a copy without gaps.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.width * self.height * self.channels.count()
    }

    /// The addresses from the first sample to the last, gaps included.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let (row, rows) = self.rows();
        let start = self.start.addr();
        start..start + self.stride * (rows - 1) + row
    }

    /// The bytes from the first sample to the last, gaps included, if channels are interleaved.
    ///
    /// # Safety
    ///
    /// The image's memory is readable and does not change as long as the result is used.
    pub(crate) unsafe fn interleaved<'a>(&self) -> Option<&'a [u8]> {
        // SAFETY: this many bytes belong to the image, which is not null, by the checks of `new`.
        (!self.is_planar)
            .then(|| unsafe { slice::from_raw_parts(self.start, self.addresses().len()) })
    }

    /// The samples, if they follow each other without gaps, channels interleaved.
    ///
    /// # Safety
    ///
    /// The image's memory is writable, and nothing else uses it as long as the result is used.
    pub(crate) unsafe fn packed<'a>(&self) -> Option<&'a mut [u8]> {
        let bytes = self.packed_bytes();
        // SAFETY: as above.
        (!self.is_planar && self.addresses().len() == bytes)
            .then(|| unsafe { slice::from_raw_parts_mut(self.start, bytes) })
    }

    /// Copies the samples to as many bytes, row by row with interleaved channels.
    ///
    /// # Safety
    ///
    /// The image's samples are readable and do not change meanwhile.
    pub(crate) unsafe fn gather(&self, samples: &mut [u8]) {
        // SAFETY: passed on.
        unsafe {
            match self.channels {
                Channels::L => self.gather_channels::<1>(samples),
                Channels::Rgb => self.gather_channels::<3>(samples),
                Channels::Rgba => self.gather_channels::<4>(samples),
            }
        }
    }

    /// The inverse of `gather`.
    ///
    /// # Safety
    ///
    /// The image's samples are writable, and nothing else uses them meanwhile.
    pub(crate) unsafe fn scatter(&self, samples: &[u8]) {
        // SAFETY: passed on.
        unsafe {
            match self.channels {
                Channels::L => self.scatter_channels::<1>(samples),
                Channels::Rgb => self.scatter_channels::<3>(samples),
                Channels::Rgba => self.scatter_channels::<4>(samples),
            }
        }
    }

    unsafe fn gather_channels<const CHANNELS: usize>(&self, samples: &mut [u8]) {
        let level = SimdLevel::best();
        let width = self.joined_width();
        let rows = samples.chunks_exact_mut(width * CHANNELS).enumerate();
        for (y, pixels) in rows {
            if self.is_planar {
                // SAFETY: each is a row, or all rows, of a channel of the image, by the checks of `new`.
                let plane = |c| unsafe { slice::from_raw_parts(self.row(y, c), width) };
                interleave::<CHANNELS>(level, array::from_fn(plane), pixels);
            } else {
                // SAFETY: it is a row of the image, likewise.
                let row = unsafe { slice::from_raw_parts(self.row(y, 0), pixels.len()) };
                pixels.copy_from_slice(row);
            }
        }
    }

    unsafe fn scatter_channels<const CHANNELS: usize>(&self, samples: &[u8]) {
        let level = SimdLevel::best();
        let width = self.joined_width();
        let rows = samples.chunks_exact(width * CHANNELS).enumerate();
        for (y, pixels) in rows {
            if self.is_planar {
                // SAFETY: as in `gather_channels`; and no two rows overlap, because the stride is at least
                // a row.
                let plane = |c| unsafe { slice::from_raw_parts_mut(self.row(y, c), width) };
                separate::<CHANNELS>(level, pixels, array::from_fn(plane));
            } else {
                // SAFETY: as in `gather_channels`.
                let row = unsafe { slice::from_raw_parts_mut(self.row(y, 0), pixels.len()) };
                row.copy_from_slice(pixels);
            }
        }
    }

    /// The pixels of a row, or of the image if its channels have no gaps and so are as good as one row each.
    fn joined_width(&self) -> usize {
        match self.is_planar && self.stride == self.width {
            true => self.width * self.height,
            false => self.width,
        }
    }

    /// The first sample of a row, of channel `c` if they lie apart.
    fn row(&self, y: usize, c: usize) -> *mut u8 {
        self.start.wrapping_add((c * self.height + y) * self.stride)
    }
}
