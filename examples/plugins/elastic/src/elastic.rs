use core::array;
use core::ops::Range;

use faa_plugin_sdk::{Call, Channels, ImageMut, Op, OpResult, OpSpec, Stream};

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
/// pixel nearest to the position that its offset leads to, clamped to the image.
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
        let side = image.width().min(image.height());
        let grid = draw_grid(call.stream(), value.clamp(-1.0, 1.0) * side as f64);
        let source = call.scratch.copy_of(image.samples());
        match image.channels() {
            Channels::L => warp::<1>(source, image, &grid),
            Channels::Rgb => warp::<3>(source, image, &grid),
            Channels::Rgba => warp::<4>(source, image, &grid),
        }
        Ok(())
    }
}

/// Offsets of up to `reach` pixels.
fn draw_grid(mut stream: Stream, reach: f64) -> Grid {
    let mut draw = || ((2.0 * stream.unit() - 1.0) * reach * ONE as f64) as i64;
    array::from_fn(|_| array::from_fn(|_| [draw(), draw()]))
}

fn warp<const N: usize>(source: &[u8], image: &mut ImageMut<'_>, grid: &Grid) {
    let (width, height) = (image.width(), image.height());
    let source = source.as_chunks::<N>().0;
    let last = [width as i64 - 1, height as i64 - 1];
    for (cell, [top, bottom]) in grid.array_windows().enumerate() {
        let rows = pixels_of(cell, height);
        for y in rows.clone() {
            let part = (y - rows.start) as i64;
            let line: [Offset; CELLS + 1] = array::from_fn(|corner| {
                let slope = slope(top[corner], bottom[corner], rows.len());
                array::from_fn(|axis| top[corner][axis] + slope[axis] * part)
            });
            let target = image.row_mut(y).as_chunks_mut::<N>().0;
            for (cell, &[left, right]) in line.array_windows().enumerate() {
                let columns = pixels_of(cell, width);
                // Half a pixel is added, so that dropping the fraction rounds to the nearest.
                let mut from_x = columns.start as i64 * ONE + ONE / 2 + left[0];
                let mut from_y = y as i64 * ONE + ONE / 2 + left[1];
                let slope = slope(left, right, columns.len());
                let mut next = || {
                    let x = (from_x >> FRACTION_BITS).clamp(0, last[0]) as usize;
                    let y = (from_y >> FRACTION_BITS).clamp(0, last[1]) as usize;
                    from_x += ONE + slope[0];
                    from_y += slope[1];
                    source[y * width + x]
                };
                // Several at a time, because a host checks the time in each iteration of a loop.
                let (groups, remainder) = target[columns].as_chunks_mut::<4>();
                for group in groups {
                    for pixel in group {
                        *pixel = next();
                    }
                }
                remainder.fill_with(next);
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
