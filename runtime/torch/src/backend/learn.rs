//! One epoch of a training.

use std::time::Instant;

use faa_search::backend::{BackendError, Images, StopFlag, TrainTask};
use faa_search::results::{Divergence, Epoch};
use faa_search::seeds::{Purpose, derive, shuffle};
use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

use super::{TorchBackend, TorchNetwork, torch};
use crate::batches::{Batch, Draw};
use crate::network::{Mode, WideResNet};
use crate::schedule::Schedule;
use crate::shim::AutocastBf16;

impl TorchBackend {
    pub(super) fn learn(
        &self,
        network: &mut TorchNetwork,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        let started = Instant::now();
        let Some(sgd) = &mut network.sgd else {
            return Err(BackendError::other(
                "a network that was loaded cannot be trained on",
            ));
        };
        let (training, network) = (task.training, &network.network);
        let batch = training.batch.get();
        let steps_an_epoch = task.images.len().div_ceil(batch);
        let schedule = Schedule {
            peak: training.learning_rate,
            warmup: training.warmup_epochs * steps_an_epoch,
            steps: training.epochs.get() * steps_an_epoch,
        };
        let pipeline = self.pipeline(task.into())?;
        let source = self.source(Images::Train(task.images), Some(&pipeline));
        let normalise = self.normalise(self.statistics)?;
        let draws = epoch_draws(task, epoch);
        let mut tally = Tally::new(self.device).map_err(torch)?;
        let mut step = epoch * steps_an_epoch;
        source.for_each(draws.chunks(batch), &normalise, stop, |batch| {
            let (logits, losses) = self.forward(network, &batch)?;
            drop(sgd.step(network, &losses.f_mean(None)?, schedule.rate(step))?);
            step += 1;
            tally.add(&logits, &losses, &batch)
        })?;
        let images = task.images.len();
        let (right, loss) = tally.right_and_loss(images).map_err(torch)?;
        let learning_rate = schedule.rate(step.saturating_sub(1));
        if !loss.is_finite() || !network.is_finite().map_err(torch)? {
            return Err(Divergence {
                epoch,
                learning_rate,
            }
            .into());
        }
        Ok(Epoch {
            epoch,
            loss,
            error: 1.0 - right,
            learning_rate,
            seconds: started.elapsed().as_secs_f64(),
            images,
        })
    }

    /// Logits and losses, a number an image, as 32-bit floats.
    fn forward(&self, network: &WideResNet, batch: &Batch) -> Result<(Tensor, Tensor), TchError> {
        let logits = {
            let bf16 = self.kinds.training == Kind::BFloat16;
            let _autocast = bf16.then(|| AutocastBf16::on(self.device)).transpose()?;
            network.forward(&batch.images, Mode::Train)?
        };
        let logits = logits.f_to_kind(Kind::Float)?;
        let losses =
            logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::None, -100, 0.0);
        Ok((logits, losses?))
    }
}

/// All images of a task, in the order of this epoch.
fn epoch_draws(task: &TrainTask<'_>, epoch: usize) -> Vec<Draw> {
    let mut images = task.images.to_vec();
    let seed = derive(task.seed, Purpose::Shuffle, &[epoch as u64]);
    shuffle(&mut images, seed);
    let draw = |image| Draw {
        image,
        epoch: epoch as u32,
    };
    images.into_iter().map(draw).collect()
}

/// Sums over batches that stay on the device until they are asked for.
struct Tally {
    loss: Tensor,
    right: Tensor,
}

impl Tally {
    fn new(device: Device) -> Result<Self, TchError> {
        Ok(Self {
            loss: Tensor::f_zeros([], (Kind::Double, device))?,
            right: Tensor::f_zeros([], (Kind::Int64, device))?,
        })
    }

    fn add(&mut self, logits: &Tensor, losses: &Tensor, batch: &Batch) -> Result<(), TchError> {
        no_grad(|| {
            let right = logits.f_argmax(1, false)?.f_eq_tensor(&batch.labels)?;
            drop(self.loss.f_add_(&losses.f_sum(Kind::Double)?)?);
            drop(self.right.f_add_(&right.f_sum(Kind::Int64)?)?);
            Ok(())
        })
    }

    /// The share of images that were classified right, and the mean loss.
    fn right_and_loss(&self, images: usize) -> Result<(f64, f64), TchError> {
        let share = |sum: &Tensor| sum.f_double_value(&[]).map(|sum| sum / images as f64);
        Ok((share(&self.right)?, share(&self.loss)?))
    }
}
