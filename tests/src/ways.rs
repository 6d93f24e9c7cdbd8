//! The ways in which an op can be called, which must all give the same bytes.

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, OpSet, Scratch};

/// An image of one's own.
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
    /// Where there are more or fewer samples than the shape asks for.
    pub fn view(&self) -> ImageRef<'_> {
        ImageRef::new(&self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// The picture, to be changed.
    ///
    /// # Panics
    ///
    /// Where there are more or fewer samples than the shape asks for.
    pub fn view_mut(&mut self) -> ImageMut<'_> {
        ImageMut::new(&mut self.samples, self.width, self.height, self.channels)
            .expect("the shape is that of the samples")
    }

    /// A larger picture that holds this one at [`MARGIN`], surrounded by other levels.
    fn framed(&self) -> Self {
        let (left, top) = MARGIN;
        let pixel = self.channels.count();
        let (width, height) = (self.width + 2 * left, self.height + 2 * top);
        // Neither black, which geometric ops bring in, nor white.
        let mut samples = vec![0xa5; width * height * pixel];
        let rows = samples.chunks_exact_mut(width * pixel).skip(top);
        for (to, from) in rows.zip(self.view().rows()) {
            to[left * pixel..][..from.len()].copy_from_slice(from);
        }
        Self {
            samples,
            width,
            height,
            channels: self.channels,
        }
    }

    /// Another picture of this shape, with nothing of a result in it.
    fn spoilt(&self) -> Self {
        Self {
            samples: vec![0x5a; self.samples.len()],
            ..*self
        }
    }
}

/// Columns to the left and right and rows above and below of a framed picture. Odd, so that rows
/// start at uneven addresses.
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
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::InPlace, Self::FromWhole, Self::FromPart];

    /// What the op makes of `source`.
    ///
    /// # Errors
    ///
    /// Those of the op.
    pub fn apply(
        self,
        op: &dyn Op,
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
            Some(framed) => Some(part(framed, source)),
            None => partner.map(Picture::view),
        };
        if self == Self::InPlace {
            let mut result = source.clone();
            op.apply(&mut result.view_mut(), value, &mut call)?;
            return Ok(result);
        }
        let framed = (self == Self::FromPart).then(|| source.framed());
        let from = match &framed {
            Some(framed) => part(framed, source),
            None => source.view(),
        };
        let mut result = source.spoilt();
        op.apply_from(from, &mut result.view_mut(), value, &mut call)?;
        Ok(result)
    }
}

/// The part of a framed picture that has the shape of `source`.
fn part<'a>(framed: &'a Picture, source: &Picture) -> ImageRef<'a> {
    let (left, top) = MARGIN;
    framed
        .view()
        .crop(left, top, source.width, source.height)
        .expect("the frame surrounds the picture")
}

/// The built-in ops at every level of SIMD that this machine has, each with the level's name.
pub fn builtin_ops_by_level() -> Vec<(String, OpSet)> {
    vec![("Default".to_owned(), faa_ops_builtin::builtin_ops())]
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
        for (_, ops) in builtin_ops_by_level() {
            let [one, other, part] = Way::ALL.map(|way| {
                let mut scratch = Scratch::new();
                let op = ops.get("ShearX").unwrap().as_ref();
                way.apply(op, &source, 0.3, 0, None, &mut scratch).unwrap()
            });
            assert!(one == other && one == part && one != source);
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
        let rows: Vec<&[u8]> = part(&framed, &source).rows().collect();
        assert_eq!(rows, [[1, 2, 3], [4, 5, 6]]);
        assert_eq!((framed.width, framed.height), (9, 4));
    }
}
