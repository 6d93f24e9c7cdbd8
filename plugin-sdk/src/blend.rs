//! Blending with a colour, in the vector instructions of each build.

use core::array;

use faa_op::{Channels, ImageMut};

#[cfg_attr(target_arch = "x86_64", path = "blend/x86.rs")]
#[cfg_attr(
    all(target_arch = "wasm32", target_feature = "simd128"),
    path = "blend/wasm.rs"
)]
mod vectors;

use vectors::Lanes;

/// A level, moved towards that of a colour: by nothing if the weight is 0, to the colour if it is 255.
///
/// `(level · (255 − weight) + color · weight) / 255`, rounded to the nearest, as Pillow's `Image.paste` with a mask.
pub fn blend_level(level: u8, color: u8, weight: u8) -> u8 {
    let [level, color, weight] = [level, color, weight].map(u16::from);
    let sum = level * (255 - weight) + color * weight + 128;
    // With the 128, a division by 255 that rounds to the nearest, of any sum up to 255².
    ((sum + (sum >> 8)) >> 8) as u8
}

/// Moves the whole image towards a colour ([`blend_level`]). L uses the first level of the colour; alpha stays as it is.
///
/// It consists of vector instructions on x86-64, and in WebAssembly with SIMD128, as [`blend_weighted`] does.
pub fn blend(image: &mut ImageMut<'_>, color: [u8; 3], weight: u8) {
    match (image.channels(), image.samples_mut()) {
        (Channels::L, samples) => blend_samples::<1>(samples, color, weight),
        (Channels::Rgb, samples) => blend_samples::<3>(samples, color, weight),
        (Channels::Rgba, samples) => blend_samples::<4>(samples, color, weight),
    }
}

/// Moves each pixel towards a colour by a weight of its own ([`blend_level`]). L uses the first level of the colour;
/// alpha stays as it is.
///
/// `weights` has one weight for each pixel, in rows from the top. What an op has to compute is thus a third of an image,
/// by a loop that the compiler can turn into vector instructions if it works on integers, or by
/// [`fill_outer`](crate::fill_outer):
///
/// ```
/// use faa_plugin_sdk::{Channels, ImageMut, blend_weighted};
///
/// let mut pixels = [200; 4 * 3];
/// let mut image = ImageMut::new(&mut pixels, 4, 1, Channels::Rgb)?;
/// blend_weighted(&mut image, [100, 0, 200], &[0, 51, 255, 0]);
/// assert_eq!(pixels[3..9], [180, 160, 200, 100, 0, 200]);
/// # Ok::<(), faa_plugin_sdk::ShapeError>(())
/// ```
///
/// # Panics
///
/// If there are not as many weights as pixels.
pub fn blend_weighted(image: &mut ImageMut<'_>, color: [u8; 3], weights: &[u8]) {
    let pixels = image.width() * image.height();
    assert_eq!(weights.len(), pixels, "there is one weight for each pixel");
    match (image.channels(), image.samples_mut()) {
        (Channels::L, samples) => blend_pixels::<1>(samples, color, weights),
        (Channels::Rgb, samples) => blend_pixels::<3>(samples, color, weights),
        (Channels::Rgba, samples) => blend_pixels::<4>(samples, color, weights),
    }
}

/// The samples of a vector of bytes.
const VECTOR: usize = 16;

/// After how many half vectors the channels of a pixel are in the same place again, for 1, 3 and 4 channels.
const PHASES: usize = 3;

/// Of each sample of as many half vectors, the level of a colour; 0 for alpha.
fn levels<const N: usize>(color: [u8; 3]) -> [Lanes; PHASES] {
    array::from_fn(|phase| {
        let level = |lane| color.get((8 * phase + lane) % N).copied().unwrap_or(0);
        vectors::lanes(array::from_fn(level))
    })
}

/// Blends pixels of `N` channels by one weight.
fn blend_samples<const N: usize>(samples: &mut [u8], color: [u8; 3], weight: u8) {
    // Whole vectors and whole pixels.
    const BLOCK: usize = PHASES * VECTOR;
    let (blocks, last) = samples.as_chunks_mut::<BLOCK>();
    blend_blocks::<N>(blocks.as_flattened_mut(), color, weight);
    let mut block = [0; BLOCK];
    block[..last.len()].copy_from_slice(last);
    blend_blocks::<N>(&mut block, color, weight);
    last.copy_from_slice(&block[..last.len()]);
}

/// As [`blend_samples`], for a number of samples that [`PHASES`] vectors divide.
#[inline(never)]
fn blend_blocks<const N: usize>(samples: &mut [u8], color: [u8; 3], weight: u8) {
    let is_alpha = |lane: usize| N == 4 && lane % 4 == 3;
    let weights = array::from_fn(|lane| if is_alpha(lane) { 0 } else { weight });
    let weights = vectors::lanes(weights);
    let added = levels::<N>(color).map(|color| vectors::product(color, weights));
    for block in samples
        .as_chunks_mut::<VECTOR>()
        .0
        .as_chunks_mut::<PHASES>()
        .0
    {
        for (index, vector) in block.iter_mut().enumerate() {
            let added = [0, 1].map(|half| added[(2 * index + half) % PHASES]);
            *vector = blend_vector(vector, [weights; 2], added);
        }
    }
}

/// Blends pixels of `N` channels by a weight for each.
fn blend_pixels<const N: usize>(samples: &mut [u8], color: [u8; 3], weights: &[u8]) {
    let (blocks, rest) = weights.as_chunks::<VECTOR>();
    let (samples, last) = samples.split_at_mut(blocks.len() * VECTOR * N);
    blend_weighted_blocks::<N>(samples, color, blocks);
    if !rest.is_empty() {
        let (mut block, mut weights) = ([[0; VECTOR]; N], [0; VECTOR]);
        let block = block.as_flattened_mut();
        block[..last.len()].copy_from_slice(last);
        weights[..rest.len()].copy_from_slice(rest);
        blend_weighted_blocks::<N>(block, color, &[weights]);
        last.copy_from_slice(&block[..last.len()]);
    }
}

/// As [`blend_pixels`], for a number of pixels that a vector divides.
#[inline(never)]
fn blend_weighted_blocks<const N: usize>(
    samples: &mut [u8],
    color: [u8; 3],
    weights: &[[u8; VECTOR]],
) {
    let colors = levels::<N>(color);
    let blocks = samples.as_chunks_mut::<VECTOR>().0.as_chunks_mut::<N>().0;
    for (block, weights) in blocks.iter_mut().zip(weights) {
        let weights = vectors::repeat::<N>(weights);
        for (index, vector) in block.iter_mut().enumerate() {
            let weights = weights[index];
            let added = [0, 1].map(|half| {
                let color = colors[(2 * index + half) % PHASES];
                vectors::product(color, weights[half])
            });
            *vector = blend_vector(vector, weights, added);
        }
    }
}

#[inline(always)]
fn blend_vector(samples: &[u8; VECTOR], weights: [Lanes; 2], added: [Lanes; 2]) -> [u8; VECTOR] {
    let levels = vectors::widen(samples);
    let blend = |half: usize| vectors::blend(levels[half], weights[half], added[half]);
    vectors::narrow([blend(0), blend(1)])
}

#[cfg(test)]
mod tests;
