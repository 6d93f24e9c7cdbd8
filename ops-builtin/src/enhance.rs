use faa_op::{Call, Channels, ImageMut, OpSpec};

use crate::pixel::{luma, map_colors, table};

builtin! {
    /// Moves all levels towards or away from the image's mean luminance.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives a grey image, 1 the image itself, more exaggerates.
    /// The mean is that of the L image, rounded to a level. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha, which does not weigh in the mean either.
    ///
    /// Source: Pillow's `ImageEnhance.Contrast`.
    Contrast,
    OpSpec::new("Contrast", "moves all levels away from the mean luminance").range(0.1, 1.9, "factor"),
    contrast
}

builtin! {
    /// Moves every pixel towards or away from its own luminance.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives a black-and-white image, 1 the image itself, more
    /// exaggerates. Draws nothing from its seed. L stays as it is; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Color`.
    Color,
    OpSpec::new("Color", "moves every pixel away from its luminance").range(0.1, 1.9, "factor"),
    color
}

builtin! {
    /// Multiplies all levels.
    ///
    /// The value is the factor, 0.1 … 1.9: 0 gives black, 1 the image itself. Draws nothing from its
    /// seed. L and RGB alike; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Brightness`.
    Brightness,
    OpSpec::new("Brightness", "multiplies all levels").range(0.1, 1.9, "factor"),
    brightness
}

/// A level on the line from `base` at factor 0 to `level` at factor 1: Pillow's `Image.blend`, which
/// computes in single precision, truncates, and clips outside 0 … 1.
///
/// A factor that overflows an `f32` makes NaN of equal levels and so 0, here as there; but there it
/// does that to alpha too.
pub(crate) fn blend(base: u8, level: u8, factor: f32) -> u8 {
    let (base, level) = (f32::from(base), f32::from(level));
    (base + factor * (level - base)) as u8
}

fn contrast(image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) {
    let mean = mean_luma(image);
    map_colors(image, &table(|level| blend(mean, level, value as f32)));
}

fn brightness(image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) {
    map_colors(image, &table(|level| blend(0, level, value as f32)));
}

fn color(image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) {
    let factor = value as f32;
    match image.channels() {
        // Every pixel is its own luminance.
        Channels::L => {}
        Channels::Rgb => color_pixels::<3>(image, factor),
        Channels::Rgba => color_pixels::<4>(image, factor),
    }
}

fn color_pixels<const N: usize>(image: &mut ImageMut<'_>, factor: f32) {
    for pixel in image.samples_mut().as_chunks_mut::<N>().0 {
        let base = luma([pixel[0], pixel[1], pixel[2]]);
        for sample in &mut pixel[..3] {
            *sample = blend(base, *sample, factor);
        }
    }
}

fn mean_luma(image: &ImageMut<'_>) -> u8 {
    let sum = match image.channels() {
        Channels::L => image.samples().iter().copied().map(u64::from).sum(),
        Channels::Rgb => luma_sum::<3>(image),
        Channels::Rgba => luma_sum::<4>(image),
    };
    let pixels = image.width() * image.height();
    (sum as f64 / pixels as f64 + 0.5) as u8
}

fn luma_sum<const N: usize>(image: &ImageMut<'_>) -> u64 {
    let pixels = image.samples().as_chunks::<N>().0.iter();
    pixels
        .map(|pixel| u64::from(luma([pixel[0], pixel[1], pixel[2]])))
        .sum()
}

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
