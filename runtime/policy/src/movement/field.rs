use faa_op::{FIELD_ONE, Point, Size};

/// Where each pixel of a result is taken from.
#[derive(Default)]
pub(crate) struct Field {
    size: Size,
    sources: Vec<[i32; 2]>,
}

/// How often a position is improved before the whole field is searched.
const ROUNDS: usize = 40;

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

    /// The position of the result that is taken from a position of the source, and whether there is one. If there
    /// are several, one of them; if there is none, the one that is taken from closest by.
    pub(crate) fn result_of(&self, source: Point) -> (Point, bool) {
        // What is displaced by d at r comes from r + d: so r is the source minus what displaces r.
        let mut result = source;
        for _ in 0..ROUNDS {
            let displacement = self.displacement(result);
            let next = [0, 1].map(|axis| source[axis] - displacement[axis]);
            if distance(result, next) < CLOSE {
                return (next, true);
            }
            result = next;
        }
        self.searched(source)
    }

    /// Tries every pixel, for fields that change faster than positions do, or that have folds.
    fn searched(&self, source: Point) -> (Point, bool) {
        let mut nearest = (f64::INFINITY, source);
        for (index, position) in self.sources.iter().enumerate() {
            let away = distance(position.map(in_pixels), source);
            if away < nearest.0 {
                let (x, y) = (index % self.size.width, index / self.size.width);
                nearest = (away, [x as f64 + 0.5, y as f64 + 0.5]);
            }
        }
        (nearest.1, nearest.0 <= NEAR)
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
