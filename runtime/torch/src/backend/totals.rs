//! Sums over the samples of an epoch.

use tch::{Device, Kind, Reduction, TchError, Tensor};

/// Sums over samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    /// Cross-entropy, in nats.
    pub(super) loss: f64,
    /// Samples that are classified correctly.
    pub(super) correct: i64,
}

/// [`Totals`] on the device, where they stay until the end of the epoch.
#[derive(Debug)]
pub(super) struct Sums {
    loss: Tensor,
    correct: Tensor,
}

impl Sums {
    pub(super) fn zero(device: Device) -> Result<Self, TchError> {
        let zero = |kind| Tensor::f_zeros([], (kind, device));
        Ok(Self {
            loss: zero(Kind::Double)?,
            correct: zero(Kind::Int64)?,
        })
    }

    /// Sets both to zero.
    pub(super) fn clear(&mut self) -> Result<(), TchError> {
        drop(self.loss.f_zero_()?);
        drop(self.correct.f_zero_()?);
        Ok(())
    }

    /// Adds a batch.
    pub(super) fn add(
        &mut self,
        logits: &Tensor,
        losses: &Tensor,
        labels: &Tensor,
    ) -> Result<(), TchError> {
        let correct = logits.f_argmax(1, false)?.f_eq_tensor(labels)?;
        drop(self.loss.f_add_(&losses.f_sum(Kind::Double)?)?);
        drop(self.correct.f_add_(&correct.f_sum(Kind::Int64)?)?);
        Ok(())
    }

    pub(super) fn read(&self) -> Result<Totals, TchError> {
        Ok(Totals {
            loss: self.loss.f_double_value(&[])?,
            correct: self.correct.f_int64_value(&[])?,
        })
    }
}

/// The cross-entropy of each sample.
pub(super) fn losses(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    logits.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::None, -100, 0.0)
}
