//! Where an op that treats every pixel alike reads its pixels and writes its results.

use faa_op::{Channels, ImageMut, ImageRef, OpError, OpErrorKind, Scratch};

/// An expression in which `N` is the number of channels, as a constant.
macro_rules! by_channels {
    ($channels:expr, $n:ident => $body:expr) => {
        match $channels {
            ::faa_op::Channels::L => {
                const $n: usize = 1;
                $body
            }
            ::faa_op::Channels::Rgb => {
                const $n: usize = 3;
                $body
            }
            ::faa_op::Channels::Rgba => {
                const $n: usize = 4;
                $body
            }
        }
    };
}
pub(crate) use by_channels;

/// What becomes of a block of samples.
///
/// Small closures will do. A larger body belongs into a separate type, with an `inline(always)`
/// function: only inlined code is compiled for the vector instructions of its caller.
pub(crate) trait BlockMap<const B: usize>: Copy {
    fn map(self, block: &[u8; B]) -> [u8; B];
}

impl<const B: usize, F: Fn(&[u8; B]) -> [u8; B] + Copy> BlockMap<B> for F {
    #[inline(always)]
    fn map(self, block: &[u8; B]) -> [u8; B] {
        self(block)
    }
}

/// The pixels of one call: changed in place, or read from one image and written to another of the
/// same shape.
pub(crate) enum Pixels<'a, 'b> {
    InPlace(&'a mut ImageMut<'b>),
    Between(ImageRef<'a>, &'a mut ImageMut<'b>),
}

impl<'a, 'b> Pixels<'a, 'b> {
    /// The pixels of two images, if they have one shape.
    pub(crate) fn between(
        source: ImageRef<'a>,
        image: &'a mut ImageMut<'b>,
    ) -> Result<Self, OpError> {
        match image.has_shape_of(source) {
            true => Ok(Self::Between(source, image)),
            false => Err(OpErrorKind::SourceShape.into()),
        }
    }

    /// The image as it is before the op.
    pub(crate) fn source(&self) -> ImageRef<'_> {
        match self {
            Self::InPlace(image) => image.as_ref(),
            Self::Between(source, _) => *source,
        }
    }

    pub(crate) fn channels(&self) -> Channels {
        self.source().channels()
    }

    /// How many samples the image has.
    pub(crate) fn sample_count(&self) -> usize {
        match self {
            Self::InPlace(image) | Self::Between(_, image) => image.samples().len(),
        }
    }

    pub(crate) fn have_shape_of(&self, other: ImageRef<'_>) -> bool {
        match self {
            Self::InPlace(image) | Self::Between(_, image) => image.has_shape_of(other),
        }
    }

    /// The image as it is before the op, and the one to be written. In place, the former is a copy.
    pub(crate) fn apart(self, scratch: &'a mut Scratch) -> (ImageRef<'a>, &'a mut ImageMut<'b>) {
        match self {
            Self::InPlace(image) => {
                let samples = scratch.copy_of(image.samples());
                let copy = ImageRef::new(samples, image.width(), image.height(), image.channels())
                    .expect("a copy has the shape of its original");
                (copy, image)
            }
            Self::Between(source, image) => (source, image),
        }
    }

    /// The image, to be changed in place.
    pub(crate) fn copied(self) -> &'a mut ImageMut<'b> {
        match self {
            Self::InPlace(image) => image,
            Self::Between(source, image) => {
                let same_shape = image.copy_from(source);
                debug_assert!(same_shape.is_ok());
                image
            }
        }
    }

    /// Leaves every pixel as it is.
    pub(crate) fn keep(self) {
        self.copied();
    }

    /// Maps every level of the colour channels.
    #[inline(always)]
    pub(crate) fn map_levels(self, map: impl Fn(u8) -> u8 + Copy) {
        match self.channels() {
            Channels::L | Channels::Rgb => self.map_blocks::<64>(1, |block: &[u8; 64]| {
                let mut block = *block;
                for sample in &mut block {
                    *sample = map(*sample);
                }
                block
            }),
            Channels::Rgba => self.map_blocks::<64>(4, |block: &[u8; 64]| {
                let mut block = *block;
                for (index, sample) in block.iter_mut().enumerate() {
                    *sample = if index % 4 == 3 {
                        *sample
                    } else {
                        map(*sample)
                    };
                }
                block
            }),
        }
    }

    /// Maps the samples block by block. `phase` is the number of samples after which the pattern
    /// of channels repeats as far as it matters to `map`; it divides `B`, and blocks start at
    /// multiples of it.
    #[inline(always)]
    pub(crate) fn map_blocks<const B: usize>(self, phase: usize, map: impl BlockMap<B>) {
        match self {
            Self::InPlace(image) => change(image.samples_mut(), phase, map),
            Self::Between(source, image) => {
                // Rows without gaps are one long row.
                let (rows, stride) = match source.contiguous() {
                    Some(samples) => (1, samples.len()),
                    None => (image.height(), source.stride()),
                };
                let length = image.samples().len() / rows;
                for (y, row) in image.samples_mut().chunks_exact_mut(length).enumerate() {
                    let from = &source.strided_samples()[y * stride..][..length];
                    transfer(from, row, phase, map);
                }
            }
        }
    }
}

#[inline(always)]
fn change<const B: usize>(samples: &mut [u8], phase: usize, map: impl BlockMap<B>) {
    let (head, rest) = samples.split_at_mut(unaligned::<B>(samples, phase));
    let (blocks, tail) = rest.as_chunks_mut::<B>();
    let (mut first, mut last) = (padded(head), padded(tail));
    // One loop, so that the map is there once in the program.
    for blocks in [
        occupied(&mut first, head),
        blocks,
        occupied(&mut last, tail),
    ] {
        for block in blocks {
            *block = map.map(block);
        }
    }
    head.copy_from_slice(&first[0][..head.len()]);
    tail.copy_from_slice(&last[0][..tail.len()]);
}

#[inline(always)]
fn transfer<const B: usize>(source: &[u8], target: &mut [u8], phase: usize, map: impl BlockMap<B>) {
    let lead = unaligned::<B>(target, phase);
    let (source_head, source) = source.split_at(lead);
    let (head, target) = target.split_at_mut(lead);
    let (source_blocks, source_tail) = source.as_chunks::<B>();
    let (blocks, tail) = target.as_chunks_mut::<B>();
    let (source_first, source_last) = (padded(source_head), padded(source_tail));
    let (mut first, mut last) = ([[0; B]], [[0; B]]);
    let parts = [
        (&source_first[..], occupied(&mut first, head)),
        (source_blocks, blocks),
        (&source_last[..], occupied(&mut last, tail)),
    ];
    for (from, to) in parts {
        for (from, to) in from.iter().zip(to) {
            map_block(from, to, map);
        }
    }
    head.copy_from_slice(&first[0][..head.len()]);
    tail.copy_from_slice(&last[0][..tail.len()]);
}

/// A function of its own, so that the compiler knows that the blocks do not overlap.
#[inline(always)]
fn map_block<const B: usize>(from: &[u8; B], to: &mut [u8; B], map: impl BlockMap<B>) {
    *to = map.map(from);
}

/// Less than a block of samples as a block.
fn padded<const B: usize>(samples: &[u8]) -> [[u8; B]; 1] {
    let mut block = [0; B];
    block[..samples.len()].copy_from_slice(samples);
    [block]
}

/// The block, unless it is to hold no samples.
fn occupied<'a, const B: usize>(block: &'a mut [[u8; B]; 1], samples: &[u8]) -> &'a mut [[u8; B]] {
    &mut block[..samples.len().min(1)]
}

/// The length of a cache line.
const LINE: usize = 64;

/// How many samples come before a sample at which both a cache line and a phase start: stores that
/// straddle two lines cost twice. 0 if that takes a block or more, or lies past the end.
fn unaligned<const B: usize>(samples: &[u8], phase: usize) -> usize {
    let first = samples.as_ptr().align_offset(LINE);
    (0..phase)
        .map(|lines| first.saturating_add(lines * LINE))
        .find(|lead| lead.is_multiple_of(phase))
        .filter(|&lead| lead < B.min(samples.len()))
        .unwrap_or(0)
}
