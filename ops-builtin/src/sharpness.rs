use core::array;

use faa_op::{Call, Channels, ImageMut, OpSpec};

use crate::enhance::blend;

builtin! {
    /// Moves the image towards or away from a smoothed copy of itself.
    ///
    /// The value is a factor, 0.1 … 1.9: 0 gives the smoothed image, 1 the image itself, more
    /// sharpens. Smoothing is a weighted mean over 3 × 3 pixels, the middle with weight 5 and the
    /// others with 1, rounded to a level; the outermost rows and columns are not smoothed, nor is
    /// anything of an image with a side under 3 pixels. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha.
    ///
    /// Source: Pillow's `ImageEnhance.Sharpness`, with `ImageFilter.SMOOTH`.
    Sharpness,
    OpSpec::new("Sharpness", "moves the image away from a smoothed copy").range(0.1, 1.9, "factor"),
    sharpness
}

fn sharpness(image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) {
    match image.channels() {
        Channels::L => sharpen::<1>(image, value as f32, call),
        Channels::Rgb => sharpen::<3>(image, value as f32, call),
        Channels::Rgba => sharpen::<4>(image, value as f32, call),
    }
}

fn sharpen<const N: usize>(image: &mut ImageMut<'_>, factor: f32, call: &mut Call<'_>) {
    let stride = image.width() * N;
    let height = image.height();
    let source = call.scratch.copy_of(image.samples());
    for y in 0..height {
        let row = image.row_mut(y);
        // The border is blended with itself, which changes it only where the factor overflows.
        if y == 0 || y == height - 1 || stride < 3 * N {
            sharpen_border(row, factor);
            continue;
        }
        let around = &source[(y - 1) * stride..][..3 * stride];
        let (first, rest) = row.split_at_mut(N);
        let (inner, last) = rest.split_at_mut(rest.len() - N);
        sharpen_border(first, factor);
        sharpen_inner::<N>(inner, around, factor);
        sharpen_border(last, factor);
    }
    if N == 4 {
        // Blending alpha with the rest and putting it back keeps the loops above free of a case.
        let copies = source.as_chunks::<N>().0;
        let pixels = image.samples_mut().as_chunks_mut::<N>().0;
        for (pixel, copy) in pixels.iter_mut().zip(copies) {
            pixel[N - 1] = copy[N - 1];
        }
    }
}

fn sharpen_border(samples: &mut [u8], factor: f32) {
    for sample in samples {
        *sample = blend(*sample, *sample, factor);
    }
}

/// Sharpens a row without its outermost pixels; `around` are the three rows about it, whole.
fn sharpen_inner<const N: usize>(inner: &mut [u8], around: &[u8], factor: f32) {
    let length = inner.len();
    let stride = around.len() / 3;
    // Nine slices of one length, shifted against each other, so that the loop needs no bounds
    // checks.
    let neighbours: [&[u8]; 9] =
        array::from_fn(|place| &around[place / 3 * stride + place % 3 * N..][..length]);
    for (place, sample) in inner.iter_mut().enumerate() {
        let sum: u32 = neighbours.iter().map(|row| u32::from(row[place])).sum();
        let sum = sum + 4 * u32::from(*sample);
        // Pillow adds up thirteenths in single precision, plus one half, and truncates. A sum of
        // thirteenths is never closer than 1/26 to where that jumps, so integers give the same.
        let smooth = ((2 * sum + 13) / 26) as u8;
        *sample = blend(smooth, *sample, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{apply, noise};

    /// What Pillow 13.0 makes of two small images; only what is not at the border changes.
    #[test]
    fn small_images_come_out_as_in_pillow() {
        let inner = |factor| {
            #[rustfmt::skip]
            let source = [
                10, 200, 30, 40,
                250, 60, 70, 0,
                90, 100, 255, 120,
                13, 140, 150, 160,
            ];
            let result = apply("Sharpness", factor, 0, (4, 4), Channels::L, &source);
            let mut expected = source;
            for place in [5, 6, 9, 10] {
                expected[place] = result[place];
            }
            assert_eq!(result, expected);
            [5, 6, 9, 10].map(|place| result[place])
        };
        assert_eq!(inner(0.0), [100, 89, 118, 160]);
        assert_eq!(inner(0.1), [96, 87, 116, 169]);
        assert_eq!(inner(1.9), [24, 52, 83, 255]);

        let source: [u8; 27] = array::from_fn(|place| (place * 73 + 11) as u8);
        let result = apply("Sharpness", 0.1, 0, (3, 3), Channels::Rgb, &source);
        assert_eq!(result[12..15], [119, 138, 80]);
    }

    #[test]
    fn images_with_a_side_under_three_pixels_have_nothing_to_smooth() {
        for shape in [(1, 9), (9, 1), (2, 9), (9, 2)] {
            let source = noise(shape, Channels::Rgba);
            let result = apply("Sharpness", 0.1, 0, shape, Channels::Rgba, &source);
            assert_eq!(result, source, "{shape:?}");
        }
    }
}
