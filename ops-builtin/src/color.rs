//! Luminance.

use faa_op::{Channels, ImageRef};

use crate::SimdLevel;
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::each_level;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;

/// How many pixels are worked on at once.
const PIXELS: usize = 64;

/// A level for each pixel of a block.
type Plane = [u8; PIXELS];

/// The luminance of a colour: ITU-R 601-2 luma with weights in 16-bit fixed point, rounded to the
/// nearest level, as Pillow's conversion to L has it.
#[inline(always)]
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
}

/// A way to find the luminance of a block of pixels.
pub(crate) trait Luma: Copy {
    /// The luminance of each pixel of a block, for all `N` samples of the pixel.
    fn spread<const N: usize, const B: usize>(self, block: &[u8; B]) -> [u8; B];
}

/// What the compiler makes of plain code.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Luma for Plain {
    #[inline(always)]
    fn spread<const N: usize, const B: usize>(self, block: &[u8; B]) -> [u8; B] {
        let plane = luma_plane::<N, B>(block);
        let mut spread = [0; B];
        for (pixel, &level) in spread.as_chunks_mut::<N>().0.iter_mut().zip(&plane) {
            *pixel = [level; N];
        }
        spread
    }
}

#[inline(always)]
fn luma_plane<const N: usize, const B: usize>(block: &[u8; B]) -> Plane {
    const { assert!(B == N * PIXELS && N >= 3) };
    // Planes first: together with the arithmetic, the steps of N samples are not vectorised.
    let mut planes = [[0; PIXELS]; 3];
    for index in 0..PIXELS {
        planes[0][index] = block[N * index];
        planes[1][index] = block[N * index + 1];
        planes[2][index] = block[N * index + 2];
    }
    let [red, green, blue] = &planes;
    let mut plane = [0; PIXELS];
    for (index, level) in plane.iter_mut().enumerate() {
        *level = luma([red[index], green[index], blue[index]]);
    }
    plane
}

pub(crate) fn luma_sum(level: SimdLevel, image: ImageRef<'_>) -> u64 {
    let sum = match image.channels() {
        Channels::L => sum_of_levels,
        Channels::Rgb => sum_of_colors::<3, 192>,
        Channels::Rgba => sum_of_colors::<4, 256>,
    };
    match image.contiguous() {
        Some(samples) => sum(level, samples),
        None => image.rows().map(|row| sum(level, row)).sum(),
    }
}

each_level! {
    fn sum_of_levels(samples: &[u8]) -> u64 {
        samples.iter().map(|&level| u64::from(level)).sum()
    }
}

fn sum_of_colors<const N: usize, const B: usize>(level: SimdLevel, samples: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the features were found at run time")]
    if level.level() == Level::Avx512 {
        // SAFETY: there is a `SimdLevel` only for features that the CPU has.
        return unsafe { avx512::sum::<N, B>(samples) };
    }
    match N {
        3 => sum_of_blocks::<3>(level, samples),
        _ => sum_of_blocks::<4>(level, samples),
    }
}

each_level! {
    fn sum_of_blocks<const N: usize>(samples: &[u8]) -> u64 {
        match N {
            3 => plain_sum::<3, 192>(samples),
            _ => plain_sum::<4, 256>(samples),
        }
    }
}

#[inline(always)]
fn plain_sum<const N: usize, const B: usize>(samples: &[u8]) -> u64 {
    let (blocks, rest) = samples.as_chunks::<B>();
    let mut sum = 0;
    for block in blocks {
        let plane = luma_plane::<N, B>(block);
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
