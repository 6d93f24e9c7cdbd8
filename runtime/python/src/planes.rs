//! Between rows whose channels lie apart and rows whose channels are interleaved.
//!
//! The compiler makes vector instructions of these loops, if it may use AVX2, which is detected at run
//! time.

/// Overwrites a row of pixels with the samples of their channels. All rows have as many pixels.
pub(crate) fn interleave<const CHANNELS: usize>(planes: [&[u8]; CHANNELS], pixels: &mut [u8]) {
    #[inline(always)]
    fn plain<const CHANNELS: usize>(planes: [&[u8]; CHANNELS], pixels: &mut [u8]) {
        let (pixels, _) = pixels.as_chunks_mut::<CHANNELS>();
        let planes = planes.map(|plane| &plane[..pixels.len()]);
        for x in 0..pixels.len() {
            for (c, plane) in planes.iter().enumerate() {
                pixels[x][c] = plane[x];
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2<const CHANNELS: usize>(planes: [&[u8]; CHANNELS], pixels: &mut [u8]) {
        plain(planes, pixels);
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "a function with a target feature")]
        // SAFETY: the feature was detected.
        return unsafe { avx2(planes, pixels) };
    }
    plain(planes, pixels);
}

/// The inverse of `interleave`.
pub(crate) fn separate<const CHANNELS: usize>(pixels: &[u8], planes: [&mut [u8]; CHANNELS]) {
    #[inline(always)]
    fn plain<const CHANNELS: usize>(pixels: &[u8], planes: [&mut [u8]; CHANNELS]) {
        let (pixels, _) = pixels.as_chunks::<CHANNELS>();
        for (c, plane) in planes.into_iter().enumerate() {
            for (sample, pixel) in plane.iter_mut().zip(pixels) {
                *sample = pixel[c];
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2<const CHANNELS: usize>(pixels: &[u8], planes: [&mut [u8]; CHANNELS]) {
        plain(pixels, planes);
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "a function with a target feature")]
        // SAFETY: the feature was detected.
        return unsafe { avx2(pixels, planes) };
    }
    plain(pixels, planes);
}
