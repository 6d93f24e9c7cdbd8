#[cfg(all(test, feature = "builtin"))]
mod tests;

use faa_op::{Call, ImageMut, ImageRef, LookupTables, OpError, OpErrorKind, OpResult, Scratch};

use crate::draw::Drawn;
use crate::one_pass::apply_tables;
use crate::{ApplyError, Partners};

/// The image that steps are applied to, and what they need for it.
pub(crate) struct Target<'a, 'image> {
    /// What is read first; `None` for the image itself.
    pub(crate) source: Option<ImageRef<'a>>,
    pub(crate) image: &'a mut ImageMut<'image>,
    pub(crate) partners: Option<&'a dyn Partners>,
    pub(crate) scratch: &'a mut Scratch,
    /// Whether neighbours that have tables become one pass over the pixels.
    pub(crate) one_pass: bool,
}

impl Target<'_, '_> {
    pub(crate) fn apply<'s>(
        mut self,
        steps: impl Iterator<Item = Drawn<'s>>,
    ) -> Result<(), ApplyError> {
        let channels = self.image.channels();
        let mut steps = steps.peekable();
        while let Some(step) = steps.next() {
            let mut fused: Option<LookupTables> = None;
            while let Some(next) = steps.peek()
                && self.one_pass
                && step.fusing.likely(channels)
                && next.fusing.likely(channels)
                && let Some(first) = fused
                    .take()
                    .or_else(|| step.op.lookup_tables(step.value, channels))
            {
                match next.op.lookup_tables(next.value, channels) {
                    Some(second) => fused = Some(first.then(&second)),
                    None => {
                        fused = Some(first);
                        break;
                    }
                }
                steps.next();
            }
            match fused {
                Some(tables) => apply_tables(&tables, self.source.take(), self.image)
                    .map_err(|_| OpErrorKind::SourceShape.into()),
                None => self.apply_alone(&step),
            }
            .map_err(|error: OpError| ApplyError::new(Some(step.op.spec().name()), error))?;
        }
        match self.source {
            Some(source) => (self.image.copy_from(source))
                .map_err(|_| ApplyError::new(None, OpErrorKind::SourceShape)),
            None => Ok(()),
        }
    }

    fn apply_alone(&mut self, step: &Drawn<'_>) -> OpResult {
        let mut call = Call::new(step.seed, self.scratch);
        if step.op.spec().needs_partner() {
            let (index, partners) =
                (step.partner.zip(self.partners)).ok_or(OpErrorKind::NoPartner)?;
            let partner = partners.image(index);
            if !self.image.has_shape_of(partner) {
                return Err(OpErrorKind::PartnerShape.into());
            }
            call = call.with_partner(partner);
        }
        match self.source.take() {
            Some(source) => (step.op).apply_from(source, self.image, step.value, &mut call),
            None => step.op.apply(self.image, step.value, &mut call),
        }
    }
}
