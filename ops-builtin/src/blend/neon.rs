//! Blending of integers in vectors of 16-bit words.

use core::arch::aarch64::{
    uint8x8_t, vaddq_u16, vaddw_u8, vcombine_u8, vdupq_n_u16, veorq_u16, vget_high_u8, vget_low_u8,
    vget_low_u16, vmull_high_n_u16, vmull_n_u16, vqmovun_s16, vreinterpretq_s16_u16,
    vreinterpretq_u16_u32, vsubl_u8, vsubq_u16, vuzp2q_u16,
};

use super::{BlendIntegers, InIntegers};
use crate::simd::neon::{bytes_16, load_16};
use crate::simd::sets::Neon;

#[expect(unsafe_code, reason = "`self` proves that the instructions are there")]
impl BlendIntegers for Neon {
    #[inline(always)]
    fn blend_integers<const B: usize>(
        self,
        constants: InIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B] {
        // SAFETY: `self` was created by code that is compiled for these instructions.
        unsafe { blend(constants, bases, levels) }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn blend<const B: usize>(constants: InIntegers, bases: &[u8; B], levels: &[u8; B]) -> [u8; B] {
    let [turn, shift, excess] =
        [constants.turn, constants.shift, constants.excess].map(|word| vdupq_n_u16(word));
    let blended = |base: uint8x8_t, level: uint8x8_t| {
        let difference = veorq_u16(vsubl_u8(level, base), turn);
        let shifted = vaddq_u16(difference, shift);
        let low = vmull_n_u16(vget_low_u16(shifted), constants.slope);
        let high = vmull_high_n_u16(shifted, constants.slope);
        // The upper halves of the products.
        let product = vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
        let blended = vaddw_u8(vsubq_u16(product, excess), level);
        vqmovun_s16(vreinterpretq_s16_u16(blended))
    };
    let mut result = [0; B];
    let (bases, levels) = (bases.as_chunks().0, levels.as_chunks().0);
    let results = result.as_chunks_mut::<16>().0;
    for ((result, base), level) in results.iter_mut().zip(bases).zip(levels) {
        let (base, level) = (load_16(base), load_16(level));
        let low = blended(vget_low_u8(base), vget_low_u8(level));
        let high = blended(vget_high_u8(base), vget_high_u8(level));
        *result = bytes_16(vcombine_u8(low, high));
    }
    result
}
