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
        // Vectors of 64 bytes are slower: of three channels, nearly each is stored to two cache lines.
        // SAFETY: there is a `SimdLevel` only for features that the CPU has, and with AVX-512 it has AVX2.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 => unsafe { avx2::reverse_blocks(from, to) },
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

/// Reverses the pixels in blocks of 16 bytes; a row that is shorter is returned as it is. `ordered(block, order)`
/// consists of the bytes `block[order[i]]`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn in_blocks<'a, 'b, const N: usize>(
    from: &'a [[u8; N]],
    to: &'b mut [[u8; N]],
    ordered: impl Fn(&[u8; 16], [u8; 16]) -> [u8; 16],
) -> Left<'a, 'b, N> {
    // Of three bytes each, pixels leave one byte of a block, which is written again.
    let step = const { 16 / N * N };
    let reversed = |block: &[u8; 16]| ordered(block, const { order::<N>(16 % N) });
    let (source, target) = (from.as_flattened(), to.as_flattened_mut());
    let mut done = 0;
    // Four blocks at once, so that lengths are compared once for the four.
    while let Some(last) = source[..source.len() - done].last_chunk::<64>()
        && let Some(next) = target[done..].first_chunk_mut::<64>()
    {
        fetch_ahead(source, done);
        for block in 0..4 {
            let start = block * step;
            let last = last[..64 - start].last_chunk().expect("a block fits");
            next[start..start + 16].copy_from_slice(&reversed(last));
        }
        done += 4 * step;
    }
    while let Some(last) = source[..source.len() - done].last_chunk()
        && let Some(next) = target[done..].first_chunk_mut()
    {
        *next = reversed(last);
        done += step;
    }
    // Less than a block is left: the row's last pixels. They are written with those before them, as one whole block.
    if let Some(first) = source.first_chunk() {
        let first = ordered(first, const { order::<N>(0) });
        let start = target.len() - step;
        target[start..].copy_from_slice(&first[..step]);
        return (&[], &mut []);
    }
    (from, to)
}

/// Prefetches the memory after a row, usually the next row. The row is read backwards, and hardware prefetchers follow
/// reads that go forwards.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn fetch_ahead(row: &[u8], distance: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[expect(unsafe_code, reason = "a hint that takes a pointer")]
    // SAFETY: nothing is read, whatever the address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(row.as_ptr_range().end.wrapping_add(distance).cast());
    }
    let _ = (row, distance);
}

/// The bytes of a block's last pixel, then those of the one before it, and so on, where `first` bytes come before
/// the pixels.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const fn order<const N: usize>(first: usize) -> [u8; 16] {
    let pixels = 16 / N * N;
    let mut order = [0; 16];
    let mut i = 0;
    while i < pixels {
        order[i] = (first + pixels - N - i / N * N + i % N) as u8;
        i += 1;
    }
    order
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use core::arch::aarch64::vqtbl1q_u8;

    use crate::reverse::{Left, in_blocks};
    use crate::simd::neon::{bytes_16, load_16};

    #[target_feature(enable = "neon")]
    pub(super) fn reverse_blocks<'a, 'b, const N: usize>(
        from: &'a [[u8; N]],
        to: &'b mut [[u8; N]],
    ) -> Left<'a, 'b, N> {
        in_blocks(from, to, |block, order| {
            bytes_16(vqtbl1q_u8(load_16(block), load_16(&order)))
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::_mm_shuffle_epi8;

    use crate::reverse::{Left, in_blocks};
    use crate::simd::x86::{bytes_16, load_16};

    #[target_feature(enable = "avx2")]
    pub(super) fn reverse_blocks<'a, 'b, const N: usize>(
        from: &'a [[u8; N]],
        to: &'b mut [[u8; N]],
    ) -> Left<'a, 'b, N> {
        in_blocks(from, to, |block, order| {
            bytes_16(_mm_shuffle_epi8(load_16(block), load_16(&order)))
        })
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
