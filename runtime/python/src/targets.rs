use std::slice;
use std::sync::{Mutex, PoisonError};

use faa_op::{DrawKey, ImageMut, ImageRef, OpSet, ShapeError, Size};
use faa_policy::{
    BoundingBox, Erased, Executor, Keypoint, Mask, Plan, ReplayError, ReplayErrorKind, RotatedBox,
    Targets, Workspace,
};
use pyo3::prelude::*;

use crate::images::of_shape;

/// What moves along with an image, as Python passes it.
#[derive(FromPyObject)]
pub(crate) struct Given {
    masks: Vec<Labels>,
    /// Left, top, right, bottom.
    boxes: Vec<[f64; 4]>,
    /// Centre, width, height, angle.
    rotated_boxes: Vec<[f64; 5]>,
    points: Vec<(f64, f64, bool)>,
    min_visible: f64,
    min_size: f64,
    removed: bool,
}

/// The memory of a mask, in rows without gaps: its address, the bytes of a label (1 or 2), height, width, and the
/// label of what comes from outside the image.
type Labels = (usize, usize, usize, usize, u16);

/// Boxes, each with the fraction that is visible, and points.
pub(crate) type Moved = (
    Vec<(f64, f64, f64, f64, f64)>,
    Vec<(f64, f64, f64, f64, f64, f64)>,
    Vec<(f64, f64, bool)>,
);

/// What a draw is: made from a key, or written down.
pub(crate) enum Draw<'a> {
    Key(&'a Executor, DrawKey),
    Plan(&'a Plan, &'a OpSet),
}

impl Draw<'_> {
    /// Applies the draw to an image alone.
    pub(crate) fn apply(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        match (self, source) {
            (Self::Plan(plan, ops), Some(source)) => plan.replay_to(ops, source, image, workspace),
            (Self::Plan(plan, ops), None) => plan.replay(ops, image, workspace),
            (&Self::Key(executor, key), source) => {
                let applied = match source {
                    Some(source) => executor.apply_to(source, image, key, workspace),
                    None => executor.apply(image, key, workspace),
                };
                applied.map_err(|error| ReplayErrorKind::Apply(error).into())
            }
        }
    }
}

/// Masks, boxes and points that a call moves once, from whichever thread.
pub(crate) struct Moving {
    masks: Vec<Labels>,
    boxes: Vec<BoundingBox>,
    rotated_boxes: Vec<RotatedBox>,
    points: Vec<Keypoint>,
    min_visible: f64,
    min_size: f64,
    removed: bool,
}

impl Moving {
    pub(crate) fn new(given: Given) -> PyResult<Mutex<Self>> {
        let moving = Self {
            boxes: (given.boxes.iter())
                .map(|&[left, top, right, bottom]| BoundingBox::new(left, top, right, bottom))
                .collect(),
            rotated_boxes: (given.rotated_boxes.iter())
                .map(|&[x, y, width, height, angle]| RotatedBox::new([x, y], width, height, angle))
                .collect(),
            points: (given.points.iter())
                .map(|&(x, y, visible)| {
                    let mut point = Keypoint::new(x, y);
                    point.visible = visible;
                    point
                })
                .collect(),
            masks: given.masks,
            min_visible: given.min_visible,
            min_size: given.min_size,
            removed: given.removed,
        };
        moving.views().map_err(of_shape)?;
        Ok(Mutex::new(moving))
    }

    /// Applies a draw to an image, from a source or in place, and to what moves along.
    pub(crate) fn apply(
        own: &Mutex<Self>,
        draw: &Draw<'_>,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        let own = &mut *own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut masks = own.views().expect("they were checked");
        let mut targets = Targets::new();
        targets.masks = &mut masks;
        targets.boxes = &mut own.boxes;
        targets.rotated_boxes = &mut own.rotated_boxes;
        targets.keypoints = &mut own.points;
        targets.limits.min_visible = own.min_visible;
        targets.limits.min_size = own.min_size;
        if own.removed {
            targets.erased = Erased::Removed;
        }
        match *draw {
            Draw::Plan(plan, ops) => match source {
                Some(source) => {
                    plan.replay_to_with_targets(ops, source, image, &mut targets, workspace)
                }
                None => plan.replay_with_targets(ops, image, &mut targets, workspace),
            },
            Draw::Key(executor, key) => {
                let applied = match source {
                    Some(source) => {
                        executor.apply_to_with_targets(source, image, &mut targets, key, workspace)
                    }
                    None => executor.apply_with_targets(image, &mut targets, key, workspace),
                };
                applied.map_err(|error| ReplayErrorKind::Apply(error).into())
            }
        }
    }

    /// What became of boxes and points.
    pub(crate) fn moved(own: Mutex<Self>) -> Moved {
        let own = own.into_inner().unwrap_or_else(PoisonError::into_inner);
        let boxes = own.boxes.iter();
        let rotated_boxes = own.rotated_boxes.iter();
        let points = own.points.iter();
        (
            boxes
                .map(|it| (it.left, it.top, it.right, it.bottom, it.visible))
                .collect(),
            rotated_boxes
                .map(|it| {
                    let [x, y] = it.centre;
                    (x, y, it.width, it.height, it.angle, it.visible)
                })
                .collect(),
            points
                .map(|it| (it.position[0], it.position[1], it.visible))
                .collect(),
        )
    }

    /// The masks, whose memory does not belong to `self`.
    #[expect(unsafe_code, reason = "the memory is Python's")]
    fn views<'a>(&self) -> Result<Vec<Mask<'a>>, ShapeError> {
        let view = |&(address, bytes, height, width, fill): &Labels| {
            let size = Size { width, height };
            let length = width.saturating_mul(height);
            if length == 0 {
                return Mask::u8(&mut [], size, 0);
            }
            match bytes {
                2 => {
                    // SAFETY: the package passes new memory of this length, aligned for a label, that nothing else
                    // uses during the call.
                    let labels = unsafe { slice::from_raw_parts_mut(address as *mut u16, length) };
                    Mask::u16(labels, size, fill)
                }
                _ => {
                    // SAFETY: as above.
                    let labels = unsafe { slice::from_raw_parts_mut(address as *mut u8, length) };
                    Mask::u8(labels, size, fill as u8)
                }
            }
        };
        self.masks.iter().map(view).collect()
    }
}
