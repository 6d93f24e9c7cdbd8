//! Vectors in memory.
#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers")]

use core::arch::aarch64::{
    uint8x16_t, uint8x16x3_t, uint8x16x4_t, vld1q_u8, vld3q_u8, vld4q_u8, vst1q_u8, vst3q_u8,
    vst4q_u8,
};

#[target_feature(enable = "neon")]
#[inline]
pub(crate) fn load_16(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference is to 16 readable bytes, and the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
pub(crate) fn bytes_16(vector: uint8x16_t) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: the array has 16 bytes, and the store needs no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), vector) };
    bytes
}

/// The three colours of 16 pixels of three or four channels.
#[target_feature(enable = "neon")]
#[inline]
pub(crate) fn load_colors<const N: usize>(pixels: &[[u8; N]; 16]) -> [uint8x16_t; 3] {
    const { assert!(N == 3 || N == 4) };
    let bytes = pixels.as_ptr().cast();
    if N == 3 {
        // SAFETY: the reference is to 48 readable bytes, and the load needs no alignment.
        let uint8x16x3_t(red, green, blue) = unsafe { vld3q_u8(bytes) };
        [red, green, blue]
    } else {
        // SAFETY: as above, to 64 bytes.
        let uint8x16x4_t(red, green, blue, _) = unsafe { vld4q_u8(bytes) };
        [red, green, blue]
    }
}

/// 16 pixels of three or four channels, all of the same level.
#[target_feature(enable = "neon")]
#[inline]
pub(crate) fn gray_pixels<const N: usize>(levels: uint8x16_t) -> [[u8; N]; 16] {
    const { assert!(N == 3 || N == 4) };
    let mut pixels = [[0; N]; 16];
    let bytes = pixels.as_mut_ptr().cast();
    if N == 3 {
        // SAFETY: the array has 48 bytes, and the store needs no alignment.
        unsafe { vst3q_u8(bytes, uint8x16x3_t(levels, levels, levels)) };
    } else {
        // SAFETY: as above, 64 bytes.
        unsafe { vst4q_u8(bytes, uint8x16x4_t(levels, levels, levels, levels)) };
    }
    pixels
}
