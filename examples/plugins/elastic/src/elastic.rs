use core::array;
use core::ops::Range;

use faa_plugin_sdk::{
    Call, Channels, FIELD_ONE, ImageMut, Op, OpResult, OpSpec, Size, Stream, Warp,
};

/// The number of grid cells in each direction.
const CELLS: usize = 4;

/// The fractional bits of coordinates and offsets in fixed point.
const FRACTION_BITS: u32 = 16;
const ONE: i64 = 1 << FRACTION_BITS;

/// The distance to the right and down at which a pixel is read.
type Offset = [i64; 2];

/// The offsets at the corners of the grid cells.
type Grid = [[Offset; CELLS + 1]; CELLS + 1];

/// Elastic distortion.
///
/// The value is the maximum distance that a pixel moves in each direction, as a fraction of the
/// shorter side, 0 … 0.2; at 0 the image is unchanged. Negative values move everything in the
/// opposite direction, and the value is clamped to −1 … 1. L, RGB and RGBA alike: alpha moves with
/// its pixel.
///
/// A grid of 4×4 cells covers the image. For each of its 25 corners, row by row, two offsets are
/// drawn, to the right and then down, as `(2 · unit() − 1) · value` times the shorter side. Between
/// the corners they are interpolated linearly in both directions. Each pixel is then copied from the
/// pixel nearest to the position that its offset leads to, clamped to the image. Masks, boxes and keypoints follow
/// the same offsets (`Op::field`).
///
/// Source: Simard, Steinkraus and Platt, *Best practices for convolutional neural networks applied
/// to visual document analysis* (ICDAR 2003). They draw an offset for every pixel and smooth the
/// field with a Gaussian; the grid is as random, and takes 50 draws for an image of any size.
#[derive(Clone, Debug)]
pub struct Elastic(OpSpec);

impl Default for Elastic {
    fn default() -> Self {
        Self(OpSpec::new("Elastic", "elastic distortion").range(
            0.0,
            0.2,
            "fraction of the shorter side",
        ))
    }
}

impl Op for Elastic {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        if value == 0.0 {
            return Ok(());
        }
        let grid = draw_grid(value, image.size(), call.seed);
        let source = call.scratch.copy_of(image.samples());
        match image.channels() {
            Channels::L => warp::<1>(source, image, &grid),
            Channels::Rgb => warp::<3>(source, image, &grid),
            Channels::Rgba => warp::<4>(source, image, &grid),
        }
        Ok(())
    }

    fn warp(&self, value: f64, _: Size, _: u64) -> Warp {
        match self.0.check_value(value) {
            Ok(()) if value == 0.0 => Warp::Identity,
            Ok(()) => Warp::Field,
            Err(_) => Warp::Unknown,
        }
    }

    fn field(&self, value: f64, size: Size, seed: u64, sources: &mut [[i32; 2]]) -> OpResult {
        self.0.check_value(value)?;
        // The pixels at the border reach to its outer edge, and are as far as an offset leads.
        let end = [size.width, size.height].map(|length| length as i64 * ONE - 1);
        each_run(
            &draw_grid(value, size, seed),
            size,
            |y, columns, mut line| {
                for source in &mut sources[y * size.width..][columns] {
                    *source = array::from_fn(|axis| {
                        let position = line.position[axis].clamp(0, end[axis]);
                        (position / (ONE / i64::from(FIELD_ONE))) as i32
                    });
                    line.advance();
                }
            },
        );
        Ok(())
    }
}

fn draw_grid(value: f64, size: Size, seed: u64) -> Grid {
    let mut stream = Stream::for_op(seed);
    let reach = value.clamp(-1.0, 1.0) * size.width.min(size.height) as f64;
    let mut draw = || ((2.0 * stream.unit() - 1.0) * reach * ONE as f64) as i64;
    array::from_fn(|_| array::from_fn(|_| [draw(), draw()]))
}

fn warp<const N: usize>(source: &[u8], image: &mut ImageMut<'_>, grid: &Grid) {
    let size = image.size();
    let source = source.as_chunks::<N>().0;
    let last = [size.width as i64 - 1, size.height as i64 - 1];
    each_run(grid, size, |y, columns, mut line| {
        let mut next = || {
            let [x, y] = line.position.map(|at| at >> FRACTION_BITS);
            let (x, y) = (x.clamp(0, last[0]) as usize, y.clamp(0, last[1]) as usize);
            line.advance();
            source[y * size.width + x]
        };
        // Several at a time, because a host checks the time in each iteration of a loop.
        let target = &mut image.row_mut(y).as_chunks_mut::<N>().0[columns];
        let (groups, remainder) = target.as_chunks_mut::<4>();
        for group in groups {
            for pixel in group {
                *pixel = next();
            }
        }
        remainder.fill_with(next);
    });
}

/// Where a pixel is read, and by how much further the one to its right.
struct Line {
    position: Offset,
    step: Offset,
}

impl Line {
    fn advance(&mut self) {
        self.position[0] += self.step[0];
        self.position[1] += self.step[1];
    }
}

/// Calls `run` with the rows and columns of pixels that are read along a line.
fn each_run(grid: &Grid, size: Size, mut run: impl FnMut(usize, Range<usize>, Line)) {
    for (cell, [top, bottom]) in grid.array_windows().enumerate() {
        let rows = pixels_of(cell, size.height);
        for y in rows.clone() {
            let part = (y - rows.start) as i64;
            let line: [Offset; CELLS + 1] = array::from_fn(|corner| {
                let slope = slope(top[corner], bottom[corner], rows.len());
                array::from_fn(|axis| top[corner][axis] + slope[axis] * part)
            });
            for (cell, &[left, right]) in line.array_windows().enumerate() {
                let columns = pixels_of(cell, size.width);
                // The centre of the pixel, so that dropping the fraction rounds to the nearest.
                let x = columns.start as i64 * ONE + ONE / 2 + left[0];
                let y_read = y as i64 * ONE + ONE / 2 + left[1];
                let slope = slope(left, right, columns.len());
                let line = Line {
                    position: [x, y_read],
                    step: [ONE + slope[0], slope[1]],
                };
                run(y, columns, line);
            }
        }
    }
}

/// The pixels of a cell, along a side of `length` pixels; none if the cell is smaller than a pixel.
fn pixels_of(cell: usize, length: usize) -> Range<usize> {
    // In 64 bits, because `usize` has 32 in WebAssembly.
    let border = |cell: usize| (cell as u64 * length as u64 / CELLS as u64) as usize;
    border(cell)..border(cell + 1)
}

/// The change of an offset from one pixel to the next, over a distance of `pixels`.
fn slope(from: Offset, to: Offset, pixels: usize) -> Offset {
    // The slope of a cell without pixels is not used.
    let pixels = pixels.max(1) as i64;
    array::from_fn(|axis| (to[axis] - from[axis]) / pixels)
}

#[cfg(test)]
mod tests {
    use faa_plugin_sdk::{OpErrorKind, Scratch};

    use super::*;

    fn warped(
        value: f64,
        seed: u64,
        (width, height): (usize, usize),
        channels: Channels,
        source: &[u8],
    ) -> Vec<u8> {
        let mut samples = source.to_vec();
        let mut image = ImageMut::new(&mut samples, width, height, channels).unwrap();
        let mut scratch = Scratch::new();
        let call = &mut Call::new(seed, &mut scratch);
        Elastic::default().apply(&mut image, value, call).unwrap();
        samples
    }

    /// An image in which every sample of a pixel is the pixel's index.
    fn indices(pixels: usize, channels: usize) -> Vec<u8> {
        (0..pixels * channels)
            .map(|sample| (sample / channels) as u8)
            .collect()
    }

    #[test]
    fn nothing_moves_at_0_and_the_seed_determines_the_rest() {
        let source = indices(12 * 16, 3);
        let warped = |value, seed| warped(value, seed, (16, 12), Channels::Rgb, &source);
        assert_eq!(warped(0.0, 5), source);
        assert_eq!(warped(1e-6, 5), source);
        assert_ne!(warped(0.2, 5), source);
        assert_eq!(warped(0.2, 5), warped(0.2, 5));
        assert_ne!(warped(0.2, 5), warped(0.2, 6));
    }

    #[test]
    fn pixels_move_as_a_whole_and_not_too_far() {
        let (width, height) = (20, 10);
        for channels in [Channels::L, Channels::Rgb, Channels::Rgba] {
            let count = channels.count();
            let source = indices(width * height, count);
            let result = warped(0.2, 9, (width, height), channels, &source);
            for (index, pixel) in result.chunks_exact(count).enumerate() {
                let from = usize::from(pixel[0]);
                assert!(pixel.iter().all(|&sample| usize::from(sample) == from));
                assert!((index % width).abs_diff(from % width) <= 2, "{index}");
                assert!((index / width).abs_diff(from / width) <= 2, "{index}");
            }
        }
    }

    #[test]
    fn the_field_leads_to_the_pixels_that_are_copied() {
        for (width, height) in [(16, 12), (5, 3), (1, 7), (15, 16)] {
            let size = Size { width, height };
            let source = indices(width * height, 1);
            for (seed, value) in [(1, 0.2), (2, -0.2), (3, 3.0), (4, 0.01), (5, f64::MAX)] {
                let op = Elastic::default();
                assert_eq!(op.warp(value, size, seed), Warp::Field);
                let mut sources = [[0; 2]; 16 * 16];
                let sources = &mut sources[..width * height];
                op.field(value, size, seed, sources).unwrap();
                let found = sources.iter().map(|source| {
                    let [x, y] = source.map(|at| (at / FIELD_ONE) as usize);
                    (y * width + x) as u8
                });
                let result = warped(value, seed, (width, height), Channels::L, &source);
                assert!(found.eq(result), "{width}×{height} {value}");
            }
        }
        let size = Size {
            width: 3,
            height: 3,
        };
        assert_eq!(Elastic::default().warp(0.0, size, 1), Warp::Identity);
        assert_eq!(Elastic::default().warp(f64::NAN, size, 1), Warp::Unknown);
    }

    #[test]
    fn any_size_and_any_value_works() {
        for size in [(1, 1), (1, 7), (3, 1), (2, 2), (5, 3)] {
            let source = indices(size.0 * size.1, 4);
            for value in [-0.2, 0.2, 3.0, f64::MAX, f64::MIN] {
                let result = warped(value, 1, size, Channels::Rgba, &source);
                assert!(result.iter().all(|sample| source.contains(sample)));
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused() {
        let mut samples = [0];
        let mut image = ImageMut::new(&mut samples, 1, 1, Channels::L).unwrap();
        let mut scratch = Scratch::new();
        let call = &mut Call::new(0, &mut scratch);
        let value = f64::INFINITY;
        let result = Elastic::default().apply(&mut image, value, call);
        assert_eq!(result, Err(OpErrorKind::NotFinite { value }.into()));
    }
}
