//! Vectors for any processor.

use core::array;

/// Eight numbers of 16 bits.
pub(super) type Lanes = [u16; 8];

pub(super) fn lanes(levels: [u8; 8]) -> Lanes {
    levels.map(u16::from)
}

pub(super) fn widen(levels: &[u8; 16]) -> [Lanes; 2] {
    repeat::<1>(levels)[0]
}

/// The inverse of [`widen`].
pub(super) fn narrow(halves: [Lanes; 2]) -> [u8; 16] {
    array::from_fn(|sample| halves.as_flattened()[sample] as u8)
}

/// The weights of 16 pixels of `N` channels as those of their samples; that of alpha is 0.
pub(super) fn repeat<const N: usize>(weights: &[u8; 16]) -> [[Lanes; 2]; N] {
    let of_sample = |sample: usize| match sample % N {
        3 => 0,
        _ => weights[sample / N].into(),
    };
    array::from_fn(|vector| {
        [0, 8].map(|half| array::from_fn(|lane| of_sample(16 * vector + half + lane)))
    })
}

/// What a colour adds to a sum that [`blend`] divides by 255: its product with the weights, and 128, so that the
/// division rounds to the nearest.
pub(super) fn product(color: Lanes, weights: Lanes) -> Lanes {
    array::from_fn(|lane| color[lane] * weights[lane] + 128)
}

/// The levels moved towards a colour, given its [`product`].
pub(super) fn blend(levels: Lanes, weights: Lanes, product: Lanes) -> Lanes {
    array::from_fn(|lane| {
        let sum = levels[lane] * (255 - weights[lane]) + product[lane];
        (sum + (sum >> 8)) >> 8
    })
}
