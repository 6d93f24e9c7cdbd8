//! Sums over classified samples.

use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

use crate::batches::Batch;

/// Sums over samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Cross-entropy, in nats.
    pub(super) loss: f64,
    /// Samples that are classified correctly.
    pub(super) correct: i64,
    /// Images with at least one correct sample.
    pub(super) any_correct: i64,
}

impl Totals {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            correct: self.correct + other.correct,
            any_correct: self.any_correct + other.any_correct,
        }
    }
}

/// [`Totals`] on the device: loss, correct samples, images with a correct sample.
pub(super) struct Sums([Tensor; 3]);

impl Sums {
    pub(super) fn zero(device: Device) -> Result<Self, TchError> {
        let zero = |kind| Tensor::f_zeros([], (kind, device));
        Ok(Self([
            zero(Kind::Double)?,
            zero(Kind::Int64)?,
            zero(Kind::Int64)?,
        ]))
    }

    /// Those of one batch, with this many adjacent samples per image.
    pub(super) fn of(
        logits: &Tensor,
        losses: &Tensor,
        batch: &Batch,
        group: usize,
    ) -> Result<Self, TchError> {
        no_grad(|| {
            let correct = logits.f_argmax(1, false)?.f_eq_tensor(&batch.labels)?;
            let any_correct = correct.f_view((-1, group as i64))?.f_any_dim(1, false)?;
            Ok(Self([
                losses.f_sum(Kind::Double)?,
                correct.f_sum(Kind::Int64)?,
                any_correct.f_sum(Kind::Int64)?,
            ]))
        })
    }

    pub(super) fn add(&mut self, more: &Self) -> Result<(), TchError> {
        let mut pairs = self.0.iter_mut().zip(&more.0);
        pairs.try_for_each(|(sum, more)| sum.f_add_(more).map(drop))
    }

    pub(super) fn read(&self) -> Result<Totals, TchError> {
        let [loss, correct, any_correct] = &self.0;
        Ok(Totals {
            loss: loss.f_double_value(&[])?,
            correct: correct.f_int64_value(&[])?,
            any_correct: any_correct.f_int64_value(&[])?,
        })
    }
}

/// The cross-entropy of each sample.
pub(super) fn losses(logits: &Tensor, batch: &Batch) -> Result<Tensor, TchError> {
    logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::None, -100, 0.0)
}
