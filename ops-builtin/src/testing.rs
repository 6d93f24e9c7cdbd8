//! What the tests of several files share.

extern crate std;

use alloc::vec::Vec;
use std::sync::LazyLock;

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, OpSet, Scratch, Stream};

use crate::builtin_ops;

/// Width and height.
pub(crate) type Shape = (usize, usize);

const ALL_CHANNELS: [Channels; 3] = [Channels::L, Channels::Rgb, Channels::Rgba];

/// Every shape from 1×1 to 9×9, with each kind of channels; in Miri, which is a thousand times
/// slower, four of them.
pub(crate) fn shapes() -> impl Iterator<Item = (Shape, Channels)> {
    let all = (1..=9).flat_map(|height| {
        (1..=9).flat_map(move |width| ALL_CHANNELS.map(|channels| ((width, height), channels)))
    });
    all.step_by(if cfg!(miri) { 61 } else { 1 })
}

/// The samples of an image without structure, always the same.
pub(crate) fn noise((width, height): Shape, channels: Channels) -> Vec<u8> {
    let mut stream = Stream::for_op(11);
    (0..width * height * channels.count())
        .map(|_| stream.next_u32() as u8)
        .collect()
}

/// The samples that the built-in op of that name makes of `source`, with its negative as partner.
pub(crate) fn apply(
    name: &str,
    value: f64,
    seed: u64,
    shape: Shape,
    channels: Channels,
    source: &[u8],
) -> Vec<u8> {
    try_apply(
        OPS.get(name).unwrap().as_ref(),
        value,
        seed,
        shape,
        channels,
        source,
    )
    .unwrap()
}

/// What an op makes of `source`, with its negative as partner.
pub(crate) fn try_apply(
    op: &dyn Op,
    value: f64,
    seed: u64,
    (width, height): Shape,
    channels: Channels,
    source: &[u8],
) -> Result<Vec<u8>, OpError> {
    let mut samples = source.to_vec();
    let mut image = ImageMut::new(&mut samples, width, height, channels).unwrap();
    let partner: Vec<u8> = source.iter().map(|level| !level).collect();
    let partner = ImageRef::new(&partner, width, height, channels).unwrap();
    let mut scratch = Scratch::new();
    let mut call = Call::new(seed, &mut scratch).with_partner(partner);
    op.apply(&mut image, value, &mut call).map(|()| samples)
}

/// Made once: in Miri that takes longer than applying one.
static OPS: LazyLock<OpSet> = LazyLock::new(builtin_ops);
