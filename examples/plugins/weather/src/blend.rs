/// The share that leaves nothing of what was there.
pub(crate) const ALL: u32 = 1 << 16;

/// Moves the colour of a pixel towards a grey: all the way where `share` is [`ALL`], and rounded to
/// the nearest level.
pub(crate) fn blend(color: &mut [u8], grey: u8, share: u32) {
    for level in color {
        let mixed = u32::from(*level) * (ALL - share) + u32::from(grey) * share;
        *level = ((mixed + ALL / 2) / ALL) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_span_what_is_there_and_the_grey() {
        for (share, expected) in [
            (0, [0, 7, 255]),
            (ALL / 2, [120, 124, 248]),
            (ALL, [240; 3]),
        ] {
            let mut color = [0, 7, 255];
            blend(&mut color, 240, share);
            assert_eq!(color, expected);
        }
    }
}
