//! One table for all colour channels.

use core::arch::aarch64::{
    uint8x16_t, uint8x16x4_t, vbslq_u8, vdupq_n_u8, vdupq_n_u32, vqtbl4q_u8, vqtbx4q_u8,
    vreinterpretq_u8_u32, vsubq_u8,
};

use faa_op::Channels;

use crate::pixels::Pixels;
use crate::simd::neon::{bytes_16, load_16};

#[target_feature(enable = "neon")]
pub(super) fn look_up(pixels: Pixels<'_, '_>, table: &[u8; 256]) {
    let table = Table::new(table);
    match pixels.channels() {
        Channels::L | Channels::Rgb => pixels.map_blocks::<16>(1, |block: &[u8; 16]| {
            bytes_16(table.look_up(load_16(block)))
        }),
        Channels::Rgba => pixels.map_blocks::<16>(4, |block: &[u8; 16]| {
            let levels = load_16(block);
            // Alpha is the last byte of a pixel.
            let alpha = vreinterpretq_u8_u32(vdupq_n_u32(0xff00_0000));
            bytes_16(vbslq_u8(alpha, levels, table.look_up(levels)))
        }),
    }
}

/// A table of 256 levels in four times four registers.
#[derive(Clone, Copy)]
struct Table([uint8x16x4_t; 4]);

impl Table {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(table: &[u8; 256]) -> Self {
        let [a, b, c, d] = table.as_chunks::<64>().0 else {
            unreachable!("256 levels are four quarters");
        };
        Self([quarter(a), quarter(b), quarter(c), quarter(d)])
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn look_up(&self, mut levels: uint8x16_t) -> uint8x16_t {
        let [first, rest @ ..] = self.0;
        // A quarter has the levels below 64, and others keep what was found: they are lowered by 64 from
        // quarter to quarter, below 0 to above 64.
        let mut found = vqtbl4q_u8(first, levels);
        for quarter in rest {
            levels = vsubq_u8(levels, vdupq_n_u8(64));
            found = vqtbx4q_u8(found, quarter, levels);
        }
        found
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn quarter(levels: &[u8; 64]) -> uint8x16x4_t {
    let [a, b, c, d] = levels.as_chunks::<16>().0 else {
        unreachable!("a quarter is four vectors");
    };
    uint8x16x4_t(load_16(a), load_16(b), load_16(c), load_16(d))
}
