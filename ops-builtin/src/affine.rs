//! Pillow's affine transform with nearest-neighbour sampling (`Image.transform` with `AFFINE`;
//! `Geometry.c`), which is three algorithms that differ on pixels whose centres fall close to a
//! border between two pixels.

use faa_op::{Call, Channels, ImageMut, math};

/// Maps the centre of a pixel of the result, `(x, y)`, to the place that it is taken from:
/// `(a·x + b·y + c, d·x + e·y + f)` for `[a, b, c, d, e, f]`.
pub(crate) type Matrix = [f64; 6];

/// Replaces every pixel with the one that lies where `matrix` says, or with 0 where that is outside.
pub(crate) fn transform(image: &mut ImageMut<'_>, matrix: Matrix, call: &mut Call<'_>) {
    match image.channels() {
        Channels::L => transform_pixels::<1>(image, matrix, call),
        Channels::Rgb => transform_pixels::<3>(image, matrix, call),
        Channels::Rgba => transform_pixels::<4>(image, matrix, call),
    }
}

fn transform_pixels<const N: usize>(image: &mut ImageMut<'_>, matrix: Matrix, call: &mut Call<'_>) {
    let source = Source {
        pixels: call.scratch.copy_of(image.samples()).as_chunks::<N>().0,
        width: image.width(),
        height: image.height(),
    };
    let result = image.samples_mut().as_chunks_mut::<N>().0;
    let [_, b, _, d, _, _] = matrix;
    if b == 0.0 && d == 0.0 {
        scale(&source, result, matrix);
    } else if fits_fixed_point(&source, matrix) {
        sample_fixed(&source, result, matrix);
    } else {
        sample_double(&source, result, matrix);
    }
}

struct Source<'a, const N: usize> {
    pixels: &'a [[u8; N]],
    width: usize,
    height: usize,
}

impl<const N: usize> Source<'_, N> {
    fn at(&self, x: usize, y: usize) -> [u8; N] {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x]
        } else {
            [0; N]
        }
    }
}

/// Columns and rows do not depend on each other: each is found once, by adding up steps in double
/// precision.
fn scale<const N: usize>(source: &Source<'_, N>, result: &mut [[u8; N]], matrix: Matrix) {
    let [a, _, c, _, e, f] = matrix;
    let width = source.width;
    result.fill([0; N]);
    let columns = Positions::new(c + a * 0.5, a, width);
    for run in columns.runs(width) {
        let rows = Positions::new(f + e * 0.5, e, source.height);
        for (from, to) in rows.zip(result.chunks_exact_mut(width)) {
            if from < source.height {
                let from = from * width + run.from;
                to[run.to..][..run.length].copy_from_slice(&source.pixels[from..][..run.length]);
            }
        }
    }
}

/// The whole parts of a coordinate that starts at some place and moves on by the same step.
///
/// The steps are added up one by one, not multiplied, because their rounding errors show.
struct Positions {
    next: f64,
    step: f64,
    left: usize,
}

impl Positions {
    fn new(first: f64, step: f64, count: usize) -> Self {
        Self {
            next: first,
            step,
            left: count,
        }
    }

    /// The positions below `limit`, in runs of neighbours that come from neighbours, so that a run
    /// can be copied as one piece.
    ///
    /// A translation has one run, or two where rounding skips a column: from −10⁻¹⁶ a step of 1
    /// leads to just below 1, which is column 0, and the next one to 2.
    fn runs(self, limit: usize) -> impl Iterator<Item = Run> {
        let mut positions = self
            .enumerate()
            .filter(move |&(_, from)| from < limit)
            .peekable();
        core::iter::from_fn(move || {
            let (to, from) = positions.next()?;
            let mut length = 1;
            while positions
                .next_if_eq(&(to + length, from + length))
                .is_some()
            {
                length += 1;
            }
            Some(Run { to, from, length })
        })
    }
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let position = whole(self.next);
        self.next += self.step;
        Some(position)
    }
}

struct Run {
    to: usize,
    from: usize,
    length: usize,
}

/// The whole part of a coordinate; `usize::MAX`, which is outside every image, for a negative one.
fn whole(coordinate: f64) -> usize {
    if coordinate >= 0.0 {
        coordinate as usize
    } else {
        usize::MAX
    }
}

/// Whether the four corners stay where 16.16 fixed point reaches.
fn fits_fixed_point<const N: usize>(source: &Source<'_, N>, matrix: Matrix) -> bool {
    let [a, b, c, d, e, f] = matrix;
    let (width, height) = (source.width as f64, source.height as f64);
    let fits = |coordinate: f64| coordinate > -32768.0 && coordinate < 32768.0;
    [(0.0, 0.0), (width, height), (0.0, height), (width, 0.0)]
        .iter()
        .all(|(x, y)| fits(x * a + y * b + c) && fits(x * d + y * e + f))
}

fn sample_fixed<const N: usize>(source: &Source<'_, N>, result: &mut [[u8; N]], matrix: Matrix) {
    let [a, b, c, d, e, f] = matrix;
    // The sums of coordinates keep to 32 bits because the corners do; only the step past the last
    // row or column may leave them, and nothing is read there. So they wrap.
    let fixed = |value: f64| math::floor(value * 65536.0 + 0.5) as i64 as i32;
    let mut row_start = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    for row in result.chunks_exact_mut(source.width) {
        let (mut x, mut y) = row_start;
        for pixel in row {
            // Negative coordinates become huge ones, outside every image.
            *pixel = source.at((x >> 16) as usize, (y >> 16) as usize);
            x = x.wrapping_add(a);
            y = y.wrapping_add(d);
        }
        row_start.0 = row_start.0.wrapping_add(b);
        row_start.1 = row_start.1.wrapping_add(e);
    }
}

fn sample_double<const N: usize>(source: &Source<'_, N>, result: &mut [[u8; N]], matrix: Matrix) {
    let [a, b, c, d, e, f] = matrix;
    let mut row_start = (c + b * 0.5 + a * 0.5, f + e * 0.5 + d * 0.5);
    for row in result.chunks_exact_mut(source.width) {
        let (mut x, mut y) = row_start;
        for pixel in row {
            *pixel = source.at(whole(x), whole(y));
            x += a;
            y += d;
        }
        row_start.0 += b;
        row_start.1 += e;
    }
}
