use core::array;

use faa_op::{ImageRef, LookupTables, OpSpec};

use crate::SimdLevel;
use crate::builtin::builtin;
use crate::lookup::look_up;
use crate::pixels::{Pixels, by_channels};
use crate::simd::each_level;

builtin! {
    /// Stretches the levels of each channel so that the darkest becomes 0 and the lightest 255.
    ///
    /// A channel of one level stays as it is. It has no value and draws nothing from its seed. L and
    /// RGB alike; RGBA keeps its alpha, while Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.autocontrast` with no cutoff.
    AutoContrast,
    OpSpec::new("AutoContrast", "stretches each channel to the full range of levels"),
    maps auto_contrast
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
    OpSpec::new("Equalize", "equalizes each channel's histogram"),
    maps equalize
}

/// What each level of a channel becomes.
type Table = [u8; 256];

fn auto_contrast(level: SimdLevel, pixels: Pixels<'_, '_>, _: f64) {
    let (darkest, lightest) = extremes(level, pixels.source());
    let table = |channel: usize| stretched(darkest[channel], lightest[channel]);
    map_each(level, pixels, array::from_fn(table));
}

/// The table that stretches the levels from `darkest` to `lightest`; none if they are equal.
fn stretched(darkest: u8, lightest: u8) -> Option<Table> {
    if lightest <= darkest {
        return None;
    }
    let scale = 255.0 / f64::from(lightest - darkest);
    let offset = -f64::from(darkest) * scale;
    // The cast truncates and keeps to 0 … 255, as Pillow does in two steps.
    Some(array::from_fn(|level| {
        (level as f64 * scale + offset) as u8
    }))
}

/// The darkest and the lightest level of each colour channel.
fn extremes(level: SimdLevel, image: ImageRef<'_>) -> ([u8; 3], [u8; 3]) {
    each_level! {
        fn widen<const N: usize>(samples: &[u8], darkest: &mut [u8; 3], lightest: &mut [u8; 3]) {
            // Blocks of a length in which channels repeat, so that each index of a block has a
            // single channel.
            let mut low = [u8::MAX; 192];
            let mut high = [0; 192];
            let (blocks, rest) = samples.as_chunks::<192>();
            for block in blocks {
                for index in 0..192 {
                    low[index] = low[index].min(block[index]);
                    high[index] = high[index].max(block[index]);
                }
            }
            for (index, &sample) in rest.iter().enumerate() {
                low[index] = low[index].min(sample);
                high[index] = high[index].max(sample);
            }
            for index in 0..192 {
                if index % N < 3 {
                    darkest[index % N] = darkest[index % N].min(low[index]);
                    lightest[index % N] = lightest[index % N].max(high[index]);
                }
            }
        }
    }
    let (mut darkest, mut lightest) = ([u8::MAX; 3], [0; 3]);
    let mut widen = |samples: &[u8]| {
        by_channels!(image.channels(), N => widen::<N>(level, samples, &mut darkest, &mut lightest));
    };
    match image.contiguous() {
        Some(samples) => widen(samples),
        None => image.rows().for_each(widen),
    }
    (darkest, lightest)
}

fn equalize(level: SimdLevel, pixels: Pixels<'_, '_>, _: f64) {
    let source = pixels.source();
    let histograms = by_channels!(source.channels(), N => histograms::<N>(source));
    let count = source.width() * source.height();
    let table = |channel: usize| equalized(level, &histograms[channel], count);
    map_each(level, pixels, array::from_fn(table));
}

/// How many pixels of a channel have each level.
type Histogram = [usize; 256];

/// The table that spreads the levels; none if that needs more pixels than there are.
fn equalized(level: SimdLevel, histogram: &Histogram, pixels: usize) -> Option<Table> {
    each_level! {
        fn divide(numbers: &[f64; 256], by: f64) -> Table {
            let mut quotients = [0; 256];
            for (quotient, &number) in quotients.iter_mut().zip(numbers) {
                // Both are whole numbers far below 2⁵³, whose quotient never rounds up to a whole
                // number, so truncating it divides as integers do. Where the division by 255 left
                // a rest, it can exceed 255; Pillow clips it as well.
                *quotient = (number / by) as u8;
            }
            quotients
        }
    }
    let lightest = histogram.iter().rfind(|&&count| count > 0)?;
    // A channel of one level has no pixels below it, so its step is 0 too.
    let step = (pixels - lightest) / 255;
    if step == 0 {
        return None;
    }
    let mut below = step / 2;
    let sums = histogram.map(|count| {
        let sum = below as f64;
        below += count;
        sum
    });
    Some(divide(level, &sums, step as f64))
}

/// The histograms of the colour channels; those that the image lacks are empty.
fn histograms<const N: usize>(image: ImageRef<'_>) -> [Histogram; 3] {
    // Neighbouring pixels are often of one level, and to count into an entry again at once is to
    // wait for the first time to be done. So they count into tables of their own. Two are enough: what
    // then limits is one store per sample, which more tables and wider loads do not change.
    let mut even: [Histogram; 3] = [[0; 256]; 3];
    let mut odd = even;
    for row in image.rows() {
        let (pairs, rest) = row.as_chunks::<N>().0.as_chunks::<2>();
        for [first, second] in pairs {
            // Alpha, the fourth channel, is not counted.
            for channel in 0..N.min(3) {
                even[channel][usize::from(first[channel])] += 1;
                odd[channel][usize::from(second[channel])] += 1;
            }
        }
        for pixel in rest {
            for channel in 0..N.min(3) {
                even[channel][usize::from(pixel[channel])] += 1;
            }
        }
    }
    array::from_fn(|channel| array::from_fn(|level| even[channel][level] + odd[channel][level]))
}

/// Sends each colour channel through its table, or leaves it alone if it has none.
fn map_each(level: SimdLevel, pixels: Pixels<'_, '_>, tables: [Option<Table>; 3]) {
    if tables.iter().all(Option::is_none) {
        pixels.keep();
    } else {
        let same = || array::from_fn(|level| level as u8);
        let tables = tables.map(|table| table.unwrap_or_else(same));
        look_up(level, pixels, &LookupTables::per_channel(tables));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use faa_op::Channels;

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
