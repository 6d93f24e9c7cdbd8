//! Masks, boxes, keypoints and further images: as C passes them, and as the executor takes them.
#![expect(unsafe_code, reason = "the memory is the caller's")]

use std::fmt;
use std::ops::Range;

use faa_op::Size;
use faa_policy::{BoxLimits, Erased};

use crate::error::{Error, items};
use crate::image::{Image, View};
use crate::mask::{Copies, Mask, MaskView};

/// See `faa.h`.
pub const FAA_OCCLUDED: u32 = 0;
/// See `faa.h`.
pub const FAA_REMOVED: u32 = 1;

/// `faa_box`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct BoundingBox {
    /// See `faa.h`.
    pub left: f64,
    /// See `faa.h`.
    pub top: f64,
    /// See `faa.h`.
    pub right: f64,
    /// See `faa.h`.
    pub bottom: f64,
    /// See `faa.h`.
    pub visible: f64,
}

/// `faa_rotated_box`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct RotatedBox {
    /// See `faa.h`.
    pub x: f64,
    /// See `faa.h`.
    pub y: f64,
    /// See `faa.h`.
    pub width: f64,
    /// See `faa.h`.
    pub height: f64,
    /// See `faa.h`.
    pub angle: f64,
    /// See `faa.h`.
    pub visible: f64,
}

/// `faa_keypoint`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Keypoint {
    /// See `faa.h`.
    pub x: f64,
    /// See `faa.h`.
    pub y: f64,
    /// See `faa.h`.
    pub visible: u32,
}

/// `faa_targets`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Targets {
    /// See `faa.h`.
    pub images: *const Image,
    /// See `faa.h`.
    pub image_count: usize,
    /// See `faa.h`.
    pub masks: *const Mask,
    /// See `faa.h`.
    pub mask_count: usize,
    /// See `faa.h`.
    pub boxes: *mut BoundingBox,
    /// See `faa.h`.
    pub box_count: usize,
    /// See `faa.h`.
    pub rotated_boxes: *mut RotatedBox,
    /// See `faa.h`.
    pub rotated_box_count: usize,
    /// See `faa.h`.
    pub keypoints: *mut Keypoint,
    /// See `faa.h`.
    pub keypoint_count: usize,
    /// See `faa.h`.
    pub min_visible: f64,
    /// See `faa.h`.
    pub min_size: f64,
    /// See `faa.h`.
    pub erased: u32,
}

/// The targets of one call, in memory that is kept.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    images: Vec<View>,
    masks: Vec<MaskView>,
    boxes: Vec<faa_policy::BoundingBox>,
    rotated_boxes: Vec<faa_policy::RotatedBox>,
    keypoints: Vec<faa_policy::Keypoint>,
    limits: BoxLimits,
    erased: Erased,
    copies: Copies,
    /// Where everything is that will be written.
    areas: Vec<(Range<usize>, Part)>,
}

impl Moving {
    /// Reads and checks the targets of an image of this size.
    ///
    /// # Safety
    ///
    /// The arrays are as `faa_apply_with_targets` demands.
    pub(crate) unsafe fn read(&mut self, targets: &Targets, size: Size) -> Result<(), Error> {
        self.limits = limits(targets)?;
        self.erased = match targets.erased {
            FAA_OCCLUDED => Erased::Occluded,
            FAA_REMOVED => Erased::Removed,
            other => {
                let message = format!("expected FAA_OCCLUDED or FAA_REMOVED, found {other}");
                return Err(Error::argument("targets.erased", &message));
            }
        };
        // SAFETY: the caller vouches for the arrays.
        let (images, masks, boxes, rotated_boxes, keypoints) = unsafe {
            (
                items(targets.images, targets.image_count, "targets.images")?,
                items(targets.masks, targets.mask_count, "targets.masks")?,
                items(targets.boxes, targets.box_count, "targets.boxes")?,
                items(
                    targets.rotated_boxes,
                    targets.rotated_box_count,
                    "targets.rotated_boxes",
                )?,
                items(
                    targets.keypoints,
                    targets.keypoint_count,
                    "targets.keypoints",
                )?,
            )
        };
        self.images.clear();
        for (index, image) in images.iter().enumerate() {
            self.images.push(View::new(image, &Part::Image(index))?);
        }
        self.masks.clear();
        for (index, mask) in masks.iter().enumerate() {
            let view = MaskView::new(mask, size, &Part::Mask(index))?;
            self.masks.push(view);
        }
        self.boxes.clear();
        self.boxes.extend(
            boxes
                .iter()
                .map(|it| faa_policy::BoundingBox::new(it.left, it.top, it.right, it.bottom)),
        );
        self.rotated_boxes.clear();
        self.rotated_boxes.extend(
            rotated_boxes
                .iter()
                .map(|it| faa_policy::RotatedBox::new([it.x, it.y], it.width, it.height, it.angle)),
        );
        self.keypoints.clear();
        self.keypoints.extend(keypoints.iter().map(|it| {
            let mut point = faa_policy::Keypoint::new(it.x, it.y);
            point.visible = it.visible != 0;
            point
        }));
        Ok(())
    }

    /// Checks that nothing which is written lies in a different such part, in the source, or in the partners.
    pub(crate) fn check_overlaps(
        &mut self,
        result: &View,
        source: Option<&View>,
        partners: Option<Range<usize>>,
    ) -> Result<(), Error> {
        let result = (result.addresses(), Part::Result);
        let images = self.images.iter().map(View::addresses);
        let masks = self.masks.iter().map(MaskView::addresses);
        self.areas.clear();
        self.areas.push(result);
        (self.areas).extend(images.zip((0..).map(Part::Image)));
        self.areas.extend(masks.zip((0..).map(Part::Mask)));
        // That of the result was checked against both.
        let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        let read = [
            (source.map(View::addresses), "overlaps the source"),
            (partners, "shares memory with the partners of the workspace"),
        ];
        for (area, part) in &self.areas[1..] {
            for (read, message) in &read {
                if read.as_ref().is_some_and(|read| overlap(read, area)) {
                    return Err(Error::argument(&part.to_string(), message));
                }
            }
        }
        // Then any two that overlap make two neighbours that do.
        self.areas.sort_unstable_by_key(|(area, _)| area.start);
        let mut pairs = self.areas.array_windows();
        match pairs.find(|[(a, _), (b, _)]| overlap(a, b)) {
            Some([(_, a), (_, b)]) => {
                let message = format!("overlaps {}", a.min(b));
                Err(Error::argument(&a.max(b).to_string(), &message))
            }
            None => Ok(()),
        }
    }

    /// Moves all targets but the images.
    ///
    /// # Safety
    ///
    /// The memory of the masks is writable, and nothing else uses it meanwhile.
    pub(crate) unsafe fn apply(
        &mut self,
        work: impl FnOnce(&mut faa_policy::Targets<'_, '_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let work = |masks: &mut [faa_policy::Mask<'_>]| {
            let mut targets = faa_policy::Targets::new();
            targets.masks = masks;
            targets.boxes = &mut self.boxes;
            targets.rotated_boxes = &mut self.rotated_boxes;
            targets.keypoints = &mut self.keypoints;
            targets.limits = self.limits;
            targets.erased = self.erased;
            work(&mut targets)
        };
        // SAFETY: passed on.
        unsafe { self.copies.with_masks(&self.masks, work) }
    }

    /// The further images.
    pub(crate) fn images(&self) -> &[View] {
        &self.images
    }

    /// Writes boxes and points to where they were read from.
    ///
    /// # Safety
    ///
    /// They are as `faa_apply_with_targets` demands, and the same as in `read`.
    pub(crate) unsafe fn write(&self, targets: &Targets) {
        for (index, it) in self.boxes.iter().enumerate() {
            let moved = BoundingBox {
                left: it.left,
                top: it.top,
                right: it.right,
                bottom: it.bottom,
                visible: it.visible,
            };
            // SAFETY: there are as many as were read.
            unsafe { targets.boxes.add(index).write(moved) };
        }
        for (index, it) in self.rotated_boxes.iter().enumerate() {
            let moved = RotatedBox {
                x: it.centre[0],
                y: it.centre[1],
                width: it.width,
                height: it.height,
                angle: it.angle,
                visible: it.visible,
            };
            // SAFETY: as above.
            unsafe { targets.rotated_boxes.add(index).write(moved) };
        }
        for (index, it) in self.keypoints.iter().enumerate() {
            // SAFETY: as above.
            let point = unsafe { &mut *targets.keypoints.add(index) };
            [point.x, point.y] = it.position;
            if !it.visible {
                point.visible = 0;
            }
        }
    }
}

fn limits(targets: &Targets) -> Result<BoxLimits, Error> {
    let &Targets {
        min_visible,
        min_size,
        ..
    } = targets;
    if !(0.0..=1.0).contains(&min_visible) {
        let message = format!("{min_visible} is not from 0 to 1");
        return Err(Error::argument("targets.min_visible", &message));
    }
    if !(0.0..=f64::MAX).contains(&min_size) {
        let message = format!("{min_size} is not a length");
        return Err(Error::argument("targets.min_size", &message));
    }
    let mut limits = BoxLimits::default();
    (limits.min_visible, limits.min_size) = (min_visible, min_size);
    Ok(limits)
}

/// A part of a program's memory, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Result,
    Image(usize),
    Mask(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result => f.write_str("result"),
            Self::Image(index) => write!(f, "targets.images[{index}]"),
            Self::Mask(index) => write!(f, "targets.masks[{index}]"),
        }
    }
}
