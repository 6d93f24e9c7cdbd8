use core::array;

use faa_op::{Call, Channels, ImageMut, OpSpec};

use crate::pixel::{Table, map_each_color, table};

builtin! {
    /// Stretches the levels of each channel so that the darkest becomes 0 and the lightest 255.
    ///
    /// A channel of one level stays as it is. It has no value and draws nothing from its seed. L and
    /// RGB alike; RGBA keeps its alpha, where Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.autocontrast` with no cutoff.
    AutoContrast,
    OpSpec::new("AutoContrast", "stretches each channel to the full range of levels"),
    auto_contrast
}

builtin! {
    /// Spreads the levels of each channel so that all are about equally frequent.
    ///
    /// A channel of one level stays as it is, and so does one with fewer than 255 pixels below its
    /// lightest level. It has no value and draws nothing from its seed. L and RGB alike; RGBA keeps
    /// its alpha, where Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.equalize`.
    Equalize,
    OpSpec::new("Equalize", "makes all levels of each channel about equally frequent"),
    equalize
}

/// How many pixels of a channel have each level.
type Histogram = [usize; 256];

fn auto_contrast(image: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) {
    map_by_histogram(image, |histogram| {
        let darkest = histogram.iter().position(|&count| count > 0)?;
        let lightest = histogram.iter().rposition(|&count| count > 0)?;
        if lightest == darkest {
            return None;
        }
        let scale = 255.0 / (lightest - darkest) as f64;
        let offset = -(darkest as f64) * scale;
        // The cast truncates and keeps to 0 … 255, as Pillow does in two steps.
        Some(table(|level| (f64::from(level) * scale + offset) as u8))
    });
}

fn equalize(image: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) {
    let pixels = image.width() * image.height();
    map_by_histogram(image, |histogram| {
        let lightest = histogram.iter().rfind(|&&count| count > 0)?;
        // A channel of one level has no pixels below it, so its step is 0 too.
        let step = (pixels - lightest) / 255;
        if step == 0 {
            return None;
        }
        let mut below = step / 2;
        Some(histogram.map(|count| {
            // Where the division by 255 left a rest, this can exceed 255; Pillow clips it as well.
            let level = (below / step).min(255) as u8;
            below += count;
            level
        }))
    });
}

/// Sends each colour channel through the table that `table_of` makes of its histogram, or leaves it
/// alone where that makes none.
fn map_by_histogram(image: &mut ImageMut<'_>, table_of: impl Fn(&Histogram) -> Option<Table>) {
    let histograms = match image.channels() {
        Channels::L => histograms::<1>(image),
        Channels::Rgb => histograms::<3>(image),
        Channels::Rgba => histograms::<4>(image),
    };
    let tables = array::from_fn(|channel| table_of(&histograms[channel]));
    if tables.iter().any(Option::is_some) {
        let tables = tables.map(|found| found.unwrap_or_else(|| table(|level| level)));
        map_each_color(image, &tables);
    }
}

/// The histograms of the colour channels; those that the image lacks are empty.
fn histograms<const N: usize>(image: &ImageMut<'_>) -> [Histogram; 3] {
    let mut histograms = [[0; 256]; 3];
    for pixel in image.samples().as_chunks::<N>().0 {
        for (&sample, histogram) in pixel.iter().zip(&mut histograms) {
            histogram[usize::from(sample)] += 1;
        }
    }
    histograms
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::apply;

    // The expected levels are those of Pillow 13.0.

    #[test]
    fn contrast_is_stretched_channel_by_channel() {
        let stretch = |channels: Channels, source: &[u8]| {
            let shape = (source.len() / channels.count(), 1);
            apply("AutoContrast", 0.0, 0, shape, channels, source)
        };
        assert_eq!(stretch(Channels::L, &[50, 60, 101, 200]), [0, 17, 86, 255]);
        let result = stretch(Channels::Rgb, &[50, 7, 0, 60, 7, 255, 101, 7, 9]);
        assert_eq!(result, [0, 7, 0, 50, 7, 255, 255, 7, 9]);
    }

    #[test]
    fn levels_are_equalized_where_there_are_enough_pixels() {
        let equalize = |counts: &[(u8, usize)]| {
            let levels = counts.iter().map(|&(level, count)| vec![level; count]);
            let source: Vec<u8> = levels.flatten().collect();
            let mut result = apply("Equalize", 0.0, 0, (source.len(), 1), Channels::L, &source);
            result.dedup();
            result
        };
        assert_eq!(equalize(&[(10, 400), (20, 300), (30, 200)]), [0, 200, 255]);
        // The lightest level comes out above 255 before it is clipped.
        assert_eq!(equalize(&[(10, 300), (20, 100), (30, 200)]), [0, 255]);
        // 255 pixels below the lightest level are enough, 254 are not.
        assert_eq!(equalize(&[(7, 255), (9, 300)]), [0, 255]);
        assert_eq!(equalize(&[(7, 254), (9, 300)]), [7, 9]);
        assert_eq!(equalize(&[(7, 500)]), [7]);
    }
}
