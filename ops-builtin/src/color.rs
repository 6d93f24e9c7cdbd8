//! Luminance, and pixels taken apart into their channels.

use faa_op::{Channels, ImageRef};

use crate::SimdLevel;
use crate::simd::each_level;

/// How many pixels are taken apart at once.
pub(crate) const PIXELS: usize = 64;

/// One channel of a block of pixels.
pub(crate) type Plane = [u8; PIXELS];

/// The luminance of a colour: ITU-R 601-2 luma with weights in 16-bit fixed point, rounded to the
/// nearest level, as Pillow's conversion to L has it.
#[inline(always)]
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
}

/// The luminance of each pixel of a block.
#[inline(always)]
pub(crate) fn luma_plane([red, green, blue]: &[Plane; 3]) -> Plane {
    let mut plane = [0; PIXELS];
    for (place, level) in plane.iter_mut().enumerate() {
        *level = luma([red[place], green[place], blue[place]]);
    }
    plane
}

/// The colour channels of a block of `B / N` = [`PIXELS`] pixels.
#[inline(always)]
pub(crate) fn split<const N: usize, const B: usize>(block: &[u8; B]) -> [Plane; 3] {
    const { assert!(B == N * PIXELS && N >= 3) };
    let mut planes = [[0; PIXELS]; 3];
    for place in 0..PIXELS {
        planes[0][place] = block[N * place];
        planes[1][place] = block[N * place + 1];
        planes[2][place] = block[N * place + 2];
    }
    planes
}

/// Puts the colour channels of a block of pixels in their places; alpha stays.
#[inline(always)]
pub(crate) fn join<const N: usize, const B: usize>(block: &mut [u8; B], planes: &[Plane; 3]) {
    const { assert!(B == N * PIXELS && N >= 3) };
    for place in 0..PIXELS {
        block[N * place] = planes[0][place];
        block[N * place + 1] = planes[1][place];
        block[N * place + 2] = planes[2][place];
    }
}

/// The sum of the luminance of all pixels.
pub(crate) fn luma_sum(level: SimdLevel, image: ImageRef<'_>) -> u64 {
    each_level! {
        fn sum(samples: &[u8]) -> u64 {
            samples.iter().map(|&level| u64::from(level)).sum()
        }
    }
    each_level! {
        fn sum_of_colors<const N: usize>(samples: &[u8]) -> u64 {
            match N {
                3 => colors::<3, 192>(samples),
                _ => colors::<4, 256>(samples),
            }
        }
    }
    let sum_row = match image.channels() {
        Channels::L => sum,
        Channels::Rgb => sum_of_colors::<3>,
        Channels::Rgba => sum_of_colors::<4>,
    };
    match image.contiguous() {
        Some(samples) => sum_row(level, samples),
        None => image.rows().map(|row| sum_row(level, row)).sum(),
    }
}

#[inline(always)]
fn colors<const N: usize, const B: usize>(samples: &[u8]) -> u64 {
    let (blocks, rest) = samples.as_chunks::<B>();
    let mut sum = 0;
    for block in blocks {
        let plane = luma_plane(&split::<N, B>(block));
        sum += u64::from(plane.iter().map(|&level| u32::from(level)).sum::<u32>());
    }
    for pixel in rest.as_chunks::<N>().0 {
        sum += u64::from(luma([pixel[0], pixel[1], pixel[2]]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luminance_is_weighted_and_rounded_as_in_pillow() {
        let colors = [
            ([255, 255, 255], 255),
            ([125, 123, 114], 123),
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([1, 2, 3], 2),
        ];
        for (color, expected) in colors {
            assert_eq!(luma(color), expected, "{color:?}");
        }
    }
}
