/// The weight 1 in fixed point.
pub(crate) const ONE: u32 = 1 << 16;

/// Moves the colour of a pixel towards a grey, which replaces it if `weight` is [`ONE`]. Rounds to the
/// nearest level.
pub(crate) fn blend(color: &mut [u8], grey: u8, weight: u32) {
    for level in color {
        let mixed = u32::from(*level) * (ONE - weight) + u32::from(grey) * weight;
        *level = ((mixed + ONE / 2) / ONE) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_range_from_the_colour_to_the_grey() {
        for (weight, expected) in [
            (0, [0, 7, 255]),
            (ONE / 2, [120, 124, 248]),
            (ONE, [240; 3]),
        ] {
            let mut color = [0, 7, 255];
            blend(&mut color, 240, weight);
            assert_eq!(color, expected);
        }
    }
}
