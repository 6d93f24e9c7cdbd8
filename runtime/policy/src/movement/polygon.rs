use std::mem;

use faa_op::{Point, Rectangle};

/// A polygon, in memory that is kept.
#[derive(Default)]
pub(crate) struct Polygon {
    points: Vec<Point>,
    /// What the points were before the last change.
    previous: Vec<Point>,
    /// The points, while a part of the polygon is measured.
    kept: Vec<Point>,
}

/// Into how many pieces a side is divided that a field may bend.
const PIECES: usize = 8;

impl Polygon {
    pub(crate) fn begin(&mut self, corners: &[Point]) {
        self.points.clear();
        self.points.extend_from_slice(corners);
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    pub(crate) fn map(&mut self, map: impl Fn(Point) -> Point) {
        for point in &mut self.points {
            *point = map(*point);
        }
    }

    /// Adds points to the sides, without changing the polygon.
    pub(crate) fn divide(&mut self) {
        mem::swap(&mut self.points, &mut self.previous);
        self.points.clear();
        let ends = self.previous.iter().cycle().skip(1);
        for (from, to) in self.previous.iter().zip(ends) {
            let pieces = 0..PIECES;
            let points = pieces.map(|piece| between(*from, *to, piece as f64 / PIECES as f64));
            self.points.extend(points);
        }
    }

    /// Cuts off what is not in an area, and returns the fraction that is left; 1 if nothing was cut off.
    pub(crate) fn clip(&mut self, area: &Rectangle) -> f64 {
        let edges = Self::edges(area);
        let inside = |point: &Point| edges.iter().all(|edge| edge.has_inside(point));
        if self.points.iter().all(inside) {
            return 1.0;
        }
        let before = self.area();
        edges.iter().for_each(|edge| self.cut(edge));
        self.area() / before
    }

    /// The fraction of the polygon that is in an area.
    pub(crate) fn fraction_within(&mut self, area: &Rectangle) -> f64 {
        self.kept.clear();
        self.kept.extend_from_slice(&self.points);
        let fraction = self.clip(area);
        mem::swap(&mut self.points, &mut self.kept);
        fraction
    }

    /// The smallest and the largest position of the points along a direction.
    pub(crate) fn extent(&self, direction: [f64; 2]) -> [f64; 2] {
        let positions = self
            .points
            .iter()
            .map(|[x, y]| x * direction[0] + y * direction[1]);
        positions.fold(
            [f64::INFINITY, f64::NEG_INFINITY],
            |[low, high], position| [low.min(position), high.max(position)],
        )
    }

    /// Cuts off what is outside of an edge (Sutherland and Hodgman, *Reentrant polygon clipping*, 1974).
    fn cut(&mut self, edge: &Edge) {
        mem::swap(&mut self.points, &mut self.previous);
        self.points.clear();
        let Some(mut from) = self.previous.last() else {
            return;
        };
        for to in &self.previous {
            if edge.has_inside(from) != edge.has_inside(to) {
                let axis = edge.axis;
                let part = (edge.position - from[axis]) / (to[axis] - from[axis]);
                let mut crossing = between(*from, *to, part);
                // Without rounding, so that it is inside.
                crossing[axis] = edge.position;
                self.points.push(crossing);
            }
            if edge.has_inside(to) {
                self.points.push(*to);
            }
            from = to;
        }
    }

    fn edges(area: &Rectangle) -> [Edge; 4] {
        let edge = |axis, position: usize, direction| Edge {
            axis,
            position: position as f64,
            direction,
        };
        [
            edge(0, area.left, 1.0),
            edge(1, area.top, 1.0),
            edge(0, area.right, -1.0),
            edge(1, area.bottom, -1.0),
        ]
    }

    fn area(&self) -> f64 {
        let Some(&[x0, y0]) = self.points.last() else {
            return 0.0;
        };
        // From one of the points, so that little is lost far from the origin.
        let doubled = self.points.windows(2).map(|side| {
            (side[0][0] - x0) * (side[1][1] - y0) - (side[1][0] - x0) * (side[0][1] - y0)
        });
        (doubled.sum::<f64>() / 2.0).abs()
    }
}

/// An edge of an area: its position along an axis, and in which direction the area is.
struct Edge {
    axis: usize,
    position: f64,
    direction: f64,
}

impl Edge {
    /// False for a number that is none.
    fn has_inside(&self, point: &Point) -> bool {
        (point[self.axis] - self.position) * self.direction >= 0.0
    }
}

fn between(from: Point, to: Point, part: f64) -> Point {
    [0, 1].map(|axis| from[axis] + part * (to[axis] - from[axis]))
}
