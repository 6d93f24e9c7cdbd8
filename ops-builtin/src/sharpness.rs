use faa_op::{ImageMut, ImageRef, OpSpec};

use crate::SimdLevel;
use crate::blend::{Blend, BlendIntegers, Blending, blend};
use crate::builtin::{builtin, stay};
use crate::pixels::by_channels;
use crate::simd::sets::each_set;

builtin! {
    /// Moves the image towards or away from a smoothed copy of itself.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives the smoothed image, 1 the image itself, more
    /// sharpens. Smoothing is a weighted mean over 3 × 3 pixels, the middle with weight 5 and the
    /// others with 1, rounded to a level; the outermost rows and columns are not smoothed, nor is
    /// anything of an image with a side under 3 pixels. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Sharpness`, with `ImageFilter.SMOOTH`.
    Sharpness,
    OpSpec::new("Sharpness", "sharpens above 1, blurs below 1").range(0.1, 1.9, "factor"),
    moves sharpness,
    warp stay
}

fn sharpness(level: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, value: f64, _: u64) {
    let factor = value as f32;
    let blending = Blending::new(level, factor, 0..=255, image.samples().len());
    by_channels!(image.channels(), N => sharpen::<N>(level, source, image, factor, blending));
}

each_set! {
    fn sharpen<const N: usize>(
        set: impl BlendIntegers,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        factor: f32,
        blending: Blending,
    ) {
        match blending {
            Blending::InFloats(way) => sharpen_with::<N>(source, image, factor, set, way),
            Blending::InIntegers(way) => sharpen_with::<N>(source, image, factor, set, way),
        }
    }
}

#[inline(always)]
fn sharpen_with<const N: usize>(
    source: ImageRef<'_>,
    image: &mut ImageMut<'_>,
    factor: f32,
    set: impl BlendIntegers,
    way: impl Blend,
) {
    let height = image.height();
    let length = image.width() * N;
    let samples = source.strided_samples();
    let row_at = |y: usize| &samples[y * source.stride()..][..length];
    let mut sums = [0; SEGMENT + 2 * 4];
    for y in 0..height {
        let row = image.row_mut(y);
        if y == 0 || y == height - 1 || length < 3 * N {
            sharpen_border::<N>(row, row_at(y), factor);
            continue;
        }
        let around = [row_at(y - 1), row_at(y), row_at(y + 1)];
        let (first, rest) = row.split_at_mut(N);
        let (inner, last) = rest.split_at_mut(length - 2 * N);
        sharpen_border::<N>(first, &around[1][..N], factor);
        // Less than a block is done as a part of one.
        let blocks;
        let mut block = [0; BLOCK];
        let (target, around) = if inner.len() < BLOCK {
            blocks = around.map(padded);
            let rows = blocks.each_ref().map(|row| &row[..BLOCK + 2 * N]);
            (&mut block[..], rows)
        } else {
            (&mut *inner, around)
        };
        for start in starts(target.len(), SEGMENT) {
            let length = SEGMENT.min(target.len());
            let segment = &mut target[start..][..length];
            let around = around.map(|row| &row[start..][..length + 2 * N]);
            add_columns(&mut sums[..length + 2 * N], around);
            sharpen_segment::<N>(segment, &around[1][N..], &sums, set, way);
        }
        if inner.len() < BLOCK {
            inner.copy_from_slice(&block[..inner.len()]);
        }
        if N == 4 {
            let levels = row_at(y)[N..].chunks_exact(N);
            for (sharp, level) in inner.chunks_exact_mut(N).zip(levels) {
                sharp[3] = level[3];
            }
        }
        sharpen_border::<N>(last, &row_at(y)[length - N..], factor);
    }
}

/// The border is blended with itself, which changes it only where the factor overflows.
#[inline(always)]
fn sharpen_border<const N: usize>(target: &mut [u8], source: &[u8], factor: f32) {
    target.copy_from_slice(source);
    if !factor.is_finite() {
        for pixel in target.as_chunks_mut::<N>().0 {
            for level in &mut pixel[..N.min(3)] {
                *level = blend(*level, *level, factor);
            }
        }
    }
}

/// How many samples of a row are sharpened before the next, a multiple of the number of channels: few
/// enough for their sums to stay in the innermost cache.
const SEGMENT: usize = 3072;

/// How many samples are sharpened at once.
const BLOCK: usize = 64;

/// Where the parts of so many samples start. The last one begins earlier and does some samples again,
/// where there are enough for a part.
fn starts(count: usize, part: usize) -> impl Iterator<Item = usize> {
    let last = count.saturating_sub(part);
    (0..count).step_by(part).map(move |start| start.min(last))
}

/// The samples, followed by zeros up to a block and a pixel on both sides of it, if they are fewer.
fn padded(samples: &[u8]) -> [u8; BLOCK + 2 * 4] {
    let mut block = [0; BLOCK + 2 * 4];
    let length = samples.len().min(block.len());
    block[..length].copy_from_slice(&samples[..length]);
    block
}

/// The sums of the samples above each other in three rows of at least a block.
#[inline(always)]
fn add_columns(sums: &mut [u16], rows: [&[u8]; 3]) {
    for start in starts(sums.len(), BLOCK) {
        let [above, middle, below] = rows.map(|row| block_at(row, start));
        let sums = sums[start..].first_chunk_mut::<BLOCK>();
        for (index, sum) in sums.expect("a block is there").iter_mut().enumerate() {
            *sum = u16::from(above[index]) + u16::from(middle[index]) + u16::from(below[index]);
        }
    }
}

/// Sharpens levels, at least a block; the sums of their columns begin a pixel earlier.
#[inline(always)]
fn sharpen_segment<const N: usize>(
    segment: &mut [u8],
    levels: &[u8],
    sums: &[u16],
    set: impl BlendIntegers,
    way: impl Blend,
) {
    for start in starts(segment.len(), BLOCK) {
        let [left, middle, right] = [0, N, 2 * N].map(|column| block_at(sums, start + column));
        let levels = block_at(levels, start);
        let mut smooth = [0; BLOCK];
        for (index, smooth) in smooth.iter_mut().enumerate() {
            let sum = left[index] + middle[index] + right[index] + 4 * u16::from(levels[index]);
            // Pillow adds up thirteenths in single precision, plus one half, and truncates. A sum of
            // thirteenths is never closer than 1/26 to where that jumps, so integers give the same.
            *smooth = ((sum + 6) / 13) as u8;
        }
        let sharp = segment[start..].first_chunk_mut();
        *sharp.expect("a block is there") = way.blend(set, &smooth, levels);
    }
}

#[inline(always)]
fn block_at<T>(samples: &[T], start: usize) -> &[T; BLOCK] {
    samples[start..].first_chunk().expect("a block is there")
}

#[cfg(test)]
mod tests {
    use core::array;

    use faa_op::Channels;

    use super::*;
    use crate::testing::{apply, noise, try_apply};

    /// What Pillow 13.0 makes of two small images; only what is not at the border changes.
    #[test]
    fn small_images_come_out_as_in_pillow() {
        let inner = |factor| {
            #[rustfmt::skip]
            let source = [
                10, 200, 30, 40,
                250, 60, 70, 0,
                90, 100, 255, 120,
                13, 140, 150, 160,
            ];
            let result = apply("Sharpness", factor, 0, (4, 4), Channels::L, &source);
            let mut expected = source;
            for index in [5, 6, 9, 10] {
                expected[index] = result[index];
            }
            assert_eq!(result, expected);
            [5, 6, 9, 10].map(|index| result[index])
        };
        assert_eq!(inner(0.0), [100, 89, 118, 160]);
        assert_eq!(inner(0.1), [96, 87, 116, 169]);
        assert_eq!(inner(1.9), [24, 52, 83, 255]);

        let source: [u8; 27] = array::from_fn(|index| (index * 73 + 11) as u8);
        let result = apply("Sharpness", 0.1, 0, (3, 3), Channels::Rgb, &source);
        assert_eq!(result[12..15], [119, 138, 80]);
    }

    #[test]
    fn images_with_a_side_under_three_pixels_have_nothing_to_smooth() {
        for shape in [(1, 9), (9, 1), (2, 9), (9, 2)] {
            let source = noise(shape, Channels::Rgba);
            let result = apply("Sharpness", 0.1, 0, shape, Channels::Rgba, &source);
            assert_eq!(result, source, "{shape:?}");
        }
    }

    /// Rows shorter than a block, of a few, and of more than a segment.
    #[test]
    fn every_level_sharpens_as_single_precision_does() {
        let widths: &[usize] = if cfg!(miri) {
            &[24]
        } else {
            &[3, 20, 24, 61, 90, 1100]
        };
        let factors = if cfg!(miri) { 1 } else { 20 };
        let factors = (1..=factors)
            .map(|step| f64::from(step) * 0.097)
            .chain([-0.5, 2.5]);
        for (factor, &width) in factors.flat_map(|f| widths.iter().map(move |width| (f, width))) {
            for channels in [Channels::L, Channels::Rgb, Channels::Rgba] {
                let (shape, count) = ((width, 40), channels.count());
                let source = noise(shape, channels);
                let at = |x: usize, y: usize, c: usize| source[(y * width + x) * count + c];
                let mut expected = source.clone();
                for (y, x, c) in (1..shape.1 - 1).flat_map(|y| {
                    (1..width - 1).flat_map(move |x| (0..count.min(3)).map(move |c| (y, x, c)))
                }) {
                    let around = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (x, y)));
                    let sum: u32 = around.map(|(x, y)| u32::from(at(x, y, c))).sum();
                    let sum = (sum + 4 * u32::from(at(x, y, c))) as f32;
                    let smooth = (sum / 13.0 + 0.5) as u8;
                    expected[(y * width + x) * count + c] =
                        blend(smooth, at(x, y, c), factor as f32);
                }
                for level in SimdLevel::available() {
                    let op = Sharpness::at(level);
                    let result = try_apply(&op, factor, 0, shape, channels, &source).unwrap();
                    assert!(result == expected, "{level} {factor} {width} {channels:?}");
                }
            }
        }
    }
}
