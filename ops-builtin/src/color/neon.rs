//! The luminance of sixteen pixels at once.

use core::arch::aarch64::{
    uint8x8_t, uint8x16_t, vaddvq_u64, vcombine_u8, vdup_n_u8, vdupq_n_u64, vget_high_u8,
    vget_low_u8, vmlal_u8, vmull_u8, vpadalq_u32, vpaddlq_u8, vpaddlq_u16, vrshrn_n_u16,
    vsraq_n_u16,
};

use super::{Luma, PIXELS};
use crate::simd::neon::{gray_pixels, load_colors};
use crate::simd::sets::Neon;

#[expect(unsafe_code, reason = "`self` proves that the instructions are there")]
impl Luma for Neon {
    #[inline(always)]
    fn spread<const N: usize, const B: usize>(self, block: &[u8; B]) -> [u8; B] {
        // SAFETY: `self` was created by code that is compiled for these instructions.
        unsafe { spread::<N, B>(block) }
    }

    #[inline(always)]
    fn sum<const N: usize, const B: usize>(self, blocks: &[[u8; B]]) -> u64 {
        // SAFETY: as above.
        unsafe { sum::<N, B>(blocks) }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn spread<const N: usize, const B: usize>(block: &[u8; B]) -> [u8; B] {
    const { assert!(B == N * PIXELS) };
    let mut result = [0; B];
    let groups = result.as_chunks_mut().0.as_chunks_mut().0;
    for (to, from) in groups.iter_mut().zip(block.as_chunks().0.as_chunks().0) {
        *to = gray_pixels::<N>(lumas::<N>(from));
    }
    result
}

#[target_feature(enable = "neon")]
#[inline]
fn sum<const N: usize, const B: usize>(blocks: &[[u8; B]]) -> u64 {
    let pixels = blocks.as_flattened().as_chunks().0;
    let mut sums = vdupq_n_u64(0);
    for group in pixels.as_chunks().0 {
        let pairs = vpaddlq_u8(lumas::<N>(group));
        sums = vpadalq_u32(sums, vpaddlq_u16(pairs));
    }
    vaddvq_u64(sums)
}

/// The luminance of each of 16 pixels, as [`luma`](super::luma) finds it.
#[target_feature(enable = "neon")]
#[inline]
fn lumas<const N: usize>(pixels: &[[u8; N]; 16]) -> uint8x16_t {
    let colors = load_colors(pixels);
    vcombine_u8(
        half(colors.map(|color| vget_low_u8(color))),
        half(colors.map(|color| vget_high_u8(color))),
    )
}

#[target_feature(enable = "neon")]
#[inline]
fn half(colors: [uint8x8_t; 3]) -> uint8x8_t {
    let weighted = |weights: [u8; 3]| {
        let [red, green, blue] = weights.map(|weight| vdup_n_u8(weight));
        let sum = vmlal_u8(vmull_u8(colors[0], red), colors[1], green);
        vmlal_u8(sum, colors[2], blue)
    };
    let (high, low) = (weighted([76, 150, 29]), weighted([139, 70, 47]));
    vrshrn_n_u16::<8>(vsraq_n_u16::<8>(high, low))
}
