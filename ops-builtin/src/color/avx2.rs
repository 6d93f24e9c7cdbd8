//! The luminance of eight pixels at once.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi16, _mm256_add_epi32, _mm256_blend_epi16, _mm256_castsi128_si256,
    _mm256_inserti128_si256, _mm256_madd_epi16, _mm256_packus_epi16, _mm256_packus_epi32,
    _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi32,
};

use super::Luma;
use crate::simd::sets::Avx2;
use crate::simd::x86::{bytes_32, load_16, load_32};

#[expect(unsafe_code, reason = "`self` proves that the instructions are there")]
impl Luma for Avx2 {
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

#[target_feature(enable = "avx2")]
#[inline]
fn sum<const N: usize, const B: usize>(blocks: &[[u8; B]]) -> u64 {
    // Each word adds up four levels per block. After this many blocks it still fits 15 bits: `madd` takes signed words.
    const { assert!(4 * 255 * BLOCKS <= i16::MAX as usize) }
    const BLOCKS: usize = 32;
    let sums = blocks.chunks(BLOCKS).map(|blocks| {
        let mut words = _mm256_setzero_si256();
        for block in blocks {
            for quarter in 0..4 {
                let samples = &block[16 * N * quarter..];
                let [a, b] = [
                    weighted_sums::<N>(samples),
                    weighted_sums::<N>(&samples[8 * N..]),
                ];
                // The level is the upper word of each sum.
                let levels = _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<16>(a), b);
                words = _mm256_add_epi16(words, levels);
            }
        }
        let pairs = bytes_32(_mm256_madd_epi16(words, _mm256_set1_epi16(1)));
        let pairs = pairs
            .as_chunks()
            .0
            .iter()
            .map(|&sum| u32::from_le_bytes(sum));
        u64::from(pairs.sum::<u32>())
    });
    sums.sum()
}

#[target_feature(enable = "avx2")]
#[inline]
fn spread<const N: usize, const B: usize>(block: &[u8; B]) -> [u8; B] {
    let mut result = [0; B];
    for half in 0..2 {
        let plane = luma_plane::<N>(&block[32 * N * half..]);
        // A shuffle finds its bytes in the same half of a vector. The pixels of the two halves of what it
        // makes are all in the first half, all in the second, or one in each, in the middle of three.
        let first = _mm256_permute4x64_epi64::<0b01_00_01_00>(plane);
        let second = _mm256_permute4x64_epi64::<0b11_10_11_10>(plane);
        let result = &mut result[32 * N * half..];
        for (part, to) in result.as_chunks_mut::<32>().0[..N].iter_mut().enumerate() {
            let pixels = const { pixels_of_samples::<N>() }[part];
            let source = match 2 * part + 1 {
                middle if middle == N => plane,
                before if before < N => first,
                _ => second,
            };
            *to = bytes_32(_mm256_shuffle_epi8(source, load_32(&pixels)));
        }
    }
    result
}

/// Which pixel, counted within its half of 32, each of the samples of `N` vectors belongs to.
const fn pixels_of_samples<const N: usize>() -> [[u8; 32]; N] {
    let mut pixels = [[0; 32]; N];
    let mut sample = 0;
    while sample < 32 * N {
        pixels[sample / 32][sample % 32] = (sample / N % 16) as u8;
        sample += 1;
    }
    pixels
}

/// The luminance of each of 32 pixels.
#[target_feature(enable = "avx2")]
#[inline]
fn luma_plane<const N: usize>(samples: &[u8]) -> __m256i {
    let [a, b, c, d] = [
        weighted_sums::<N>(samples),
        weighted_sums::<N>(&samples[8 * N..]),
        weighted_sums::<N>(&samples[16 * N..]),
        weighted_sums::<N>(&samples[24 * N..]),
    ]
    .map(|sums| _mm256_srli_epi32::<16>(sums));
    // Packing keeps to halves of vectors: four pixels of each come first, then the other four of each.
    let packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
    _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

/// `19595 R + 38470 G + 7471 B + 0x8000` for each of eight pixels.
#[target_feature(enable = "avx2")]
#[inline]
fn weighted_sums<const N: usize>(samples: &[u8]) -> __m256i {
    // Four pixels in each half; the second four of three channels are the last bytes that are read.
    let low = load_16(samples.first_chunk().expect("a vector fits"));
    let high = load_16(samples[8 * (N - 2)..].first_chunk().expect("a vector fits"));
    let samples = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
    let [red_green, green_blue] = const { [indices::<N>(0), indices::<N>(1)] };
    let red_green = _mm256_shuffle_epi8(samples, load_32(&red_green));
    let green_blue = _mm256_shuffle_epi8(samples, load_32(&green_blue));
    // The weight of green does not fit 15 bits, so green comes twice with half of it.
    let first = _mm256_madd_epi16(red_green, pair(19595, 38470 / 2));
    let second = _mm256_madd_epi16(green_blue, pair(38470 / 2, 7471));
    _mm256_add_epi32(_mm256_add_epi32(first, second), _mm256_set1_epi32(0x8000))
}

#[target_feature(enable = "avx2")]
#[inline]
fn pair(low: i32, high: i32) -> __m256i {
    _mm256_set1_epi32(high << 16 | low)
}

/// Where the samples of two neighbouring channels of four pixels are in each half of a vector, each with a
/// zero after it, which makes it 16 bits wide.
const fn indices<const N: usize>(channel: usize) -> [u8; 32] {
    const ZERO: u8 = 0x80;
    let mut indices = [ZERO; 32];
    let mut i = 0;
    while i < 32 {
        // The second half of three channels starts four bytes before its pixels.
        let start = if i >= 16 && N == 3 { 4 } else { 0 };
        indices[i] = (start + N * (i % 16 / 4) + channel + i % 4 / 2) as u8;
        i += 2;
    }
    indices
}
