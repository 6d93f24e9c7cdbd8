use faa_op::{LookupTables, OpSpec};

use crate::SimdLevel;
use crate::builtin::builtin;
use crate::pixels::Pixels;
use crate::simd::each_level;

builtin! {
    /// Turns every level into 255 − level.
    ///
    /// It has no value and draws nothing from its seed. L and RGB alike; RGBA keeps its alpha, while
    /// Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.invert`.
    Invert,
    OpSpec::new("Invert", "turns every level into 255 − level"),
    maps invert,
    tables invert_tables
}

builtin! {
    /// Inverts the levels at or above a threshold.
    ///
    /// The value is the threshold, 0 … 256, compared with the level as it is, fractions included: a
    /// level below it stays, any other becomes 255 − level. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha, while Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.solarize`.
    Solarize,
    OpSpec::new("Solarize", "inverts the levels at or above a threshold").range(0.0, 256.0, "threshold"),
    maps solarize,
    tables solarize_tables
}

builtin! {
    /// Lightens the dark half of the levels: adds to those under 128, and clips to 0 … 255.
    ///
    /// The value is what is added, 0 … 110 levels, truncated to an integer. Draws nothing from its
    /// seed. L and RGB alike; RGBA keeps its alpha.
    ///
    /// Source: the `SolarizeAdd` of RandAugment's public code (Cubuk et al., *RandAugment*, 2020).
    SolarizeAdd,
    OpSpec::new("SolarizeAdd", "adds to the levels below 128").range(0.0, 110.0, "levels"),
    maps solarize_add,
    tables solarize_add_tables
}

builtin! {
    /// Keeps the highest bits of every level and clears the others.
    ///
    /// The value is the number of bits kept, 4 … 8, truncated to an integer. Outside 1 … 8, where
    /// Pillow refuses it, it is clamped to 0 … 8, and 0 gives black. Draws nothing from its seed. L
    /// and RGB alike; RGBA keeps its alpha, while Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.posterize`.
    Posterize,
    OpSpec::new("Posterize", "keeps the highest bits of every level").range(4.0, 8.0, "bits"),
    maps posterize,
    tables posterize_tables
}

builtin! {
    /// [`Posterize`] with the wider range of RandAugment and TrivialAugment: 0 … 8 bits, where 0
    /// gives black.
    ///
    /// The value is truncated to an integer. Draws nothing from its seed. L and RGB alike; RGBA
    /// keeps its alpha, while Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.posterize`.
    PosterizeBits,
    OpSpec::new("PosterizeBits", "keeps the highest bits of every level, down to none")
        .range(0.0, 8.0, "bits"),
    maps posterize,
    tables posterize_tables
}

fn invert(level: SimdLevel, pixels: Pixels<'_, '_>, _: f64) {
    each_level! {
        fn invert(pixels: Pixels<'_, '_>) {
            pixels.map_levels(|level| !level);
        }
    }
    invert(level, pixels);
}

fn invert_tables(_: f64) -> LookupTables {
    LookupTables::uniform(|level| !level)
}

fn solarize(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    each_level! {
        fn invert_above(pixels: Pixels<'_, '_>, last_kept: u8) {
            pixels.map_levels(|level| if level > last_kept { !level } else { level });
        }
    }
    match last_below(value) {
        Some(last_kept) => invert_above(level, pixels, last_kept),
        None => invert(level, pixels, value),
    }
}

fn solarize_tables(value: f64) -> LookupTables {
    let last_kept = last_below(value);
    LookupTables::uniform(|level| match last_kept {
        Some(last) if level <= last => level,
        _ => !level,
    })
}

/// The lightest level below a threshold.
fn last_below(threshold: f64) -> Option<u8> {
    let last = faa_op::math::ceil(threshold) - 1.0;
    // The cast keeps to 0 … 255.
    (last >= 0.0).then_some(last as u8)
}

fn solarize_add(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    each_level! {
        fn add(pixels: Pixels<'_, '_>, more: u8, less: u8) {
            pixels.map_levels(|level| add_to_dark(level, more, less));
        }
    }
    let (more, less) = addends(value);
    add(level, pixels, more, less);
}

fn solarize_add_tables(value: f64) -> LookupTables {
    let (more, less) = addends(value);
    LookupTables::uniform(|level| add_to_dark(level, more, less))
}

/// What a value adds and what it takes away, one of them 0. The casts truncate and keep to 0 … 255.
fn addends(value: f64) -> (u8, u8) {
    (value as u8, (-value) as u8)
}

#[inline(always)]
fn add_to_dark(level: u8, more: u8, less: u8) -> u8 {
    if level < 128 {
        level.saturating_add(more).saturating_sub(less)
    } else {
        level
    }
}

fn posterize(level: SimdLevel, pixels: Pixels<'_, '_>, value: f64) {
    each_level! {
        fn keep_bits(pixels: Pixels<'_, '_>, mask: u8) {
            pixels.map_levels(|level| level & mask);
        }
    }
    keep_bits(level, pixels, kept_bits(value));
}

fn posterize_tables(value: f64) -> LookupTables {
    let mask = kept_bits(value);
    LookupTables::uniform(|level| level & mask)
}

fn kept_bits(value: f64) -> u8 {
    let kept = (value as u32).min(8);
    // In 16 bits, so that all 8 can be shifted out.
    (0xff00_u16 >> kept) as u8
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use faa_op::Channels;

    use crate::testing::apply;

    fn row(name: &str, value: f64, source: &[u8]) -> Vec<u8> {
        apply(name, value, 0, (source.len(), 1), Channels::L, source)
    }

    #[test]
    fn a_threshold_may_lie_between_two_levels() {
        let source = [0, 99, 100, 101, 255];
        let inverted = row("Invert", 0.0, &source);
        assert_eq!(row("Solarize", 100.0, &source), [0, 99, 155, 154, 0]);
        assert_eq!(row("Solarize", 100.5, &source), [0, 99, 100, 154, 0]);
        assert_eq!(row("Solarize", 256.0, &source), source);
        assert_eq!(row("Solarize", 1e300, &source), source);
        assert_eq!(row("Solarize", 0.0, &source), inverted);
        assert_eq!(row("Solarize", 5e-324, &source), [0, 156, 155, 154, 0]);
        assert_eq!(row("Solarize", -1e300, &source), inverted);
    }

    #[test]
    fn only_dark_levels_are_added_to() {
        let source = [0, 20, 127, 128, 255];
        let added = |value| row("SolarizeAdd", value, &source);
        assert_eq!(added(110.9), [110, 130, 237, 128, 255]);
        assert_eq!(added(200.0), [200, 220, 255, 128, 255]);
        assert_eq!(added(-21.5), [0, 0, 106, 128, 255]);
        assert_eq!(added(0.9), source);
    }

    #[test]
    fn bits_are_truncated_and_clamped() {
        let source = [1, 127, 128, 255];
        for name in ["Posterize", "PosterizeBits"] {
            assert_eq!(row(name, 4.99, &source), [0, 112, 128, 240]);
            assert_eq!(row(name, 1.0, &source), [0, 0, 128, 128]);
            for black in [0.9, 0.0, -3.0, f64::MIN] {
                assert_eq!(row(name, black, &source), [0; 4]);
            }
            assert_eq!(row(name, f64::MAX, &source), source);
        }
    }
}
