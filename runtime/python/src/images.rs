use std::array;
use std::ops::Range;
use std::slice;

use faa_op::text::chain;
use faa_op::{Channels, ImageMut, ImageRef, ShapeError};
use faa_ops_builtin::{SimdLevel, interleave, separate};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::arrow;

/// Images of one shape in memory that Python owns: 8 bits per sample, in any layout.
///
/// In Python it is an object with a buffer of bytes, or `(memory, shape, strides)` with strides in bytes,
/// where the memory is an address or a capsule of Arrow.
pub(crate) struct Images {
    /// The first sample of the first image.
    start: *mut u8,
    count: usize,
    height: usize,
    width: usize,
    channels: Channels,
    /// From one image, row, column and channel to the next, in bytes.
    strides: Strides,
    writable: bool,
    /// Keeps the memory from being freed and resized.
    _buffer: Option<PyBuffer<u8>>,
}

#[derive(Clone, Copy, PartialEq)]
struct Strides {
    image: isize,
    row: isize,
    column: isize,
    channel: isize,
}

// SAFETY: what a pointer refers to is shared with the threads of a batch, each of which writes to its own
// images; that these do not overlap was checked by `check_result`. That Python does not change the memory
// of a call from a different thread meanwhile is the caller's duty, as for NumPy's functions.
#[expect(unsafe_code, reason = "pointers are not Sync by themselves")]
unsafe impl Sync for Images {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "pointers are not Send by themselves")]
unsafe impl Send for Images {}

impl Images {
    /// Views memory; `layout` names its dimensions, such as `HW`, `HWC` or `NCHW`, or `TCHW` for a clip.
    pub(crate) fn new(memory: &Bound<'_, PyAny>, layout: &str) -> PyResult<Self> {
        if let Ok(parts) = memory.cast::<PyTuple>() {
            let (source, shape, strides): (Bound<'_, PyAny>, Vec<usize>, Vec<isize>) =
                parts.extract()?;
            let (start, length) = match source.cast::<PyCapsule>() {
                Ok(capsule) => arrow::bytes(capsule)?,
                Err(_) => (source.extract::<usize>()? as *mut u8, usize::MAX),
            };
            let images = Self::of(start, true, &shape, &strides, layout, None)?;
            return match images.addresses().len() <= length
                && images.addresses().start == start as isize
            {
                true => Ok(images),
                false => Err(PyValueError::new_err("the images exceed their memory")),
            };
        }
        let buffer = PyBuffer::<u8>::get(memory)?;
        let (start, writable) = (buffer.buf_ptr().cast(), !buffer.readonly());
        let (shape, strides) = (buffer.shape().to_vec(), buffer.strides().to_vec());
        Self::of(start, writable, &shape, &strides, layout, Some(buffer))
    }

    fn of(
        start: *mut u8,
        writable: bool,
        shape: &[usize],
        strides: &[isize],
        layout: &str,
        buffer: Option<PyBuffer<u8>>,
    ) -> PyResult<Self> {
        if shape.len() != layout.len() || strides.len() != layout.len() {
            let message = format!("{layout} has not {} dimensions", shape.len());
            return Err(PyTypeError::new_err(message));
        }
        let dimension = |name: char| layout.find(name).map(|at| (shape[at], strides[at]));
        let [batch, clip, rows, columns, channels] = ['N', 'T', 'H', 'W', 'C'].map(dimension);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            return Err(PyTypeError::new_err(format!("{layout} is not a layout")));
        };
        let images = batch.or(clip).unwrap_or((1, 0));
        let channels = channels.unwrap_or((1, 0));
        let colors = Channels::from_count(channels.0).ok_or_else(|| {
            PyValueError::new_err(format!(
                "images have 1, 3 or 4 channels, not {}",
                channels.0
            ))
        })?;
        let length = colors.image_bytes(columns.0, rows.0).map_err(of_shape)?;
        // The stride of a dimension of 1 means nothing.
        let stride = |(size, stride), packed| if size == 1 { packed } else { stride };
        let row = columns.0 * channels.0;
        Ok(Self {
            start,
            count: images.0,
            height: rows.0,
            width: columns.0,
            channels: colors,
            strides: Strides {
                image: stride(images, length as isize),
                row: stride(rows, row as isize),
                column: stride(columns, channels.0 as isize),
                channel: stride(channels, 1),
            },
            writable,
            _buffer: buffer,
        })
    }

    /// How many images there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Length of all images, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.count * self.image_bytes()
    }

    fn image_bytes(&self) -> usize {
        self.height * self.width * self.channels.count()
    }

    /// All images as one slice, with width, height and channels; `None` unless they follow each other
    /// without gaps, channels interleaved.
    #[expect(unsafe_code, reason = "the memory is Python's")]
    pub(crate) fn packed(&self) -> Option<(&[u8], usize, usize, Channels)> {
        let follow = self.count < 2 || self.strides.image == self.image_bytes() as isize;
        (self.is_packed() && follow).then(|| {
            let length = self.bytes();
            // A pointer of an empty buffer may be null.
            let samples = match length {
                0 => &[],
                // SAFETY: this many bytes follow the start, by the shape and the strides.
                _ => unsafe { slice::from_raw_parts(self.start, length) },
            };
            (samples, self.width, self.height, self.channels)
        })
    }

    /// Whether the samples of an image follow each other without gaps, channels interleaved.
    fn is_packed(&self) -> bool {
        self.has_packed_rows() && self.strides.row == (self.width * self.channels.count()) as isize
    }

    fn has_packed_rows(&self) -> bool {
        let channels = self.channels.count() as isize;
        self.strides.channel == 1
            && self.strides.column == channels
            && self.strides.row >= self.width as isize * channels
    }

    /// Checks that results of these images can be written to `result`.
    pub(crate) fn check_result(&self, result: &Self) -> PyResult<()> {
        let shape = |images: &Self| (images.count, images.height, images.width, images.channels);
        let fault = if shape(self) != shape(result) {
            "`out` has a different shape than the images"
        } else if !result.writable {
            "`out` is read-only"
        } else if result.overlaps_itself() {
            "`out` has several samples in one place"
        } else if !self.is_same(result) && self.overlaps(result) {
            "`out` overlaps the images, and is not the same"
        } else {
            return Ok(());
        };
        Err(PyValueError::new_err(fault))
    }

    /// Whether both are the same images, which are then changed in place.
    fn is_same(&self, other: &Self) -> bool {
        (self.start, self.strides) == (other.start, other.strides)
    }

    fn dimensions(&self) -> [(usize, isize); 4] {
        let Strides {
            image,
            row,
            column,
            channel,
        } = self.strides;
        let channels = self.channels.count();
        [
            (self.count, image),
            (self.height, row),
            (self.width, column),
            (channels, channel),
        ]
    }

    /// The addresses from the lowest sample to the highest.
    fn addresses(&self) -> Range<isize> {
        let start = self.start as isize;
        let mut addresses = start..start + isize::from(self.count > 0);
        for (size, stride) in self.dimensions() {
            let reach = size.saturating_sub(1) as isize * stride;
            addresses.start += reach.min(0);
            addresses.end += reach.max(0);
        }
        addresses
    }

    /// Whether a sample of both may have one address.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (own, other) = (self.addresses(), other.addresses());
        own.start < other.end && other.start < own.end
    }

    /// Whether two samples may have one address. From the dimension with the shortest stride on, each
    /// must step over all that those before it reach.
    fn overlaps_itself(&self) -> bool {
        let mut dimensions = self.dimensions();
        dimensions.sort_by_key(|(_, stride)| stride.unsigned_abs());
        let mut reach = 0;
        dimensions
            .into_iter()
            .filter(|(size, _)| *size > 1)
            .any(|(size, stride)| {
                let overlaps = stride.unsigned_abs() <= reach;
                reach += (size - 1) * stride.unsigned_abs();
                overlaps
            })
    }

    /// Makes image `index` of `result` from that of `self`. `change` is given the image to be changed,
    /// which either holds the source already or is to be overwritten with it.
    ///
    /// `check_result` must have succeeded, and no other thread may work on the same index.
    #[expect(unsafe_code, reason = "the memory is Python's")]
    pub(crate) fn map<E>(
        &self,
        result: &Self,
        index: usize,
        copies: &mut Copies,
        change: impl FnOnce(Option<ImageRef<'_>>, &mut ImageMut<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (width, height, channels) = (self.width, self.height, self.channels);
        let length = self.image_bytes();
        let [source_copy, result_copy] = &mut copies.0;
        let source = if self.is_same(result) {
            None
        } else if self.has_packed_rows() {
            let samples = (height - 1) * self.strides.row as usize + width * channels.count();
            // SAFETY: this many bytes belong to the image, by the shape and the strides, and the result
            // does not overlap them.
            Some(unsafe { slice::from_raw_parts(self.at(index), samples) })
        } else {
            self.gather(index, sized(source_copy, length));
            Some(&source_copy[..length])
        };
        let stride = match self.has_packed_rows() {
            true => self.strides.row as usize,
            false => width * channels.count(),
        };
        let source = source.map(|samples| {
            ImageRef::with_stride(samples, width, height, channels, stride)
                .expect("as long as that")
        });
        let samples = if result.is_packed() {
            // SAFETY: this many bytes belong to the image alone, by the shape and the strides.
            unsafe { slice::from_raw_parts_mut(result.at(index), length) }
        } else {
            let samples = sized(result_copy, length);
            if source.is_none() {
                self.gather(index, samples);
            }
            samples
        };
        let mut image = ImageMut::new(samples, width, height, channels).expect("as long as that");
        change(source, &mut image)?;
        if !result.is_packed() {
            result.scatter(index, &result_copy[..length]);
        }
        Ok(())
    }

    fn at(&self, index: usize) -> *mut u8 {
        self.start
            .wrapping_offset(index as isize * self.strides.image)
    }

    /// Copies an image's samples, row by row with interleaved channels.
    fn gather(&self, index: usize, samples: &mut [u8]) {
        match self.channels {
            Channels::L => self.gather_channels::<1>(index, samples),
            Channels::Rgb => self.gather_channels::<3>(index, samples),
            Channels::Rgba => self.gather_channels::<4>(index, samples),
        }
    }

    /// The inverse of `gather`.
    fn scatter(&self, index: usize, samples: &[u8]) {
        match self.channels {
            Channels::L => self.scatter_channels::<1>(index, samples),
            Channels::Rgb => self.scatter_channels::<3>(index, samples),
            Channels::Rgba => self.scatter_channels::<4>(index, samples),
        }
    }

    #[expect(unsafe_code, reason = "the memory is Python's")]
    fn gather_channels<const CHANNELS: usize>(&self, index: usize, samples: &mut [u8]) {
        let level = SimdLevel::best();
        let rows = samples.chunks_exact_mut(self.width * CHANNELS).enumerate();
        for (y, pixels) in rows {
            let start = |c| self.row(index, y, c);
            if self.strides.column == 1 {
                // SAFETY: this many samples of the channel follow each other, by the shape and the strides.
                let plane = |c| unsafe { slice::from_raw_parts(start(c), self.width) };
                interleave::<CHANNELS>(level, array::from_fn(plane), pixels);
                continue;
            }
            let starts: [_; CHANNELS] = array::from_fn(start);
            for (x, pixel) in pixels.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
                let step = x as isize * self.strides.column;
                // SAFETY: the samples belong to the image, by the shape and the strides.
                *pixel = starts.map(|start| unsafe { *start.wrapping_offset(step) });
            }
        }
    }

    #[expect(unsafe_code, reason = "the memory is Python's")]
    fn scatter_channels<const CHANNELS: usize>(&self, index: usize, samples: &[u8]) {
        let level = SimdLevel::best();
        let rows = samples.chunks_exact(self.width * CHANNELS).enumerate();
        for (y, pixels) in rows {
            let start = |c| self.row(index, y, c);
            if self.strides.column == 1 {
                // SAFETY: as above; the result is writable and does not overlap itself.
                let plane = |c| unsafe { slice::from_raw_parts_mut(start(c), self.width) };
                separate::<CHANNELS>(level, pixels, array::from_fn(plane));
                continue;
            }
            let starts: [_; CHANNELS] = array::from_fn(start);
            for (x, pixel) in pixels.as_chunks::<CHANNELS>().0.iter().enumerate() {
                let step = x as isize * self.strides.column;
                for (start, sample) in starts.iter().zip(pixel) {
                    // SAFETY: the sample belongs to the image alone, as above, and is writable.
                    unsafe { *start.wrapping_offset(step) = *sample };
                }
            }
        }
    }

    /// The first sample of a channel in a row.
    fn row(&self, index: usize, y: usize, c: usize) -> *mut u8 {
        let offset = y as isize * self.strides.row + c as isize * self.strides.channel;
        self.at(index).wrapping_offset(offset)
    }
}

/// Copies of images whose layout ops cannot work on; kept from image to image.
#[derive(Default)]
pub(crate) struct Copies([Vec<u8>; 2]);

fn sized(samples: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if samples.len() < length {
        samples.resize(length, 0);
    }
    &mut samples[..length]
}

/// A shape that no image has.
pub(crate) fn of_shape(error: ShapeError) -> PyErr {
    PyValueError::new_err(chain(&error))
}
