//! All ways to call an op, which must give the same bytes.

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
    /// A view of the picture.
    ///
    /// # Panics
    ///
    /// If the number of samples does not match the shape.
    pub fn view(&self) -> ImageRef<'_> {
        ImageRef::new(&self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// A mutable view of the picture.
    ///
    /// # Panics
    ///
    /// If the number of samples does not match the shape.
    pub fn view_mut(&mut self) -> ImageMut<'_> {
        ImageMut::new(&mut self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// This picture as part of a larger one.
    pub fn framed(&self) -> Framed {
        let (left, top) = MARGIN;
        let pixel = self.channels.count();
        let row = self.width * pixel;
        let stride = row + 2 * left * pixel;
        let start = top * stride + left * pixel;
        // Neither black, with which geometric ops fill, nor white.
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

    /// A picture of this shape with a constant level, as a buffer that a result must overwrite.
    pub fn blank(&self) -> Self {
        Self {
            samples: vec![0x5a; self.samples.len()],
            ..*self
        }
    }
}

/// A picture within a larger one. The memory ends after the picture's last pixel, so that sanitizers and
/// Miri detect reads beyond it.
#[derive(Clone, Debug)]
pub struct Framed {
    samples: Box<[u8]>,
    start: usize,
    stride: usize,
    shape: (usize, usize, Channels),
}

impl Framed {
    /// A view of the picture without its frame. Padding follows every row except the last.
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

/// Numbers of columns to the left and right of a framed picture, and of rows above it. They are odd, so that
/// rows start at odd addresses.
const MARGIN: (usize, usize) = (3, 1);

/// A way to call an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// [`Op::apply`].
    InPlace,
    /// [`Op::apply_from`] a contiguous image.
    FromWhole,
    /// [`Op::apply_from`] part of a larger image; the partner is part of a larger image too.
    FromPart,
    /// [`map_levels`] with the op's lookup tables; without tables the same as [`Way::InPlace`].
    Tables,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::InPlace, Self::FromWhole, Self::FromPart, Self::Tables];

    /// Applies an op, whose SIMD level is `level`, to `source`, and returns the result.
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
        let mut result = source.blank();
        op.apply_from(from, &mut result.view_mut(), value, &mut call)?;
        Ok(result)
    }
}

/// The built-in ops at every SIMD level that this machine supports.
pub fn builtin_ops_by_level() -> Vec<(SimdLevel, OpSet)> {
    SimdLevel::available()
        .map(|level| (level, builtin_ops_at(level)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::Source;

    #[test]
    fn every_way_gives_the_same() {
        let source = Source::parse("noise", "3", "5", "4", "RGB")
            .unwrap()
            .picture();
        for (level, ops) in builtin_ops_by_level() {
            for (name, value) in [("ShearX", 0.3), ("Solarize", 100.0)] {
                let op = ops.get(name).unwrap().as_ref();
                let mut scratch = Scratch::new();
                let mut apply =
                    |way: Way| way.apply(op, level, &source, value, 0, None, &mut scratch);
                let [first, others @ ..] = Way::ALL.map(|way| apply(way).unwrap());
                assert!(first != source && others.iter().all(|other| *other == first));
            }
        }
    }

    #[test]
    fn a_framed_picture_is_unchanged() {
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
