//! Pillow's affine transform with nearest-neighbour sampling (`Image.transform` with `AFFINE`;
//! `Geometry.c`), which is three algorithms that differ on pixels whose centres fall close to a
//! border between two pixels.

use core::array;
use core::cmp::Ordering;
use core::hint::black_box;
use core::ops::Range;

use faa_op::{ImageMut, ImageRef, Size, math};

use crate::SimdLevel;
use crate::pixels::by_channels;
use crate::reverse::reverse;
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::each_level;

#[cfg(target_arch = "x86_64")]
mod avx512;

/// Maps the centre of a pixel of the result, `(x, y)`, to the position that it is taken from:
/// `(a·x + b·y + c, d·x + e·y + f)` for `[a, b, c, d, e, f]`.
pub(crate) type Matrix = [f64; 6];

/// Fills `image` with the pixels of `source`, of the same shape, that lie where `matrix` says, or
/// with 0 where that is outside.
pub(crate) fn transform(
    level: SimdLevel,
    source: ImageRef<'_>,
    image: &mut ImageMut<'_>,
    matrix: Matrix,
) {
    let size = image.size();
    by_channels!(image.channels(), N => {
        let source = Source { samples: source.strided_samples(), stride: source.stride(), size };
        sample::<N>(level, source, image.samples_mut().as_chunks_mut().0, matrix, [0; N]);
    });
}

/// Pixels to be read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) samples: &'a [u8],
    /// From the start of a row to that of the next, in bytes.
    pub(crate) stride: usize,
    pub(crate) size: Size,
}

/// Fills `pixels`, of the size of `source`, with those of `source` that lie where `matrix` says, or with `fill`
/// where that is outside.
pub(crate) fn sample<const N: usize>(
    level: SimdLevel,
    source: Source<'_>,
    pixels: &mut [[u8; N]],
    matrix: Matrix,
    fill: [u8; N],
) {
    let [_, b, _, d, _, _] = matrix;
    let image = Target {
        pixels,
        width: source.size.width,
        fill,
    };
    if b == 0.0 && d == 0.0 {
        scale(level, source, image, matrix);
    } else if fits_fixed_point(source.size, matrix) {
        sample_fixed(level, source, image, matrix);
    } else {
        sample_double(source, image, matrix);
    }
}

/// Pixels to be written, row by row, and what those become that come from outside.
struct Target<'a, const N: usize> {
    pixels: &'a mut [[u8; N]],
    width: usize,
    fill: [u8; N],
}

impl<const N: usize> Target<'_, N> {
    fn row_mut(&mut self, y: usize) -> &mut [[u8; N]] {
        &mut self.pixels[y * self.width..][..self.width]
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut [[u8; N]]> {
        self.pixels.chunks_exact_mut(self.width)
    }
}

/// Fills a row, or a part of it.
fn paint<const N: usize>(pixels: &mut [[u8; N]], fill: [u8; N]) {
    // Bytes that are all alike are filled much faster.
    if fill == [fill[0]; N] {
        pixels.as_flattened_mut().fill(fill[0]);
    } else {
        pixels.fill(fill);
    }
}

/// Columns and rows do not depend on each other: each is found by adding up steps in double
/// precision.
fn scale<const N: usize>(
    level: SimdLevel,
    source: Source<'_>,
    mut image: Target<'_, N>,
    matrix: Matrix,
) {
    let [a, _, c, _, e, f] = matrix;
    let (Size { width, height }, fill) = (source.size, image.fill);
    let rows = || positions(f + e * 0.5, e, height).enumerate();
    let mut filled = 0;
    for run in runs(positions(c + a * 0.5, a, width), width) {
        let end = run.to + run.length;
        for (y, from) in rows().filter(|&(_, from)| from < height) {
            let row = image.row_mut(y);
            let from = from * source.stride + run.from * N;
            let from = source.samples[from..][..run.length * N].as_chunks().0;
            paint(&mut row[filled..run.to], fill);
            let to = &mut row[run.to..end];
            if run.mirrored {
                reverse(level, from, to);
            } else {
                to.copy_from_slice(from);
            }
        }
        filled = end;
    }
    for (y, from) in rows() {
        let outside = if from < height { filled } else { 0 };
        paint(&mut image.row_mut(y)[outside..], fill);
    }
}

/// The whole parts of a coordinate that starts somewhere and moves on by the same step.
///
/// The steps are added up one by one, not multiplied, because their rounding errors show.
fn positions(mut next: f64, step: f64, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |_| {
        let position = whole(next);
        next += step;
        position
    })
}

/// The positions below `limit`, in runs of neighbours that come from neighbours, in their order or in the
/// opposite one, so that a run can be copied as one piece.
///
/// A translation has one run, or two where rounding skips a column: from −10⁻¹⁶ a step of 1 leads
/// to just below 1, which is column 0, and the next one to 2.
fn runs(positions: impl Iterator<Item = usize>, limit: usize) -> impl Iterator<Item = Run> {
    let inside = positions.enumerate().filter(move |&(_, from)| from < limit);
    let mut positions = inside.peekable();
    core::iter::from_fn(move || {
        let (to, first) = positions.next()?;
        let mut length = 1;
        while (positions.next_if_eq(&(to + length, first + length))).is_some() {
            length += 1;
        }
        let mirrored = length == 1;
        while mirrored
            && length <= first
            && (positions.next_if_eq(&(to + length, first - length))).is_some()
        {
            length += 1;
        }
        let from = if mirrored { first + 1 - length } else { first };
        Some(Run {
            to,
            from,
            length,
            mirrored,
        })
    })
}

struct Run {
    to: usize,
    /// The first column that is read, of those from left to right.
    from: usize,
    length: usize,
    mirrored: bool,
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
fn fits_fixed_point(size: Size, matrix: Matrix) -> bool {
    let [a, b, c, d, e, f] = matrix;
    let (width, height) = (size.width as f64, size.height as f64);
    let fits = |coordinate: f64| coordinate > -32768.0 && coordinate < 32768.0;
    [(0.0, 0.0), (width, height), (0.0, height), (width, 0.0)]
        .iter()
        .all(|(x, y)| fits(x * a + y * b + c) && fits(x * d + y * e + f))
}

fn sample_fixed<const N: usize>(
    level: SimdLevel,
    source: Source<'_>,
    mut image: Target<'_, N>,
    matrix: Matrix,
) {
    let [a, b, c, d, e, f] = matrix;
    // The sums of coordinates keep to 32 bits because the corners do; only the step past the last
    // row or column may leave them, and nothing is read there. So they wrap.
    let fixed = |value: f64| math::floor(value * 65536.0 + 0.5) as i64 as i32;
    let mut x = Line {
        start: fixed(c + a * 0.5 + b * 0.5),
        step: fixed(a),
    };
    let mut y = Line {
        start: fixed(f + d * 0.5 + e * 0.5),
        step: fixed(d),
    };
    let (down_x, down_y) = (fixed(b), fixed(e));
    if y.step != 0 {
        fetch(source);
    }
    let fill = image.fill;
    for row in image.rows_mut() {
        sample_row(level, source, row, fill, (x, y));
        x.start = x.start.wrapping_add(down_x);
        y.start = y.start.wrapping_add(down_y);
    }
}

/// Reads a byte of every cache line of the source in order, before it is read across the rows: an
/// outer cache is fast in order and slow out of it (with prefetch instructions, too many of which
/// are dropped). A source that does not fit the inner caches would only push itself out.
fn fetch(source: Source<'_>) {
    const LINE: usize = 64;
    const MOST: usize = 512 << 10;
    if source.samples.len() <= MOST {
        let all = (source.samples)
            .iter()
            .step_by(LINE)
            .fold(0, |all, &sample| all ^ sample);
        black_box(all);
    }
}

/// A coordinate along a row, in 16.16 fixed point.
#[derive(Clone, Copy)]
struct Line {
    start: i32,
    step: i32,
}

fn sample_row<const N: usize>(
    level: SimdLevel,
    source: Source<'_>,
    pixels: &mut [[u8; N]],
    fill: [u8; N],
    (x, y): (Line, Line),
) {
    let columns = x.inside(pixels.len(), source.size.width);
    let rows = y.inside(pixels.len(), source.size.height);
    let (start, end) = (columns.start.max(rows.start), columns.end.min(rows.end));
    if start >= end {
        return paint(pixels, fill);
    }
    let (before, rest) = pixels.split_at_mut(start);
    let (inside, after) = rest.split_at_mut(end - start);
    paint(before, fill);
    paint(after, fill);
    let (x, y) = (x.from(start), y.from(start));
    if x.step == ONE && y.step == 0 {
        let first = (y.start >> 16) as usize * source.stride + (x.start >> 16) as usize * N;
        let samples = inside.as_flattened_mut();
        samples.copy_from_slice(&source.samples[first..][..samples.len()]);
        return;
    }
    sample_inside(level, source, inside, x, y);
}

/// One pixel in fixed point.
const ONE: i32 = 1 << 16;

impl Line {
    fn at(self, index: usize) -> i64 {
        i64::from(self.start) + i64::from(self.step) * index as i64
    }

    /// The same line from a later index on.
    fn from(self, index: usize) -> Self {
        Self {
            start: self.at(index) as i32,
            step: self.step,
        }
    }

    /// The indices from 0 to `count` at which the coordinate lies in 0 … `limit`.
    fn inside(self, count: usize, limit: usize) -> Range<usize> {
        let (start, step) = (i64::from(self.start), i64::from(self.step));
        // No more than 2³¹, from where on the coordinate wraps.
        let limit = (limit as i64).min(1 << 15) << 16;
        // The first index at which the coordinate has risen to `bound`, or fallen below it.
        let (from, to) = match step.cmp(&0) {
            Ordering::Equal if (0..limit).contains(&start) => (0, count as i64),
            Ordering::Equal => (0, 0),
            Ordering::Greater => (rise(start, step, 0), rise(start, step, limit)),
            Ordering::Less => (rise(-start, -step, 1 - limit), rise(-start, -step, 1)),
        };
        let clamped = |index: i64| index.clamp(0, count as i64) as usize;
        clamped(from)..clamped(to)
    }
}

/// How many steps it takes from `start` to reach `bound` or more; 0 or less if it is there already.
fn rise(start: i64, step: i64, bound: i64) -> i64 {
    let distance = bound - start;
    if distance <= 0 {
        0
    } else {
        (distance + step - 1) / step
    }
}

/// Samples pixels that are all known to lie within the source.
#[expect(
    unsafe_code,
    reason = "checks of bounds, and pixels of three bytes, cost a third of the time each"
)]
fn sample_inside<const N: usize>(
    level: SimdLevel,
    source: Source<'_>,
    pixels: &mut [[u8; N]],
    x: Line,
    y: Line,
) {
    let Source {
        samples,
        stride,
        size,
    } = source;
    // Pixels are moved as four bytes where as many can be read: shorter ones not from the last row of the source,
    // and not to the last pixel if the next one is to overwrite what was written too much.
    let wide = match N {
        // Offsets are found in 32 bits.
        _ if u32::try_from(samples.len()).is_err() => 0..0,
        1 | 2 if stride >= 4 => y.inside(pixels.len(), size.height - 1),
        3 => y.inside(pixels.len() - 1, size.height - 1),
        4 => 0..pixels.len(),
        _ => 0..0,
    };
    let from = |first: usize| (x.from(first), y.from(first));
    let narrow = |pixels: &mut [[u8; N]], first: usize| {
        for (pixel, offset) in pixels.iter_mut().zip(offsets::<N>(stride, from(first))) {
            debug_assert!(offset + N <= samples.len());
            // SAFETY: the caller chose pixels with `Line::inside`, whose columns and rows lie within
            // the source and below 2¹⁵, so nothing wraps and the N samples are there.
            *pixel = unsafe { samples.as_ptr().add(offset).cast::<[u8; N]>().read() };
        }
    };
    narrow(&mut pixels[..wide.start], 0);
    // SAFETY: the offsets are within the source, as above, and four bytes are there: they are the
    // pixel itself, or a shorter pixel above the last row, which is four bytes long, and what follows it.
    let done = unsafe {
        sample_vectors(
            level,
            samples,
            stride,
            &mut pixels[wide.clone()],
            from(wide.start),
        )
    };
    let rest = wide.start + done..wide.end;
    if N < 3 {
        return narrow(&mut pixels[rest.start..], rest.start);
    }
    let mut target = pixels[rest.start..].as_mut_ptr();
    let mut offsets = [0; OFFSETS];
    for start in rest.clone().step_by(OFFSETS) {
        let (x, y) = from(start);
        let count = OFFSETS.min(rest.end - start);
        let offsets = &mut offsets[..count.next_multiple_of(AT_ONCE)];
        fill_offsets(level, offsets, stride as u32, N as u32, x, y);
        for &offset in &offsets[..count] {
            debug_assert!(offset as usize + 4 <= samples.len());
            // SAFETY: four bytes are there, as above. `target` points to a pixel of four bytes, or to
            // one of three that is not the last, so a byte follows it.
            unsafe {
                let pixel = samples.as_ptr().add(offset as usize).cast::<[u8; 4]>();
                target.cast::<[u8; 4]>().write(pixel.read());
                target = target.add(1);
            }
        }
    }
    narrow(&mut pixels[wide.end..], wide.end);
}

/// How many offsets are found before their pixels are moved.
const OFFSETS: usize = 256;

/// How many offsets are found at once.
const AT_ONCE: usize = 16;

each_level! {
    /// Where the samples of one pixel after the other are; there are a multiple of 16 offsets, and only those
    /// of pixels that lie within the source are right.
    fn fill_offsets(offsets: &mut [u32], stride: u32, channels: u32, x: Line, y: Line) {
        let (mut x, mut y) = (x, y);
        for offsets in offsets.as_chunks_mut::<AT_ONCE>().0 {
            for (index, offset) in offsets.iter_mut().enumerate() {
                let whole = |line: Line| {
                    let steps = line.step.wrapping_mul(index as i32);
                    line.start.wrapping_add(steps).cast_unsigned() >> 16
                };
                *offset = (whole(y).wrapping_mul(stride)).wrapping_add(whole(x) * channels);
            }
            for line in [&mut x, &mut y] {
                line.start = line.start.wrapping_add(line.step.wrapping_mul(AT_ONCE as i32));
            }
        }
    }
}

/// Where the samples of one pixel after the other are.
fn offsets<const N: usize>(
    stride: usize,
    (mut x, mut y): (Line, Line),
) -> impl Iterator<Item = usize> {
    core::iter::repeat_with(move || {
        let offset = (y.start >> 16) as usize * stride + (x.start >> 16) as usize * N;
        x.start = x.start.wrapping_add(x.step);
        y.start = y.start.wrapping_add(y.step);
        offset
    })
}

/// Samples as many pixels as the vector instructions take, from the first on, and returns how many.
///
/// # Safety
///
/// All pixels are taken from within the source, and four bytes are there.
#[expect(unsafe_code, reason = "pixels are sampled without checks of bounds")]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "AVX-512 alone gathers pixels")
)]
unsafe fn sample_vectors<const N: usize>(
    level: SimdLevel,
    samples: &[u8],
    stride: usize,
    pixels: &mut [[u8; N]],
    (x, y): (Line, Line),
) -> usize {
    match level.level() {
        // SAFETY: there is a `SimdLevel` only for features that the CPU has; and the caller vouches
        // for the offsets, whose coordinates fixed point keeps below 2¹⁵.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::sample(samples, stride, pixels, x, y) },
        _ => 0,
    }
}

fn sample_double<const N: usize>(source: Source<'_>, mut image: Target<'_, N>, matrix: Matrix) {
    let [a, b, c, d, e, f] = matrix;
    let (Size { width, height }, fill) = (source.size, image.fill);
    let mut row_start = (c + b * 0.5 + a * 0.5, f + e * 0.5 + d * 0.5);
    for pixels in image.rows_mut() {
        let (mut x, mut y) = row_start;
        for pixel in pixels {
            let (column, row) = (whole(x), whole(y));
            *pixel = if column < width && row < height {
                let offset = row * source.stride + column * N;
                array::from_fn(|channel| source.samples[offset + channel])
            } else {
                fill
            };
            x += a;
            y += d;
        }
        row_start.0 += b;
        row_start.1 += e;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use faa_op::Channels;

    use super::*;
    use crate::testing::noise;

    /// Matrices whose pixels are sampled in fixed point, many of them from the first and the last
    /// row and column. `right` and `bottom` are the last pixel's position.
    fn matrices(right: f64, bottom: f64) -> [Matrix; 8] {
        [
            // All but the image itself; and the same turned by half.
            [1.0, 1e-4, 0.0, 1e-4, 1.0, 0.0],
            [-1.0, 1e-4, right + 0.99, 1e-4, -1.0, bottom + 0.99],
            // The corner pixels alone.
            [1e-4, 1e-4, right, 1e-4, 1e-4, bottom],
            [-1e-4, 1e-4, 0.5, 1e-4, -1e-4, 0.5],
            // Every row ends in the last one, or begins there.
            [1.0, 0.3, 0.0, bottom / (right + 1.0), 1e-4, 0.4],
            [1.0, 0.3, 0.0, -bottom / (right + 1.0), 1e-4, bottom + 0.6],
            // Shears, and a turn that leaves the corners outside.
            [1.0, 0.3, 0.0, 0.0, 1.0, 0.0],
            [0.8, 0.6, -0.3 * bottom, -0.6, 0.8, 0.4 * right],
        ]
    }

    /// The pixels that the matrix leads to, found one by one and with every check.
    fn slowly(source: ImageRef<'_>, [a, b, c, d, e, f]: Matrix) -> Vec<u8> {
        let fixed = |value: f64| math::floor(value * 65536.0 + 0.5) as i64;
        let n = source.channels().count();
        let mut result = Vec::new();
        for row in 0..source.height() as i64 {
            for column in 0..source.width() as i64 {
                let at = |start, right, down| {
                    (fixed(start) + fixed(right) * column + fixed(down) * row) >> 16
                };
                let x = at(c + a * 0.5 + b * 0.5, a, b);
                let y = at(f + d * 0.5 + e * 0.5, d, e);
                let found = usize::try_from(y).ok().zip(usize::try_from(x).ok());
                let pixel = found.and_then(|(y, x)| source.rows().nth(y)?.get(x * n..(x + 1) * n));
                result.extend_from_slice(pixel.unwrap_or(&[0; 4][..n]));
            }
        }
        result
    }

    /// The source's memory ends with its last pixel, and the result's too, so that Miri and
    /// sanitizers notice what is read or written beyond.
    #[test]
    fn the_last_row_and_pixel_are_sampled_without_reaching_beyond_them() {
        let shapes = [
            (1, 1),
            (1, 4),
            (4, 1),
            (2, 2),
            (5, 4),
            (9, 3),
            (40, 3),
            (37, 18),
            // More pixels in a row than offsets are found for at once.
            (if cfg!(miri) { 33 } else { 2 * OFFSETS + 5 }, 3),
        ];
        for (width, height) in shapes {
            for channels in [Channels::L, Channels::Rgb, Channels::Rgba] {
                for padding in [0, 5] {
                    let row = width * channels.count();
                    let stride = row + padding;
                    let mut samples = noise((stride, height), Channels::L);
                    samples.truncate(stride * (height - 1) + row);
                    let samples = samples.into_boxed_slice();
                    let source =
                        ImageRef::with_stride(&samples, width, height, channels, stride).unwrap();
                    for matrix in matrices((width - 1) as f64, (height - 1) as f64) {
                        assert!(fits_fixed_point(source.size(), matrix));
                        for level in SimdLevel::available() {
                            let mut found = vec![77; row * height].into_boxed_slice();
                            let mut image =
                                ImageMut::new(&mut found, width, height, channels).unwrap();
                            transform(level, source, &mut image, matrix);
                            let context = (level, width, height, channels, padding, matrix);
                            assert_eq!(*found, slowly(source, matrix), "{context:?}");
                        }
                    }
                }
            }
        }
    }
}
