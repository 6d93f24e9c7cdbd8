//! How the pixels of an image move under one draw, and its targets with them.

mod field;
mod polygon;

use std::f64::consts::PI;
use std::mem;

use faa_op::{Affine, OpErrorKind, Point, Rectangle, Size, Warp, math};
use faa_ops_builtin::{Label, move_labels};

use self::field::Field;
use self::polygon::Polygon;
use crate::ApplyError;
use crate::draw::Drawn;
use crate::targets::{BoundingBox, BoxLimits, Erased, Keypoint, Labels, Mask, RotatedBox, Targets};

/// What the steps of one draw do to the places of an image of one size, and memory to do it to its targets.
#[derive(Default)]
pub(crate) struct Movement {
    size: Size,
    steps: Vec<Movements>,
    /// Those of the steps that move pixels by one, in order; there may be more from earlier draws.
    fields: Vec<Field>,
    polygon: Polygon,
    labels: (Vec<u8>, Vec<u16>),
}

/// What one step does.
enum Movements {
    /// Pixels are taken from where the first map leads; the second, its inverse, leads from their places to the
    /// new ones. Without one, nothing that has an area is seen of them.
    Affine(Affine, Option<Affine>),
    /// Pixels are taken from where the field with this index leads.
    Field(usize),
    Erase(Rectangle),
}

impl Movement {
    /// Asks the ops of a draw where they move the pixels of an image of this size. Nothing is moved yet, so a
    /// refusal leaves everything unchanged.
    pub(crate) fn record<'s>(
        &mut self,
        steps: impl Iterator<Item = Drawn<'s>>,
        size: Size,
    ) -> Result<(), ApplyError> {
        self.size = size;
        self.steps.clear();
        let mut fields = 0;
        for step in steps {
            let name = step.op.spec().name();
            let movements = match step.op.warp(step.value, size, step.seed) {
                Warp::Identity => continue,
                Warp::Affine(map) => Movements::Affine(map, map.inverse()),
                Warp::Erase(area) => Movements::Erase(within(area, size)),
                Warp::Field => {
                    if fields == self.fields.len() {
                        self.fields.push(Field::default());
                    }
                    let sources = self.fields[fields].resized(size);
                    let asked = step.op.field(step.value, size, step.seed, sources);
                    asked.map_err(|error| ApplyError::new(Some(name), error))?;
                    fields += 1;
                    Movements::Field(fields - 1)
                }
                _ => return Err(ApplyError::new(Some(name), OpErrorKind::UnknownWarp)),
            };
            self.steps.push(movements);
        }
        Ok(())
    }

    /// Moves all targets but the images.
    pub(crate) fn apply(&mut self, targets: &mut Targets<'_, '_>) {
        let (limits, erased) = (targets.limits, targets.erased);
        for mask in &mut *targets.masks {
            self.move_mask(mask, erased);
        }
        for target in &mut *targets.boxes {
            let dropped = BoundingBox {
                visible: 0.0,
                ..BoundingBox::new(0.0, 0.0, 0.0, 0.0)
            };
            *target = self.moved_box(target, limits, erased).unwrap_or(dropped);
        }
        for target in &mut *targets.rotated_boxes {
            let dropped = RotatedBox {
                visible: 0.0,
                ..RotatedBox::new([0.0; 2], 0.0, 0.0, 0.0)
            };
            let moved = self.moved_rotated_box(target, limits, erased);
            *target = moved.unwrap_or(dropped);
        }
        for corners in &mut *targets.polygons {
            self.move_polygon(corners);
        }
        for point in &mut *targets.keypoints {
            self.move_keypoint(point, erased);
        }
    }

    fn move_mask(&mut self, mask: &mut Mask<'_>, erased: Erased) {
        let (mut u8s, mut u16s) = mem::take(&mut self.labels);
        match &mut mask.labels {
            Labels::U8(labels, fill) => self.move_labels(labels, *fill, &mut u8s, erased),
            Labels::U16(labels, fill) => self.move_labels(labels, *fill, &mut u16s, erased),
        }
        self.labels = (u8s, u16s);
    }

    fn move_labels<L: Label>(
        &self,
        labels: &mut [L],
        fill: L,
        memory: &mut Vec<L>,
        erased: Erased,
    ) {
        for step in &self.steps {
            match step {
                Movements::Affine(map, _) if is_mirror_of_rows(map, self.size) => {
                    mirror_rows(labels, self.size.width);
                }
                Movements::Affine(map, _) => {
                    let source = copied(labels, memory);
                    move_labels(map, source, labels, self.size, fill);
                }
                Movements::Field(index) => {
                    let source = copied(labels, memory);
                    self.fields[*index].move_labels(source, labels, fill);
                }
                Movements::Erase(area) if erased == Erased::Removed => {
                    let rows = labels.chunks_exact_mut(self.size.width);
                    for row in rows.take(area.bottom).skip(area.top) {
                        row[area.left..area.right].fill(fill);
                    }
                }
                Movements::Erase(_) => {}
            }
        }
    }

    fn moved_box(
        &mut self,
        target: &BoundingBox,
        limits: BoxLimits,
        erased: Erased,
    ) -> Option<BoundingBox> {
        let &BoundingBox {
            left,
            top,
            right,
            bottom,
            ..
        } = target;
        if !(left < right && top < bottom) {
            return None;
        }
        let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
        let visible = self.visible(&corners, limits, erased)?;
        // Where the border cuts a side, rounding can lead beyond it.
        let cut = |edge: f64, length: usize| edge.max(0.0).min(length as f64);
        let across = self.polygon.extent([1.0, 0.0]);
        let [left, right] = across.map(|edge| cut(edge, self.size.width));
        let down = self.polygon.extent([0.0, 1.0]);
        let [top, bottom] = down.map(|edge| cut(edge, self.size.height));
        let large = (right - left).min(bottom - top) >= limits.min_size;
        large.then_some(BoundingBox {
            left,
            top,
            right,
            bottom,
            visible,
        })
    }

    fn moved_rotated_box(
        &mut self,
        target: &RotatedBox,
        limits: BoxLimits,
        erased: Erased,
    ) -> Option<RotatedBox> {
        let &RotatedBox {
            centre: [x, y],
            width,
            height,
            angle,
            ..
        } = target;
        if !(width > 0.0 && height > 0.0) {
            return None;
        }
        let (right, down) = axes(angle * (PI / 180.0));
        let at = |across: f64, along: f64| {
            let (across, along) = (across * width, along * height);
            [
                x + across * right[0] + along * down[0],
                y + across * right[1] + along * down[1],
            ]
        };
        let corners = [at(-0.5, -0.5), at(0.5, -0.5), at(0.5, 0.5), at(-0.5, 0.5)];
        let visible = self.visible(&corners, limits, erased)?;
        if self.polygon.points() == corners {
            let large = width.min(height) >= limits.min_size;
            return large.then_some(RotatedBox { visible, ..*target });
        }
        // The lines between the middles of opposite sides.
        let moved = |from, to| {
            let ([x0, y0], [x1, y1]) = (self.moved_point(from), self.moved_point(to));
            [x1 - x0, y1 - y0]
        };
        let across = moved(at(-0.5, 0.0), at(0.5, 0.0));
        let along = moved(at(0.0, -0.5), at(0.0, 0.5));
        let radians = if length(across) >= length(along) {
            math::atan2(-across[1], across[0])
        } else {
            math::atan2(along[0], along[1])
        };
        let (right, down) = axes(radians);
        let [left, end] = self.polygon.extent(right);
        let [top, bottom] = self.polygon.extent(down);
        let (width, height) = (end - left, bottom - top);
        let middle = [(left + end) / 2.0, (top + bottom) / 2.0];
        let centre = [0, 1].map(|axis| middle[0] * right[axis] + middle[1] * down[axis]);
        let large = width.min(height) >= limits.min_size;
        let angle = radians * (180.0 / PI);
        large.then_some(RotatedBox {
            centre,
            width,
            height,
            angle,
            visible,
        })
    }

    fn move_polygon(&mut self, corners: &mut Vec<Point>) {
        let left = self.visible(corners, BoxLimits::default(), Erased::Occluded);
        corners.clear();
        if left.is_some() {
            let ends = [self.size.width as f64, self.size.height as f64];
            let cut = |point: &Point| [0, 1].map(|axis| point[axis].max(0.0).min(ends[axis]));
            corners.extend(self.polygon.points().iter().map(cut));
        }
    }

    fn move_keypoint(&self, point: &mut Keypoint, erased: Erased) {
        let image = whole(self.size);
        let mut seen = point.visible && inside(&image, point.position);
        for step in &self.steps {
            match step {
                Movements::Affine(_, inverse) => {
                    seen &= inverse.is_some();
                    let map = inverse.unwrap_or(Affine::IDENTITY);
                    point.position = map.map(point.position);
                }
                Movements::Field(index) => {
                    let (position, exact) = self.fields[*index].result_of(point.position);
                    (point.position, seen) = (position, seen && exact);
                }
                Movements::Erase(area) => {
                    seen &= erased == Erased::Occluded || !inside(area, point.position);
                }
            }
            seen &= inside(&image, point.position);
        }
        point.visible = seen;
    }

    /// Where all steps together move a point, whether or not it is visible.
    fn moved_point(&self, position: Point) -> Point {
        let mut point = Keypoint::new(position[0], position[1]);
        self.move_keypoint(&mut point, Erased::Occluded);
        point.position
    }

    /// Leaves what is still in the image of a box as the polygon, and returns the fraction of its area that is
    /// visible; `None` if that is too little.
    fn visible(&mut self, corners: &[Point], limits: BoxLimits, erased: Erased) -> Option<f64> {
        let image = whole(self.size);
        let polygon = &mut self.polygon;
        polygon.begin(corners);
        let mut visible = polygon.clip(&image);
        // Of the polygon.
        let mut gone = 0.0;
        for step in &self.steps {
            match step {
                Movements::Affine(_, Some(inverse)) => polygon.map(|point| inverse.map(point)),
                Movements::Affine(_, None) => return None,
                Movements::Field(index) => {
                    polygon.divide();
                    polygon.map(|point| self.fields[*index].result_of(point).0);
                }
                Movements::Erase(area) if erased == Erased::Removed => {
                    gone += polygon.fraction_within(area);
                }
                Movements::Erase(_) => {}
            }
            visible *= polygon.clip(&image);
        }
        visible *= 1.0 - gone;
        // Also false for numbers that are not finite.
        (visible > 0.0 && visible >= limits.min_visible).then_some(visible.min(1.0))
    }
}

/// Rows change places without a copy of the mask, which would cost more than the op does.
fn is_mirror_of_rows(map: &Affine, size: Size) -> bool {
    map.0 == [1.0, 0.0, 0.0, 0.0, -1.0, size.height as f64]
}

fn mirror_rows<L: Label>(labels: &mut [L], width: usize) {
    let half = labels.len() / width / 2 * width;
    let (upper, lower) = labels.split_at_mut(half);
    let rows = lower.rchunks_exact_mut(width);
    for (a, b) in upper.chunks_exact_mut(width).zip(rows) {
        a.swap_with_slice(b);
    }
}

fn copied<'m, L: Copy>(labels: &[L], memory: &'m mut Vec<L>) -> &'m [L] {
    memory.clear();
    memory.extend_from_slice(labels);
    memory
}

fn whole(size: Size) -> Rectangle {
    Rectangle {
        left: 0,
        top: 0,
        right: size.width,
        bottom: size.height,
    }
}

/// The part of an area that is in an image: an op may state more.
fn within(area: Rectangle, size: Size) -> Rectangle {
    let (right, bottom) = (area.right.min(size.width), area.bottom.min(size.height));
    Rectangle {
        left: area.left.min(right),
        top: area.top.min(bottom),
        right,
        bottom,
    }
}

fn inside(area: &Rectangle, [x, y]: Point) -> bool {
    let within = |start: usize, end: usize, at: f64| (start as f64..=end as f64).contains(&at);
    within(area.left, area.right, x) && within(area.top, area.bottom, y)
}

/// The directions of the sides of a box that is turned by this angle: to its right, and down.
fn axes(radians: f64) -> ([f64; 2], [f64; 2]) {
    let (sin, cos) = (math::sin(radians), math::cos(radians));
    ([cos, -sin], [sin, cos])
}

fn length([x, y]: [f64; 2]) -> f64 {
    math::sqrt(x * x + y * y)
}
