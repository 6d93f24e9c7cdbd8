//! What the tests of several files share.

use alloc::vec::Vec;

use faa_op::{Call, Channels, ImageMut, ImageRef, Scratch, Stream};

use crate::builtin_ops;

/// Width and height.
pub(crate) type Shape = (usize, usize);

const ALL_CHANNELS: [Channels; 3] = [Channels::L, Channels::Rgb, Channels::Rgba];

/// Every shape from 1×1 to 9×9, with each kind of channels.
pub(crate) const SHAPES: [(Shape, Channels); 243] = {
    let mut shapes = [((1, 1), Channels::L); 243];
    let mut place = 0;
    while place < shapes.len() {
        let size = place / ALL_CHANNELS.len();
        shapes[place] = (
            (size % 9 + 1, size / 9 + 1),
            ALL_CHANNELS[place % ALL_CHANNELS.len()],
        );
        place += 1;
    }
    shapes
};

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
    (width, height): Shape,
    channels: Channels,
    source: &[u8],
) -> Vec<u8> {
    let mut samples = source.to_vec();
    let mut image = ImageMut::new(&mut samples, width, height, channels).unwrap();
    let ops = builtin_ops();
    let op = ops.get(name).unwrap();
    let partner: Vec<u8> = source.iter().map(|level| !level).collect();
    let partner = ImageRef::new(&partner, width, height, channels).unwrap();
    let mut scratch = Scratch::new();
    let mut call = Call::new(seed, &mut scratch).with_partner(partner);
    op.apply(&mut image, value, &mut call).unwrap();
    samples
}
