#![expect(unsafe_code, reason = "the memory is the caller's")]

use std::ffi::c_void;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::slice;

use faa_op::{ShapeErrorKind, Size};

use crate::error::Error;

/// `faa_mask`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Mask {
    /// See `faa.h`.
    pub labels: *mut c_void,
    /// See `faa.h`.
    pub length: usize,
    /// See `faa.h`.
    pub width: usize,
    /// See `faa.h`.
    pub height: usize,
    /// See `faa.h`.
    pub label_bytes: usize,
    /// See `faa.h`.
    pub row_stride: usize,
    /// See `faa.h`.
    pub fill: u32,
}

/// A mask whose fields were checked: all of its labels lie within its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskView {
    start: *mut u8,
    size: Size,
    /// 1 or 2.
    label_bytes: usize,
    /// From a row to the next, in bytes; at least the bytes of a row.
    stride: usize,
    /// It fits into a label.
    fill: u16,
}

impl MaskView {
    /// Checks a mask, the argument `name`, of an image of a size.
    pub(crate) fn new(mask: &Mask, image: Size, name: &dyn fmt::Display) -> Result<Self, Error> {
        let at = |field: &str, message: &str| Error::argument(&format!("{name}{field}"), message);
        let shape = |field: &str, kind| Error::shape(&format!("{name}{field}"), kind);
        let &Mask {
            labels,
            length,
            width,
            height,
            label_bytes,
            row_stride,
            fill,
        } = mask;
        let size = Size { width, height };
        if !matches!(label_bytes, 1 | 2) {
            let message = format!("labels have 1 or 2 bytes, not {label_bytes}");
            return Err(at(".label_bytes", &message));
        }
        if size != image {
            let Size {
                width: w,
                height: h,
            } = image;
            let message = format!("has {width}×{height} labels, and its image {w}×{h} pixels");
            return Err(at("", &message));
        }
        let fill = u16::try_from(fill).ok();
        let fill = fill.filter(|fill| label_bytes == 2 || *fill < 256);
        let fill = fill.ok_or_else(|| {
            let message = format!("{} does not fit into a label", mask.fill);
            at(".fill", &message)
        })?;
        // The image has as many pixels, so this does not overflow.
        let row = width * label_bytes;
        if (1..row).contains(&row_stride) {
            let kind = ShapeErrorKind::Stride {
                row,
                found: row_stride,
            };
            return Err(shape(".row_stride", kind));
        }
        // The distance from an only row to the next means nothing.
        let stride = match row_stride {
            0 => row,
            _ if height == 1 => row,
            stride => stride,
        };
        let expected = (stride.checked_mul(height - 1)).and_then(|above| above.checked_add(row));
        let expected = expected.ok_or_else(|| shape("", ShapeErrorKind::TooLarge))?;
        if length < expected {
            let kind = ShapeErrorKind::Length {
                expected,
                found: length,
            };
            return Err(shape(".length", kind));
        }
        if labels.is_null() {
            return Err(at(".labels", "must not be NULL"));
        }
        if labels.addr().checked_add(expected).is_none() || isize::try_from(expected).is_err() {
            return Err(shape("", ShapeErrorKind::TooLarge));
        }
        if !labels.addr().is_multiple_of(label_bytes) {
            return Err(at(".labels", "is not aligned for labels of 2 bytes"));
        }
        if !stride.is_multiple_of(label_bytes) {
            let message = format!("{stride} is not a multiple of the 2 bytes of a label");
            return Err(at(".row_stride", &message));
        }
        Ok(Self {
            start: labels.cast(),
            size,
            label_bytes,
            stride,
            fill,
        })
    }

    /// The addresses from the first label to the last, gaps included.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.start.addr();
        start..start + self.stride * (self.size.height - 1) + self.size.width * self.label_bytes
    }

    fn area(&self) -> usize {
        self.size.width * self.size.height
    }

    fn has_gaps(&self) -> bool {
        self.stride != self.size.width * self.label_bytes
    }

    /// The labels, or their copy at the start of `rest`, which it is taken from.
    ///
    /// # Safety
    ///
    /// `L` has as many bytes as a label; the mask's memory is writable, and nothing else uses it as long as the
    /// result is used.
    unsafe fn labels<'a, L: Copy>(&self, rest: &mut &'a mut [L]) -> &'a mut [L] {
        if !self.has_gaps() {
            // SAFETY: this many labels belong to the mask, which is aligned for them, by the checks of `new`.
            return unsafe { slice::from_raw_parts_mut(self.start.cast(), self.area()) };
        }
        let copy = taken(rest, self.area());
        for (y, row) in copy.chunks_exact_mut(self.size.width).enumerate() {
            // SAFETY: passed on.
            row.copy_from_slice(unsafe { self.row(y) });
        }
        copy
    }

    /// Writes what `labels` took from `rest` back to the mask.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn take_back<L: Copy>(&self, rest: &mut &mut [L]) {
        if self.has_gaps() {
            let copy = taken(rest, self.area());
            for (y, row) in copy.chunks_exact(self.size.width).enumerate() {
                // SAFETY: passed on.
                unsafe { self.row(y) }.copy_from_slice(row);
            }
        }
    }

    /// A row.
    ///
    /// # Safety
    ///
    /// As for `labels`.
    unsafe fn row<'a, L>(&self, y: usize) -> &'a mut [L] {
        let start = self.start.wrapping_add(y * self.stride).cast();
        // SAFETY: this many labels belong to the mask, which is aligned for them with every row, by the checks of
        // `new`.
        unsafe { slice::from_raw_parts_mut(start, self.size.width) }
    }
}

fn taken<'a, L>(rest: &mut &'a mut [L], count: usize) -> &'a mut [L] {
    let (taken, after) = mem::take(rest).split_at_mut(count);
    *rest = after;
    taken
}

/// Memory for masks: copies of those with gaps, and the list of all.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    u8s: Vec<u8>,
    u16s: Vec<u16>,
    /// Empty between calls.
    masks: Vec<faa_policy::Mask<'static>>,
}

impl Copies {
    /// Calls `work` with all masks, which it may change.
    ///
    /// # Safety
    ///
    /// The masks' memory is writable, and nothing else uses it meanwhile.
    pub(crate) unsafe fn with_masks<E>(
        &mut self,
        views: &[MaskView],
        work: impl FnOnce(&mut [faa_policy::Mask<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let total = |bytes: usize| -> usize {
            let views = views
                .iter()
                .filter(|it| it.label_bytes == bytes && it.has_gaps());
            views.map(MaskView::area).sum()
        };
        self.u8s.resize(total(1), 0);
        self.u16s.resize(total(2), 0);
        let (mut u8s, mut u16s) = (&mut *self.u8s, &mut *self.u16s);
        let mut masks = recycled(mem::take(&mut self.masks));
        for view in views {
            let mask = match view.label_bytes {
                // SAFETY: labels have one byte; the rest is passed on.
                1 => faa_policy::Mask::u8(
                    unsafe { view.labels(&mut u8s) },
                    view.size,
                    view.fill as u8,
                ),
                // SAFETY: labels have two bytes; the rest is passed on.
                _ => faa_policy::Mask::u16(unsafe { view.labels(&mut u16s) }, view.size, view.fill),
            };
            masks.push(mask.expect("a label per pixel"));
        }
        let done = work(&mut masks);
        self.masks = recycled(masks);
        if done.is_ok() {
            let (mut u8s, mut u16s) = (&mut *self.u8s, &mut *self.u16s);
            for view in views {
                // SAFETY: as above.
                unsafe {
                    match view.label_bytes {
                        1 => view.take_back(&mut u8s),
                        _ => view.take_back(&mut u16s),
                    }
                }
            }
        }
        done
    }
}

/// An empty list in the memory of one whose masks borrowed something else.
fn recycled<'b>(mut masks: Vec<faa_policy::Mask<'_>>) -> Vec<faa_policy::Mask<'b>> {
    masks.clear();
    (masks.into_iter())
        .map(|_| unreachable!("it is empty"))
        .collect()
}
