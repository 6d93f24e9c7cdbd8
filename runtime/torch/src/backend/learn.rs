//! One epoch of a training.

use std::time::Instant;

use faa_search::backend::{BackendError, Images, StopFlag, TrainTask};
use faa_search::results::{Divergence, Epoch};
use faa_search::seeds::{Purpose, derive, shuffle};
use tch::{Kind, TchError, Tensor};

use super::totals::{Sums, losses};
use super::{TorchBackend, TorchNetwork, no_optimizer, torch};
use crate::batches::{Batch, Sample};
use crate::network::{Mode, WideResNet};
use crate::schedule::Schedule;
use crate::shim::AutocastBf16;

impl TorchBackend {
    pub(super) fn train_epoch(
        &self,
        network: &mut TorchNetwork,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        let started = Instant::now();
        let sgd = network.sgd.as_mut().ok_or_else(no_optimizer)?;
        let (training, network) = (task.training, &network.network);
        let batch = training.batch.get();
        let steps_per_epoch = task.images.len().div_ceil(batch);
        let schedule = Schedule {
            peak: training.learning_rate,
            warmup: training.warmup_epochs * steps_per_epoch,
            steps: training.epochs.get() * steps_per_epoch,
        };
        let pipeline = self.pipeline(task.policy, training, task.seed)?;
        let loader = self.loader(Images::Train(task.images), Some(&pipeline));
        let normalise = self.normalise(self.statistics)?;
        let samples = epoch_samples(task, epoch);
        let mut sums = Sums::zero(self.device).map_err(torch)?;
        let mut step = epoch * steps_per_epoch;
        loader.for_each(samples.chunks(batch), &normalise, stop, |batch| {
            let (logits, losses) = self.forward(network, &batch)?;
            drop(sgd.step(network, &losses.f_mean(None)?, schedule.rate(step))?);
            step += 1;
            sums.add(&logits, &losses, &batch)
        })?;
        let (images, totals) = (task.images.len(), sums.read().map_err(torch)?);
        let loss = totals.loss / images as f64;
        let learning_rate = schedule.rate(step.saturating_sub(1));
        if !loss.is_finite() || !network.is_finite().map_err(torch)? {
            return Err(Divergence::new(epoch, learning_rate).into());
        }
        let mut done = Epoch::default();
        (done.epoch, done.images, done.loss) = (epoch, images, loss);
        done.error = 1.0 - totals.correct as f64 / images as f64;
        (done.learning_rate, done.seconds) = (learning_rate, started.elapsed().as_secs_f64());
        Ok(done)
    }

    /// Logits, and the loss of each image, as 32-bit floats.
    fn forward(&self, network: &WideResNet, batch: &Batch) -> Result<(Tensor, Tensor), TchError> {
        let logits = {
            let bf16 = self.precisions[1] == Kind::BFloat16;
            let _autocast = bf16
                .then(|| AutocastBf16::enable(self.device))
                .transpose()?;
            network.forward(&batch.images, Mode::Train)?
        };
        let logits = logits.f_to_kind(Kind::Float)?;
        let losses = losses(&logits, batch)?;
        Ok((logits, losses))
    }
}

/// All images of a task, in the order of this epoch.
fn epoch_samples(task: &TrainTask<'_>, epoch: usize) -> Vec<Sample> {
    let mut images = task.images.to_vec();
    let seed = derive(task.seed, Purpose::Shuffle, &[epoch as u64]);
    shuffle(&mut images, seed);
    let sample = |image| Sample {
        image,
        epoch: epoch as u32,
    };
    images.into_iter().map(sample).collect()
}
