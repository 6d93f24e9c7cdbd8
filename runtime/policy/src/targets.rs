use faa_op::{ImageMut, Point, ShapeError, ShapeErrorKind, Size};

/// What moves along with an image: [`Executor::apply_with_targets`](crate::Executor::apply_with_targets).
///
/// Positions are those of [`Point`]: in pixels from the left and top *edges* of the image, so the centre of its
/// first pixel is (½, ½) and its lower right corner is (width, height). This is the convention of COCO and of
/// torchvision's boxes. Add ½ to points that name the centres of pixels by whole numbers.
///
/// Masks move pixel by pixel, exactly as the image does. Boxes and points follow the map that the pixels are
/// taken from, so a pixel of theirs lies within half a pixel of it, as nearest-neighbour sampling rounds.
///
/// ```
/// use faa_op::{Channels, DrawKey, ImageMut, Size};
/// use faa_policy::{BoundingBox, Executor, Mask, Policy, Targets, Workspace};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = br#"{"format": "faa-policy", "version": 1, "name": "flip", "sub_policies": [
///     [{"op": "FlipX", "probability": 1}]]}"#;
/// let executor = Executor::builtin(&Policy::parse(policy)?)?;
///
/// let (mut pixels, mut labels) = (vec![0; 64 * 48 * 3], vec![0; 64 * 48]);
/// let mut image = ImageMut::new(&mut pixels, 64, 48, Channels::Rgb)?;
/// let mut masks = [Mask::u8(&mut labels, Size { width: 64, height: 48 }, 255)?];
/// let mut boxes = [BoundingBox::new(4.0, 8.0, 20.0, 32.0)];
/// let mut targets = Targets::new();
/// targets.masks = &mut masks;
/// targets.boxes = &mut boxes;
/// let (key, workspace) = (DrawKey::new(1, 0, 7), &mut Workspace::new());
/// executor.apply_with_targets(&mut image, &mut targets, key, workspace)?;
/// assert_eq!((boxes[0].left, boxes[0].right, boxes[0].visible), (44.0, 60.0, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Targets<'a, 'data> {
    /// Further images that the same draw is applied to, such as those of a second camera, or the other frames
    /// of a clip. They may differ from the image in size and channels. Draws that differ from frame to frame
    /// are separate calls, with the keys of [`DrawKey::for_frame`](faa_op::DrawKey::for_frame).
    pub images: &'a mut [ImageMut<'data>],
    /// Masks of the image's size.
    pub masks: &'a mut [Mask<'data>],
    /// Boxes with their sides along those of the image.
    pub boxes: &'a mut [BoundingBox],
    /// Boxes at any angle.
    pub rotated_boxes: &'a mut [RotatedBox],
    /// Outlines of regions, each a list of corners of which the last is joined to the first. What left the image
    /// with any op is cut off, so an outline may get other corners, and has none if nothing is left of it. Erased
    /// rectangles leave outlines as they are, and no limit applies to them.
    pub polygons: &'a mut [Vec<Point>],
    /// Points.
    pub keypoints: &'a mut [Keypoint],
    /// Which boxes are dropped.
    pub limits: BoxLimits,
    /// What becomes of targets where ops such as Cutout erase the image.
    pub erased: Erased,
}

/// One label per pixel, such as its class or its object, or a depth. Labels are moved and never mixed.
#[derive(Debug)]
pub struct Mask<'a> {
    pub(crate) labels: Labels<'a>,
    pub(crate) size: Size,
}

/// The labels of a mask in rows from the top, and the label of pixels that come from outside the image.
#[derive(Debug)]
pub(crate) enum Labels<'a> {
    U8(&'a mut [u8], u8),
    U16(&'a mut [u16], u16),
}

/// A box with its sides along those of the image.
///
/// It becomes the smallest such box about all that is still visible of it: its four corners are moved, what left
/// the image with any op is cut off, and the edges of the rest are taken. So a box of which a part is outside can
/// be smaller than the box about its moved corners, which would hold pixels of nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BoundingBox {
    /// The position of the left edge.
    pub left: f64,
    /// The position of the upper edge.
    pub top: f64,
    /// The position of the right edge, above `left`.
    pub right: f64,
    /// The position of the lower edge, above `top`.
    pub bottom: f64,
    /// The fraction of the box's area that is visible after the draw, from 0 to 1; 0 if the box is dropped, and
    /// then its edges are 0 too. What it is before does not matter.
    pub visible: f64,
}

/// A box at any angle.
///
/// It becomes the smallest box at the moved box's angle about all that is still visible of it. If an op shears the
/// box, that is the angle of the longer of its moved sides, with which the box is the smallest.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RotatedBox {
    /// The position of the centre.
    pub centre: Point,
    /// The length of the sides that are horizontal at angle 0, in pixels.
    pub width: f64,
    /// The length of the other sides, in pixels.
    pub height: f64,
    /// By how much the box is turned, in degrees, counter-clockwise as one looks at the image. After a draw it is
    /// from −180 to 180.
    pub angle: f64,
    /// As in [`BoundingBox::visible`]: 0 if the box is dropped, and then all other numbers are 0 too.
    pub visible: f64,
}

/// A point.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Keypoint {
    /// Its position. It is moved even if the point is not visible.
    pub position: Point,
    /// Whether the point is visible. A point that is not before the draw is not after it, and one that leaves the
    /// image with any op is not either.
    pub visible: bool,
}

/// Which boxes are dropped, besides those that are not visible at all.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BoxLimits {
    /// The smallest fraction of a box's area that has to be visible, from 0 to 1; by default 0.
    pub min_visible: f64,
    /// The shortest side that a moved box may have, in pixels; by default 1.
    pub min_size: f64,
}

/// What becomes of targets where an op erases a rectangle of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Erased {
    /// Nothing: the objects are behind the rectangle, and a network is to recognise them from what surrounds it,
    /// which is what Cutout is for.
    #[default]
    Occluded,
    /// They are gone: labels become the fill, points in the rectangle invisible, and its area is not part of what
    /// is visible of a box, whose edges stay. Where two rectangles overlap, that counts twice.
    Removed,
}

impl Targets<'_, '_> {
    /// No targets, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<'a> Mask<'a> {
    /// A mask with labels of one byte, in rows from the top without padding, and the label of what comes from
    /// outside the image.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a side is zero or the number of labels is not `width × height`.
    pub fn u8(labels: &'a mut [u8], size: Size, fill: u8) -> Result<Self, ShapeError> {
        check(labels, size)?;
        let labels = Labels::U8(labels, fill);
        Ok(Self { labels, size })
    }

    /// A mask with labels of two bytes, likewise.
    ///
    /// # Errors
    ///
    /// As [`Mask::u8`].
    pub fn u16(labels: &'a mut [u16], size: Size, fill: u16) -> Result<Self, ShapeError> {
        check(labels, size)?;
        let labels = Labels::U16(labels, fill);
        Ok(Self { labels, size })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }
}

fn check<L>(labels: &[L], size: Size) -> Result<(), ShapeError> {
    if size.width == 0 || size.height == 0 {
        return Err(ShapeErrorKind::Empty.into());
    }
    let expected = (size.width.checked_mul(size.height))
        .and_then(|area| area.checked_mul(size_of::<L>()))
        .ok_or(ShapeErrorKind::TooLarge)?;
    let found = size_of_val(labels);
    match found == expected {
        true => Ok(()),
        false => Err(ShapeErrorKind::Length { expected, found }.into()),
    }
}

impl BoundingBox {
    /// A box with these edges.
    pub fn new(left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
            visible: 1.0,
        }
    }

    /// Whether a draw kept the box.
    pub fn is_kept(&self) -> bool {
        self.visible > 0.0
    }
}

impl RotatedBox {
    /// A box about `centre`, turned by `angle` degrees counter-clockwise.
    pub fn new(centre: Point, width: f64, height: f64, angle: f64) -> Self {
        Self {
            centre,
            width,
            height,
            angle,
            visible: 1.0,
        }
    }

    /// Whether a draw kept the box.
    pub fn is_kept(&self) -> bool {
        self.visible > 0.0
    }
}

impl Keypoint {
    /// A visible point.
    pub fn new(x: f64, y: f64) -> Self {
        Self {
            position: [x, y],
            visible: true,
        }
    }
}

impl Default for BoxLimits {
    fn default() -> Self {
        Self {
            min_visible: 0.0,
            min_size: 1.0,
        }
    }
}
