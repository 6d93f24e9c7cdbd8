//! Classifying many images.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use faa_search::backend::{BackendError, StopFlag};
use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

use super::{TorchBackend, set_threads, torch};
use crate::batches::{Batch, Draw, Normalise, Source};
use crate::network::Folded;

/// Pixels that one CPU thread classifies at once: more do not fit into its caches, fewer cost
/// libtorch's overhead too often.
const CPU_BATCH: usize = 40 * 32 * 32;
/// Pixels that a GPU classifies at once.
const CUDA_BATCH: usize = 2_000 * 32 * 32;

/// Sums over draws.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Cross-entropy, in nats.
    pub(super) loss: f64,
    /// Draws that are classified right.
    pub(super) right: i64,
    /// Images of which any draw is.
    pub(super) any: i64,
}

impl TorchBackend {
    /// Classifies all draws, of which `group` belong to an image each, side by side.
    pub(super) fn classify(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        source: &Source<'_>,
        draws: &[Draw],
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let size = (self.classify_batch() / group).max(1) * group;
        if self.device != Device::Cpu {
            let batches = draws.chunks(size);
            return self.classify_ahead(folded, normalise, source, batches, group, stop);
        }
        let batches: Vec<&[Draw]> = draws.chunks(size).collect();
        let totals = self.classify_on_threads(folded, normalise, source, &batches, group, stop);
        // Workers have set libtorch to one thread.
        self.use_all_threads();
        totals
    }

    /// Images that are classified at once.
    pub(super) fn classify_batch(&self) -> usize {
        let pixels = if self.device.is_cuda() {
            CUDA_BATCH
        } else {
            CPU_BATCH
        };
        (pixels / (self.dataset.width * self.dataset.height)).max(1)
    }

    /// On the device: batches are augmented ahead on CPU threads, and nothing is read back before
    /// the end.
    fn classify_ahead<'d>(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        source: &Source<'_>,
        batches: impl Iterator<Item = &'d [Draw]> + Send,
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let zero = |kind| Tensor::f_zeros([], (kind, self.device)).map_err(torch);
        let mut sums = [zero(Kind::Double)?, zero(Kind::Int64)?, zero(Kind::Int64)?];
        source.for_each(batches, normalise, stop, |batch| {
            no_grad(|| {
                let logits = folded.forward(&batch.images)?;
                for (sum, more) in sums.iter_mut().zip(sums_of(&logits, &batch, group)?) {
                    drop(sum.f_add_(&more)?);
                }
                Ok(())
            })
        })?;
        Totals::read(&sums).map_err(torch)
    }

    /// On the CPU: every thread augments and classifies batches of its own, without a word to the
    /// others. Threads within a convolution would wait for each other many times a batch, and the
    /// sums would depend on how many there are.
    fn classify_on_threads(
        &self,
        folded: &Folded,
        normalise: &Normalise,
        source: &Source<'_>,
        batches: &[&[Draw]],
        group: usize,
        stop: &StopFlag,
    ) -> Result<Totals, BackendError> {
        let source = Source {
            threads: 1,
            ..*source
        };
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Totals::default(); batches.len()]);
        let work = |folded: &Folded, normalise: &Normalise| -> Result<(), BackendError> {
            set_threads(1);
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(draws) = batches.get(place) else {
                    return Ok(());
                };
                stop.check()?;
                let raw = source.augment(draws, normalise.device())?;
                let totals = no_grad(|| {
                    let batch = source.upload(&raw, normalise)?;
                    let logits = folded.forward(&batch.images)?;
                    Totals::read(&sums_of(&logits, &batch, group)?)
                });
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results[place] = totals.map_err(torch)?;
            }
        };
        let threads = self.threads.min(batches.len());
        thread::scope(|scope| {
            let spawn = |_| {
                let (folded, normalise) = (folded.share(), normalise.share());
                let work = &work;
                scope.spawn(move || work(&folded, &normalise))
            };
            let workers: Vec<_> = (0..threads).map(spawn).collect();
            let ended = workers.into_iter().map(|worker| match worker.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<()>, _>>()
        })?;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // In the order of the batches, so that rounding does not depend on who was first.
        Ok(results.into_iter().fold(Totals::default(), Totals::plus))
    }
}

/// The sums of one batch, on the device: loss, right draws, images with any.
fn sums_of(logits: &Tensor, batch: &Batch, group: usize) -> Result<[Tensor; 3], TchError> {
    let losses =
        logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::None, -100, 0.0)?;
    let right = logits.f_argmax(1, false)?.f_eq_tensor(&batch.labels)?;
    let any = right.f_view((-1, group as i64))?.f_any_dim(1, false)?;
    Ok([
        losses.f_sum(Kind::Double)?,
        right.f_sum(Kind::Int64)?,
        any.f_sum(Kind::Int64)?,
    ])
}

impl Totals {
    fn read([loss, right, any]: &[Tensor; 3]) -> Result<Self, TchError> {
        Ok(Self {
            loss: loss.f_double_value(&[])?,
            right: right.f_int64_value(&[])?,
            any: any.f_int64_value(&[])?,
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            right: self.right + other.right,
            any: self.any + other.any,
        }
    }
}
