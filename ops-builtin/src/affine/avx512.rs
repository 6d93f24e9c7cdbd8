//! Sixteen pixels at once.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_i32gather_epi32, _mm512_madd_epi16, _mm512_mask_blend_epi16,
    _mm512_mask_storeu_epi8, _mm512_mullo_epi32, _mm512_permutexvar_epi8, _mm512_set1_epi32,
    _mm512_srli_epi32, _mm512_storeu_si512,
};

use super::Line;
use crate::simd::x86::{bytes, load_64};

/// How many pixels are moved at once.
const LANES: usize = 16;

/// The longest stride in bytes: one that is a factor of a product of 16 bits.
const LONGEST_STRIDE: usize = i16::MAX as usize;

/// Samples as many of `pixels`, from the first on, as fill whole vectors, and returns how many.
///
/// # Safety
///
/// For every pixel the position that `x` and `y` lead to has both coordinates below 2¹⁵ and none below
/// 0, and four bytes of `samples` from there on.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[expect(
    unsafe_code,
    reason = "pixels are gathered and stored through pointers"
)]
pub(super) unsafe fn sample<const N: usize>(
    samples: &[u8],
    stride: usize,
    pixels: &mut [[u8; N]],
    x: Line,
    y: Line,
) -> usize {
    let reachable = i32::try_from(samples.len()).is_ok();
    if stride > LONGEST_STRIDE || !reachable {
        return 0;
    }
    // The first `N` bytes of every four, one pixel after the other.
    let packed = load_64(const { &bytes!(i => i / N * 4 + i % N) });
    let factors = _mm512_set1_epi32((stride as i32) << 16 | N as i32);
    let step = |line: Line| _mm512_set1_epi32(line.step.wrapping_mul(LANES as i32));
    let (step_x, step_y) = (step(x), step(y));
    let (mut x, mut y) = (lanes(x), lanes(y));
    let groups = pixels.as_chunks_mut::<LANES>().0;
    let count = groups.len() * LANES;
    for group in groups {
        // A row above, a column below: the product of both with their factors is the offset.
        let coordinates = _mm512_mask_blend_epi16(0xaaaa_aaaa, _mm512_srli_epi32::<16>(x), y);
        let offsets = _mm512_madd_epi16(coordinates, factors);
        // SAFETY: the caller vouches for four bytes at every offset.
        let found = unsafe { gather(offsets, samples) };
        let target = group.as_flattened_mut().as_mut_ptr();
        match N {
            // SAFETY: a group of four-byte pixels is 64 bytes.
            4 => unsafe { _mm512_storeu_si512(target.cast(), found) },
            // SAFETY: a group is `N` times as many bytes as it has pixels, and no more are stored.
            _ => unsafe {
                let pixels = _mm512_permutexvar_epi8(packed, found);
                _mm512_mask_storeu_epi8(target.cast(), (1 << (N * LANES)) - 1, pixels);
            },
        }
        x = _mm512_add_epi32(x, step_x);
        y = _mm512_add_epi32(y, step_y);
    }
    count
}

/// The coordinates of the first pixels.
#[target_feature(enable = "avx512f")]
#[inline]
fn lanes(line: Line) -> __m512i {
    let numbers = load_64(const { &bytes!(i => if i % 4 == 0 { i / 4 } else { 0 }) });
    let steps = _mm512_mullo_epi32(numbers, _mm512_set1_epi32(line.step));
    _mm512_add_epi32(_mm512_set1_epi32(line.start), steps)
}

/// Four bytes from each of 16 offsets.
///
/// # Safety
///
/// `samples` has them.
#[target_feature(enable = "avx512f")]
#[inline]
#[expect(unsafe_code, reason = "pixels are gathered through a pointer")]
unsafe fn gather(offsets: __m512i, samples: &[u8]) -> __m512i {
    if cfg!(miri) {
        // Miri does not know gathers.
        let offsets = crate::simd::x86::bytes_64(offsets);
        let mut found = [0; 64];
        for (four, offset) in (found.as_chunks_mut().0.iter_mut()).zip(offsets.as_chunks().0) {
            let offset = i32::from_le_bytes(*offset) as usize;
            *four = *samples[offset..]
                .first_chunk::<4>()
                .expect("four bytes follow");
        }
        return load_64(&found);
    }
    // SAFETY: the caller vouches for the offsets, and the scale is one byte.
    unsafe { _mm512_i32gather_epi32::<1>(offsets, samples.as_ptr().cast()) }
}
