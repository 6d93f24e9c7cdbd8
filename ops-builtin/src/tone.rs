use faa_op::{Call, ImageMut, OpSpec};

use crate::pixel::{map_colors, table};

builtin! {
    /// Turns every level into 255 − level.
    ///
    /// It has no value and draws nothing from its seed. L and RGB alike; RGBA keeps its alpha, where
    /// Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.invert`.
    Invert,
    OpSpec::new("Invert", "turns every level into 255 − level"),
    invert
}

builtin! {
    /// Inverts the levels from a threshold on.
    ///
    /// The value is the threshold, 0 … 256, compared with the level as it is, fractions included: a
    /// level below it stays, any other becomes 255 − level. Draws nothing from its seed. L and RGB
    /// alike; RGBA keeps its alpha, where Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.solarize`.
    Solarize,
    OpSpec::new("Solarize", "inverts the levels from a threshold on").range(0.0, 256.0, "threshold"),
    solarize
}

builtin! {
    /// Keeps the highest bits of every level and clears the others.
    ///
    /// The value is the number of bits kept, 4 … 8, truncated to an integer. Outside 1 … 8, where
    /// Pillow refuses it, it is clamped to 0 … 8, and 0 gives black. Draws nothing from its seed. L
    /// and RGB alike; RGBA keeps its alpha, where Pillow refuses the mode.
    ///
    /// Source: Pillow's `ImageOps.posterize`.
    Posterize,
    OpSpec::new("Posterize", "keeps the highest bits of every level").range(4.0, 8.0, "bits"),
    posterize
}

fn invert(image: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) {
    map_colors(image, &table(|level| 255 - level));
}

fn solarize(image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) {
    let table = table(|level| {
        if f64::from(level) < value {
            level
        } else {
            255 - level
        }
    });
    map_colors(image, &table);
}

fn posterize(image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) {
    let kept = (value as u32).min(8);
    // In 16 bits, so that all 8 can be shifted out.
    let mask = (0xff00_u16 >> kept) as u8;
    map_colors(image, &table(|level| level & mask));
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
        assert_eq!(row("Solarize", 100.0, &source), [0, 99, 155, 154, 0]);
        assert_eq!(row("Solarize", 100.5, &source), [0, 99, 100, 154, 0]);
        assert_eq!(row("Solarize", 0.0, &source), row("Invert", 0.0, &source));
        assert_eq!(
            row("Solarize", -1e300, &source),
            row("Invert", 0.0, &source)
        );
    }

    #[test]
    fn bits_are_truncated_and_clamped() {
        let source = [1, 127, 128, 255];
        assert_eq!(row("Posterize", 4.99, &source), [0, 112, 128, 240]);
        assert_eq!(row("Posterize", 1.0, &source), [0, 0, 128, 128]);
        for black in [0.9, 0.0, -3.0, f64::MIN] {
            assert_eq!(row("Posterize", black, &source), [0; 4]);
        }
        assert_eq!(row("Posterize", f64::MAX, &source), source);
    }
}
