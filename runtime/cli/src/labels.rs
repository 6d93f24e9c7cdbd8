//! Boxes, outlines, keypoints and masks that move along with pictures.

use anyhow::{Result, bail};
use clap::Args;
use faa_data::{Coco, LabelMask, MaskLabels, Object, ObjectPoint, Region};
use faa_op::Size;
use faa_policy::{BoundingBox, Erased, Keypoint, Mask, Targets};
use serde_json::{Map, Value, json};

use crate::arguments::{in_range, one_of};

/// What becomes of boxes and masks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Boxes and masks")]
pub(crate) struct LabelOptions {
    /// Drop boxes of which less than this fraction of the area is visible, 0 to 1 [default: 0: those that are not
    /// visible at all].
    #[arg(long, value_name = "FRACTION", value_parser = in_range(0.0..=1.0))]
    min_visible: Option<f64>,
    /// Drop boxes with a side shorter than this, in pixels [default: 1].
    #[arg(long, value_name = "PIXELS", value_parser = in_range(0.0..=16_384.0))]
    min_size: Option<f64>,
    /// Fit boxes to the moved outlines of their objects, where there are any, in place of the moved box.
    #[arg(long)]
    tight_boxes: bool,
    /// Label of mask pixels that come from outside the image, such as 255 for "ignore" [default: 0].
    #[arg(long, value_name = "LABEL", value_parser = in_range(0..=u16::MAX))]
    mask_fill: Option<u16>,
    /// Boxes, points and labels where an op such as Cutout erases the image [default: occluded].
    #[arg(long, value_name = "HOW", value_parser = one_of([
        ("occluded", Erased::Occluded, "they stay: the object is behind what was erased"),
        ("removed", Erased::Removed, "labels become the fill, and the area is not visible"),
    ]))]
    erased: Option<Erased>,
}

/// What is known of one picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) objects: Vec<Object>,
    pub(crate) mask: Option<LabelMask>,
}

/// What became of it under one draw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved {
    /// For each object, in order, what it is now; `None` if it was dropped.
    pub(crate) objects: Vec<Option<Object>>,
    /// For each object, the visible fraction of its box, if it has one.
    visible: Vec<Option<f64>>,
    pub(crate) mask: Option<LabelMask>,
}

impl LabelOptions {
    /// Whether any of them is given.
    pub(crate) fn is_given(&self) -> bool {
        let numbers = [self.min_visible, self.min_size]
            .iter()
            .any(Option::is_some);
        numbers || self.tight_boxes || self.mask_fill.is_some() || self.erased.is_some()
    }

    /// All of them, as JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "min_visible": self.min_visible.unwrap_or(0.0),
            "min_size": self.min_size.unwrap_or(1.0),
            "tight_boxes": self.tight_boxes,
            "mask_fill": self.fill(),
            "erased": if self.erased == Some(Erased::Removed) { "removed" } else { "occluded" },
        })
    }

    /// The label of what comes from outside the image.
    pub(crate) fn fill(&self) -> u16 {
        self.mask_fill.unwrap_or(0)
    }

    /// Moves labels of a picture of this size by what `apply` does to the targets that it is given. In a mirrored
    /// picture, keypoints of the left and the right side change places, by the names in `coco`.
    pub(crate) fn moved(
        &self,
        labels: &Labels,
        size: Size,
        coco: Option<&Coco>,
        apply: impl FnOnce(&mut Targets<'_, '_>) -> Result<()>,
    ) -> Result<Moved> {
        let mut moving = Moving::of(&labels.objects, size);
        let mut mask = labels.mask.clone();
        let mut regions: Vec<Vec<u8>> = labels.objects.iter().filter_map(pixels_of).collect();
        {
            let mut masks = Vec::new();
            for region in &mut regions {
                masks.push(Mask::u8(region, size, 0)?);
            }
            if let Some(mask) = &mut mask {
                masks.push(self.mask(mask, size)?);
            }
            let mut targets = Targets::new();
            targets.masks = &mut masks;
            targets.boxes = &mut moving.boxes;
            targets.polygons = &mut moving.outlines;
            targets.keypoints = &mut moving.points;
            targets.limits.min_visible = self.min_visible.unwrap_or(0.0);
            targets.limits.min_size = self.min_size.unwrap_or(1.0);
            targets.erased = self.erased.unwrap_or_default();
            apply(&mut targets)?;
        }
        let is_mirrored = moving.is_mirrored();
        let (mut boxes, mut outlines) = (moving.boxes.into_iter(), moving.outlines.into_iter());
        let (mut points, mut regions) = (moving.points.into_iter(), regions.into_iter());
        let mut moved = Moved {
            mask,
            ..Moved::default()
        };
        for object in &labels.objects {
            let frame = frame_of(object).and_then(|_| boxes.next());
            let outlines = outlines.by_ref().take(object.outlines.len());
            let mut after = Object {
                class: object.class,
                bounds: None,
                outlines: outlines.filter(|corners| corners.len() >= 3).collect(),
                region: object
                    .region
                    .as_ref()
                    .and_then(|_| regions.next())
                    .map(|pixels| Region::new(size.width as u32, size.height as u32, pixels)),
                keypoints: (object.keypoints.iter().zip(points.by_ref()))
                    .map(|(before, point)| ObjectPoint {
                        position: point.position,
                        visibility: if point.visible { before.visibility } else { 0 },
                    })
                    .collect(),
            };
            if is_mirrored && let Some(coco) = coco {
                let points = after.keypoints.len();
                let sides = coco.sides(object.class).iter();
                for &[left, right] in sides.take_while(|it| it[0] < points) {
                    if right < points {
                        after.keypoints.swap(left, right);
                    }
                }
            }
            let has_shape = |it: &Object| it.area() > 0.0;
            let is_only_outline = object.bounds.is_none() && !object.outlines.is_empty();
            let is_lost = (has_shape(object) && !has_shape(&after))
                || (is_only_outline && after.outlines.is_empty());
            let mut is_kept = !is_lost && frame.is_none_or(|frame| frame.is_kept());
            if let (Some(frame), true) = (frame, object.bounds.is_some()) {
                after.bounds = Some([frame.left, frame.top, frame.right, frame.bottom]);
                if self.tight_boxes && has_shape(&after) {
                    after.bounds = after.extent();
                    let min_size = self.min_size.unwrap_or(1.0);
                    is_kept &= after.bounds.is_none_or(|[left, top, right, bottom]| {
                        (right - left).min(bottom - top) >= min_size
                    });
                }
            }
            moved
                .visible
                .push(frame.map(|frame| if is_kept { frame.visible } else { 0.0 }));
            moved.objects.push(is_kept.then_some(after));
        }
        Ok(moved)
    }

    fn mask<'m>(&self, mask: &'m mut LabelMask, size: Size) -> Result<Mask<'m>> {
        let (fill, max) = (self.fill(), mask.max_label());
        if fill > max {
            bail!(
                "--mask-fill {fill} does not fit: the labels of this mask are at most {max}, by the bits or the palette \
                 that it is stored with"
            );
        }
        let (width, height) = (mask.width, mask.height);
        if (width as usize, height as usize) != (size.width, size.height) {
            bail!(
                "the mask has {width}×{height} pixels, but the image has {}×{}, with its EXIF orientation applied",
                size.width,
                size.height
            );
        }
        Ok(match &mut mask.labels {
            MaskLabels::U8(labels) => Mask::u8(labels, size, fill as u8)?,
            MaskLabels::U16(labels) => Mask::u16(labels, size, fill)?,
        })
    }
}

impl Moved {
    /// The indices of the objects that are kept, and what they are now.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, &Object)> {
        let objects = self.objects.iter().enumerate();
        objects.filter_map(|(index, object)| Some((index, object.as_ref()?)))
    }

    /// The indices of the objects that were dropped.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = usize> {
        let objects = self.objects.iter().enumerate();
        objects
            .filter(|(_, object)| object.is_none())
            .map(|(index, _)| index)
    }

    /// The visible fraction of the box of each object, if it has one.
    pub(crate) fn visible(&self) -> &[Option<f64>] {
        &self.visible
    }
}

/// An object of a file of annotations.
pub(crate) fn parsed(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).expect("it is a JSON object")
}

/// What all objects have, one after the other.
struct Moving {
    boxes: Vec<BoundingBox>,
    outlines: Vec<Vec<[f64; 2]>>,
    /// Then three around the middle of the picture, by which a mirrored one is recognised.
    points: Vec<Keypoint>,
}

impl Moving {
    fn of(objects: &[Object], size: Size) -> Self {
        let boxes = objects.iter().filter_map(frame_of);
        let points = objects.iter().flat_map(|it| &it.keypoints);
        let points = points.map(|it| {
            let mut point = Keypoint::new(it.position[0], it.position[1]);
            point.visible = it.visibility > 0;
            point
        });
        let [x, y] = [size.width, size.height].map(|side| side as f64 / 2.0);
        let probes = [[x, y], [x + 0.25, y], [x, y + 0.25]];
        Self {
            boxes: boxes
                .map(|[left, top, right, bottom]| BoundingBox::new(left, top, right, bottom))
                .collect(),
            outlines: objects.iter().flat_map(|it| it.outlines.clone()).collect(),
            points: points
                .chain(probes.map(|[x, y]| Keypoint::new(x, y)))
                .collect(),
        }
    }

    fn is_mirrored(&self) -> bool {
        let probes = self.points.last_chunk::<3>();
        probes.is_some_and(|probes| {
            let [[x, y], a, b] = probes.map(|it| it.position);
            (a[0] - x) * (b[1] - y) - (a[1] - y) * (b[0] - x) < 0.0
        })
    }
}

/// The box that decides whether an object is kept: its own, or the one about its outlines and pixels.
fn frame_of(object: &Object) -> Option<[f64; 4]> {
    object.bounds.or_else(|| object.extent())
}

fn pixels_of(object: &Object) -> Option<Vec<u8>> {
    object
        .region
        .as_ref()
        .map(|region| region.pixels().to_vec())
}
