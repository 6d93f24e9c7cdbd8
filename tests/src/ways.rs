//! The ways in which an op can be called, which must all give the same bytes.

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, OpSet, Scratch};
use faa_ops_builtin::{SimdLevel, builtin_ops_at, map_levels};

/// An image with its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// All samples, row by row, channels interleaved.
    pub samples: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The channels of a pixel.
    pub channels: Channels,
}

impl Picture {
    /// The picture, to be read.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples than the shape asks for.
    pub fn view(&self) -> ImageRef<'_> {
        ImageRef::new(&self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// The picture, to be changed.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples than the shape asks for.
    pub fn view_mut(&mut self) -> ImageMut<'_> {
        ImageMut::new(&mut self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// This picture as a part of a larger one.
    pub fn framed(&self) -> Framed {
        let (left, top) = MARGIN;
        let pixel = self.channels.count();
        let row = self.width * pixel;
        let stride = row + 2 * left * pixel;
        let start = top * stride + left * pixel;
        // Neither black, which geometric ops bring in, nor white.
        let mut samples = vec![0xa5; start + stride * (self.height - 1) + row];
        let rows = samples[start..].chunks_mut(stride);
        for (to, from) in rows.zip(self.view().rows()) {
            to[..row].copy_from_slice(from);
        }
        Framed {
            samples: samples.into_boxed_slice(),
            start,
            stride,
            shape: (self.width, self.height, self.channels),
        }
    }

    /// A different picture of this shape, which shares nothing with a result.
    pub fn spoilt(&self) -> Self {
        Self {
            samples: vec![0x5a; self.samples.len()],
            ..*self
        }
    }
}

/// A picture within a larger one, of which nothing is left after the picture's last pixel: what
/// reads on from there leaves the memory, which sanitizers and Miri notice.
#[derive(Clone, Debug)]
pub struct Framed {
    samples: Box<[u8]>,
    start: usize,
    stride: usize,
    shape: (usize, usize, Channels),
}

impl Framed {
    /// The picture without its frame: padding follows every row but the last.
    ///
    /// # Panics
    ///
    /// Never: the frame surrounds the picture.
    pub fn part(&self) -> ImageRef<'_> {
        let (width, height, channels) = self.shape;
        let samples = &self.samples[self.start..];
        ImageRef::with_stride(samples, width, height, channels, self.stride)
            .expect("the frame surrounds the picture")
    }
}

/// Columns to the left and right and rows above a framed picture. Odd, so that rows start at uneven
/// addresses.
const MARGIN: (usize, usize) = (3, 1);

/// A way to call an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// [`Op::apply`].
    InPlace,
    /// [`Op::apply_from`] an image whose rows follow each other.
    FromWhole,
    /// [`Op::apply_from`] a part of a larger image, with a partner that is one too.
    FromPart,
    /// [`map_levels`] with the op's tables, if it has any; otherwise as in place.
    Tables,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::InPlace, Self::FromWhole, Self::FromPart, Self::Tables];

    /// What the op, which was made at that level, makes of `source`.
    ///
    /// # Errors
    ///
    /// Those of the op.
    #[allow(clippy::too_many_arguments, reason = "a call of an op has as many")]
    pub fn apply(
        self,
        op: &dyn Op,
        level: SimdLevel,
        source: &Picture,
        value: f64,
        seed: u64,
        partner: Option<&Picture>,
        scratch: &mut Scratch,
    ) -> Result<Picture, OpError> {
        let framed_partner = partner
            .filter(|_| self == Self::FromPart)
            .map(Picture::framed);
        let mut call = Call::new(seed, scratch);
        call.partner = match &framed_partner {
            Some(framed) => Some(framed.part()),
            None => partner.map(Picture::view),
        };
        if matches!(self, Self::InPlace | Self::Tables) {
            let mut result = source.clone();
            let tables = op.lookup_tables(value, source.channels);
            match tables.filter(|_| self == Self::Tables) {
                Some(tables) => map_levels(level, &tables, &mut result.view_mut()),
                None => op.apply(&mut result.view_mut(), value, &mut call)?,
            }
            return Ok(result);
        }
        let framed = (self == Self::FromPart).then(|| source.framed());
        let from = match &framed {
            Some(framed) => framed.part(),
            None => source.view(),
        };
        let mut result = source.spoilt();
        op.apply_from(from, &mut result.view_mut(), value, &mut call)?;
        Ok(result)
    }
}

/// The built-in ops at every level of vector instructions that this machine has.
pub fn builtin_ops_by_level() -> Vec<(SimdLevel, OpSet)> {
    SimdLevel::available()
        .map(|level| (level, builtin_ops_at(level)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::{Kind, picture};

    #[test]
    fn every_way_gives_the_same() {
        let (width, height, channels) = (5, 4, Channels::Rgb);
        let source = Picture {
            samples: picture(Kind::Noise, 3, width, height, channels),
            width,
            height,
            channels,
        };
        for (level, ops) in builtin_ops_by_level() {
            for (name, value) in [("ShearX", 0.3), ("Solarize", 100.0)] {
                let op = ops.get(name).unwrap().as_ref();
                let mut scratch = Scratch::new();
                let [first, others @ ..] = Way::ALL.map(|way| {
                    way.apply(op, level, &source, value, 0, None, &mut scratch)
                        .unwrap()
                });
                assert!(first != source && others.iter().all(|other| *other == first));
            }
        }
    }

    #[test]
    fn a_frame_keeps_the_picture() {
        let source = Picture {
            samples: vec![1, 2, 3, 4, 5, 6],
            width: 3,
            height: 2,
            channels: Channels::L,
        };
        let framed = source.framed();
        let rows: Vec<&[u8]> = framed.part().rows().collect();
        assert_eq!(rows, [[1, 2, 3], [4, 5, 6]]);
        assert_eq!(framed.part().stride(), 9);
        // A row above, two rows with three columns to the left, and three between them.
        assert_eq!(framed.samples.len(), 9 + 3 + 3 + 6 + 3);
    }
}
