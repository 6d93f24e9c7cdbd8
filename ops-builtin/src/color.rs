//! Luminance.

use faa_op::{Channels, ImageRef};

use crate::SimdLevel;
use crate::blend::BlendIntegers;
use crate::simd::each_level;
use crate::simd::sets::{Compiled, each_set};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

/// How many pixels are worked on at once.
const PIXELS: usize = 64;

/// A level for each pixel of a block.
type Plane = [u8; PIXELS];

/// The luminance of a colour: ITU-R 601-2 luma with weights in 16-bit fixed point, rounded to the
/// nearest level, as Pillow's conversion to L has it: `(19595 R + 38470 G + 7471 B + 0x8000) >> 16`.
#[inline(always)]
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u16::from);
    // The upper and the lower bytes of the weights apart, so that sums fit 16 bits.
    let high = 76 * red + 150 * green + 29 * blue;
    let low = 139 * red + 70 * green + 47 * blue;
    ((high + (low >> 8) + 0x80) >> 8) as u8
}

/// Ways to find the luminance of many pixels, each with the instructions of a level.
pub(crate) trait Luma: BlendIntegers {
    /// The luminance of each pixel of a block, for all `N` samples of the pixel.
    fn spread<const N: usize, const B: usize>(self, block: &[u8; B]) -> [u8; B];

    /// The sum of the luminance of whole blocks of pixels.
    fn sum<const N: usize, const B: usize>(self, blocks: &[[u8; B]]) -> u64;
}

impl Luma for Compiled {
    #[inline(always)]
    fn spread<const N: usize, const B: usize>(self, block: &[u8; B]) -> [u8; B] {
        let plane = luma_plane::<N, B>(block);
        let mut spread = [0; B];
        for (pixel, &level) in spread.as_chunks_mut::<N>().0.iter_mut().zip(&plane) {
            *pixel = [level; N];
        }
        spread
    }

    #[inline(always)]
    fn sum<const N: usize, const B: usize>(self, blocks: &[[u8; B]]) -> u64 {
        let sums = blocks.iter().map(|block| {
            let plane = luma_plane::<N, B>(block);
            u64::from(plane.iter().map(|&level| u32::from(level)).sum::<u32>())
        });
        sums.sum()
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
        Channels::Rgb => sum_of_colors::<3>,
        Channels::Rgba => sum_of_colors::<4>,
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

each_set! {
    fn sum_of_colors<const N: usize>(set: impl Luma, samples: &[u8]) -> u64 {
        match N {
            3 => sum_in_blocks::<3, 192>(set, samples),
            _ => sum_in_blocks::<4, 256>(set, samples),
        }
    }
}

#[inline(always)]
fn sum_in_blocks<const N: usize, const B: usize>(set: impl Luma, samples: &[u8]) -> u64 {
    let (blocks, rest) = samples.as_chunks::<B>();
    let rest = rest.as_chunks::<N>().0.iter();
    let rest = rest.map(|&pixel| u64::from(luma([pixel[0], pixel[1], pixel[2]])));
    set.sum::<N, B>(blocks) + rest.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::noise;

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

    #[test]
    fn sums_of_16_bits_give_every_color_the_luminance_of_its_weights() {
        for red in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
            for green in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
                for blue in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
                    let [r, g, b] = [red, green, blue].map(u32::from);
                    let expected = (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16;
                    assert_eq!(u32::from(luma([red, green, blue])), expected);
                }
            }
        }
    }

    #[test]
    fn sums_of_white_images_overflow_nothing() {
        for (width, height) in [(64, 1), (64, 33), (257, if cfg!(miri) { 9 } else { 301 })] {
            let samples = alloc::vec![255; width * height * 4];
            for (channels, n) in [(Channels::Rgb, 3), (Channels::Rgba, 4)] {
                let samples = &samples[..width * height * n];
                let image = ImageRef::new(samples, width, height, channels).unwrap();
                for level in SimdLevel::available() {
                    let expected = 255 * (width * height) as u64;
                    assert_eq!(
                        luma_sum(level, image),
                        expected,
                        "{level} {channels:?} {width}×{height}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_level_finds_the_luminance_of_every_pixel() {
        each_set! {
            fn spread<const N: usize>(set: impl Luma, block: &[u8]) -> Vec<u8> {
                match N {
                    3 => set.spread::<3, 192>(block.first_chunk().unwrap()).into(),
                    _ => set.spread::<4, 256>(block.first_chunk().unwrap()).into(),
                }
            }
        }
        fn check<const N: usize>(channels: Channels) {
            let shape = (64, 9);
            let samples = noise(shape, channels);
            let pixels = samples.as_chunks::<N>().0;
            let lumas: Vec<u8> = pixels
                .iter()
                .map(|pixel| luma([pixel[0], pixel[1], pixel[2]]))
                .collect();
            let sum: u64 = lumas.iter().copied().map(u64::from).sum();
            let image = ImageRef::new(&samples, shape.0, shape.1, channels).unwrap();
            for level in SimdLevel::available() {
                assert_eq!(luma_sum(level, image), sum, "{level} {channels:?}");
                for (block, lumas) in samples.chunks_exact(64 * N).zip(lumas.chunks_exact(64)) {
                    let expected: Vec<u8> = lumas.iter().flat_map(|&luma| [luma; N]).collect();
                    assert_eq!(spread::<N>(level, block), expected, "{level} {channels:?}");
                }
            }
        }
        check::<3>(Channels::Rgb);
        check::<4>(Channels::Rgba);
    }
}
