//! The luminance of 64 pixels at once.

use core::arch::x86_64::{
    __m512i, __mmask64, _mm512_add_epi32, _mm512_add_epi64, _mm512_madd_epi16,
    _mm512_maskz_permutex2var_epi8, _mm512_maskz_permutexvar_epi8, _mm512_permutex2var_epi8,
    _mm512_reduce_add_epi64, _mm512_sad_epu8, _mm512_set1_epi32, _mm512_setzero_si512,
};

use super::{Luma, PIXELS};
use crate::simd::sets::Avx512;
use crate::simd::x86::{bytes, bytes_64, load_64};

#[expect(unsafe_code, reason = "`self` proves that the instructions are there")]
impl Luma for Avx512 {
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

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn sum<const N: usize, const B: usize>(blocks: &[[u8; B]]) -> u64 {
    let mut sums = _mm512_setzero_si512();
    for block in blocks {
        let levels = luma_plane::<N, B>(block);
        sums = _mm512_add_epi64(sums, _mm512_sad_epu8(levels, _mm512_setzero_si512()));
    }
    _mm512_reduce_add_epi64(sums) as u64
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn spread<const N: usize, const B: usize>(block: &[u8; B]) -> [u8; B] {
    let plane = luma_plane::<N, B>(block);
    let mut result = [0; B];
    for (part, to) in result.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let pixels = const { pixels_of_samples::<N>() }[part];
        *to = bytes_64(permuted(__mmask64::MAX, load_64(&pixels), plane));
    }
    result
}

/// Which pixel each of the samples of `N` vectors belongs to.
const fn pixels_of_samples<const N: usize>() -> [[u8; 64]; N] {
    let mut pixels = [[0; 64]; N];
    let mut part = 0;
    while part < N {
        pixels[part] = bytes!(i => (64 * part + i) / N);
        part += 1;
    }
    pixels
}

/// The luminance of each of 64 pixels.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn luma_plane<const N: usize, const B: usize>(block: &[u8; B]) -> __m512i {
    const { assert!(B == N * PIXELS) };
    let quarters = [
        weighted_sums::<N, B>(block, 0),
        weighted_sums::<N, B>(block, 1),
        weighted_sums::<N, B>(block, 2),
        weighted_sums::<N, B>(block, 3),
    ];
    // The level is the third byte of each sum; of these, the low half of a vector counts.
    let halves = load_64(const { &bytes!(i => 4 * i + 2) });
    let low = _mm512_permutex2var_epi8(quarters[0], halves, quarters[1]);
    let high = _mm512_permutex2var_epi8(quarters[2], halves, quarters[3]);
    _mm512_permutex2var_epi8(low, load_64(const { &bytes!(i => i + i / 32 * 32) }), high)
}

/// `19595 R + 38470 G + 7471 B + 0x8000` for each of 16 pixels of a block.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn weighted_sums<const N: usize, const B: usize>(block: &[u8; B], quarter: usize) -> __m512i {
    // The last quarter of a block of three channels is read from where a whole vector still fits.
    let start = 16 * N * quarter;
    let from = if start + 64 > B { B - 64 } else { start };
    let samples = load_64(block[from..].first_chunk().expect("a vector fits"));
    let [red_green, green_blue] = const { [indices::<N>(0), indices::<N>(1)] };
    let shift = _mm512_set1_epi32(0x0001_0001 * (start - from) as i32);
    let pick = |indices: &[u8; 64]| {
        // Every other byte is zero, so that samples become 16 bits wide.
        let indices = _mm512_add_epi32(load_64(indices), shift);
        permuted(0x5555_5555_5555_5555, indices, samples)
    };
    // The weight of green does not fit 15 bits, so green comes twice with half of it.
    let first = _mm512_madd_epi16(pick(&red_green), pair(19595, 38470 / 2));
    let second = _mm512_madd_epi16(pick(&green_blue), pair(38470 / 2, 7471));
    let sum = _mm512_add_epi32(first, second);
    _mm512_add_epi32(sum, _mm512_set1_epi32(0x8000))
}

/// The bytes at the indices that `indices` name, and 0 where the mask has no bit.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn permuted(mask: __mmask64, indices: __m512i, bytes: __m512i) -> __m512i {
    if cfg!(miri) {
        // Miri knows permutations of two vectors alone.
        return _mm512_maskz_permutex2var_epi8(mask, bytes, indices, bytes);
    }
    _mm512_maskz_permutexvar_epi8(mask, indices, bytes)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn pair(low: i32, high: i32) -> __m512i {
    _mm512_set1_epi32(high << 16 | low)
}

/// Where the samples of two neighbouring channels of 16 pixels are, each with a byte after it that
/// does not count.
const fn indices<const N: usize>(channel: usize) -> [u8; 64] {
    bytes!(i => if i % 2 == 0 { N * (i / 4) + channel + i % 4 / 2 } else { 0 })
}
