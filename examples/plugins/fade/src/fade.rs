use faa_plugin_sdk::{
    Call, Channels, ImageMut, LookupTables, Op, OpResult, OpSpec, Size, Warp, blend, blend_level,
};

/// Mid grey.
const GREY: u8 = 128;

/// Fades towards mid grey.
///
/// The value is the weight of grey, 0 … 1, clamped to that range and rounded to 255ths. With a weight
/// of `w` 255ths a level becomes `(level · (255 − w) + 128 · w) / 255`, rounded to the nearest: unchanged at 0, and 128
/// at 1. Not random. L and RGB alike; RGBA keeps its alpha.
#[derive(Clone, Debug)]
pub struct Fade(OpSpec);

impl Default for Fade {
    fn default() -> Self {
        Self(OpSpec::new("Fade", "fades towards mid grey").range(0.0, 1.0, "weight of grey"))
    }
}

impl Op for Fade {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> OpResult {
        self.0.check_value(value)?;
        blend(image, [GREY; 3], weight(value));
        Ok(())
    }

    /// With these, it runs in one pass with its neighbours.
    fn lookup_tables(&self, value: f64, _: Channels) -> Option<LookupTables> {
        let weight = value.is_finite().then(|| weight(value))?;
        Some(LookupTables::uniform(|level| {
            blend_level(level, GREY, weight)
        }))
    }

    fn warp(&self, _: f64, _: Size, _: u64) -> Warp {
        Warp::Identity
    }
}

/// The value in 255ths.
fn weight(value: f64) -> u8 {
    // The cast turns negative numbers into 0, and large ones into 255.
    (value * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use core::array;

    use faa_plugin_sdk::{OpErrorKind, Scratch};

    use super::*;

    fn apply(value: f64, samples: &mut [u8], channels: Channels) -> OpResult {
        let width = samples.len() / channels.count();
        let mut image = ImageMut::new(samples, width, 1, channels).unwrap();
        let mut scratch = Scratch::new();
        Fade::default().apply(&mut image, value, &mut Call::new(0, &mut scratch))
    }

    #[test]
    fn levels_range_from_the_original_to_mid_grey() {
        for (value, expected) in [
            (-1.0, [0, 100, 255]),
            (0.0, [0, 100, 255]),
            (0.2, [26, 106, 230]),
            (1.0, [128; 3]),
            (f64::MAX, [128; 3]),
        ] {
            let mut samples = [0, 100, 255];
            apply(value, &mut samples, Channels::Rgb).unwrap();
            assert_eq!(samples, expected, "{value}");
        }
    }

    #[test]
    fn tables_give_the_same_bytes() {
        for channels in [Channels::L, Channels::Rgb, Channels::Rgba] {
            for value in [-3.0, 0.0, 0.001, 0.3, 0.5, 0.999, 1.0, 7.0] {
                // All levels, whole blocks and a remainder, and every channel in the remainder.
                let mut samples: [u8; 276] = array::from_fn(|index| (index * 7) as u8);
                let mut by_table = samples;
                let (width, op) = (276 / channels.count(), Fade::default());
                apply(value, &mut samples, channels).unwrap();
                let mut image = ImageMut::new(&mut by_table, width, 1, channels).unwrap();
                op.lookup_tables(value, channels).unwrap().apply(&mut image);
                assert_eq!(samples, by_table, "{value} {channels:?}");
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_and_has_no_tables() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = apply(value, &mut [0], Channels::L).unwrap_err();
            assert!(
                matches!(error.kind(), OpErrorKind::NotFinite { .. }),
                "{value}"
            );
            assert_eq!(Fade::default().lookup_tables(value, Channels::L), None);
        }
    }
}
