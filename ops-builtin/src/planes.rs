use crate::simd::each_level;

each_level! {
    /// Overwrites a row of pixels with the samples of their channels, which lie apart, for images that
    /// are stored channel by channel.
    ///
    /// # Panics
    ///
    /// If a channel has fewer samples than there are pixels.
    pub fn interleave<const CHANNELS: usize>(planes: [&[u8]; CHANNELS], pixels: &mut [u8]) {
        let (pixels, _) = pixels.as_chunks_mut::<CHANNELS>();
        let planes = planes.map(|plane| &plane[..pixels.len()]);
        for x in 0..pixels.len() {
            for (c, plane) in planes.iter().enumerate() {
                pixels[x][c] = plane[x];
            }
        }
    }
}

each_level! {
    /// The inverse of [`interleave`]: overwrites the channels with the samples of a row of pixels, up to the
    /// end of the shorter.
    pub fn separate<const CHANNELS: usize>(pixels: &[u8], planes: [&mut [u8]; CHANNELS]) {
        let (pixels, _) = pixels.as_chunks::<CHANNELS>();
        for (c, plane) in planes.into_iter().enumerate() {
            for (sample, pixel) in plane.iter_mut().zip(pixels) {
                *sample = pixel[c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::SimdLevel;

    #[test]
    fn channels_are_interleaved_and_separated_at_every_level() {
        for level in SimdLevel::available() {
            for width in [1, 2, 5, 16, 21, 64, 200] {
                let plane = |c: u8| (0..width).map(|x| x as u8 ^ (c << 6)).collect::<Vec<_>>();
                let [red, green, blue] = [0, 1, 2].map(plane);
                let mut pixels = vec![0; 3 * width];
                interleave(level, [&red, &green, &blue], &mut pixels);
                let expected = (0..width).flat_map(|x| [red[x], green[x], blue[x]]);
                assert!(pixels.iter().copied().eq(expected), "{level} {width}");
                let mut apart = [0, 1, 2].map(|_| vec![0; width]);
                separate(level, &pixels, apart.each_mut().map(|plane| &mut plane[..]));
                assert_eq!(apart, [red, green, blue], "{level} {width}");
            }
        }
    }
}
