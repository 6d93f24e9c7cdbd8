use faa_op::{Channels, ImageRef, LookupTables, OpSpec};

use crate::SimdLevel;
use crate::blend::{Blend, BlendIntegers, Blending, blend};
use crate::builtin::builtin;
use crate::color::{Luma, luma_sum};
use crate::lookup::look_up;
use crate::pixels::{BlockMap, Pixels};
use crate::simd::sets::each_set;

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
    each_set! {
        fn compute(set: impl BlendIntegers, pixels: Pixels<'_, '_>, base: u8, blending: Blending) {
            match blending {
                Blending::InIntegers(way) => map_about(pixels, set, 0, way.about(base)),
                Blending::InFloats(way) => map_about(pixels, set, base, way),
            }
        }
    }
    if level.looks_up_fast() {
        return look_up(level, pixels, &blend_tables(base, factor));
    }
    let blending = Blending::new(level, factor, base..=base, pixels.sample_count());
    compute(level, pixels, base, blending);
}

#[inline(always)]
fn map_about(pixels: Pixels<'_, '_>, set: impl BlendIntegers, base: u8, way: impl Blend) {
    match pixels.channels() {
        Channels::L | Channels::Rgb => pixels.map_blocks(1, About::<_, _, 1> { set, base, way }),
        Channels::Rgba => pixels.map_blocks(4, About::<_, _, 4> { set, base, way }),
    }
}

/// Moves levels away from a base; with `N` = 4, all but every fourth.
#[derive(Clone, Copy)]
struct About<S, W, const N: usize> {
    set: S,
    base: u8,
    way: W,
}

impl<S: BlendIntegers, W: Blend, const N: usize> BlockMap<64> for About<S, W, N> {
    #[inline(always)]
    fn map(self, block: &[u8; 64]) -> [u8; 64] {
        let blended = self.way.blend(self.set, &[self.base; 64], block);
        match N {
            4 => with_alpha_of(block, blended),
            _ => blended,
        }
    }
}

/// Pixels of four channels, with the last of others.
#[inline(always)]
fn with_alpha_of<const B: usize>(others: &[u8; B], mut pixels: [u8; B]) -> [u8; B] {
    let alpha = u32::from_le_bytes([0, 0, 0, 0xff]);
    let others = others.as_chunks::<4>().0;
    for (pixel, other) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(others) {
        let [colors, other] = [*pixel, *other].map(u32::from_le_bytes);
        *pixel = (colors & !alpha | other & alpha).to_le_bytes();
    }
    pixels
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
    each_set! {
        fn recolor(set: impl Luma, pixels: Pixels<'_, '_>, blending: Blending) {
            match blending {
                Blending::InFloats(way) => recolor_with(pixels, set, way),
                Blending::InIntegers(way) => recolor_with(pixels, set, way),
            }
        }
    }
    let blending = Blending::new(level, value as f32, 0..=255, pixels.sample_count());
    recolor(level, pixels, blending);
}

#[inline(always)]
fn recolor_with(pixels: Pixels<'_, '_>, set: impl Luma, way: impl Blend) {
    match pixels.channels() {
        // Every pixel is its own luminance.
        Channels::L => pixels.keep(),
        Channels::Rgb => pixels.map_blocks::<192>(3, Recolor::<_, _, 3> { set, way }),
        Channels::Rgba => pixels.map_blocks::<256>(4, Recolor::<_, _, 4> { set, way }),
    }
}

/// Moves pixels of `N` channels away from their luminance.
#[derive(Clone, Copy)]
struct Recolor<S, W, const N: usize> {
    set: S,
    way: W,
}

impl<S: Luma, W: Blend, const N: usize, const B: usize> BlockMap<B> for Recolor<S, W, N> {
    #[inline(always)]
    fn map(self, block: &[u8; B]) -> [u8; B] {
        let bases = self.set.spread::<N, B>(block);
        let blended = self.way.blend(self.set, &bases, block);
        match N {
            4 => with_alpha_of(block, blended),
            _ => blended,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use faa_op::Op;

    use super::*;
    use crate::color::luma;
    use crate::testing::{apply, noise, try_apply};

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

    /// Images that are large enough for integers, and levels with every constant.
    #[test]
    fn every_level_blends_as_single_precision_does() {
        // Miri takes a thousand times as long.
        let factors = if cfg!(miri) { 1 } else { 60 };
        let factors = (1..=factors)
            .map(|step| f64::from(step) * 0.0337)
            .chain([-0.5, 0.0, 2.5]);
        for (channels, factor) in factors.flat_map(|f| [(Channels::Rgb, f), (Channels::Rgba, f)]) {
            let (shape, count) = ((70, 11), channels.count());
            let source = noise(shape, channels);
            let image = ImageRef::new(&source, shape.0, shape.1, channels).unwrap();
            let mean = mean_luma(SimdLevel::best(), image);
            for level in SimdLevel::available() {
                let check = |op: &dyn Op, base: &dyn Fn(&[u8]) -> u8| {
                    let result = try_apply(op, factor, 0, shape, channels, &source).unwrap();
                    let pixels = result.chunks_exact(count).zip(source.chunks_exact(count));
                    for (result, pixel) in pixels {
                        let blended = |&level: &u8| blend(base(pixel), level, factor as f32);
                        let mut expected: Vec<u8> = pixel[..3].iter().map(blended).collect();
                        expected.extend(&pixel[3..]);
                        assert_eq!(result, expected, "{op:?} {factor}", op = op.spec().name());
                    }
                };
                check(&Brightness::at(level), &|_| 0);
                check(&Contrast::at(level), &|_| mean);
                check(&Color::at(level), &|pixel| {
                    luma([pixel[0], pixel[1], pixel[2]])
                });
            }
        }
    }
}
