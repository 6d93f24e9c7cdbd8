//! Pixels in the opposite order.

use crate::SimdLevel;
use crate::simd::Level;

/// Overwrites `to` with the pixels of `from`, of which there are as many, from the last to the first.
#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "the features were found at run time")
)]
pub(crate) fn reverse<const N: usize>(level: SimdLevel, from: &[[u8; N]], to: &mut [[u8; N]]) {
    let (from, to) = match level.level() {
        // SAFETY: there is a `SimdLevel` only for features that the CPU has.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::reverse_blocks(from, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::reverse_blocks(from, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { neon::reverse_blocks(from, to) },
        Level::Compiled => (from, to),
    };
    for (to, from) in to.iter_mut().zip(from.iter().rev()) {
        *to = *from;
    }
}

/// The pixels that are left of two slices.
type Left<'a, 'b, const N: usize> = (&'a [[u8; N]], &'b mut [[u8; N]]);

/// Reverses as many pixels as fill blocks of 16 bytes, from the first of `to` on, and returns those that are
/// left. `reversed` orders the bytes of a block by [`order`].
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn in_blocks<'a, 'b, const N: usize>(
    from: &'a [[u8; N]],
    to: &'b mut [[u8; N]],
    reversed: impl Fn(&[u8; 16]) -> [u8; 16],
) -> Left<'a, 'b, N> {
    let mut done = 0;
    let (source, target) = (from.as_flattened(), to.as_flattened_mut());
    while let Some(last) = source[..source.len() - done].last_chunk()
        && let Some(next) = target[done..].first_chunk_mut()
    {
        *next = reversed(last);
        // Of three bytes each, pixels leave one byte, which is written again.
        done += 16 / N * N;
    }
    let done = done / N;
    (&from[..from.len() - done], &mut to[done..])
}

/// The bytes of a block's last pixel, then those of the one before it, and so on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const fn order<const N: usize>() -> [u8; 16] {
    let mut order = [0; 16];
    let mut i = 0;
    while i < 16 / N * N {
        order[i] = (16 - N - i / N * N + i % N) as u8;
        i += 1;
    }
    order
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use core::arch::aarch64::vqtbl1q_u8;

    use crate::reverse::{Left, in_blocks, order};
    use crate::simd::neon::{bytes_16, load_16};

    #[target_feature(enable = "neon")]
    pub(super) fn reverse_blocks<'a, 'b, const N: usize>(
        from: &'a [[u8; N]],
        to: &'b mut [[u8; N]],
    ) -> Left<'a, 'b, N> {
        let order = load_16(const { &order::<N>() });
        in_blocks(from, to, |block| {
            bytes_16(vqtbl1q_u8(load_16(block), order))
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::_mm_shuffle_epi8;

    use crate::reverse::{Left, in_blocks, order};
    use crate::simd::x86::{bytes_16, load_16};

    #[target_feature(enable = "avx2")]
    pub(super) fn reverse_blocks<'a, 'b, const N: usize>(
        from: &'a [[u8; N]],
        to: &'b mut [[u8; N]],
    ) -> Left<'a, 'b, N> {
        let order = load_16(const { &order::<N>() });
        in_blocks(from, to, |block| {
            bytes_16(_mm_shuffle_epi8(load_16(block), order))
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_permutexvar_epi8,
    };
    use core::mem;

    use crate::reverse::Left;
    use crate::simd::x86::{bytes, load_64};

    /// Reverses as many pixels as fill whole vectors, from the first of `to` on, and returns those that are left.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[expect(unsafe_code, reason = "pixels are loaded and stored through pointers")]
    pub(super) fn reverse_blocks<'a, 'b, const N: usize>(
        mut from: &'a [[u8; N]],
        mut to: &'b mut [[u8; N]],
    ) -> Left<'a, 'b, N> {
        // Those that fit a vector; of three bytes each, they leave one byte.
        let pixels = const { 64 / N };
        let mask = u64::MAX >> const { 64 % N };
        // The bytes of the last pixel, then those of the one before it, and so on.
        let order = load_64(const { &bytes!(i => (64 / N * N - N + 64 - i / N * N + i % N) & 63) });
        while from.len() >= pixels && to.len() >= pixels {
            let (rest, last) = from.split_at(from.len() - pixels);
            let (next, later) = mem::take(&mut to).split_at_mut(pixels);
            // SAFETY: both have this many pixels, and the mask has a bit for each of their bytes and no other.
            unsafe {
                let block = _mm512_maskz_loadu_epi8(mask, last.as_ptr().cast());
                let reversed = _mm512_permutexvar_epi8(order, block);
                _mm512_mask_storeu_epi8(next.as_mut_ptr().cast(), mask, reversed);
            }
            (from, to) = (rest, later);
        }
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn check<const N: usize>() {
        for length in (0..200).step_by(if cfg!(miri) { 67 } else { 1 }) {
            let from: Vec<[u8; N]> = (0..length)
                .map(|index| core::array::from_fn(|byte| (index * 7 + byte) as u8))
                .collect();
            let expected: Vec<_> = from.iter().rev().copied().collect();
            for level in SimdLevel::available() {
                let mut to = vec![[9; N]; length];
                reverse(level, &from, &mut to);
                assert_eq!(to, expected, "{level} {length}");
            }
        }
    }

    #[test]
    fn pixels_of_any_size_are_reversed() {
        check::<1>();
        check::<2>();
        check::<3>();
        check::<4>();
    }
}
