use faa_op::{FIELD_ONE, Point, Size};

/// Where each pixel of a result is taken from.
#[derive(Default)]
pub(crate) struct Field {
    size: Size,
    sources: Vec<[i32; 2]>,
}

/// How often a position is improved before the field is searched.
const ROUNDS: usize = 40;

/// About how many pixels are tried first.
const GRID: usize = 4096;

/// How close a position must lead to the one that is looked for, in pixels.
const CLOSE: f64 = 1.0 / 256.0;

/// How far it may lead from it where nothing is closer, for that to be visible in the result, in pixels.
const NEAR: f64 = 1.0;

impl Field {
    /// The positions of the pixels of an image of this size, to be overwritten.
    pub(crate) fn resized(&mut self, size: Size) -> &mut [[i32; 2]] {
        self.size = size;
        self.sources.resize(size.width * size.height, [0; 2]);
        &mut self.sources
    }

    pub(crate) fn move_labels<L: Copy>(&self, source: &[L], labels: &mut [L], fill: L) {
        for (label, position) in labels.iter_mut().zip(&self.sources) {
            let [x, y] = position.map(|at| at.div_euclid(FIELD_ONE));
            let index = usize::try_from(x).ok().zip(usize::try_from(y).ok());
            let index = index.filter(|&(x, y)| x < self.size.width && y < self.size.height);
            *label = index.map_or(fill, |(x, y)| source[y * self.size.width + x]);
        }
    }

    /// The position of the result that is taken from a position of the source, and whether there is one in the
    /// image; if there are several, one of them.
    pub(crate) fn result_of(&self, source: Point) -> (Point, bool) {
        // What is displaced by d at r comes from r + d: so r is the source minus what displaces r.
        let mut result = source;
        for _ in 0..ROUNDS {
            let displacement = self.displacement(result);
            let next = [0, 1].map(|axis| source[axis] - displacement[axis]);
            let is_close = distance(result, next) < CLOSE;
            result = next;
            if is_close {
                break;
            }
        }
        // Beyond the border a displacement is a guess, so what seems to have left may be inside.
        if self.leads(result, source) && self.is_inside(result) {
            return (result, true);
        }
        let searched = self.searched(source);
        searched.map_or((result, false), |position| (position, true))
    }

    fn leads(&self, [x, y]: Point, source: Point) -> bool {
        let [across, down] = self.displacement([x, y]);
        distance([x + across, y + down], source) < 2.0 * CLOSE
    }

    fn is_inside(&self, [x, y]: Point) -> bool {
        let Size { width, height } = self.size;
        (0.0..=width as f64).contains(&x) && (0.0..=height as f64).contains(&y)
    }

    /// Tries pixels of a grid, and then all about the best of them: for fields that change faster than positions
    /// do, or that have folds. The time does not depend on the size of the image.
    fn searched(&self, source: Point) -> Option<Point> {
        let Size { width, height } = self.size;
        let step = (width * height / GRID).isqrt().max(1);
        let grid = (0..height).step_by(step);
        let grid = grid.flat_map(|y| (0..width).step_by(step).map(move |x| [x, y]));
        let (_, [x, y]) = self.nearest(source, grid)?;
        let about = |at: usize, length: usize| at.saturating_sub(step)..(at + step).min(length);
        let pixels = about(y, height).flat_map(|y| about(x, width).map(move |x| [x, y]));
        let (away, pixel) = self.nearest(source, pixels)?;
        (away <= NEAR).then(|| pixel.map(|at| at as f64 + 0.5))
    }

    /// The pixel that is taken from closest to a position, and how close.
    fn nearest(
        &self,
        source: Point,
        pixels: impl Iterator<Item = [usize; 2]>,
    ) -> Option<(f64, [usize; 2])> {
        let away = |[x, y]: [usize; 2]| {
            distance(self.sources[y * self.size.width + x].map(in_pixels), source)
        };
        pixels
            .map(|pixel| (away(pixel), pixel))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// By how much the position of the source lies beyond that of the result: between the centres of pixels that of
    /// the four around it, in proportion, and as at the border outside.
    fn displacement(&self, [x, y]: Point) -> [f64; 2] {
        let along = |at: f64, length: usize| {
            // A number that is not one is at the border too.
            let at = (at - 0.5).max(0.0).min((length - 1) as f64);
            let first = at as usize;
            (first, (first + 1).min(length - 1), at - first as f64)
        };
        let (left, right, across) = along(x, self.size.width);
        let (top, bottom, down) = along(y, self.size.height);
        let at = |x: usize, y: usize| {
            let [from_x, from_y] = self.sources[y * self.size.width + x].map(in_pixels);
            [from_x - (x as f64 + 0.5), from_y - (y as f64 + 0.5)]
        };
        let corners = [
            at(left, top),
            at(right, top),
            at(left, bottom),
            at(right, bottom),
        ];
        [0, 1].map(|axis| {
            let [a, b, c, d] = corners.map(|corner| corner[axis]);
            let (above, below) = (a + across * (b - a), c + across * (d - c));
            above + down * (below - above)
        })
    }
}

fn in_pixels(position: i32) -> f64 {
    f64::from(position) / f64::from(FIELD_ONE)
}

fn distance([x0, y0]: Point, [x1, y1]: Point) -> f64 {
    (x0 - x1).abs().max((y0 - y1).abs())
}

#[cfg(test)]
mod tests {
    use faa_op::math;

    use super::*;

    /// A field of an image of 200×100 pixels.
    fn field(source: impl Fn(f64, f64) -> Point) -> Field {
        let size = Size {
            width: 200,
            height: 100,
        };
        let mut field = Field::default();
        for (index, position) in field.resized(size).iter_mut().enumerate() {
            let (x, y) = (index % size.width, index / size.width);
            let found = source(x as f64 + 0.5, y as f64 + 0.5);
            *position = found.map(|at| (at * f64::from(FIELD_ONE)).floor() as i32);
        }
        field
    }

    #[test]
    fn a_smooth_field_is_inverted() {
        let map = |x: f64, y: f64| [x + 6.0 * math::sin(y / 15.0), y + 4.0 * math::cos(x / 20.0)];
        let field = field(map);
        for point in [[50.0, 40.0], [100.3, 20.7], [150.0, 90.0], [12.0, 12.0]] {
            let (found, exact) = field.result_of(point);
            assert!(
                exact && distance(map(found[0], found[1]), point) < 0.05,
                "{point:?}"
            );
        }
    }

    /// Mirrored, which no fixed point leads to; and shrunk, so that most of the source is not taken.
    #[test]
    fn any_other_field_is_searched() {
        let mirrored = field(|x, y| [200.0 - x, y]);
        let (found, exact) = mirrored.result_of([30.2, 40.5]);
        assert!(exact && distance(found, [169.8, 40.5]) < 1.0, "{found:?}");
        let corner = field(|x, y| [x / 8.0, y / 8.0]);
        let (found, exact) = corner.result_of([12.5, 6.25]);
        assert!(exact && distance(found, [100.0, 50.0]) < 5.0, "{found:?}");
        let (_, exact) = corner.result_of([150.0, 90.0]);
        assert!(!exact);
        let (_, exact) = corner.result_of([f64::NAN, 1e300]);
        assert!(!exact);
    }
}
