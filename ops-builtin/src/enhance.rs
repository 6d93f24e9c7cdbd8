use faa_op::{Channels, ImageRef, LookupTables, OpSpec};

use crate::SimdLevel;
use crate::blend::{Blend, Blending, blend};
use crate::builtin::builtin;
#[cfg(target_arch = "x86_64")]
use crate::color::avx512::InVectors;
use crate::color::{Luma, Plain, luma_sum};
use crate::lookup::look_up;
use crate::pixels::{BlockMap, Pixels};
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::each_level;

builtin! {
    /// Moves all levels towards or away from the image's mean luminance.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives a grey image, 1 the image itself, more exaggerates.
    /// The mean is that of the L image, rounded to a level. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha, which does not weigh in the mean either.
    ///
    /// Source: Pillow's `ImageEnhance.Contrast`.
    Contrast,
    OpSpec::new("Contrast", "scales contrast about the mean luminance").range(0.1, 1.9, "factor"),
    maps contrast
}

builtin! {
    /// Moves every pixel towards or away from its own luminance.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives a black-and-white image, 1 the image itself, more
    /// exaggerates. Draws nothing from its seed. L stays as it is; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Color`.
    Color,
    OpSpec::new("Color", "scales saturation").range(0.1, 1.9, "factor"),
    maps color
}

builtin! {
    /// Multiplies all levels.
    ///
    /// The value is the factor, 0.1 … 1.9: 0 gives black, 1 the image itself. Draws nothing from its
    /// seed. L and RGB alike; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Brightness`.
    Brightness,
    OpSpec::new("Brightness", "scales brightness").range(0.1, 1.9, "factor"),
    maps brightness,
    tables brightness_tables
}

fn brightness(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    blend_with(level, pixels, 0, value as f32);
}

fn brightness_tables(value: f64) -> LookupTables {
    blend_tables(0, value as f32)
}

fn contrast(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    let mean = mean_luma(level, pixels.source());
    blend_with(level, pixels, mean, value as f32);
}

/// Moves all levels away from `base`.
fn blend_with(level: SimdLevel, pixels: Pixels<'_, '_>, base: u8, factor: f32) {
    each_level! {
        fn compute(pixels: Pixels<'_, '_>, base: u8, blending: Blending) {
            match blending {
                Blending::InIntegers(way) => {
                    let way = way.about(base);
                    pixels.map_levels(|level| way.blend(0, level.into()));
                }
                Blending::InFloats(way) => pixels.map_levels(|level| way.blend(base.into(), level.into())),
            }
        }
    }
    if level.looks_up_fast() {
        return look_up(level, pixels, &blend_tables(base, factor));
    }
    let blending = Blending::new(level, factor, base..=base, pixels.sample_count());
    compute(level, pixels, base, blending);
}

fn blend_tables(base: u8, factor: f32) -> LookupTables {
    LookupTables::uniform(|level| blend(base, level, factor))
}

/// The mean luminance, rounded to a level.
fn mean_luma(level: SimdLevel, image: ImageRef<'_>) -> u8 {
    let pixels = image.width() * image.height();
    (luma_sum(level, image) as f64 / pixels as f64 + 0.5) as u8
}

fn color(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    each_level! {
        fn in_plain_code(pixels: Pixels<'_, '_>, blending: Blending) {
            recolor(pixels, blending, Plain);
        }
    }
    let blending = Blending::new(level, value as f32, 0..=255, pixels.sample_count());
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the features were found at run time")]
    if level.level() == Level::Avx512 {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
        fn in_vectors(pixels: Pixels<'_, '_>, blending: Blending) {
            recolor(pixels, blending, InVectors::new());
        }
        // SAFETY: there is a `SimdLevel` only for features that the CPU has.
        return unsafe { in_vectors(pixels, blending) };
    }
    in_plain_code(level, pixels, blending);
}

#[inline(always)]
fn recolor(pixels: Pixels<'_, '_>, blending: Blending, luma: impl Luma) {
    match blending {
        Blending::InFloats(blend) => recolor_with(pixels, blend, luma),
        Blending::InIntegers(blend) => recolor_with(pixels, blend, luma),
    }
}

#[inline(always)]
fn recolor_with(pixels: Pixels<'_, '_>, blend: impl Blend, luma: impl Luma) {
    match pixels.channels() {
        // Every pixel is its own luminance.
        Channels::L => pixels.keep(),
        Channels::Rgb => pixels.map_blocks::<192>(3, Recolor::<_, _, 3> { blend, luma }),
        Channels::Rgba => pixels.map_blocks::<256>(4, Recolor::<_, _, 4> { blend, luma }),
    }
}

/// Moves pixels of `N` channels away from their luminance.
#[derive(Clone, Copy)]
struct Recolor<W, L, const N: usize> {
    blend: W,
    luma: L,
}

impl<W: Blend, L: Luma, const N: usize, const B: usize> BlockMap<B> for Recolor<W, L, N> {
    #[inline(always)]
    fn map(self, block: &[u8; B]) -> [u8; B] {
        let bases = self.luma.spread::<N, B>(block);
        let mut result = *block;
        for part in (0..B).step_by(PART) {
            for index in part..part + PART {
                let blended = self.blend.blend(bases[index].into(), block[index].into());
                let is_alpha = N == 4 && index % 4 == 3;
                result[index] = if is_alpha { block[index] } else { blended };
            }
        }
        result
    }
}

/// How many levels are blended in one go, so that the compiler makes vectors of the loop.
const PART: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::apply;

    /// What Pillow 13.0 makes of an image of four pixels.
    #[test]
    fn four_pixels_come_out_as_in_pillow() {
        let source = [0, 50, 100, 200, 30, 90, 255, 255, 0, 12, 240, 77];
        #[rustfmt::skip]
        let cases = [
            ("Contrast", 0.3, [88, 103, 118, 148, 97, 115, 165, 165, 88, 92, 160, 112]),
            ("Contrast", 1.9, [0, 0, 75, 255, 0, 56, 255, 255, 0, 0, 255, 32]),
            ("Contrast", -2.0, [255, 255, 181, 0, 255, 201, 0, 0, 255, 255, 0, 227]),
            ("Color", 0.3, [28, 43, 58, 121, 70, 88, 234, 234, 158, 110, 179, 130]),
            ("Color", 1.9, [0, 58, 153, 255, 0, 91, 255, 255, 0, 0, 255, 8]),
            ("Brightness", 0.3, [0, 15, 30, 60, 9, 27, 76, 76, 0, 3, 72, 23]),
            ("Brightness", 1.9, [0, 95, 190, 255, 57, 171, 255, 255, 0, 22, 255, 146]),
        ];
        for (name, factor, expected) in cases {
            let result = apply(name, factor, 0, (4, 1), Channels::Rgb, &source);
            assert_eq!(result, expected, "{name} {factor}");
        }
        let source = [10, 60, 100, 201];
        let gray = |name| apply(name, 1.9, 0, (2, 2), Channels::L, &source);
        assert_eq!(gray("Contrast"), [0, 30, 106, 255]);
        assert_eq!(gray("Brightness"), [19, 114, 190, 255]);
        assert_eq!(gray("Color"), source);
    }
}
