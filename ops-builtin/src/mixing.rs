use faa_op::{Call, ImageMut, ImageRef, Op, OpError, OpSpec};

use crate::builtin::{check_source, check_value, declare};
use crate::enhance::blend;
use crate::simd::each_level;

declare! {
    /// Blends a partner image in.
    ///
    /// The value is the partner's weight, 0 … 0.4; outside 0 … 1 the line between the two images is
    /// followed on, and clipped at its ends. Every channel is blended, alpha too. Draws nothing from
    /// its seed: whoever applies the op chooses the partner, which has the image's shape.
    ///
    /// Source: Pillow's `Image.blend(image, partner, value)`; Inoue, *Data augmentation by pairing
    /// samples for images classification* (2018).
    SamplePairing,
    OpSpec::new("SamplePairing", "blends another image in")
        .range(0.0, 0.4, "weight")
        .mixing()
}

impl Op for SamplePairing {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        check_value(&self.spec, value)?;
        let partner = partner_of(image, call)?;
        for (y, partner) in partner.rows().enumerate() {
            mix_in(self.level, image.row_mut(y), partner, value as f32);
        }
        Ok(())
    }

    fn apply_from(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        check_value(&self.spec, value)?;
        check_source(source, image)?;
        let partner = partner_of(image, call)?;
        for (y, (source, partner)) in source.rows().zip(partner.rows()).enumerate() {
            mix(self.level, image.row_mut(y), source, partner, value as f32);
        }
        Ok(())
    }
}

fn partner_of<'a>(image: &ImageMut<'_>, call: &Call<'a>) -> Result<ImageRef<'a>, OpError> {
    let partner = call.partner.ok_or(OpError::NoPartner)?;
    if image.has_shape_of(partner) {
        Ok(partner)
    } else {
        Err(OpError::PartnerShape)
    }
}

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
    use faa_op::{Channels, Scratch};

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
        assert_eq!(mixed(0.2, None), Err(OpError::NoPartner));
        let partner = ImageRef::new(&[0; 3], 1, 1, Channels::Rgb).unwrap();
        assert_eq!(mixed(0.2, Some(partner)), Err(OpError::PartnerShape));
    }
}
