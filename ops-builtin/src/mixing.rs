use faa_op::{OpErrorKind, OpSpec};

use crate::blend::{Blend, BlendIntegers, Blending};
use crate::builtin::{declare, implement, stay};
use crate::pixels::Pixels;
use crate::simd::sets::each_set;

declare! {
    /// Blends a partner image in.
    ///
    /// The value is the partner's weight, 0 … 0.4; outside 0 … 1 the line between the two images is
    /// followed on, and clipped at its ends. Every channel is blended, alpha too. Draws nothing from
    /// its seed: the caller chooses the partner, which has the image's shape.
    ///
    /// Source: Pillow's `Image.blend(image, partner, value)`; Inoue, *Data augmentation by pairing
    /// samples for images classification* (2018).
    SamplePairing,
    OpSpec::new("SamplePairing", "blends in a partner image")
        .range(0.0, 0.4, "weight")
        .with_partner()
}

implement!(SamplePairing, |op, pixels, value, call| {
    let weight = value as f32;
    let partner = call.partner.ok_or(OpErrorKind::NoPartner)?;
    if !pixels.have_shape_of(partner) {
        return Err(OpErrorKind::PartnerShape.into());
    }
    let blending = Blending::new(op.level, weight, 0..=255, pixels.sample_count());
    let (source, image) = match pixels {
        Pixels::InPlace(image) => (None, image),
        Pixels::Between(source, image) => (Some(source), image),
    };
    let mut source = source.iter().flat_map(ImageRef::rows);
    for (y, partner) in partner.rows().enumerate() {
        let row = image.row_mut(y);
        if let Some(source) = source.next() {
            row.copy_from_slice(source);
        }
        mix_in(op.level, row, partner, blending);
    }
    Ok(())
}, warp stay);

// Blends a row of as many samples into `row`.
each_set! {
    fn mix_in(set: impl BlendIntegers, row: &mut [u8], partner: &[u8], blending: Blending) {
        match blending {
            Blending::InFloats(way) => mix_with(row, partner, set, way),
            Blending::InIntegers(way) => mix_with(row, partner, set, way),
        }
    }
}

/// How many samples are blended at once.
const BLOCK: usize = 64;

#[inline(always)]
fn mix_with(row: &mut [u8], partner: &[u8], set: impl BlendIntegers, way: impl Blend) {
    let (blocks, rest) = row.as_chunks_mut::<BLOCK>();
    let (partners, partners_rest) = partner.as_chunks();
    for (block, partners) in blocks.iter_mut().zip(partners) {
        *block = way.blend(set, block, partners);
    }
    let blended = way.blend(set, &padded(rest), &padded(partners_rest));
    rest.copy_from_slice(&blended[..rest.len()]);
}

/// Less than a block of samples as a block.
fn padded(samples: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..samples.len()].copy_from_slice(samples);
    block
}

#[cfg(test)]
mod tests {
    use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, Scratch};

    use super::*;
    use crate::SimdLevel;
    use crate::blend::blend;
    use crate::testing::noise;

    fn mixed(value: f64, partner: Option<ImageRef<'_>>) -> Result<[u8; 4], OpError> {
        let mut samples = [0, 50, 100, 255];
        let mut image = ImageMut::new(&mut samples, 1, 1, Channels::Rgba).unwrap();
        let mut scratch = Scratch::new();
        let mut call = Call::new(0, &mut scratch);
        call.partner = partner;
        SamplePairing::default().apply(&mut image, value, &mut call)?;
        Ok(samples)
    }

    /// The levels of Pillow 13.0.
    #[test]
    fn four_channels_come_out_as_in_pillow() {
        let partner = [255, 40, 101, 0];
        let partner = ImageRef::new(&partner, 1, 1, Channels::Rgba).unwrap();
        assert_eq!(mixed(0.0, Some(partner)), Ok([0, 50, 100, 255]));
        assert_eq!(mixed(0.3, Some(partner)), Ok([76, 47, 100, 178]));
        assert_eq!(mixed(1.0, Some(partner)), Ok([255, 40, 101, 0]));
        assert_eq!(mixed(-0.5, Some(partner)), Ok([0, 55, 99, 255]));
    }

    #[test]
    fn a_partner_of_the_images_shape_is_needed() {
        assert_eq!(mixed(0.2, None), Err(OpErrorKind::NoPartner.into()));
        let partner = ImageRef::new(&[0; 3], 1, 1, Channels::Rgb).unwrap();
        assert_eq!(
            mixed(0.2, Some(partner)),
            Err(OpErrorKind::PartnerShape.into())
        );
    }

    /// Rows of less than a block and of several, in place and from a source, with weights for integers and
    /// for floats.
    #[test]
    fn every_level_blends_as_single_precision_does() {
        let weights = [-0.5, 0.0, 0.1, 0.25, 1.0 / 3.0, 0.4, 1.0, 1.7, 2.5];
        for (width, weight) in [(5, 0.3), (90, 0.3)]
            .into_iter()
            .chain(weights.map(|weight| (43, weight)))
        {
            let shape = (width, 24);
            let samples = noise(shape, Channels::Rgba);
            let partner: alloc::vec::Vec<u8> = samples.iter().rev().copied().collect();
            let view = |samples| ImageRef::new(samples, shape.0, shape.1, Channels::Rgba).unwrap();
            let blended = |(&level, &partner)| blend(level, partner, weight as f32);
            let expected: alloc::vec::Vec<u8> = samples.iter().zip(&partner).map(blended).collect();
            for level in SimdLevel::available() {
                let op = SamplePairing::at(level);
                let mut scratch = Scratch::new();
                let mut call = Call::new(0, &mut scratch);
                call.partner = Some(view(&partner));
                let (mut changed, mut written) = (samples.clone(), partner.clone());
                let mut image =
                    ImageMut::new(&mut changed, shape.0, shape.1, Channels::Rgba).unwrap();
                op.apply(&mut image, weight, &mut call).unwrap();
                let mut image =
                    ImageMut::new(&mut written, shape.0, shape.1, Channels::Rgba).unwrap();
                op.apply_from(view(&samples), &mut image, weight, &mut call)
                    .unwrap();
                assert!(
                    changed == expected && written == expected,
                    "{level} {width} {weight}"
                );
            }
        }
    }
}
