//! The vectors that every x86-64 has. `vectors.rs` states what the functions do.
#![expect(
    unsafe_code,
    reason = "vector instructions that every x86-64 has, and loads and stores through pointers"
)]

use core::arch::x86_64::{
    __m128i, _mm_add_epi16, _mm_and_si128, _mm_loadu_si128, _mm_mulhi_epu16, _mm_mullo_epi16,
    _mm_packus_epi16, _mm_set1_epi16, _mm_set1_epi64x, _mm_setzero_si128, _mm_shufflehi_epi16,
    _mm_shufflelo_epi16, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpackhi_epi16,
    _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi8, _mm_unpacklo_epi16,
    _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm_xor_si128,
};
use core::array;

pub(super) type Lanes = __m128i;

#[inline(always)]
pub(super) fn lanes(levels: [u8; 8]) -> Lanes {
    widen(&array::from_fn(|index| levels[index % 8]))[0]
}

#[inline(always)]
pub(super) fn widen(levels: &[u8; 16]) -> [Lanes; 2] {
    // SAFETY: SSE2 is a part of x86-64. The load is of the array's 16 bytes, and needs no alignment.
    unsafe {
        let (levels, zero) = (_mm_loadu_si128(levels.as_ptr().cast()), _mm_setzero_si128());
        [
            _mm_unpacklo_epi8(levels, zero),
            _mm_unpackhi_epi8(levels, zero),
        ]
    }
}

#[inline(always)]
pub(super) fn narrow([low, high]: [Lanes; 2]) -> [u8; 16] {
    let mut samples = [0; 16];
    // SAFETY: as above, for the store.
    unsafe { _mm_storeu_si128(samples.as_mut_ptr().cast(), _mm_packus_epi16(low, high)) };
    samples
}

#[inline(always)]
pub(super) fn repeat<const N: usize>(weights: &[u8; 16]) -> [[Lanes; 2]; N] {
    let pairs = widen(weights);
    let mut repeated = [pairs; N];
    match N {
        1 => {}
        3 => {
            let halves = pairs.map(three_times);
            repeated
                .as_flattened_mut()
                .copy_from_slice(halves.as_flattened());
        }
        _ => {
            let halves = pairs.map(four_times);
            repeated
                .as_flattened_mut()
                .copy_from_slice(halves.as_flattened());
        }
    }
    repeated
}

#[inline(always)]
fn three_times(it: Lanes) -> [Lanes; 3] {
    // The lanes that become the four of a half, two bits each, from the right.
    const AAAB: i32 = 0b01_00_00_00;
    const BBCC: i32 = 0b10_10_01_01;
    const CDDD: i32 = 0b11_11_11_10;
    // SAFETY: SSE2 is a part of x86-64.
    unsafe {
        let (low, high) = (_mm_unpacklo_epi64(it, it), _mm_unpackhi_epi64(it, it));
        [
            _mm_shufflehi_epi16::<BBCC>(_mm_shufflelo_epi16::<AAAB>(low)),
            _mm_shufflehi_epi16::<AAAB>(_mm_shufflelo_epi16::<CDDD>(it)),
            _mm_shufflehi_epi16::<CDDD>(_mm_shufflelo_epi16::<BBCC>(high)),
        ]
    }
}

#[inline(always)]
fn four_times(it: Lanes) -> [Lanes; 4] {
    // SAFETY: as above.
    unsafe {
        let (low, high) = (_mm_unpacklo_epi16(it, it), _mm_unpackhi_epi16(it, it));
        let color = _mm_set1_epi64x(0x0000_ffff_ffff_ffff);
        [
            _mm_and_si128(_mm_unpacklo_epi32(low, low), color),
            _mm_and_si128(_mm_unpackhi_epi32(low, low), color),
            _mm_and_si128(_mm_unpacklo_epi32(high, high), color),
            _mm_and_si128(_mm_unpackhi_epi32(high, high), color),
        ]
    }
}

#[inline(always)]
pub(super) fn product(color: Lanes, weights: Lanes) -> Lanes {
    // SAFETY: as above.
    unsafe { _mm_add_epi16(_mm_mullo_epi16(color, weights), _mm_set1_epi16(128)) }
}

#[inline(always)]
pub(super) fn blend(levels: Lanes, weights: Lanes, product: Lanes) -> Lanes {
    // SAFETY: as above.
    unsafe {
        let rest = _mm_xor_si128(weights, _mm_set1_epi16(255));
        let sum = _mm_add_epi16(_mm_mullo_epi16(levels, rest), product);
        // The upper half of the product is (sum + (sum >> 8)) >> 8.
        _mm_mulhi_epu16(sum, _mm_set1_epi16(257))
    }
}
