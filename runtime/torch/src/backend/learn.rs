//! One epoch of a training.

use std::time::Instant;

use faa_search::backend::{BackendError, Images, StopFlag, TrainTask};
use faa_search::results::{Divergence, Epoch};
use faa_search::seeds::{Purpose, derive, shuffle};

use super::{TorchBackend, TorchNetwork, no_optimizer, torch};
use crate::batches::Sample;
use crate::schedule::Schedule;

impl TorchBackend {
    pub(super) fn train_epoch(
        &self,
        network: &mut TorchNetwork,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        let started = Instant::now();
        let trainer = network.trainer.as_mut().ok_or_else(no_optimizer)?;
        let (training, network) = (task.training, &network.network);
        let (batch, steps_per_epoch) = training.batches(task.images.len());
        if steps_per_epoch == 0 {
            return Err(BackendError::other("there are no images to train on"));
        }
        let schedule = Schedule::new(
            training.learning_rate,
            training.warmup_epochs * steps_per_epoch,
            training.epochs.get() * steps_per_epoch,
        );
        let pipeline = self.pipeline(task.policy, training, task.seed)?;
        let loader = self.loader(Images::Train(task.images), Some(&pipeline));
        let samples = epoch_samples(task, epoch);
        let mut step = epoch * steps_per_epoch;
        trainer.begin_epoch().map_err(torch)?;
        loader.for_each(samples.chunks_exact(batch), self.device, stop, |batch| {
            trainer.step(network, &batch, schedule.rate(step))?;
            step += 1;
            Ok(())
        })?;
        let images = steps_per_epoch * batch;
        let totals = trainer.totals().map_err(torch)?;
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
