use core::array;
use core::fmt;

use crate::{Channels, ImageMut};

/// What a point op does to the levels of each colour channel: one table per channel.
///
/// L uses the first table; alpha has none and stays as it is. Tables of neighbouring point ops
/// become one with [`LookupTables::then`], and so one pass over the pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct LookupTables {
    tables: [[u8; 256]; 3],
    uniform: bool,
}

impl LookupTables {
    /// The tables of an op that treats all colour channels alike.
    pub fn uniform(map: impl Fn(u8) -> u8) -> Self {
        Self {
            tables: [array::from_fn(|level| map(level as u8)); 3],
            uniform: true,
        }
    }

    /// One table for each colour channel.
    pub fn per_channel(tables: [[u8; 256]; 3]) -> Self {
        Self {
            uniform: tables[0] == tables[1] && tables[1] == tables[2],
            tables,
        }
    }

    /// The table of each colour channel.
    pub fn tables(&self) -> &[[u8; 256]; 3] {
        &self.tables
    }

    /// The table, if all colour channels have the same one.
    pub fn as_uniform(&self) -> Option<&[u8; 256]> {
        self.uniform.then_some(&self.tables[0])
    }

    /// The tables of this op followed by those of the next.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let table = |channel: usize| {
            self.tables[channel].map(|level| next.tables[channel][usize::from(level)])
        };
        if self.uniform && next.uniform {
            Self {
                tables: [table(0); 3],
                uniform: true,
            }
        } else {
            Self::per_channel(array::from_fn(table))
        }
    }

    /// Sends every sample through the table of its channel, one by one.
    pub fn apply(&self, image: &mut ImageMut<'_>) {
        match image.channels() {
            Channels::L => self.apply_to::<1>(image.samples_mut()),
            Channels::Rgb => self.apply_to::<3>(image.samples_mut()),
            Channels::Rgba => self.apply_to::<4>(image.samples_mut()),
        }
    }

    fn apply_to<const N: usize>(&self, samples: &mut [u8]) {
        for pixel in samples.as_chunks_mut::<N>().0 {
            // There is no fourth table, so alpha falls out of the pairs.
            for (sample, table) in pixel.iter_mut().zip(&self.tables) {
                *sample = table[usize::from(*sample)];
            }
        }
    }
}

impl fmt::Debug for LookupTables {
    /// A few levels of each table; all 768 numbers would be of no use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = self
            .tables
            .map(|table| [0, 85, 170, 255].map(|level| table[level]));
        f.debug_tuple("LookupTables").field(&some).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tables_become_one() {
        let invert = LookupTables::uniform(|level| 255 - level);
        let shift = LookupTables::per_channel(array::from_fn(|channel| {
            array::from_fn(|level| (level as u8).wrapping_add(10 * channel as u8))
        }));
        assert!(invert.as_uniform().is_some() && shift.as_uniform().is_none());
        let both = invert.then(&shift);
        let mut pixels = [0, 100, 255, 7, 1, 2, 3, 8];
        let mut one_by_one = pixels;
        let mut image = ImageMut::new(&mut pixels, 2, 1, Channels::Rgba).unwrap();
        both.apply(&mut image);
        let mut image = ImageMut::new(&mut one_by_one, 2, 1, Channels::Rgba).unwrap();
        invert.apply(&mut image);
        shift.apply(&mut image);
        assert_eq!(pixels, one_by_one);
        assert_eq!(pixels, [255, 165, 20, 7, 254, 7, 16, 8]);
        assert!(invert.then(&invert).as_uniform().is_some());
        assert_eq!(invert.then(&invert), LookupTables::uniform(|level| level));
    }
}
