//! Classifies many augmented images.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use faa_search::backend::{BackendError, StopFlag};
use tch::{Device, TchError};

use super::totals::{Sums, Totals, losses};
use super::{TorchBackend, set_threads, torch};
use crate::batches::{Batch, DataLoader, Normalise, Sample};
use crate::network::Folded;

/// Pixels per batch and CPU thread. Larger batches do not fit into its caches; smaller ones spend
/// more time on libtorch's overhead.
const CPU_BATCH: usize = 40 * 32 * 32;
/// Pixels per batch on a GPU.
const CUDA_BATCH: usize = 2_000 * 32 * 32;

impl TorchBackend {
    /// Classifies all samples. The samples of an image are adjacent, `group` per image.
    pub(super) fn classify(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        samples: &[Sample],
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let size = (self.classify_batch() / group).max(1) * group;
        if self.device != Device::Cpu {
            let batches = samples.chunks(size);
            return self.classify_with_prefetch(folded, normalise, loader, batches, group, stop);
        }
        let batches: Vec<&[Sample]> = samples.chunks(size).collect();
        let totals = self.classify_on_threads(folded, normalise, loader, &batches, group, stop);
        // The workers have set libtorch to one thread.
        self.use_all_threads();
        totals
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

    /// On a GPU: batches are augmented ahead on CPU threads, and the sums stay on the device until
    /// the end.
    fn classify_with_prefetch<'s>(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        batches: impl Iterator<Item = &'s [Sample]> + Send,
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let mut sums = Sums::zero(self.device).map_err(torch)?;
        loader.for_each(batches, normalise, stop, |batch| {
            sums.add(&classified(folded, &batch, group)?)
        })?;
        sums.read().map_err(torch)
    }

    /// On the CPU: every thread augments and classifies whole batches, independently of the others.
    /// Threads within a convolution would wait for each other many times per batch, and the sums
    /// would depend on the number of threads.
    fn classify_on_threads(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        loader: &DataLoader<'_>,
        batches: &[&[Sample]],
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let loader = DataLoader {
            threads: 1,
            ..*loader
        };
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Totals::default(); batches.len()]);
        let work = |folded: &Folded, normalise: &Normalise| -> Result<(), BackendError> {
            set_threads(1);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(samples) = batches.get(index) else {
                    return Ok(());
                };
                stop.check()?;
                let batch = loader.augment(samples, normalise.device())?;
                let batch = loader.upload(&batch, normalise);
                let sums = batch.and_then(|batch| classified(folded, &batch, group)?.read());
                let totals = sums.map_err(torch)?;
                results.lock().unwrap_or_else(PoisonError::into_inner)[index] = totals;
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
        // In the order of the batches, so that rounding does not depend on which thread was first.
        Ok(results.into_iter().fold(Totals::default(), Totals::plus))
    }
}

fn classified(folded: &Folded, batch: &Batch, group: usize) -> Result<Sums, TchError> {
    let logits = folded.forward(&batch.images)?;
    Sums::of(&logits, &losses(&logits, batch)?, batch, group)
}
