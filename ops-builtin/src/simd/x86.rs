//! Vectors in memory.
#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers")]

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256,
    _mm256_storeu_si256, _mm512_loadu_si512, _mm512_storeu_si512,
};

#[target_feature(enable = "sse2")]
#[inline]
pub(crate) fn load_16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to 16 readable bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
#[inline]
pub(crate) fn bytes_16(vector: __m128i) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: the array has 16 bytes, and the store needs no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

#[target_feature(enable = "avx2")]
#[inline]
pub(crate) fn load_32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(crate) fn bytes_32(vector: __m256i) -> [u8; 32] {
    let mut bytes = [0; 32];
    // SAFETY: the array has 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn load_64(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn bytes_64(vector: __m512i) -> [u8; 64] {
    let mut bytes = [0; 64];
    // SAFETY: the array has 64 bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

/// 64 bytes, each of them `$value` as a constant of its index.
macro_rules! bytes {
    ($index:ident => $value:expr) => {{
        let mut bytes = [0; 64];
        let mut $index = 0;
        while $index < 64 {
            bytes[$index] = $value as u8;
            $index += 1;
        }
        bytes
    }};
}
pub(crate) use bytes;
