//! Blending of integers in vectors of 16-bit words.

use core::arch::x86_64::*;
use core::hint::black_box;

use super::{BlendIntegers, InIntegers};
use crate::simd::sets::{Avx2, Avx512};
use crate::simd::x86::{bytes_32, bytes_64, load_32, load_64};

/// Implements [`BlendIntegers`] by the instructions for vectors of a width. `$widen` makes words of bytes,
/// and `$narrow` bytes of the signed words of two vectors, clipped.
macro_rules! blend_integers {
    (
        $set:ident, $features:literal, $words:literal, $splat:ident, $add:ident, $sub:ident, $xor:ident,
        $mul_high:ident, $widen:ident, $narrow:ident
    ) => {
        #[expect(unsafe_code, reason = "`self` proves that the instructions are there")]
        impl BlendIntegers for $set {
            #[inline(always)]
            fn blend_integers<const B: usize>(
                self,
                constants: InIntegers,
                bases: &[u8; B],
                levels: &[u8; B],
            ) -> [u8; B] {
                #[target_feature(enable = $features)]
                #[inline]
                fn blend<const B: usize>(
                    constants: InIntegers,
                    bases: &[u8; B],
                    levels: &[u8; B],
                ) -> [u8; B] {
                    let splat = |word: u16| $splat(word.cast_signed());
                    let (turn, shift) = (splat(constants.turn), splat(constants.shift));
                    let excess = splat(constants.excess);
                    // Opaque in each block: out of the loop over blocks the compiler would move only a
                    // half of the product, and compute the rest with 32 bits.
                    let slope = black_box(splat(constants.slope));
                    let blended = |base, level| {
                        let difference = $xor($sub(level, base), turn);
                        let product = $mul_high($add(difference, shift), slope);
                        $add(level, $sub(product, excess))
                    };
                    let mut result = [0; B];
                    let bases = bases.as_chunks::<{ 2 * $words }>().0;
                    let levels = levels.as_chunks::<{ 2 * $words }>().0;
                    let results = result.as_chunks_mut::<{ 2 * $words }>().0;
                    for ((result, base), level) in results.iter_mut().zip(bases).zip(levels) {
                        let [low_base, high_base] = $widen(base);
                        let [low_level, high_level] = $widen(level);
                        let low = blended(low_base, low_level);
                        let high = blended(high_base, high_level);
                        *result = $narrow(low, high);
                    }
                    result
                }
                // SAFETY: `self` was created by code that is compiled for these instructions.
                unsafe { blend(constants, bases, levels) }
            }
        }
    };
}

blend_integers! {
    Avx2, "avx2", 16, _mm256_set1_epi16, _mm256_add_epi16, _mm256_sub_epi16, _mm256_xor_si256,
    _mm256_mulhi_epu16, widen_32, narrow_32
}

blend_integers! {
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi", 32, _mm512_set1_epi16, _mm512_add_epi16,
    _mm512_sub_epi16, _mm512_xor_si512, _mm512_mulhi_epu16, widen_64, narrow_64
}

#[target_feature(enable = "avx2")]
#[inline]
fn widen_32(bytes: &[u8; 32]) -> [__m256i; 2] {
    // Unpacking keeps to halves of a vector, and so does packing: the order is restored.
    let (bytes, zero) = (load_32(bytes), _mm256_setzero_si256());
    [
        _mm256_unpacklo_epi8(bytes, zero),
        _mm256_unpackhi_epi8(bytes, zero),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn narrow_32(low: __m256i, high: __m256i) -> [u8; 32] {
    bytes_32(_mm256_packus_epi16(low, high))
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn widen_64(bytes: &[u8; 64]) -> [__m512i; 2] {
    // In quarters of a vector, as above.
    let (bytes, zero) = (load_64(bytes), _mm512_setzero_si512());
    [
        _mm512_unpacklo_epi8(bytes, zero),
        _mm512_unpackhi_epi8(bytes, zero),
    ]
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn narrow_64(low: __m512i, high: __m512i) -> [u8; 64] {
    bytes_64(_mm512_packus_epi16(low, high))
}
