use core::array;

use faa_op::{Channels, ImageMut};

/// What each of the 256 levels of a channel becomes.
pub(crate) type Table = [u8; 256];

/// The luminance of a colour: ITU-R 601-2 luma with weights in 16-bit fixed point, rounded to the
/// nearest level, as Pillow's conversion to L has it.
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
}

/// The table of a function of the level.
pub(crate) fn table(map: impl Fn(u8) -> u8) -> Table {
    array::from_fn(|level| map(level as u8))
}

/// Sends all colour channels through one table.
pub(crate) fn map_colors(image: &mut ImageMut<'_>, table: &Table) {
    match image.channels() {
        Channels::L | Channels::Rgb => {
            for sample in image.samples_mut() {
                *sample = table[usize::from(*sample)];
            }
        }
        Channels::Rgba => map_pixels::<4>(image, &[*table; 3]),
    }
}

/// Sends each colour channel through its own table; L uses the first.
pub(crate) fn map_each_color(image: &mut ImageMut<'_>, tables: &[Table; 3]) {
    match image.channels() {
        Channels::L => map_pixels::<1>(image, tables),
        Channels::Rgb => map_pixels::<3>(image, tables),
        Channels::Rgba => map_pixels::<4>(image, tables),
    }
}

fn map_pixels<const N: usize>(image: &mut ImageMut<'_>, tables: &[Table; 3]) {
    for pixel in image.samples_mut().as_chunks_mut::<N>().0 {
        // There is no fourth table, so alpha falls out of the pairs.
        for (sample, table) in pixel.iter_mut().zip(tables) {
            *sample = table[usize::from(*sample)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luminance_is_weighted_and_rounded_as_in_pillow() {
        let colors = [
            ([255, 255, 255], 255),
            ([125, 123, 114], 123),
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([1, 2, 3], 2),
        ];
        for (color, expected) in colors {
            assert_eq!(luma(color), expected, "{color:?}");
        }
    }
}
