use faa_op::{OpErrorKind, OpSpec};

use crate::blend::blend;
use crate::builtin::{declare, implement, stay};
use crate::pixels::Pixels;
use crate::simd::each_level;

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
    match pixels {
        Pixels::InPlace(image) => {
            for (y, partner) in partner.rows().enumerate() {
                mix_in(op.level, image.row_mut(y), partner, weight);
            }
        }
        Pixels::Between(source, image) => {
            for (y, (source, partner)) in source.rows().zip(partner.rows()).enumerate() {
                mix(op.level, image.row_mut(y), source, partner, weight);
            }
        }
    }
    Ok(())
}, warp stay);

each_level! {
    fn mix_in(target: &mut [u8], partner: &[u8], weight: f32) {
        for (level, &partner) in target.iter_mut().zip(partner) {
            *level = blend(*level, partner, weight);
        }
    }
}

each_level! {
    fn mix(target: &mut [u8], source: &[u8], partner: &[u8], weight: f32) {
        for ((result, &level), &partner) in target.iter_mut().zip(source).zip(partner) {
            *result = blend(level, partner, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, Scratch};

    use super::*;

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
}
