use core::array;

use faa_op::{ImageMut, ImageRef, OpSpec};

use crate::SimdLevel;
use crate::builtin::{builtin, stay};
use crate::enhance::blend;
use crate::pixels::by_channels;
use crate::simd::each_level;

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
    by_channels!(image.channels(), N => sharpen::<N>(level, source, image, factor));
}

each_level! {
    fn sharpen<const N: usize>(source: ImageRef<'_>, image: &mut ImageMut<'_>, factor: f32) {
        let height = image.height();
        let length = image.width() * N;
        let samples = source.strided_samples();
        let row_at = |y: usize| &samples[y * source.stride()..][..length];
        for y in 0..height {
            let row = image.row_mut(y);
            // The border is blended with itself, which changes it only where the factor overflows.
            if y == 0 || y == height - 1 || length < 3 * N {
                sharpen_border::<N>(row, row_at(y), factor);
                continue;
            }
            let around = [row_at(y - 1), row_at(y), row_at(y + 1)];
            let (first, rest) = row.split_at_mut(N);
            let (inner, last) = rest.split_at_mut(length - 2 * N);
            sharpen_border::<N>(first, &around[1][..N], factor);
            sharpen_inner::<N>(inner, around, factor);
            sharpen_border::<N>(last, &around[1][length - N..], factor);
        }
    }
}

#[inline(always)]
fn sharpen_border<const N: usize>(target: &mut [u8], source: &[u8], factor: f32) {
    for (to, from) in target.chunks_exact_mut(N).zip(source.chunks_exact(N)) {
        for channel in 0..N {
            to[channel] = match channel {
                3 => from[channel],
                _ => blend(from[channel], from[channel], factor),
            };
        }
    }
}

/// How many samples are sharpened at once: a few vectors, which stay in registers.
const BLOCK: usize = 64;

/// Sharpens a row without its outermost pixels; `around` are the three rows about it, whole.
#[inline(always)]
fn sharpen_inner<const N: usize>(inner: &mut [u8], around: [&[u8]; 3], factor: f32) {
    let mut start = 0;
    while start < inner.len() {
        let length = BLOCK.min(inner.len() - start);
        // The last block begins earlier and does some samples again, where there are enough.
        let from = if length < BLOCK && inner.len() >= BLOCK {
            inner.len() - BLOCK
        } else {
            start
        };
        let to = start + length;
        let neighbours: [[u8; BLOCK]; 9] = array::from_fn(|index| {
            let row = &around[index / 3][index % 3 * N..][..inner.len()];
            match row[from..].first_chunk() {
                Some(block) => *block,
                None => padded(&row[from..]),
            }
        });
        let sharp = sharpen_block(&neighbours, factor);
        let inner = &mut inner[from..to];
        match inner.first_chunk_mut() {
            Some(block) => *block = sharp,
            None => inner.copy_from_slice(&sharp[..inner.len()]),
        }
        start = to;
    }
    if N == 4 {
        let levels = &around[1][N..][..inner.len()];
        for (sharp, level) in inner.chunks_exact_mut(N).zip(levels.chunks_exact(N)) {
            sharp[3] = level[3];
        }
    }
}

#[inline(always)]
fn padded(samples: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..samples.len()].copy_from_slice(samples);
    block
}

/// The middle of each 3 × 3 samples, sharpened.
#[inline(always)]
fn sharpen_block(neighbours: &[[u8; BLOCK]; 9], factor: f32) -> [u8; BLOCK] {
    let mut sums = [0_u16; BLOCK];
    for row in neighbours {
        for (sum, &level) in sums.iter_mut().zip(row) {
            *sum += u16::from(level);
        }
    }
    let levels = &neighbours[4];
    let mut result = [0; BLOCK];
    for index in 0..BLOCK {
        let sum = sums[index] + 4 * u16::from(levels[index]);
        // Pillow adds up thirteenths in single precision, plus one half, and truncates. A sum of
        // thirteenths is never closer than 1/26 to where that jumps, so integers give the same.
        let smooth = ((2 * sum + 13) / 26) as u8;
        result[index] = blend(smooth, levels[index], factor);
    }
    result
}

#[cfg(test)]
mod tests {
    use faa_op::Channels;

    use super::*;
    use crate::testing::{apply, noise};

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
}
