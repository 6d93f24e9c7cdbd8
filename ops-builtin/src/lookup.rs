//! Sends samples through tables of 256 levels.

use faa_op::{Channels, ImageMut, ImageRef, LookupTables, ShapeError, ShapeErrorKind};

use crate::SimdLevel;
use crate::pixels::Pixels;
use crate::simd::Level;

#[cfg(target_arch = "aarch64")]
mod neon;

/// Sends every sample of an image through the table of its channel: [`LookupTables::apply`] with
/// vector instructions. Alpha stays.
pub fn map_levels(level: SimdLevel, tables: &LookupTables, image: &mut ImageMut<'_>) {
    look_up(level, Pixels::InPlace(image), tables);
}

/// Overwrites `image` with what [`map_levels`] makes of `source`.
///
/// # Errors
///
/// [`ShapeErrorKind::Differs`] if the shapes are not the same; the image is unchanged.
pub fn map_levels_from(
    level: SimdLevel,
    tables: &LookupTables,
    source: ImageRef<'_>,
    image: &mut ImageMut<'_>,
) -> Result<(), ShapeError> {
    if !image.has_shape_of(source) {
        return Err(ShapeErrorKind::Differs.into());
    }
    look_up(level, Pixels::Between(source, image), tables);
    Ok(())
}

#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "the features were found at run time")
)]
pub(crate) fn look_up(level: SimdLevel, pixels: Pixels<'_, '_>, tables: &LookupTables) {
    match level.level() {
        // SAFETY: there is a `SimdLevel` only for features that the CPU has.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::look_up(pixels, tables) },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => match (pixels.channels(), tables.as_uniform()) {
            // SAFETY: as above.
            (Channels::L, _) => unsafe { avx2::look_up(pixels, &tables.tables()[0]) },
            // SAFETY: as above.
            (_, Some(table)) => unsafe { avx2::look_up(pixels, table) },
            (_, None) => look_up_one_by_one(pixels, tables),
        },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => match (pixels.channels(), tables.as_uniform()) {
            // SAFETY: as above.
            (Channels::L, _) => unsafe { neon::look_up(pixels, &tables.tables()[0]) },
            // SAFETY: as above.
            (_, Some(table)) => unsafe { neon::look_up(pixels, table) },
            (_, None) => look_up_one_by_one(pixels, tables),
        },
        Level::Compiled => look_up_one_by_one(pixels, tables),
    }
}

fn look_up_one_by_one(pixels: Pixels<'_, '_>, tables: &LookupTables) {
    match pixels.channels() {
        Channels::L => pixels_one_by_one::<1, 24>(pixels, tables),
        Channels::Rgb => pixels_one_by_one::<3, 24>(pixels, tables),
        Channels::Rgba => pixels_one_by_one::<4, 32>(pixels, tables),
    }
}

fn pixels_one_by_one<const N: usize, const B: usize>(
    pixels: Pixels<'_, '_>,
    tables: &LookupTables,
) {
    let tables = tables.tables();
    pixels.map_blocks::<B>(N, |block: &[u8; B]| {
        let mut block = *block;
        // Eight samples are read and written at once: a store for each would take longer than its lookup.
        for (word, samples) in block.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let levels = u64::from_le_bytes(*samples);
            let mut found = 0;
            for byte in 0..8 {
                let level = (levels >> (8 * byte)) as u8;
                // There is no fourth table: alpha stays.
                let table = tables.get((8 * word + byte) % N);
                let level = table.map_or(level, |table| table[usize::from(level)]);
                found |= u64::from(level) << (8 * byte);
            }
            *samples = found.to_le_bytes();
        }
        block
    });
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::{
        __m512i, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    };
    use faa_op::{Channels, LookupTables};

    use crate::pixels::Pixels;
    use crate::simd::x86::{bytes_64, load_64};

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn look_up(pixels: Pixels<'_, '_>, tables: &LookupTables) {
        match (pixels.channels(), tables.as_uniform()) {
            (Channels::L, _) => one_table::<1>(pixels, &tables.tables()[0]),
            (Channels::Rgb, Some(table)) => one_table::<1>(pixels, table),
            (Channels::Rgb, None) => table_each::<3, 192>(pixels, tables.tables()),
            (Channels::Rgba, Some(table)) => one_table::<4>(pixels, table),
            (Channels::Rgba, None) => table_each::<4, 64>(pixels, tables.tables()),
        }
    }

    /// A table for all samples; with `N` = 4, for all but every fourth.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn one_table<const N: usize>(pixels: Pixels<'_, '_>, table: &[u8; 256]) {
        let table = Table::new(table);
        let alpha = channel_mask(3, 4, 0);
        pixels.map_blocks::<64>(N, |block: &[u8; 64]| {
            let levels = load_64(block);
            let found = table.look_up(levels);
            bytes_64(match N {
                4 => _mm512_mask_blend_epi8(alpha, found, levels),
                _ => found,
            })
        });
    }

    /// A table for each of three channels out of `N`; `B` samples start with the first channel.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn table_each<const N: usize, const B: usize>(pixels: Pixels<'_, '_>, tables: &[[u8; 256]; 3]) {
        let [red, green, blue] = tables;
        let tables = [Table::new(red), Table::new(green), Table::new(blue)];
        pixels.map_blocks::<B>(N, |block: &[u8; B]| {
            let mut block = *block;
            for (index, part) in block.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                let levels = load_64(part);
                let mut found = levels;
                for (channel, table) in tables.iter().enumerate() {
                    let mask = channel_mask(channel, N, index);
                    found = _mm512_mask_blend_epi8(mask, found, table.look_up(levels));
                }
                *part = bytes_64(found);
            }
            block
        });
    }

    /// Which of the 64 samples of the vector at `index` belong to a channel.
    const fn channel_mask(channel: usize, channels: usize, index: usize) -> u64 {
        let mut mask = 0;
        let mut sample = 0;
        while sample < 64 {
            if (64 * index + sample) % channels == channel {
                mask |= 1 << sample;
            }
            sample += 1;
        }
        mask
    }

    /// A table of 256 levels in four registers.
    #[derive(Clone, Copy)]
    struct Table([__m512i; 4]);

    impl Table {
        #[target_feature(enable = "avx512f")]
        #[inline]
        fn new(table: &[u8; 256]) -> Self {
            let [a, b, c, d] = table.as_chunks().0 else {
                unreachable!("256 levels are four vectors");
            };
            Self([load_64(a), load_64(b), load_64(c), load_64(d)])
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
        #[inline]
        fn look_up(&self, levels: __m512i) -> __m512i {
            let [a, b, c, d] = self.0;
            // Each permutation looks at the low seven bits and finds one of 128 levels; the eighth
            // bit chooses between the two.
            let dark = _mm512_permutex2var_epi8(a, levels, b);
            let light = _mm512_permutex2var_epi8(c, levels, d);
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(levels), dark, light)
        }
    }

    #[cfg(test)]
    mod tests {
        use core::array;

        use super::*;

        #[test]
        fn masks_follow_the_channels_over_vectors() {
            for channels in [3, 4] {
                for index in 0..channels {
                    let masks: [u64; 3] = array::from_fn(|c| channel_mask(c, channels, index));
                    for sample in 0..64 {
                        let expected = (64 * index + sample) % channels;
                        let found = masks.iter().position(|mask| mask >> sample & 1 == 1);
                        assert_eq!(found, (expected < 3).then_some(expected));
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::{
        __m256i, _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_set1_epi8,
        _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_subs_epi8,
        _mm256_xor_si256,
    };

    use faa_op::Channels;

    use crate::pixels::Pixels;
    use crate::simd::x86::{bytes_32, load_16, load_32};

    /// One table for all colour channels.
    #[target_feature(enable = "avx2")]
    pub(super) fn look_up(pixels: Pixels<'_, '_>, table: &[u8; 256]) {
        let table = Table::new(table);
        match pixels.channels() {
            Channels::L | Channels::Rgb => pixels.map_blocks::<32>(1, |block: &[u8; 32]| {
                bytes_32(table.look_up(load_32(block)))
            }),
            Channels::Rgba => pixels.map_blocks::<32>(4, |block: &[u8; 32]| {
                let levels = load_32(block);
                // The highest bit of each byte chooses: alpha is the last byte of a pixel.
                let alpha = _mm256_set1_epi32(i32::MIN);
                bytes_32(_mm256_blendv_epi8(table.look_up(levels), levels, alpha))
            }),
        }
    }

    /// A table of 256 levels as two halves of eight rows of 16. The first row of a half is the
    /// table's; each other one is what it takes to make the row out of the one before it.
    struct Table([[__m256i; 8]; 2]);

    impl Table {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn new(table: &[u8; 256]) -> Self {
            let mut halves = [[_mm256_setzero_si256(); 8]; 2];
            for (half, levels) in halves.iter_mut().zip(table.as_chunks::<128>().0) {
                let mut before = _mm256_setzero_si256();
                for (row, levels) in half.iter_mut().zip(levels.as_chunks::<16>().0) {
                    let levels = _mm256_broadcastsi128_si256(load_16(levels));
                    *row = _mm256_xor_si256(levels, before);
                    before = levels;
                }
            }
            Self(halves)
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn look_up(&self, levels: __m256i) -> __m256i {
            let [dark, light] = &self.0;
            let upper = _mm256_xor_si256(levels, _mm256_set1_epi8(i8::MIN));
            _mm256_xor_si256(look_up_half(dark, levels), look_up_half(light, upper))
        }
    }

    /// Finds the levels from 0 to 127 in half a table; others, which are negative here, give 0.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn look_up_half(rows: &[__m256i; 8], mut levels: __m256i) -> __m256i {
        // A shuffle looks at the low four bits, and gives 0 where the eighth is set. So a level is
        // found in the first row, and changed into that of each next row until its own, from where
        // on less 16 makes it negative.
        let mut found = _mm256_shuffle_epi8(rows[0], levels);
        for row in &rows[1..] {
            levels = _mm256_subs_epi8(levels, _mm256_set1_epi8(16));
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(*row, levels));
        }
        found
    }
}
