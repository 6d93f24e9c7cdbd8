//! Classifies many augmented images.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use faa_search::backend::{BackendError, StopFlag};
use faa_search::results::Prediction;
use tch::{Device, TchError, Tensor};

use super::totals::losses;
use super::{TorchBackend, torch};
use crate::batches::{DataLoader, HostBatch, Normalise, Sample};
use crate::device;
use crate::network::Folded;

/// Pixels per batch and CPU thread. Larger batches do not fit into its caches; smaller ones spend
/// more time on libtorch's overhead.
const CPU_BATCH: usize = 40 * 32 * 32;
/// Pixels per batch on a GPU.
const CUDA_BATCH: usize = 2_000 * 32 * 32;

impl TorchBackend {
    /// Classifies all samples, in their order.
    pub(super) fn classify_samples(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        samples: &[Sample],
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        let batches = samples.chunks(self.classify_batch());
        let answers = match self.device {
            Device::Cpu => {
                let batches: Vec<&[Sample]> = batches.collect();
                self.classify_on_threads(folded, normalise, loader, &batches, stop)?
            }
            _ => self.classify_with_prefetch(folded, normalise, loader, batches, stop)?,
        };
        let labels = samples.iter().map(|it| loader.split.labels[it.image]);
        let predictions = labels.zip(answers);
        Ok(predictions
            .map(|(label, (class, loss))| Prediction::new(label, class as u32, loss))
            .collect())
    }

    /// Images per batch.
    pub(super) fn classify_batch(&self) -> usize {
        let pixels = if self.device.is_cuda() {
            CUDA_BATCH
        } else {
            CPU_BATCH
        };
        (pixels / (self.dataset.width * self.dataset.height)).max(1)
    }

    /// On a GPU: batches are augmented ahead on CPU threads, and the results stay on the device until
    /// the end.
    fn classify_with_prefetch<'s>(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        batches: impl Iterator<Item = &'s [Sample]> + Send,
        stop: &StopFlag,
    ) -> Result<Vec<Answer>, BackendError> {
        let mut results = Vec::new();
        loader.for_each(batches, normalise.device(), stop, |batch| {
            results.push(Classified::of(folded, normalise, &batch)?);
            Ok(())
        })?;
        let answers = results.iter().map(|it| it.read().map_err(torch));
        Ok(answers.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// On the CPU: every thread augments and classifies whole batches, independently of the others.
    /// Threads within a convolution would wait for each other many times per batch, and the results
    /// would depend on the number of threads.
    fn classify_on_threads(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        batches: &[&[Sample]],
        stop: &StopFlag,
    ) -> Result<Vec<Answer>, BackendError> {
        let loader = DataLoader {
            threads: 1,
            ..*loader
        };
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Vec::new(); batches.len()]);
        let work = |folded: &Folded, normalise: &Normalise| -> Result<(), BackendError> {
            device::use_one_thread();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(samples) = batches.get(index) else {
                    return Ok(());
                };
                stop.check()?;
                let batch = loader.augment(samples, normalise.device())?;
                let classified = Classified::of(folded, normalise, &batch);
                let answers = classified.and_then(|it| it.read()).map_err(torch)?;
                results.lock().unwrap_or_else(PoisonError::into_inner)[index] = answers;
            }
        };
        let threads = self.threads.min(batches.len());
        thread::scope(|scope| {
            let spawn = |_| {
                let (folded, normalise) = (folded.shallow_clone(), normalise.shallow_clone());
                let work = &work;
                scope.spawn(move || work(&folded, &normalise))
            };
            let workers: Vec<_> = (0..threads).map(spawn).collect();
            let results = workers.into_iter().map(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect::<Result<Vec<()>, _>>()
        })?;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(results.concat())
    }
}

/// The class that the network takes a sample for, and the sample's loss in nats.
type Answer = (i64, f32);

/// The answers for one batch, on the device of the network.
struct Classified {
    classes: Tensor,
    losses: Tensor,
}

impl Classified {
    fn of(folded: &Folded, normalise: &Normalise, batch: &HostBatch) -> Result<Self, TchError> {
        let batch = batch.upload(normalise.device())?;
        let logits = folded.forward(&normalise.apply(&batch.pixels)?)?;
        Ok(Self {
            classes: logits.f_argmax(1, false)?,
            losses: losses(&logits, &batch.labels)?,
        })
    }

    fn read(&self) -> Result<Vec<Answer>, TchError> {
        let classes = Vec::<i64>::try_from(&self.classes)?;
        let losses = Vec::<f32>::try_from(&self.losses)?;
        Ok(classes.into_iter().zip(losses).collect())
    }
}
