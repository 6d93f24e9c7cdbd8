use faa_op::{ImageMut, ImageRef, OpSpec};

use crate::SimdLevel;
use crate::blend::{Blend, Blending, blend};
use crate::builtin::builtin;
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
    moves sharpness
}

fn sharpness(level: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, value: f64, _: u64) {
    let factor = value as f32;
    let blending = Blending::new(level, factor, 0..=255, image.samples().len());
    by_channels!(image.channels(), N => sharpen::<N>(level, source, image, factor, blending));
}

each_level! {
    fn sharpen<const N: usize>(
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        factor: f32,
        blending: Blending,
    ) {
        match blending {
            Blending::InFloats(way) => sharpen_with::<N>(source, image, factor, way),
            Blending::InIntegers(way) => sharpen_with::<N>(source, image, factor, way),
        }
    }
}

#[inline(always)]
fn sharpen_with<const N: usize>(
    source: ImageRef<'_>,
    image: &mut ImageMut<'_>,
    factor: f32,
    way: impl Blend,
) {
    let height = image.height();
    let length = image.width() * N;
    let samples = source.strided_samples();
    let row_at = |y: usize| &samples[y * source.stride()..][..length];
    let mut sums = [0; SEGMENT + 2 * 4];
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
        for (index, segment) in inner.chunks_mut(SEGMENT).enumerate() {
            let end = segment.len() + 2 * N;
            let around = around.map(|row| &row[index * SEGMENT..][..end]);
            sharpen_segment::<N>(segment, around, &mut sums[..end], way);
        }
        sharpen_border::<N>(last, &around[1][length - N..], factor);
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

/// How many samples of a row are sharpened before the next, a multiple of the number of channels: few
/// enough for their sums to stay in the innermost cache.
const SEGMENT: usize = 3072;

/// Sharpens a part of a row; `around` are the parts of the three rows about it, and a pixel more on both
/// sides, and `sums` takes as many sums.
#[inline(always)]
fn sharpen_segment<const N: usize>(
    segment: &mut [u8],
    around: [&[u8]; 3],
    sums: &mut [u16],
    way: impl Blend,
) {
    let [above, levels, below] = around;
    by_blocks(sums.len(), |start, length| {
        let [above, levels, below] = [above, levels, below].map(|row| &row[start..][..length]);
        for (index, sum) in sums[start..][..length].iter_mut().enumerate() {
            *sum = u16::from(above[index]) + u16::from(levels[index]) + u16::from(below[index]);
        }
    });
    let levels = &levels[N..];
    by_blocks(segment.len(), |start, length| {
        let [left, middle, right] = [0, N, 2 * N].map(|side| &sums[start + side..][..length]);
        let levels = &levels[start..][..length];
        for (index, sharp) in segment[start..][..length].iter_mut().enumerate() {
            let level = u16::from(levels[index]);
            let sum = left[index] + middle[index] + right[index] + 4 * level;
            // Pillow adds up thirteenths in single precision, plus one half, and truncates. A sum of
            // thirteenths is never closer than 1/26 to where that jumps, so integers give the same.
            *sharp = way.blend((sum + 6) / 13, level);
        }
    });
    if N == 4 {
        for (sharp, level) in segment.chunks_exact_mut(N).zip(levels.chunks_exact(N)) {
            sharp[3] = level[3];
        }
    }
}

/// Calls with the start and the length of each block of `count` indices. The last block begins earlier and
/// does some indices again, where there are enough, so that all blocks have a length that is a constant.
#[inline(always)]
fn by_blocks(count: usize, mut each: impl FnMut(usize, usize)) {
    const BLOCK: usize = 64;
    if count < BLOCK {
        return each(0, count);
    }
    for start in (0..count).step_by(BLOCK) {
        each(start.min(count - BLOCK), BLOCK);
    }
}

#[cfg(test)]
mod tests {
    use core::array;

    use faa_op::Channels;

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
