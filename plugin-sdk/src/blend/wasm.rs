//! The vectors of WebAssembly. `vectors.rs` states what the functions do.

use core::arch::wasm32::{
    i8x16, i8x16_swizzle, u8x16_narrow_i16x8, u16x8_add, u16x8_extend_high_u8x16,
    u16x8_extend_low_u8x16, u16x8_mul, u16x8_shr, u16x8_splat, u64x2, u64x2_extract_lane, v128,
    v128_xor,
};

pub(super) type Lanes = v128;

#[inline(always)]
pub(super) fn lanes(levels: [u8; 8]) -> Lanes {
    u16x8_extend_low_u8x16(u64x2(u64::from_le_bytes(levels), 0))
}

#[inline(always)]
pub(super) fn widen(levels: &[u8; 16]) -> [Lanes; 2] {
    halves(load(levels))
}

#[inline(always)]
fn halves(bytes: v128) -> [Lanes; 2] {
    [
        u16x8_extend_low_u8x16(bytes),
        u16x8_extend_high_u8x16(bytes),
    ]
}

#[inline(always)]
pub(super) fn narrow([low, high]: [Lanes; 2]) -> [u8; 16] {
    let bytes = u8x16_narrow_i16x8(low, high);
    let halves = [
        u64x2_extract_lane::<0>(bytes),
        u64x2_extract_lane::<1>(bytes),
    ];
    let mut samples = [0; 16];
    for (samples, half) in samples.as_chunks_mut().0.iter_mut().zip(halves) {
        *samples = half.to_le_bytes();
    }
    samples
}

#[inline(always)]
pub(super) fn repeat<const N: usize>(weights: &[u8; 16]) -> [[Lanes; 2]; N] {
    let mut repeated = [[u16x8_splat(0); 2]; N];
    match N {
        1 => repeated.copy_from_slice(&[widen(weights)]),
        3 => repeated.copy_from_slice(&three_times(load(weights)).map(halves)),
        _ => repeated.copy_from_slice(&four_times(load(weights)).map(halves)),
    }
    repeated
}

/// A vector of the bytes at these indices, with 0 for index 16. Hosts need several instructions for a swizzle, so bytes
/// are picked before they are widened.
macro_rules! pick {
    ($from:ident, $($byte:literal)*) => { i8x16_swizzle($from, i8x16($($byte),*)) };
}

#[inline(always)]
fn three_times(it: v128) -> [v128; 3] {
    [
        pick!(it, 0 0 0 1 1 1 2 2 2 3 3 3 4 4 4 5),
        pick!(it, 5 5 6 6 6 7 7 7 8 8 8 9 9 9 10 10),
        pick!(it, 10 11 11 11 12 12 12 13 13 13 14 14 14 15 15 15),
    ]
}

#[inline(always)]
fn four_times(it: v128) -> [v128; 4] {
    [
        pick!(it, 0 0 0 16 1 1 1 16 2 2 2 16 3 3 3 16),
        pick!(it, 4 4 4 16 5 5 5 16 6 6 6 16 7 7 7 16),
        pick!(it, 8 8 8 16 9 9 9 16 10 10 10 16 11 11 11 16),
        pick!(it, 12 12 12 16 13 13 13 16 14 14 14 16 15 15 15 16),
    ]
}

#[inline(always)]
pub(super) fn product(color: Lanes, weights: Lanes) -> Lanes {
    u16x8_add(u16x8_mul(color, weights), u16x8_splat(128))
}

#[inline(always)]
pub(super) fn blend(levels: Lanes, weights: Lanes, product: Lanes) -> Lanes {
    let rest = v128_xor(weights, u16x8_splat(255));
    let sum = u16x8_add(u16x8_mul(levels, rest), product);
    u16x8_shr(u16x8_add(sum, u16x8_shr(sum, 8)), 8)
}

#[inline(always)]
fn load(bytes: &[u8; 16]) -> v128 {
    let halves = bytes.as_chunks::<8>().0;
    u64x2(u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]))
}
